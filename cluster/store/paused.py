"""Which task types are paused, as operators set it."""

from __future__ import annotations

from cluster.store.async_store import Store


async def pause_type(store: Store, name: str) -> bool:
    """Pauses a task type. Returns whether it was not paused before; one that is paused keeps its time."""
    new = await store.command("HSETNX", store.calls.paused_key, name, await store.server_milliseconds())
    await store.command("PUBLISH", store.calls.all_channel, "paused")
    return bool(new)


async def resume_type(store: Store, name: str) -> bool:
    """Resumes a task type. Returns whether it was paused."""
    resumed = await store.command("HDEL", store.calls.paused_key, name)
    await store.command("PUBLISH", store.calls.all_channel, "paused")
    return bool(resumed)


async def paused_types(store: Store) -> dict[str, float]:
    """The paused task types, with when each was paused, in seconds since 1970."""
    flat = await store.command("HGETALL", store.calls.paused_key)
    pairs = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
    return {name.decode(): int(at) / 1000 for name, at in pairs}
