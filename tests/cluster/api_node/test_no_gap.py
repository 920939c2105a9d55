"""No gap, no race: a subscriber gets the final record whenever it subscribes."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.api_node.result_delivery import ResultDelivery
from cluster.api_node.topics import FutureWaiter
from cluster.errors import TooManySubscriptions
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.record import TaskState
from cluster.task_types.registry import load_registry
from tests.system import TASKS, RedisServer, Refused, Socket, System

pytestmark = pytest.mark.every_engine

QUERY = "subscription($id: ID!) { taskResult(taskId: $id) { result { ... on CountedResult { counted: value } } } }"


async def run_task(store: Store, task_id: str) -> None:
    """Takes a task from submission to its end, as an api node and a worker would."""
    await store.run(store.calls.submit(task_id, "t", "1", b"{}"))
    await store.run(store.calls.start(task_id, 1, "w"))
    await store.run(store.calls.finish(task_id, 1, task_id.encode()))


async def submit_with_watch(store: Store, node: ResultDelivery, task_id: str) -> None:
    """Submits with a speculative watch, as the api does."""
    sent_at = time.monotonic()
    registered = node.prepare_watches([task_id])
    submitted = await store.run(store.calls.submit(task_id, "t", "1", b"{}", node=node.node if registered else ""))
    if registered:
        node.commit_watch(task_id, submitted, sent_at)


def count_watches(node: ResultDelivery, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that collects the tasks that the node watches from now on."""
    watched: list[str] = []
    watch = node._store.calls.watch

    def counted(task_id: str, *args: Any, **options: Any) -> Any:
        watched.append(task_id)
        return watch(task_id, *args, **options)

    monkeypatch.setattr(node._store.calls, "watch", counted)
    return watched


async def test_thousands_of_subscribers_around_the_instant_of_the_end_all_get_the_record(
    store: Store, deliveries: ResultDelivery
) -> None:
    chance = random.Random(7)

    async def subscribe(task_id: str, pause: int) -> None:
        for _ in range(pause):
            await asyncio.sleep(0)
        record = await deliveries.final_record(task_id)
        assert (record.state, record.result) == (TaskState.SUCCEEDED, task_id.encode())

    async def both(task_id: str) -> None:
        await asyncio.gather(
            subscribe(task_id, 0), subscribe(task_id, chance.randrange(30)), subscribe(task_id, chance.randrange(60)),
            run_task(store, task_id),
        )  # fmt: skip

    async with asyncio.timeout(30):
        for _ in range(50):
            await asyncio.gather(*(both(uuid.uuid4().hex) for _ in range(50)))


