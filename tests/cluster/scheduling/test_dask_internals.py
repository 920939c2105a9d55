"""Every private interface of Dask that we use has its effect: a release that renames one fails here, not in
production."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from dask import annotate as dask_annotate
from dask.utils import key_split
from distributed import Client, Nanny, Scheduler, SchedulerPlugin, Worker, fire_and_forget
from distributed.metrics import time
from distributed.scheduler import KilledWorker

from cluster.attempt_errors import message_of, type_of
from cluster.scheduling.dask_config import configure_dask
from cluster.scheduling.dask_internals import (
    MAX_CACHED_KEYS,
    add_handlers,
    add_stream_handler,
    annotation_by_key,
    call_handler,
    connection_of,
    count_tasks,
    create_task,
    dashboard_port,
    describe_workers,
    drop_spans,
    fail_at_first_loss,
    is_process_running,
    machine_memory,
    make_exceptions_portable,
    memory_limit,
    pause_worker,
    read_exception,
    release_keys,
    reorder,
    report_seconds,
    reported_seconds,
    resume_worker,
    send_to_scheduler,
    set_duration,
    set_priority,
    start_tasks,
    trim_key_cache,
    waiting_by_prefix,
    worker_that_died,
)
from tests.cluster.worker.test_executor import ANY_EXCEPTION, named


@pytest.fixture(scope="module")
async def dask() -> AsyncIterator[tuple[Scheduler, Worker, Client]]:
    """A scheduler, a worker and a client of Dask in this process, changed as by our preloads."""
    make_exceptions_portable()
    async with Scheduler(host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0") as scheduler:
        drop_spans(scheduler)
        async with Worker(scheduler.address, nthreads=1, dashboard_address="127.0.0.1:0") as worker:
            drop_spans(worker)
            async with Client(scheduler.address, asynchronous=True, set_as_default=False) as client:
                yield scheduler, worker, client


def raising(error: Callable[[], BaseException]) -> None:
    raise error()


async def raising_async(error: Callable[[], BaseException]) -> None:
    raise error()


class Maker:
    """Creates an exception on the worker, because most of these cannot be sent."""

    def __init__(self, place: int) -> None:
        self.place = place

    def __call__(self) -> BaseException:
        return ANY_EXCEPTION[self.place][0]


@pytest.mark.parametrize("place", range(len(ANY_EXCEPTION)), ids=[named(error) for error, _ in ANY_EXCEPTION])
@pytest.mark.parametrize("function", [raising, raising_async], ids=["plain", "async"])
async def test_any_exception_of_a_graph_part_reaches_the_waiting_client_with_type_and_message(
    dask: tuple[Scheduler, Worker, Client], place: int, function: Callable[..., Any]
) -> None:
    _, worker, client = dask
    future = client.submit(function, Maker(place), pure=False)
    async with asyncio.timeout(10):
        error = await future.exception()
    original, message = ANY_EXCEPTION[place]
    assert (type_of(error), message_of(error)) == (type(original).__name__, message)
    assert worker.status.name == "running"


async def test_an_exception_that_dask_can_send_is_unchanged(dask: tuple[Scheduler, Worker, Client]) -> None:
    error = await dask[2].submit(int, "no number", pure=False).exception()
    assert type(error) is ValueError


def raising_with_cause(place: int) -> None:
    raise ValueError("outer") from ANY_EXCEPTION[place][0]


@pytest.mark.parametrize("place", range(len(ANY_EXCEPTION)), ids=[named(error) for error, _ in ANY_EXCEPTION])
async def test_a_cause_that_cannot_be_sent_does_not_change_the_exception(
    dask: tuple[Scheduler, Worker, Client], place: int
) -> None:
    async with asyncio.timeout(10):
        error = await dask[2].submit(raising_with_cause, place, pure=False).exception()
    assert (type_of(error), message_of(error)) == ("ValueError", "outer")


def forking(how: str) -> int:
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if how == "raises":
        raise ValueError("the child's")
    return 0


@pytest.mark.parametrize(("how", "status"), [("returns", 0), ("raises", 1)])
async def test_the_forked_child_of_a_graph_part_exits(
    dask: tuple[Scheduler, Worker, Client], how: str, status: int
) -> None:
    assert await dask[2].submit(forking, how, pure=False) == status


class Ends(SchedulerPlugin):  # type: ignore[misc]
    """Records what a scheduler plugin receives when a key ends."""

    def __init__(self, how: str = "memory") -> None:
        self.how = how
        self.received: dict[str, dict[str, Any]] = {}

    def transition(self, key: Any, start: str, finish: str, *args: Any, **details: Any) -> None:
        if finish == self.how:
            self.received[key] = details


async def test_a_worker_reports_how_long_each_attempt_ran(dask: tuple[Scheduler, Worker, Client]) -> None:
    scheduler, _, client = dask
    ends = Ends()
    scheduler.add_plugin(ends, name="ends")
    await client.submit(report_seconds, [0.5, 0.25], key="reported")
    await client.submit(report_seconds, [], key="none ran")
    await client.submit(int, key="older release")
    scheduler.remove_plugin("ends")
    assert reported_seconds(ends.received["reported"], 4) == [0.5, 0.25]
    assert reported_seconds(ends.received["none ran"], 4) == []
    [seconds] = reported_seconds(ends.received["older release"], 2)
    assert 0 <= seconds < 10


async def test_a_paused_worker_gets_no_work_until_it_is_resumed(dask: tuple[Scheduler, Worker, Client]) -> None:
    scheduler, worker, client = dask
    assert pause_worker(scheduler, worker.address)
    assert not pause_worker(scheduler, worker.address)
    future = client.submit(int, key="waits for a worker")
    while "waits for a worker" not in scheduler.tasks:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert scheduler.tasks["waits for a worker"].state in ("no-worker", "queued")
    resume_worker(scheduler, worker.address)
    async with asyncio.timeout(10):
        assert await future == 0


async def test_dask_does_not_remove_silent_workers(tmp_path: Path) -> None:
    # With the configuration of our nodes, which applies to this process.
    configure_dask(tmp_path)
    async with Scheduler(host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0") as scheduler:
        assert scheduler.worker_ttl is None


async def test_single_tasks_leave_no_span_and_no_counter(dask: tuple[Scheduler, Worker, Client]) -> None:
    scheduler, worker, client = dask

    async def lone(count: int) -> int:
        for _ in range(count):
            await client.submit(sys.getsizeof, 1, pure=False)
        await worker.heartbeat()
        return len(worker.digests_total)

    before = await lone(5)
    assert await lone(20) - before < 10
    assert not scheduler.extensions["spans"]
    assert {group.span_id for group in scheduler.task_groups.values()} <= {None}


async def test_a_worker_that_reports_spans_is_not_closed(dask: tuple[Scheduler, Worker, Client]) -> None:
    scheduler, _, client = dask
    async with Worker(scheduler.address, nthreads=1, dashboard_address="127.0.0.1:0") as stock:
        assert await client.submit(sys.getsizeof, 1, pure=False, workers=[stock.address])
        await stock.heartbeat()
        assert stock.address in scheduler.workers
        assert stock.status.name == "running"


async def test_released_keys_are_removed_from_the_scheduler_and_from_workers_that_have_not_started_them(
    dask: tuple[Scheduler, Worker, Client],
) -> None:
    scheduler, worker, client = dask
    gate, ran = threading.Event(), threading.Event()
    # In this process, so that they need not be sent.
    GATES["gate"], GATES["ran"] = gate, ran
    first = client.submit(wait_for, "gate", pure=False)
    async with asyncio.timeout(10):
        while worker.state.executing_count == 0:
            await asyncio.sleep(0.01)
    later = [client.submit(note, "ran", pure=False, key=f"later-{n}") for n in range(3)]
    fire_and_forget(later)
    del later
    async with asyncio.timeout(10):
        while "later-0" not in worker.state.tasks or any(
            {cs.client_key for cs in scheduler.tasks[f"later-{n}"].who_wants or ()} != {"fire-and-forget"}
            for n in range(3)
        ):
            await asyncio.sleep(0.01)
    release_keys(scheduler, [f"later-{n}" for n in range(3)])
    assert not any(f"later-{n}" in scheduler.tasks for n in range(3))
    async with asyncio.timeout(10):
        while any(f"later-{n}" in worker.state.tasks for n in range(3)):
            await asyncio.sleep(0.01)
    gate.set()
    await first
    assert not ran.is_set()
    # Unknown keys are ignored.
    release_keys(scheduler, ["later-0"])


async def test_the_keys_of_one_call_run_in_the_order_of_their_own_priorities(
    dask: tuple[Scheduler, Worker, Client],
) -> None:
    scheduler, worker, client = dask
    GATES["order"] = threading.Event()
    blocking = client.submit(wait_for, "order", pure=False)
    async with asyncio.timeout(10):
        while worker.state.executing_count == 0:
            await asyncio.sleep(0.01)
    priorities = {"ordered-0": -3.5, "ordered-1": 2.0**46 - 7.25, "ordered-2": -0.001, "ordered-3": 0.0}
    futures = client.map(append, range(4), key=list(priorities), priority=annotation_by_key(priorities), pure=False)
    alone = client.map(append, [9], key=["ordered-9"], priority=annotation_by_key({"ordered-9": -1.0}), pure=False)
    async with asyncio.timeout(10):
        while "ordered-9" not in scheduler.tasks:
            await asyncio.sleep(0.01)
    GATES["order"].set()
    await client.gather([blocking, *futures, *alone])
    assert ORDER == [1, 3, 2, 9, 0]


class Reversed(SchedulerPlugin):  # type: ignore[misc]
    """Orders the tasks that have an annotation by it, the highest first."""

    name = "reversed"

    def update_graph(self, scheduler: Scheduler, *, annotations: dict[str, dict[str, Any]], **_: Any) -> None:
        for key, place in annotations.get("place", {}).items():
            set_priority(scheduler, key, (-place[0], 0))


async def test_a_plugin_orders_tasks_by_their_annotations_before_they_are_queued_and_again_later(
    dask: tuple[Scheduler, Worker, Client],
) -> None:
    scheduler, worker, client = dask
    scheduler.add_plugin(Reversed())
    GATES["places"] = threading.Event()
    ORDER.clear()
    blocking = client.submit(wait_for, "places", pure=False)
    async with asyncio.timeout(10):
        while worker.state.executing_count == 0:
            await asyncio.sleep(0.01)
    futures = []
    # More than the scheduler gives to the worker at once, and in more than one call.
    for numbers in (range(4), range(4, 8)):
        places = {f"placed-{n}": (n,) for n in numbers}
        with dask_annotate(place=annotation_by_key(places)):
            futures += client.map(append, numbers, key=list(places), pure=False)
    async with asyncio.timeout(10):
        while "placed-7" not in scheduler.tasks:
            await asyncio.sleep(0.01)
    reorder(scheduler, {"placed-2": (-9.0, 0)})
    GATES["places"].set()
    await client.gather([blocking, *futures])
    scheduler.remove_plugin("reversed")
    # The worker had one more before the second call came.
    assert ORDER[1:3] == [2, 7]
    assert ORDER[2:] == sorted(ORDER[2:], reverse=True)


class Told(SchedulerPlugin):  # type: ignore[misc]
    """Records the keys of which a plugin is told, and their transitions."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.states: dict[str, list[str]] = defaultdict(list)

    def update_graph(
        self, scheduler: Scheduler, *, tasks: list[str], priority: dict[str, Any], keys: set[str], **_: Any
    ) -> None:
        assert keys == set(tasks) == priority.keys()
        self.keys += tasks

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        self.states[key].append(finish)


