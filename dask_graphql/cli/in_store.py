"""Work on the store that a command does itself, without an api node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from cluster.settings import load_settings

if TYPE_CHECKING:
    from cluster.store.async_store import Store

T = TypeVar("T")


def in_store(work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
    """Connects to the store of the settings, does the work, and closes the connection."""
    from cluster.store.async_store import Store

    async def body() -> T:
        store = Store(load_settings())
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(body())