async def test_a_subscription_after_a_submission_on_the_same_node_needs_no_watch(
    store: Store, deliveries: ResultDelivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = count_watches(deliveries, monkeypatch)
    for _ in range(10):
        # From these submissions the node learns Redis's time.
        await submit_with_watch(store, deliveries, uuid.uuid4().hex)
    for _ in range(20):
        task_id = uuid.uuid4().hex
        await submit_with_watch(store, deliveries, task_id)
        waiting = asyncio.ensure_future(deliveries.final_record(task_id))
        # Times are in milliseconds: an end in the same millisecond as the subscription could belong to an earlier run.
        await asyncio.sleep(0.03)
        await store.run(store.calls.start(task_id, 1, "w"))
        await store.run(store.calls.finish(task_id, 1, b"1"))
        async with asyncio.timeout(5):
            assert (await waiting).result == b"1"
    assert watched == []


async def test_a_speculative_watch_is_not_used_after_the_connection_was_lost(
    store: Store, deliveries: ResultDelivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = count_watches(deliveries, monkeypatch)
    task_id = uuid.uuid4().hex
    await submit_with_watch(store, deliveries, task_id)
    await store.run(store.calls.start(task_id, 1, "w"))
    async with asyncio.timeout(10):
        await store.ask_primaries("CLIENT", "KILL", "TYPE", "pubsub")
        while deliveries.listening.is_set():
            await asyncio.sleep(0)
        await store.run(store.calls.finish(task_id, 1, b"1"))
        await deliveries.listening.wait()
        assert (await deliveries.final_record(task_id)).result == b"1"
    assert watched == [task_id]


async def test_speculative_watches_leave_no_gap_whatever_happens_in_between(
    store: Store, deliveries: ResultDelivery
) -> None:
    """Submissions that join, subscribers that leave, and those that stay, each at any moment of a task's life. A
    forgotten subscriber would wait for the renewal of all watches, which takes a minute."""
    chance = random.Random(3)

    async def later(work: Coroutine[Any, Any, None]) -> None:
        for _ in range(chance.randrange(60)):
            await asyncio.sleep(0)
        await work

    async def subscribe(task_id: str) -> None:
        assert (await deliveries.final_record(task_id)).result == task_id.encode()

    async def leave(task_id: str) -> None:
        leaving = asyncio.ensure_future(deliveries.final_record(task_id))
        for _ in range(chance.randrange(5)):
            await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)

    async def live(task_id: str) -> None:
        await submit_with_watch(store, deliveries, task_id)
        await later(run(task_id))

    async def join(task_id: str) -> None:
        await submit_with_watch(store, deliveries, task_id)

    async def run(task_id: str) -> None:
        await store.run(store.calls.start(task_id, 1, "w"))
        await store.run(store.calls.finish(task_id, 1, task_id.encode()))

    async def all_of(task_id: str) -> None:
        async with asyncio.TaskGroup() as group:
            for work in (leave, leave, subscribe, subscribe, join, join):
                group.create_task(later(work(task_id)))
            await live(task_id)

    async with asyncio.timeout(40):
        for _ in range(60):
            await asyncio.gather(*(all_of(uuid.uuid4().hex) for _ in range(30)))


async def test_a_subscriber_that_arrives_while_the_others_are_served_is_served_too(
    store: Store, deliveries: ResultDelivery
) -> None:
    """At this instant the node has delivered the record and its first subscribers have not left yet."""

    async def come_after(first: asyncio.Future[None], task_id: str) -> None:
        await first
        assert (await deliveries.final_record(task_id)).result == task_id.encode()

    async with asyncio.timeout(30):
        for _ in range(300):
            task_id = uuid.uuid4().hex
            served: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waiting = asyncio.ensure_future(deliveries.final_record(task_id))
            after = asyncio.ensure_future(come_after(served, task_id))
            topic = None
            while topic is None:
                await asyncio.sleep(0)
                topic = deliveries._topics.get(task_id)
            [waiter] = topic.result_waiters
            assert isinstance(waiter, FutureWaiter)
            waiter.future.add_done_callback(lambda _, served=served: served.set_result(None))  # type: ignore[misc]
            await run_task(store, task_id)
            assert (await waiting).result == task_id.encode()
            await after


async def test_a_call_ends_at_whatever_step_it_is_cancelled(store: Store, deliveries: ResultDelivery) -> None:
    """A swallowed cancellation would leave a disconnected client subscribed for ever."""

    async def follow(task_id: str) -> None:
        async for _ in deliveries.followers.events(task_id, 0):
            pass

    await store.command("PING")
    for steps in range(25):
        for start in (follow, deliveries.final_record):
            task = asyncio.ensure_future(start(uuid.uuid4().hex))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=2)
            if not done:
                task.cancel()
            assert done, f"{start.__name__} continues after it was cancelled at step {steps}"
    assert deliveries.subscribers == 0


async def test_no_call_fails_because_redis_was_restarted_before_it(
    settings: Settings, engine: Path, tmp_path: Path
) -> None:
    server = RedisServer(tmp_path, binary=engine)
    server.start()
    store = Store(replace(settings, redis_url=server.url))
    try:
        await asyncio.gather(*(store.read(uuid.uuid4().hex) for _ in range(10)))
        server.stop()
        server.start()
        assert await asyncio.gather(*(store.read(uuid.uuid4().hex) for _ in range(10))) == [None] * 10
    finally:
        await store.close()
        server.stop()


