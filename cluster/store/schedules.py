"""The schedules in Redis: one hash, by tenant and name."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Final

import orjson

from cluster.errors import BadInput
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


@dataclass(frozen=True, slots=True)
class TroubledSchedule:
    """A schedule that cannot do its work.

    Attributes:
        tenant: as of `Schedule`.
        task: the task type.
        unknown: whether the node that looked has no such task type.
        problem: why the tick that is due, or was, could not be submitted; empty if none was tried.
        due_at: since when that tick is due, milliseconds since 1970; None if none is.
    """

    name: str
    tenant: str
    task: str
    unknown: bool
    problem: str
    due_at: int | None


async def troubled_schedules(store: Store, known: Container[str], limit: int) -> list[TroubledSchedule]:
    """The schedules whose last tick could not be submitted, or whose task type is not among the `known` ones; without
    those that are paused, and at most `limit`, by name."""
    texts = (await stored_schedules(store)).items()
    # There may be thousands: those without a problem are not parsed as a whole.
    raw = [(field, text, orjson.loads(text)) for field, text in texts]
    found = [
        (Schedule.load(text), item["task"] not in known)
        for _, text, item in sorted(raw, key=lambda entry: entry[0].partition("/")[2])
        if item["paused_at"] is None and (item["problem"] or item["task"] not in known)
    ][:limit]
    now = await store.server_milliseconds() if found else 0
    return [
        TroubledSchedule(
            schedule.name, schedule.tenant, schedule.task, unknown, schedule.problem, _due_at(schedule, now)
        )
        for schedule, unknown in found
    ]


def _due_at(schedule: Schedule, now: int) -> int | None:
    try:
        tick = schedule.next_tick()
    except BadInput:  # this node cannot read the timing
        return None
    return tick if tick is not None and tick <= now else None


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
