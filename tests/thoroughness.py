"""How many examples the property tests try: few in `make test`, many in `make test-all`, which sets TESTS_THOROUGH."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import settings

THOROUGH: Final = os.environ.get("TESTS_THOROUGH", "") not in ("", "0")


def examples(thorough: int) -> int:
    """The number of examples of a property test that has its own: `thorough` or a quarter of it."""
    return thorough if THOROUGH else max(thorough // 4, 5)


def load_profile() -> None:
    """For all others. No deadline: a machine that does something else meanwhile is no fault of the code."""
    settings.register_profile("dask-graphql", deadline=None, max_examples=examples(200))
    settings.load_profile("dask-graphql")
