"""Workers that operators asked to drain. The controller takes the request: the worker begins no task any more, running
ones may end within DRAIN_SECONDS, and what is left is requeued."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from cluster.store.async_store import Store
from cluster.store.keys import Keys

REQUEST_SECONDS: Final = 600
"""How long a request waits for a controller."""


async def ask_to_drain(store: Store, name: str, actor: str, keys: Keys | None = None) -> None:
    """Asks the controller to drain the worker of this name.

    Args:
        actor: who asks, for people.
        keys: those of the worker's scheduler; None for that of this node's settings.
    """
    key = (keys or store.calls).drains_key
    await store.commands([("HSET", key, name, actor), ("EXPIRE", key, REQUEST_SECONDS)])


async def requested_drains(store: Store) -> dict[str, str]:
    """The workers of this node's scheduler that are to be drained, and who asked for it."""
    flat = await store.command("HGETALL", store.calls.drains_key)
    pairs = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
    return {name.decode(): actor.decode() for name, actor in pairs}


async def drop_drains(store: Store, names: Collection[str]) -> None:
    """Removes requests that were carried out, or cannot be."""
    await store.command("HDEL", store.calls.drains_key, *names)