async def test_tasks_that_a_message_makes_run_in_their_order_and_leave_nothing(
    dask: tuple[Scheduler, Worker, Client],
) -> None:
    scheduler, worker, client = dask
    told, silent = Told(), Told()
    received: dict[str, Any] = {}

    def make(places: dict[str, list[float]], **fields: Any) -> None:
        received.update(fields)
        for number, (key, place) in enumerate(places.items()):
            create_task(scheduler, key, append, (number,), tuple(place), None)
        start_tasks(scheduler, list(places), informed=silent)
        start_tasks(scheduler, [], informed=silent)

    add_stream_handler(scheduler, "dask-graphql-test", make)
    GATES["made"] = threading.Event()
    ORDER.clear()
    blocking = client.submit(wait_for, "made", pure=False)
    async with asyncio.timeout(10):
        while worker.state.executing_count == 0:
            await asyncio.sleep(0.01)
    places = {"made-0": [0.0, 1], "made-1": [0.0, 0], "made-2": [-1.5, 0], "made-3": [0.0, 0], "made-4": [2.0**46, 0]}
    scheduler.add_plugin(told, name="told")
    scheduler.add_plugin(silent, name="silent")
    send_to_scheduler(client, {"op": "dask-graphql-test", "places": places, "inputs": b"\xff"})
    async with asyncio.timeout(10):
        while "made-4" not in scheduler.tasks:
            await asyncio.sleep(0.01)
    assert received == {"inputs": b"\xff", "client": client.id}
    assert {wants.client_key for wants in scheduler.tasks["made-4"].who_wants} == {"fire-and-forget"}
    assert scheduler.tasks["made-4"].state == "queued"
    GATES["made"].set()
    await blocking
    async with asyncio.timeout(10):
        while any(key in scheduler.tasks for key in places):
            await asyncio.sleep(0.01)
    assert ORDER == [2, 1, 3, 0, 4]
    assert (told.keys, silent.keys) == (list(places), [])
    assert (told.states["made-4"][0], told.states["made-4"][-1]) == ("waiting", "forgotten")
    for name in ("told", "silent"):
        scheduler.remove_plugin(name)


