"""Tools that a test needs and a machine may lack: a browser, Terraform and its providers, Node, another Redis.

Such a test is skipped with the reason, so that the suite passes anywhere. With TESTS_STRICT set, as in CI, which
has all tools, a missing tool is a failure: a skip would hide that something is no longer tested.
"""

from __future__ import annotations

import importlib
import os
from typing import Any, Final, NoReturn

STRICT: Final = os.environ.get("TESTS_STRICT", "") not in ("", "0")


def missing(reason: str) -> NoReturn:
    """Skips the running test, or fails it under TESTS_STRICT.

    Args:
        reason: what is not there, and how it can be had.
    """
    import pytest  # here, as the benchmarks use what finds a server without it

    if STRICT:
        pytest.fail(f"{reason} (a failure, since TESTS_STRICT is set)", pytrace=False)
    pytest.skip(reason)


def module(name: str) -> Any:
    """A package that only some tests need, and that their extra brings; where it is not installed, the test is skipped,
    or fails under TESTS_STRICT.

    Args:
        name: as for `import`.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing(f"{name} cannot be imported: {error}")
