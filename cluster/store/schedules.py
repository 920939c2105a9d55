"""The schedules in Redis: one hash, by tenant and name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cluster.schedules.schedule import Schedule
from cluster.store.async_store import Store
from cluster.store.replies import hash_fields

SCHEDULES_CHANGED: Final = "schedules"
"""The message on the channel of all nodes after an operator's change."""


def schedule_field(tenant: str, name: str) -> str:
    """The field of a schedule. No name has a slash."""
    return f"{tenant}/{name}"


async def read_schedules(store: Store) -> dict[str, Schedule]:
    """All schedules by their fields."""
    return {field: Schedule.load(text) for field, text in (await stored_schedules(store)).items()}


async def stored_schedules(store: Store) -> dict[str, bytes]:
    """The texts of all schedules by their fields."""
    raw = hash_fields(await store.command("HGETALL", store.calls.schedules_key))
    return {name.decode(): text for name, text in raw.items()}


async def read_schedule(store: Store, tenant: str, name: str) -> Schedule | None:
    """One schedule; None if there is none."""
    text = await store.command("HGET", store.calls.schedules_key, schedule_field(tenant, name))
    return Schedule.load(text) if text else None


async def change_schedule(
    store: Store, tenant: str, name: str, change: Callable[[Schedule | None], Schedule | None]
) -> Schedule | None:
    """Changes a schedule on all nodes; of two changes at once, neither undoes the other.

    Args:
        change: makes the new schedule of the one that is stored, or None; None deletes it. It is called again if the
            stored one was changed meanwhile.

    Returns:
        What `change` returned.
    """
    key, field = store.calls.schedules_key, schedule_field(tenant, name)
    while True:
        old = await store.command("HGET", key, field)
        new = change(Schedule.load(old) if old else None)
        text = b"" if new is None else new.dump()
        if not await store.run(store.calls.replace_field(key, field, old or b"", text)):
            continue
        await store.command("PUBLISH", store.calls.all_channel, SCHEDULES_CHANGED)
        return new


async def record_tick(store: Store, stored: bytes, schedule: Schedule) -> None:
    """Stores what became of a tick, unless the schedule has been changed since its text `stored` was read."""
    key, field = store.calls.schedules_key, schedule_field(schedule.tenant, schedule.name)
    await store.run(store.calls.replace_field(key, field, stored, schedule.dump()))
