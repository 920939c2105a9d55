"""Readiness is observed: a write, a heartbeat, a round of recovery, and the health of the background loops."""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

import pytest

from cluster.api_node.readiness import RECOVERY_LIMIT_SECONDS, Readiness
from cluster.api_node.result_delivery import ResultDelivery
from cluster.api_node.schedulers import Schedulers
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.call_builder import milliseconds
from cluster.store.script_calls import EPOCH_TTL_SECONDS
from cluster.system import background
from cluster.system.background import BackgroundLoop
from tests.redis_faults import fault
from tests.system import RedisServer


class Connected:
    """The scheduler client of a node that is connected."""

    connected = True
    disconnected_since = None


class Subscribed:
    """The delivery of a node whose channel is subscribed."""

    disconnected_since = None

    def __init__(self) -> None:
        self.listening = asyncio.Event()
        self.listening.set()


@pytest.fixture
def loops() -> list[BackgroundLoop]:
    return []


@pytest.fixture
def readiness(store: Store, loops: list[BackgroundLoop], monkeypatch: pytest.MonkeyPatch) -> Readiness:
    monkeypatch.setattr("cluster.api_node.readiness.CACHE_SECONDS", 0)
    schedulers = Schedulers([Connected()], [store.calls])  # type: ignore[list-item]
    return Readiness(store, "node", schedulers, cast(ResultDelivery, Subscribed()), lambda: loops)


async def all_well(store: Store) -> None:
    calls = store.calls
    await store.command("SET", calls.scheduler_key, "{}", "PX", milliseconds(EPOCH_TTL_SECONDS))
    await store.run(calls.record_time(calls.recovered_key))


async def problems(readiness: Readiness) -> list[tuple[str, bool]]:
    return [(item.part, item.needed) for item in (await readiness.check()).problems]


async def test_a_healthy_node_reports_the_age_of_what_it_observed(store: Store, readiness: Readiness) -> None:
    await all_well(store)
    report = await readiness.check()
    assert (report.ready, report.redis, report.scheduler, report.problems) == (True, True, True, ())
    assert report.heartbeat_age_seconds == pytest.approx(0, abs=2)
    assert report.recovery_age_seconds == pytest.approx(0, abs=2)


async def test_a_connected_scheduler_that_writes_no_heartbeat_is_a_problem(store: Store, readiness: Readiness) -> None:
    await all_well(store)
    await store.command("DEL", store.calls.scheduler_key)
    assert await problems(readiness) == [("scheduler", False)]
    assert (await readiness.check()).heartbeat_age_seconds is None


async def test_of_two_schedulers_the_one_that_is_away_is_named(store: Store) -> None:
    await all_well(store)
    there, away = Connected(), Connected()
    schedulers = Schedulers([there, away], [store.calls.of_scheduler(number) for number in range(2)])  # type: ignore[list-item]
    readiness = Readiness(store, "node", schedulers, cast(ResultDelivery, Subscribed()), list)
    away.connected = False
    report = await readiness.check()
    assert [(item.part, item.reason) for item in report.problems] == [("scheduler 1", "no connection to scheduler 1")]
    assert (report.ready, report.scheduler, report.heartbeat_age_seconds) == (True, False, None)


async def test_recovery_is_a_problem_if_no_node_has_completed_a_round_recently(
    store: Store, readiness: Readiness
) -> None:
    await all_well(store)
    seconds, _ = await store.redis.time()
    long_ago = milliseconds(seconds - RECOVERY_LIMIT_SECONDS - 5)
    await store.command("SET", store.calls.recovered_key, long_ago)
    report = await readiness.check()
    assert [(item.part, item.needed) for item in report.problems] == [("recovery", False)]
    assert report.recovery_age_seconds == pytest.approx(RECOVERY_LIMIT_SECONDS + 5, abs=3)
    assert report.ready, "another node may recover, and this one accepts and delivers"


async def test_a_loop_that_keeps_failing_is_named_with_its_error_until_a_round_completes(
    store: Store, readiness: Readiness, loops: list[BackgroundLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "FIRST_BACKOFF_SECONDS", 0.001)
    await all_well(store)
    broken, mended = asyncio.Event(), asyncio.Event()
    failures = 0

    async def work() -> None:
        nonlocal failures
        if not mended.is_set():
            failures += 1
            if failures == background.REPORTED_FAILURES:
                broken.set()
            raise ValueError("odd")

    loop = BackgroundLoop("odd loop", work, pause_seconds=0.001, needed=True)
    loops.append(loop)
    loop.start()
    try:
        await broken.wait()
        await asyncio.sleep(0)
        [item] = (await readiness.check()).problems
        assert (item.part, item.needed, item.reason) == ("loop: odd loop", True, "ValueError: odd")
        assert item.since == pytest.approx(time.time(), abs=10)
        mended.set()
        async with asyncio.timeout(5):
            while await problems(readiness):
                await asyncio.sleep(0.01)
    finally:
        await loop.close()


@pytest.mark.parametrize("name", ["read-only", "full", "not permitted"])
async def test_a_redis_that_answers_but_refuses_writes_is_a_problem(
    name: str, redis_server: RedisServer, store: Store, readiness: Readiness
) -> None:
    await all_well(store)
    with fault(name, redis_server):
        report = await readiness.check()
        assert (report.ready, report.redis) == (False, False)
        assert [item.part for item in report.problems] == ["redis"]
    await all_well(store)
    assert await problems(readiness) == []


async def test_simultaneous_probes_share_one_write(
    store: Store, readiness: Readiness, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await all_well(store)
    monkeypatch.setattr("cluster.api_node.readiness.CACHE_SECONDS", 60)
    written = 0
    run = store.run

    async def counting(call: Any) -> Any:
        nonlocal written
        written += 1
        return await run(call)

    monkeypatch.setattr(store, "run", counting)
    await asyncio.gather(*(readiness.check() for _ in range(50)))
    assert written == 1
