"""What is scheduled is submitted, once, whichever nodes run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from cluster.api_node.node import Node, make_node
from cluster.attempt_errors import error
from cluster.schedules.schedule import Overlap, Schedule, TickOutcome
from cluster.schedules.timing import Timing
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.record import TaskState
from cluster.store.schedules import SCHEDULES_CHANGED, change_schedule, read_schedule
from cluster.task_types.registry import Registry, load_registry

MINUTE = 60_000


@contextlib.asynccontextmanager
async def running(settings: Settings, registry: Registry) -> AsyncIterator[Node]:
    """A node whose parts run only as far as a test asks for."""
    node = make_node(settings, registry)
    try:
        yield node
    finally:
        await node.store.close()


@pytest.fixture
async def nodes(settings: Settings) -> AsyncIterator[tuple[Node, Node]]:
    registry = load_registry()
    async with running(settings, registry) as one, running(settings, registry) as two:
        yield one, two


async def set_up(store: Store, minutes: int, **changes: object) -> Schedule:
    """A schedule of every minute whose last ticks are over until some minutes ago."""
    now = await store.server_milliseconds()
    until = now // MINUTE * MINUTE - minutes * MINUTE
    schedule = Schedule(
        name="often", tenant="", account="acme", salt="", task="fibonacci", input={"n": 90},
        timing=Timing(every_seconds=60), overlap=Overlap.ALLOW, catch_up_seconds=3_600, priority=0, tags=("a",),
        ttl_seconds=None, set_by="", set_at=until, decided_until=until,
    )  # fmt: skip
    schedule = replace(schedule, **changes)  # type: ignore[arg-type]
    await change_schedule(store, "", "often", lambda _: schedule)
    return schedule


async def catch_up(node: Node) -> None:
    for _ in range(5):
        await node.schedule_runner.run_due()


async def outcomes(store: Store) -> list[str]:
    schedule = await read_schedule(store, "", "often")
    assert schedule is not None
    return [tick.outcome.value for tick in schedule.runs]


async def test_a_tick_is_one_task_even_if_two_nodes_submit_it(nodes: tuple[Node, Node], store: Store) -> None:
    schedule = await set_up(store, 3)
    await asyncio.gather(*(catch_up(node) for node in nodes))
    found = await read_schedule(store, "", "often")
    assert found is not None
    assert await outcomes(store) == ["SUBMITTED"] * len(found.runs)
    assert [tick.at for tick in found.runs[:3]] == [schedule.decided_until + minute * MINUTE for minute in (1, 2, 3)]
    ids = [tick.task_id for tick in found.runs]
    assert len(set(ids)) == len(ids)
    records = await store.read_many(ids)
    for tick, record in zip(found.runs, records, strict=True):
        assert record is not None
        assert (record.run_key, record.tags) == (schedule.run_key(tick.at), ("schedule:often", "a"))
        assert (record.attempt, record.runs) == (1, 1)
        assert record.submitted_by.startswith("schedule:often acme")


async def test_a_node_that_died_before_it_noted_a_tick_does_not_make_it_run_again(
    nodes: tuple[Node, Node], store: Store
) -> None:
    before = await set_up(store, 1)
    await catch_up(nodes[0])
    found = await read_schedule(store, "", "often")
    assert found is not None
    task_id = found.runs[0].task_id
    await store.run(store.calls.fail(task_id, 1, error("BROKEN", "it failed")))
    # As if the first node had not written it.
    await change_schedule(store, "", "often", lambda _: before)
    await catch_up(nodes[1])
    record = await store.read(task_id)
    assert record is not None
    assert (record.state, record.attempt) == (TaskState.FAILED, 1)


@pytest.mark.parametrize(
    ("overlap", "ends", "first"),
    [
        (Overlap.SKIP, ["SUBMITTED", "SKIPPED", "SKIPPED"], "QUEUED"),
        (Overlap.ALLOW, ["SUBMITTED"] * 3, "QUEUED"),
        (Overlap.CANCEL_PREVIOUS, ["SUBMITTED"] * 3, "CANCELLED"),
    ],
)
async def test_what_happens_while_the_task_before_is_open(
    nodes: tuple[Node, Node], store: Store, overlap: Overlap, ends: list[str], first: str
) -> None:
    await set_up(store, 3, overlap=overlap)
    await catch_up(nodes[0])
    assert (await outcomes(store))[:3] == ends
    schedule = await read_schedule(store, "", "often")
    assert schedule is not None
    record = await store.read(schedule.runs[0].task_id)
    assert record is not None
    assert record.state == first


async def test_a_tick_that_cannot_be_submitted_is_tried_again_until_it_is_missed(
    settings: Settings, store: Store
) -> None:
    await set_up(store, 2, catch_up_seconds=90)
    async with running(settings, Registry()) as node:
        await catch_up(node)
    schedule = await read_schedule(store, "", "often")
    assert schedule is not None
    assert schedule.problem == "this api has no task type 'fibonacci'"
    assert [tick.outcome for tick in schedule.runs] in ([], [TickOutcome.MISSED])
    async with running(settings, load_registry()) as node:
        await catch_up(node)
    schedule = await read_schedule(store, "", "often")
    assert schedule is not None
    assert (schedule.problem, schedule.runs[-1].outcome) == ("", TickOutcome.SUBMITTED)


async def test_what_is_paused_or_deleted_submits_nothing(nodes: tuple[Node, Node], store: Store) -> None:
    await set_up(store, 3, paused_at=1)
    await catch_up(nodes[0])
    assert await outcomes(store) == []
    await change_schedule(store, "", "often", lambda _: None)
    await catch_up(nodes[0])
    assert await read_schedule(store, "", "often") is None


async def test_what_is_resumed_or_set_to_another_time_is_due_then(nodes: tuple[Node, Node], store: Store) -> None:
    paused = await set_up(store, 3, paused_at=1)
    await catch_up(nodes[0])
    assert await outcomes(store) == []
    await change_schedule(store, "", "often", lambda _: replace(paused, paused_at=None))
    nodes[0].schedule_runner.on_broadcast(SCHEDULES_CHANGED)
    await catch_up(nodes[0])
    assert await outcomes(store) == ["SUBMITTED"] * 3


async def test_a_schedule_that_is_set_while_it_is_deleted_stays(store: Store) -> None:
    await set_up(store, 3)
    changed = [False]

    def delete(old: Schedule | None) -> Schedule | None:
        assert old is not None
        if old.tags != ("a",):
            return old
        changed[0] = True
        return None

    original = store.run

    async def slow(call: Any) -> Any:
        if changed[0] and call.script.name == "replace_field":
            changed[0] = False
            await set_up(store, 3, tags=("b",))
        return await original(call)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "run", slow)
        await change_schedule(store, "", "often", delete)
    kept = await read_schedule(store, "", "often")
    assert kept is not None
    assert kept.tags == ("b",)
