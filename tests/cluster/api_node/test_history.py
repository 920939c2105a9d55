"""The history is that of the whole system, and survives the node that keeps it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

import orjson
import pytest

from cluster.api_node.history_keeper import HistoryKeeper
from cluster.api_node.history_reader import HistoryReader, HistoryView
from cluster.api_node.schedulers import Schedulers
from cluster.attempt_errors import error
from cluster.scheduling.scheduler_client import SchedulerUnavailable
from cluster.store.async_store import Store
from cluster.store.keys import SHARDS


class Scheduler:
    """A scheduler with two workers, or none."""

    connected = True

    def __init__(self) -> None:
        self.down = False

    async def call(self, *_: object) -> dict[str, object]:
        if self.down:
            raise SchedulerUnavailable("down")
        return {"workers": [{"name": "a"}, {"name": "b"}]}


def only(scheduler: Scheduler, store: Store) -> Schedulers:
    """The connections of a node, of which there is one."""
    return Schedulers([scheduler], [store.calls])  # type: ignore[list-item]


class Hours:
    """A store whose clock the test sets, minutes after the begin of this one."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch, now: int) -> None:
        self.store, self.minutes, self._first = store, now % 60_000 / 60_000, now - now % 60_000
        monkeypatch.setattr(store, "server_milliseconds", self._read)
        self.scheduler = Scheduler()

    async def _read(self) -> int:
        return self._first + round(self.minutes * 60_000)

    def keeper(self) -> HistoryKeeper:
        return HistoryKeeper(self.store, only(self.scheduler, self.store), uuid.uuid4().hex)

    async def read(
        self, seconds: int = 3_600, points: int = 120, *, reader: HistoryReader | None = None
    ) -> HistoryView:
        return await (reader or HistoryReader(self.store)).read(seconds, points)


@pytest.fixture
async def hours(store: Store, monkeypatch: pytest.MonkeyPatch) -> Hours:
    # Not in the last seconds of a minute: what ends in this test is in one.
    while (now := await store.server_milliseconds()) % 60_000 > 57_000:
        await asyncio.sleep(0.1)
    return Hours(store, monkeypatch, now)


async def end(store: Store, count: int, *, name: str = "fibonacci", tenant: str = "", fails: bool = False) -> None:
    ids = [uuid.uuid4().hex for _ in range(count)]
    calls = store.calls
    await store.run_many([calls.submit(task_id, name, "1", b"{}", tenant=tenant) for task_id in ids])
    await store.run_many([calls.start(task_id, 1, "w") for task_id in ids])
    if fails:
        await store.run_many([calls.fail(task_id, 1, error("TASK_FAILED", "no")) for task_id in ids])
    else:
        await store.run_many([calls.finish(task_id, 1, b"1") for task_id in ids])


def ended(view: HistoryView) -> Sequence[int]:
    return [point.total().count for point in view.points]


async def test_what_has_just_ended_is_in_the_last_point_and_stays_when_it_is_written(hours: Hours) -> None:
    await end(hours.store, 40)
    assert ended(await hours.read(120))[-1:] == [40]
    hours.minutes = 1.5
    # The keeper has not written the minute yet, then it has, and then the shards no longer have it.
    assert ended(await hours.read(120))[-2:] == [40, 0]
    await hours.keeper().write_due()
    assert ended(await hours.read(120))[-2:] == [40, 0]
    for digit in SHARDS:
        assert (
            await hours.store.command("KEYS", f"{hours.store.calls.shard_prefix(digit)}:ends:*".replace("{", "?")) == []
        )


async def test_the_keeper_samples_the_cluster_in_the_minute_that_has_ended(hours: Hours) -> None:
    store = hours.store
    await store.run(store.calls.submit(uuid.uuid4().hex, "fibonacci", "1", b"{}"))
    await store.command("SET", store.calls.fleet_key, orjson.dumps({"wanted": 3, "cost_per_hour": 0.5}))
    hours.minutes = 1.5
    await hours.keeper().write_due()
    gauges = (await hours.read(120)).points[-2].gauges
    assert (gauges.waiting, gauges.running, gauges.workers, gauges.wanted) == (1, 0, 2, 3)
    assert gauges.cost_per_hour == 0.5
    hours.minutes, hours.scheduler.down = 2.5, True
    await hours.keeper().write_due()
    assert (await hours.read(120)).points[-2].gauges.workers is None


async def test_a_new_keeper_writes_what_was_missed_and_two_of_them_count_once(hours: Hours) -> None:
    await end(hours.store, 5)
    await end(hours.store, 3, fails=True)
    hours.minutes = 30.5
    await asyncio.gather(*(hours.keeper().write_due() for _ in range(2)))
    hours.minutes = 31.5
    await hours.keeper().write_due()
    view = await hours.read(3_600)
    assert sum(ended(view)) == 8
    assert view.total_of_type("fibonacci", None).errors == {"TASK_FAILED": 3}
    assert view.points[-2].gauges.workers == 2
    day = await hours.store.redis.keys(f"{hours.store.calls.prefix}:busy:*")
    assert len(day) <= 1


async def test_a_day_is_read_from_blocks_and_complete_points_are_added_up_once(
    hours: Hours, monkeypatch: pytest.MonkeyPatch
) -> None:
    await end(hours.store, 6)
    for hours.minutes in (1.5, 12.5, 25.5, 185.5):
        await hours.keeper().write_due()
    fields = await hours.store.command("HKEYS", hours.store.calls.history_key)
    assert any(name.startswith(b"b") for name in fields)
    reader = HistoryReader(hours.store, clock=lambda: hours.minutes * 60)
    assert sum(ended(await hours.read(86_400, 144, reader=reader))) == 6
    asked = []
    original = hours.store.commands

    async def counted(commands: Sequence[tuple[object, ...]]) -> list[object]:
        asked.append(len(commands[-1]) - 2)
        return await original(commands)

    monkeypatch.setattr(hours.store, "commands", counted)
    hours.minutes += 0.2
    assert sum(ended(await hours.read(86_400, 144, reader=reader))) == 6
    hours.minutes += 0.001
    await hours.read(86_400, 144, reader=reader)
    # Two points at most were not whole, and nothing was read again within ten seconds.
    assert len(asked) == 1


async def test_each_tenant_sees_its_own_tasks_only(hours: Hours) -> None:
    await end(hours.store, 2, tenant="acme")
    await end(hours.store, 3, tenant="other", name="estimate_pi")
    hours.minutes = 1.5
    await hours.keeper().write_due()
    view = await hours.read(120)
    assert [sum(point.total(tenant).count for point in view.points) for tenant in (None, "acme", "other")] == [5, 2, 3]
    assert view.total_of_type("estimate_pi", "acme").count == 0
    assert view.total_of_type("estimate_pi", None).count == 3


async def test_a_cancelled_reader_does_not_cancel_the_read_of_others(hours: Hours) -> None:
    reader = HistoryReader(hours.store)
    first, second = (asyncio.ensure_future(reader.read(120, 10)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).points


async def test_a_keeper_loop_writes_by_itself(store: Store) -> None:
    keeper = HistoryKeeper(store, only(Scheduler(), store), "n")
    keeper.start()
    try:
        async with asyncio.timeout(10):
            while not await store.command("HLEN", store.calls.history_key):
                await asyncio.sleep(0.05)
    finally:
        await keeper.close()
