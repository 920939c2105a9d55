"""Waiting for what has no event."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], seconds: float = 15, *, pause_seconds: float = 0.01) -> None:
    """Returns once the condition is true.

    Raises:
        TimeoutError: it was not true within `seconds`.
    """
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(pause_seconds)
