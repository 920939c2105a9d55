"""How many examples property tests try: few in `make test`, many in `make test-thorough`, which sets TESTS_THOROUGH."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import settings

THOROUGH: Final = os.environ.get("TESTS_THOROUGH", "") not in ("", "0")


def examples(thorough: int) -> int:
    """The number of examples for a test that sets its own: `thorough`, or a quarter of it."""
    return thorough if THOROUGH else max(thorough // 4, 5)


def load_profile() -> None:
    """Sets the number for all other tests. There is no deadline, because a busy machine is not a fault of the code."""
    settings.register_profile("dask-graphql", deadline=None, max_examples=examples(200))
    settings.load_profile("dask-graphql")