async def test_a_task_that_is_made_for_a_resource_waits_for_a_worker_that_has_it(
    dask: tuple[Scheduler, Worker, Client],
) -> None:
    scheduler, *_ = dask
    ORDER.clear()
    create_task(scheduler, "fits-1", append, (1,), (0.0, 0), {"gpu": 0.0})
    start_tasks(scheduler, ["fits-1"], informed=Told())
    assert scheduler.tasks["fits-1"].state == "no-worker"
    gpu = {"gpu": 1.0}
    async with Worker(scheduler.address, nthreads=1, resources=gpu, dashboard_address="127.0.0.1:0"):
        async with asyncio.timeout(10):
            while ORDER != [1]:
                await asyncio.sleep(0.01)


async def test_a_closed_connection_takes_no_message() -> None:
    async with (
        Scheduler(host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0") as scheduler,
        Client(scheduler.address, asynchronous=True, set_as_default=False) as client,
    ):
        await client.scheduler_comm.comm.close()
        with pytest.raises(OSError, match="closed"):
            send_to_scheduler(client, {"op": "any"})


async def test_dask_uses_the_duration_that_was_set(dask: tuple[Scheduler, Worker, Client]) -> None:
    scheduler, _, client = dask
    await client.submit(int, pure=False, key="timed-1")
    set_duration(scheduler, "timed", 30.0)
    assert scheduler._calc_occupancy({"timed": 2}, 0.0) == 60.0
    set_duration(scheduler, "timed", None)
    assert scheduler.task_prefixes["timed"].duration_average == -1
    set_duration(scheduler, "unheard-of", 1.0)


async def test_clients_and_nannies_can_call_an_added_handler(dask: tuple[Scheduler, Worker, Client]) -> None:
    scheduler, _, client = dask

    async def double(number: int, **_: Any) -> int:
        return 2 * number

    add_handlers(scheduler, {"dask_graphql_double": double})
    assert await call_handler(client, "dask_graphql_double", number=21) == 42
    async with Nanny(scheduler.address, nthreads=1, dashboard_address="127.0.0.1:0", memory_limit=2**60) as nanny:
        assert await call_handler(nanny, "dask_graphql_double", number=4) == 8
        assert is_process_running(nanny)
        assert memory_limit(nanny) == machine_memory() > 2**20
        leaving = {"workers": [nanny.worker_address], "close_workers": False, "remove": False}
        assert nanny.worker_address in await call_handler(nanny, "retire_workers", **leaving)
    assert not is_process_running(nanny)


async def test_a_client_that_reconnects_has_a_new_connection() -> None:
    async with Scheduler(host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0") as scheduler:
        address = scheduler.address
        client = await Client(address, asynchronous=True, set_as_default=False)
        first = connection_of(client)
        assert connection_of(client) is first
    async with Scheduler(host="127.0.0.1", port=int(address.rpartition(":")[2]), dashboard_address="127.0.0.1:0"):
        async with asyncio.timeout(20):
            while client.status != "running" or connection_of(client) is first:
                await asyncio.sleep(0.05)
        await client.close()


class FirstLoss(SchedulerPlugin):  # type: ignore[misc]
    """Treats a Dask task as our plugin does, and records its loss."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[tuple[Any, str | None]] = asyncio.get_running_loop().create_future()

    def update_graph(self, scheduler: Scheduler, *, tasks: list[Any], **_: Any) -> None:
        for key in tasks:
            fail_at_first_loss(scheduler, key)

    def transition(self, key: Any, start: str, finish: str, *args: Any, **details: Any) -> None:
        if finish == "erred":
            self.ended.set_result((details.get("exception"), details.get("worker")))


def end_process() -> None:
    os._exit(1)


@pytest.mark.slow
async def test_the_first_loss_of_a_worker_ends_its_task_and_names_the_worker() -> None:
    async with Scheduler(host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0") as scheduler:
        plugin = FirstLoss()
        scheduler.add_plugin(plugin)
        async with (
            Nanny(scheduler.address, nthreads=1, name="first", dashboard_address="127.0.0.1:0"),
            Client(scheduler.address, asynchronous=True, set_as_default=False) as client,
        ):
            lost = client.submit(end_process, pure=False)
            async with asyncio.timeout(30):
                exception, worker = await plugin.ended
            assert worker_that_died(read_exception(exception), worker) == "first"
            assert isinstance(await lost.exception(), KilledWorker)


async def test_the_exception_of_a_task_can_be_read_on_the_scheduler(dask: tuple[Scheduler, Worker, Client]) -> None:
    scheduler, _, client = dask
    plugin = Ends("erred")
    scheduler.add_plugin(plugin, name="ends")
    await client.submit(int, "no number", key="fails").exception()
    scheduler.remove_plugin("ends")
    error = read_exception(plugin.received["fails"]["exception"])
    assert isinstance(error, ValueError)
    assert worker_that_died(error, "a worker") is None


async def test_the_load_of_a_scheduler_can_be_read(dask: tuple[Scheduler, Worker, Client]) -> None:
    scheduler, worker, client = dask
    GATES["load"] = threading.Event()
    waiting = [client.submit(wait_for, "load", key=f"load-{n}") for n in range(4)]
    async with asyncio.timeout(10):
        while sum(count_tasks(scheduler)) < 4:
            await asyncio.sleep(0.01)
    assert count_tasks(scheduler).no_worker == 0
    assert count_tasks(scheduler).processing >= 1
    assert {name: count for name, count, _ in waiting_by_prefix(scheduler)}["load"] == count_tasks(scheduler).queued
    [described] = describe_workers(scheduler)
    assert described["address"] == worker.address
    assert described["threads"] == 1
    assert described["processing"] == count_tasks(scheduler).processing
    assert abs(described["last_seen"] - time()) < 60
    assert described["memory_bytes"] > 2**20
    assert dashboard_port(scheduler) == scheduler.http_server.port
    GATES["load"].set()
    await client.gather(waiting)


GATES: dict[str, threading.Event] = {}
ORDER: list[int] = []


def wait_for(name: str) -> None:
    assert GATES[name].wait(20)


def note(name: str) -> None:
    GATES[name].set()


def append(number: int) -> None:
    ORDER.append(number)


def test_the_cache_of_key_prefixes_is_emptied_when_it_has_grown() -> None:
    key_split.cache_clear()
    for number in range(MAX_CACHED_KEYS):
        key_split(f"add-{number:032x}")
    trim_key_cache()
    assert key_split.cache_info().currsize == MAX_CACHED_KEYS
    key_split("one-more")
    trim_key_cache()
    assert key_split.cache_info().currsize == 0
