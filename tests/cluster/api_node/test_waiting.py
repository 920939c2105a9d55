"""Why a task waits: the rule as a table, then each reason on a real scheduler, a real Redis and a real api node."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from distributed import Scheduler, Worker
from hypothesis import given
from hypothesis import strategies as st

from cluster.api_node.node import Node, make_node
from cluster.api_node.schedulers import Schedulers
from cluster.api_node.submission import SubmitOptions
from cluster.api_node.wait_reader import WaitReader
from cluster.api_node.waiting import HeldQueue, Waiting, WaitingReason, Workers, explain
from cluster.attempt_errors import error
from cluster.scheduling.attempt_tracker import AttemptTracker
from cluster.scheduling.entry_point import use_runner
from cluster.scheduling.queue_places import Place
from cluster.scheduling.scheduler_client import SchedulerUnavailable
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.paused import pause_type
from cluster.store.replies import WaitReply
from cluster.store.thread_store import ThreadStore
from cluster.task_types.declaration import declare
from cluster.task_types.registry import Registry
from cluster.task_types.retry_policy import Retries

R = WaitingReason
SENT = WaitReply(now=1_000, attempt=1, dispatched=True, due_at=16_000, limits="", order=None)
UNSENT = replace(SENT, dispatched=False, due_at=1_000)
LATER = replace(UNSENT, due_at=4_000)
HELD = replace(UNSENT, due_at=None, limits="t:etl=2", order=7)
QUEUE = HeldQueue(3, 2)
BUSY = Workers(4, place=Place(5, 2.5))


@pytest.mark.parametrize(
    ("wait", "around", "expected"),
    [
        (SENT, {}, Waiting(R.QUEUED_BEHIND, 5, 2.5)),
        (SENT, {"workers": Workers(4)}, Waiting(R.QUEUED_BEHIND)),
        (SENT, {"workers": Workers(4, 2, 30.0, Place(0, 0.0))}, Waiting(R.QUEUED_BEHIND, 0, 0.0)),
        (SENT, {"workers": Workers(0, place=Place(5))}, Waiting(R.NO_WORKER, 5)),
        (SENT, {"workers": Workers(0, 1, None, Place(5))}, Waiting(R.LAUNCHING, 5)),
        (SENT, {"workers": Workers(0, 1, 30.0)}, Waiting(R.LAUNCHING, None, 30.0)),
        (SENT, {"workers": None}, Waiting(R.SCHEDULER_AWAY)),
        (SENT, {"paused": True}, Waiting(R.PAUSED)),
        (SENT, {"not_before": 2_000}, Waiting(R.QUEUED_BEHIND, 5, 2.5)),
        (UNSENT, {"workers": None}, Waiting(R.SCHEDULER_AWAY)),
        (LATER, {"not_before": 4_000}, Waiting(R.NOT_BEFORE, None, 3.0)),
        (LATER, {"not_before": 4_000, "paused": True, "workers": None}, Waiting(R.NOT_BEFORE, None, 3.0)),
        (LATER, {}, Waiting(R.RETRY, None, 3.0)),
        (LATER, {"not_before": 500}, Waiting(R.RETRY, None, 3.0)),
        (HELD, {"held": QUEUE, "duration": 10.0}, Waiting(R.LIMIT, 3, 20.0)),
        (HELD, {"held": QUEUE}, Waiting(R.LIMIT, 3)),
        (HELD, {"held": HeldQueue(3, math.inf), "duration": 10.0}, Waiting(R.LIMIT, 3)),
        (HELD, {"held": HeldQueue(3, 0), "duration": 10.0}, Waiting(R.LIMIT, 3)),
        (HELD, {"held": QUEUE, "workers": None}, Waiting(R.SCHEDULER_AWAY)),
        (HELD, {"held": QUEUE, "paused": True, "workers": None}, Waiting(R.PAUSED)),
    ],
)
def test_what_holds_a_task_back_is_told_before_what_it_would_wait_for_afterwards(
    wait: WaitReply, around: dict[str, Any], expected: Waiting
) -> None:
    known = {"not_before": None, "paused": False, "workers": BUSY, "held": None, "duration": None, **around}
    assert explain(wait, **known) == expected


@given(
    st.builds(
        WaitReply, st.integers(0, 10_000), st.integers(1, 9), st.booleans(), st.none() | st.integers(0, 20_000),
        st.just(""), st.none(),
    ),
    st.none() | st.integers(0, 20_000),
    st.booleans(),
    st.none() | st.builds(Workers, st.integers(0, 4), st.integers(0, 4), st.none() | st.floats(0, 60)),
    st.none() | st.builds(HeldQueue, st.integers(0, 9), st.integers(0, 9) | st.just(math.inf)),
    st.none() | st.floats(0, 60),
)  # fmt: skip
def test_whatever_is_known_the_reason_is_one_that_holds(
    wait: WaitReply,
    not_before: int | None,
    paused: bool,
    workers: Workers | None,
    held: HeldQueue | None,
    duration: float | None,
) -> None:
    found = explain(wait, not_before=not_before, paused=paused, workers=workers, held=held, duration=duration)
    later = not wait.dispatched and wait.due_at is not None and wait.due_at > wait.now
    holds = {
        R.NOT_BEFORE: later and not_before is not None and not_before > wait.now,
        R.RETRY: later,
        R.PAUSED: paused,
        R.SCHEDULER_AWAY: workers is None,
        R.LIMIT: held is not None,
        R.LAUNCHING: workers is not None and not workers.threads and workers.launching > 0,
        R.NO_WORKER: workers is not None and not workers.threads and not workers.launching,
        R.QUEUED_BEHIND: workers is not None and workers.threads > 0,
    }
    assert holds[found.reason]
    assert found.eta_seconds is None or 0 <= found.eta_seconds < math.inf


def long(n: int) -> int:
    return n


def narrow(n: int) -> int:
    return n


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.add(declare(long))
    registry.add(declare(narrow, concurrency=1))
    return registry


@pytest.fixture
async def node(settings: Settings, registry: Registry) -> AsyncIterator[tuple[Node, Scheduler]]:
    """An api node beside a scheduler with our plugin, without workers."""
    async with Scheduler(host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0") as scheduler:
        plugin = AttemptTracker(scheduler, Store(settings))
        scheduler.add_plugin(plugin)
        plugin.activate()
        node = make_node(replace(settings, scheduler=scheduler.address), registry)
        await node.start()
        async with asyncio.timeout(20):
            while not node.schedulers.connected:
                await asyncio.sleep(0.01)
        yield node, scheduler
        await node.close()
        await plugin.close()


async def submit(node: Node, name: str, n: int, **options: Any) -> str:
    [reply] = await node.submissions.submit([node.registry[name].bind({"n": n})], SubmitOptions(**options))
    return reply.record.task_id


async def waiting(node: Node, task_id: str) -> Waiting | None:
    record = await node.store.run(node.store.calls.read(task_id))
    assert record is not None
    return await node.waits.read(record)


async def until(node: Node, task_id: str, reason: WaitingReason | None, ahead: int | None = None) -> Waiting | None:
    """Why the task waits, once that is the reason, with so many ahead of it; with None, once it does not wait."""
    found = None
    try:
        async with asyncio.timeout(20):
            while True:
                found = await waiting(node, task_id)
                if (found and found.reason) == reason and (ahead is None or (found and found.ahead == ahead)):
                    return found
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"expected {reason} with {ahead} ahead, last {found}") from None


async def until_any(node: Node, task_ids: list[str], reason: WaitingReason) -> None:
    async with asyncio.timeout(20):
        while not any([(found := await waiting(node, each)) and found.reason is reason for each in task_ids]):
            await asyncio.sleep(0.05)


async def test_each_reason_is_told_while_it_holds_and_none_once_the_task_runs(
    node: tuple[Node, Scheduler], settings: Settings
) -> None:
    api, scheduler = node
    calls = api.store.calls
    first = await submit(api, "long", 1)
    await until(api, first, R.NO_WORKER)
    await api.store.command(
        "SET", calls.fleet_key, orjson.dumps({"launching": 2, "launch_seconds": 12.5}), "PX", 60_000
    )
    assert await until(api, first, R.LAUNCHING) == Waiting(R.LAUNCHING, 0, 12.5)
    await api.store.command("DEL", calls.fleet_key)
    await scheduler.handlers["dask_graphql_starting"](name="w")
    assert await until(api, first, R.LAUNCHING) == Waiting(R.LAUNCHING, 0, None)

    soon = await submit(api, "long", 2, not_before=round(time.time() * 1000) + 60_000)
    found = await waiting(api, soon)
    assert found is not None
    assert found.reason is R.NOT_BEFORE
    assert 50 < (found.eta_seconds or 0) <= 60.5

    # Not given to the scheduler: its attempt runs here.
    failed = "f" * 32
    await api.store.run(calls.submit(failed, "long", "1", b'{"n":3}'))
    await api.store.run(calls.start(failed, 1, "w"))
    assert await waiting(api, failed) is None
    await api.store.run(calls.fail(failed, 1, error("TASK_FAILED", "no"), retries=Retries(3, delay=30)))
    found = await waiting(api, failed)
    assert found is not None
    assert found.reason is R.RETRY
    assert 0 < (found.eta_seconds or 0) <= 60

    gate, threads = threading.Event(), ThreadStore(settings)

    def run(name: str, members: Any) -> list[float]:
        for task_id, attempt, _ in members:
            threads.run(calls.start(task_id, attempt, "w"))
            gate.wait(20)
            threads.run(calls.finish(task_id, attempt, b"1"))
        return [0.5] * len(members)

    use_runner(run)
    try:
        async with Worker(scheduler.address, name="w", nthreads=1, dashboard_address="127.0.0.1:0"):
            await until(api, first, None)
            more = [await submit(api, "long", n) for n in range(10, 14)]
            last = await until(api, more[-1], R.QUEUED_BEHIND, ahead=3)
            assert last is not None
            assert last.eta_seconds is None, "nothing of this type has been measured"

            held = [await submit(api, "narrow", n) for n in range(2)]
            # One of them takes the slot, and waits for the worker.
            await until_any(api, held, R.QUEUED_BEHIND)
            [limited] = [found for each in held if (found := await waiting(api, each)) and found.reason is R.LIMIT]
            assert (limited.ahead, limited.eta_seconds) == (0, None)
            await pause_type(api.store, "narrow")
            for each in held:
                await until(api, each, R.PAUSED)

            gate.set()
            for each in more:
                await until(api, each, None)
            async with asyncio.timeout(20):
                while api.schedulers.clients[0].load.durations.get("long") != 0.5:
                    await asyncio.sleep(0.01)
            gate.clear()
            again = [await submit(api, "long", n) for n in range(20, 24)]
            # Half of the one that runs, and the two before it.
            timed = await until(api, again[-1], R.QUEUED_BEHIND, ahead=2)
            assert timed is not None
            assert timed.eta_seconds == pytest.approx(0.25 + 2 * 0.5)
            gate.set()
    finally:
        gate.set()
        use_runner(None)
        threads.close()
    away = await submit(api, "long", 30)
    await scheduler.close()
    await until(api, away, R.SCHEDULER_AWAY)


class FrozenScheduler:
    """One whose connection is open and that answers nothing."""

    connected = True
    load = SimpleNamespace(durations={})
    asked = 0

    async def call(self, operation: str, **arguments: Any) -> Any:
        self.asked += 1
        raise SchedulerUnavailable("it does not answer within 5 s")


async def test_a_scheduler_that_does_not_answer_holds_up_the_first_question_only(store: Store) -> None:
    await store.run(store.calls.submit("a" * 32, "long", "1", b"{}"))
    record = await store.read("a" * 32)
    assert record is not None
    frozen: Any = FrozenScheduler()
    nothing: Any = SimpleNamespace(names=())
    waits = WaitReader(store, Schedulers([frozen], [store.calls]), nothing, nothing)
    found = [await waits.read(record) for _ in range(3)]
    assert [each and each.reason for each in found] == [R.SCHEDULER_AWAY] * 3
    assert frozen.asked == 1