async def test_a_late_notification_of_an_earlier_run_does_not_end_the_wait_for_the_next(
    store: Store, deliveries: ResultDelivery
) -> None:
    task_id = uuid.uuid4().hex
    calls, own = store.calls, store.calls.node_channel(deliveries.node)
    pubsub = store.redis.pubsub()
    await pubsub.subscribe(own)
    await pubsub.get_message(timeout=1)
    await store.run(calls.watch(task_id, deliveries.node))
    await run_task(store, task_id)
    late = await pubsub.get_message(timeout=1)
    await pubsub.aclose()  # type: ignore[no-untyped-call]
    assert late is not None
    assert len(late["data"]) > len(task_id), "the notification includes the record"
    await store.run(calls.submit(task_id, "t", "1", b"{}", recompute=True))
    waiting = asyncio.ensure_future(deliveries.final_record(task_id))
    async with asyncio.timeout(5):
        while (topic := deliveries._topics.get(task_id)) is None or topic.run is None:
            await asyncio.sleep(0)
        await store.command("PUBLISH", own, late["data"])
        # Messages on the channel are handled in order.
        other = asyncio.ensure_future(deliveries.final_record(other_id := uuid.uuid4().hex))
        await run_task(store, other_id)
        await other
        assert not waiting.done()
        await store.run(calls.start(task_id, 2, "w"))
        await store.run(calls.finish(task_id, 2, b"2"))
        assert (await waiting).result == b"2"


async def test_a_subscriber_that_leaves_does_not_cost_the_others_their_notification(
    store: Store, deliveries: ResultDelivery
) -> None:
    async with asyncio.timeout(60):
        for _ in range(300):
            task_id = uuid.uuid4().hex
            leaving = asyncio.ensure_future(deliveries.final_record(task_id))
            await asyncio.sleep(0)
            leaving.cancel()
            staying = asyncio.ensure_future(deliveries.final_record(task_id))
            await run_task(store, task_id)
            assert (await staying).result == task_id.encode()


async def test_a_lost_connection_is_opened_again_and_nothing_is_missed(
    store: Store, deliveries: ResultDelivery
) -> None:
    ids = [uuid.uuid4().hex for _ in range(50)]
    waiting = [asyncio.ensure_future(deliveries.final_record(task_id)) for task_id in ids]
    async with asyncio.timeout(30):
        for task_id in ids:
            await store.ask_primaries("CLIENT", "KILL", "TYPE", "pubsub")
            await run_task(store, task_id)
        assert [record.task_id for record in await asyncio.gather(*waiting)] == ids


async def test_a_subscriber_outlives_a_restart_of_redis(settings: Settings, engine: Path, tmp_path: Path) -> None:
    server = RedisServer(tmp_path, binary=engine)
    server.start()
    store = Store(replace(settings, redis_url=server.url))
    node = ResultDelivery(store, "node", 10, lambda _: None)
    try:
        await node.start()
        await node.listening.wait()
        task_id = uuid.uuid4().hex
        waiting = asyncio.ensure_future(node.final_record(task_id))
        await store.run(store.calls.submit(task_id, "t", "1", b"{}"))
        # A crash: what was acknowledged is in the append-only file.
        server.kill()
        server.start()
        async with asyncio.timeout(20):
            await store.run(store.calls.start(task_id, 1, "w"))
            await store.run(store.calls.finish(task_id, 1, b"kept"))
            assert (await waiting).result == b"kept"
    finally:
        await node.close()
        await store.close()
        server.stop()


async def test_a_slow_reader_of_events_gets_all_events_when_its_task_runs_again(
    store: Store, deliveries: ResultDelivery
) -> None:
    """It continues only after the end, when a recomputation has begun: the end of that run is its last event."""
    task_id = uuid.uuid4().hex
    await store.run(store.calls.submit(task_id, "t", "1", b"{}"))
    begun, go_on = asyncio.Event(), asyncio.Event()
    kinds: list[str] = []

    async def read() -> None:
        async for event, _ in deliveries.followers.events(task_id, 0):
            kinds.append(event.kind)
            begun.set()
            await go_on.wait()

    async with asyncio.timeout(3):
        reader = asyncio.ensure_future(read())
        await begun.wait()
        await store.run(store.calls.start(task_id, 1, "w"))
        await store.run(store.calls.finish(task_id, 1, b"1"))
        # Another subscriber of this node has the result, so the node has delivered the end.
        assert (await deliveries.final_record(task_id)).result == b"1"
        await store.run(store.calls.submit(task_id, "t", "1", b"{}", recompute=True))
        go_on.set()
        while "QUEUED" not in kinds[1:]:
            await asyncio.sleep(0.01)
        await store.run(store.calls.start(task_id, 2, "w"))
        await store.run(store.calls.finish(task_id, 2, b"2"))
        await reader
    assert kinds == ["QUEUED", "STARTED", "SUCCEEDED"] * 2


async def test_every_event_reaches_a_slow_and_a_fast_reader_in_order(store: Store, deliveries: ResultDelivery) -> None:
    task_id = uuid.uuid4().hex

    async def read(pause: int) -> list[int]:
        seen = []
        async for event, _ in deliveries.followers.events(task_id, 0):
            seen.append(event.seq)
            for _ in range(pause):
                await asyncio.sleep(0)
        return seen

    readers = [asyncio.ensure_future(read(pause)) for pause in (0, 0, 500)]
    await store.run(store.calls.submit(task_id, "t", "1", b"{}"))
    await store.run(store.calls.start(task_id, 1, "w"))
    for step in range(200):
        await store.run(store.calls.progress(task_id, 1, (step + 1) / 1000))
    await store.run(store.calls.finish(task_id, 1, b"1"))
    async with asyncio.timeout(30):
        assert await asyncio.gather(*readers) == [list(range(1, 204))] * 3


async def test_subscriptions_beyond_the_limit_of_the_node_are_refused(store: Store) -> None:
    node = ResultDelivery(store, "small", 2, lambda _: None)
    await node.start()
    waiting = [asyncio.ensure_future(node.final_record(uuid.uuid4().hex)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(TooManySubscriptions):
        await node.final_record(uuid.uuid4().hex)
    for future in waiting:
        future.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert node.subscribers == 0
    await node.close()


WIRE_TASKS = 500


async def test_over_the_wire_every_subscriber_gets_the_result(system: System, tmp_path: Path) -> None:
    """Six subscriptions to each of hundreds of tasks, on both nodes: before, during and right after the submission, at
    any moment of the run, at the instant of the end, and after it."""
    chance = random.Random(11)
    kind = load_registry([TASKS])["counted"]
    call = "mutation($f: String!, $n: Int!) { submitCounted(folder: $f, n: $n) { taskId outcome } }"

    async def receive(socket: Socket, task_id: str) -> int:
        items = await socket.collect(QUERY, {"id": task_id})
        assert len(items) == 1
        return int(items[0]["taskResult"]["result"]["counted"])

    async def submit(socket: Socket, n: int, task_id: str) -> None:
        outcomes = {"NEW"}
        while True:
            try:
                [item] = await socket.collect(call, {"f": str(tmp_path), "n": n})
                break
            except Refused as refused:
                # A disk that stalls may stall Redis; then the client must try again.
                if refused.code != "SERVICE_UNAVAILABLE":
                    raise
                outcomes |= {"JOINED", "CACHED"}
        assert item["submitCounted"]["taskId"] == task_id
        assert item["submitCounted"]["outcome"] in outcomes

    async def receive_later(socket: Socket, task_id: str, seconds: float) -> int:
        await asyncio.sleep(seconds)
        return await receive(socket, task_id)

    async def one(n: int, sockets: list[Socket]) -> None:
        # The id is known before the submission, so a client can subscribe first.
        task_id = kind.bind({"folder": str(tmp_path), "n": n}).task_id
        near, far, near_too, far_too = (sockets[(n + i) % 4] for i in range(4))
        early = [asyncio.ensure_future(receive(near, task_id))]
        await asyncio.sleep(chance.random() * 0.01)
        early.append(asyncio.ensure_future(receive(far, task_id)))
        await submit(near_too, n, task_id)
        early.append(asyncio.ensure_future(receive(far_too, task_id)))
        early.append(asyncio.ensure_future(receive_later(near_too, task_id, chance.random() * 0.1)))
        await asyncio.wait(early, return_when=asyncio.FIRST_COMPLETED)
        at_the_instant = await receive(far, task_id)
        assert [*await asyncio.gather(*early), at_the_instant] == [n] * 5
        assert await receive(near, task_id) == n

    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(Socket.open(system.url_of(i % 2))) for i in range(4)]
        for socket in sockets:
            socket.share()
        gate = asyncio.Semaphore(50)

        async def through_the_gate(n: int) -> None:
            async with gate, asyncio.timeout(40):
                await one(n, sockets)

        await asyncio.gather(*(through_the_gate(n) for n in range(WIRE_TASKS)))
    assert len(list(tmp_path.iterdir())) == WIRE_TASKS
