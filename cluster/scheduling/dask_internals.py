"""Every private or undocumented interface of Dask that we use, each with why, and how it would break.
`tests/cluster/scheduling/test_dask_internals.py` shows that each still has its effect.

Written against distributed 2026.3 to 2026.8. What a fleet uses of dask-cloudprovider is in
`cluster/controller/fleets/ecs_cluster.py`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from cluster import attempt_errors

if TYPE_CHECKING:
    from distributed import Client, Nanny, Scheduler, Worker


SECONDS: Final = "dask_graphql_seconds"
"""The entry of a Dask task's metadata that has the durations of its attempts."""


LINGER_SECONDS: Final = 0.0005
"""How long a stream of messages waits for more to send with them."""

FORGETFUL: Final = "fire-and-forget"
"""The client that wants the keys of `fire_and_forget`."""


class GraphPartFailed(Exception):
    """A part of a task's graph raised what Dask cannot carry to the task.

    Attributes:
        original_type: the name of the class that was raised.
    """

    def __init__(self, original_type: str, message: str) -> None:
        super().__init__(original_type, message)
        self.original_type = original_type
        self._message = message

    def __str__(self) -> str:
        return self._message


class _NoSpans:
    """What a scheduler without spans has in their place. Workers that have them, stock ones and those of a former
    release, report them with each heartbeat, and would be closed by a scheduler that has nowhere to put them."""

    def __bool__(self) -> bool:
        return False

    def heartbeat(self, worker: object, reported: object) -> None:
        """Drops what a worker reports of its spans."""


def drop_spans(node: Scheduler | Worker) -> None:
    """Takes Dask's spans off a scheduler or a worker.

    A scheduler makes a new span whenever it goes from idle to busy and never drops one (distributed issue 7977): 5 kB
    and four counters for each task that comes alone, for ever. We show none of them.

    `extensions["spans"]` is private. Renamed, the spans come back and memory grows; nothing else happens.
    """
    from distributed import Scheduler

    if node.extensions.pop("spans", None) is not None and isinstance(node, Scheduler):
        node.extensions["spans"] = _NoSpans()


def pause_worker(scheduler: Scheduler, address: str) -> bool:
    """Keeps the scheduler from sending work to a worker, which need not know of it. Returns False where it sends none
    anyway, or does not know the worker.

    `handle_worker_status_change` is undocumented; Dask calls it when a worker says that it pauses for want of memory.
    Renamed, this raises AttributeError: silent workers go on getting work.
    """
    worker = scheduler.workers.get(address)
    if worker is None or worker.status.name != "running":
        return False
    scheduler.handle_worker_status_change("paused", worker, f"dask-graphql-pause-{time.time()}")
    return True


def resume_worker(scheduler: Scheduler, address: str) -> None:
    """Undoes `pause_worker`, unless the worker was retired meanwhile."""
    worker = scheduler.workers.get(address)
    if worker is not None and worker.status.name == "paused":
        scheduler.handle_worker_status_change("running", worker, f"dask-graphql-resume-{time.time()}")


class TaskCounts(NamedTuple):
    """The Dask tasks that a scheduler has, by what they wait for.

    Attributes:
        queued: for a thread.
        no_worker: for any worker.
        processing: for nothing: a worker has them.
    """

    queued: int
    no_worker: int
    processing: int


def add_handlers(scheduler: Scheduler, handlers: dict[str, Callable[..., Awaitable[Any]]]) -> None:
    """Adds operations that clients and nannies can call on the scheduler, as `client.scheduler.<name>(...)` and
    `nanny.scheduler.<name>(...)`. A handler must take further keyword arguments.

    Adding to `scheduler.handlers` once it runs is undocumented. If Dask copies the table before, every call of
    `SchedulerClient` fails, and with them autoscaling and the `cluster` query.
    """
    scheduler.handlers.update(handlers)


def shorten_linger(stream: Any) -> None:
    """Makes a stream between two processes of Dask send what it has after LINGER_SECONDS.

    Dask waits 10 ms at a client, 5 ms at a scheduler and 2 ms at a worker for more to send; a task that comes alone
    would feel each of them.

    Args:
        stream: a `BatchedSend`: `client.scheduler_comm`, `worker.batched_stream`, or the scheduler's `stream_comms` of
            one worker. All are private, and so is `interval`. Renamed, the first raise AttributeError; without
            `interval` each hop takes its milliseconds again, and nothing else happens.
    """
    stream.interval = LINGER_SECONDS


def shorten_linger_to_worker(scheduler: Scheduler, address: str) -> None:
    """`shorten_linger` for what the scheduler sends to one worker."""
    shorten_linger(scheduler.stream_comms[address])


def connection_of(client: Client) -> object:
    """What stands for the client's present connection to a scheduler: another object after each reconnection.

    `client.scheduler_comm` is private; the client makes a new one for each connection. If it kept one, a node would
    not subscribe to the load of a scheduler that was restarted, and would hold every lone task back.
    """
    return client.scheduler_comm


async def call_handler(caller: Client | Nanny, operation: str, **arguments: Any) -> Any:
    """Calls an operation of the scheduler, Dask's own or one of `add_handlers`.

    `scheduler` of a client and of a nanny is undocumented. Renamed, this raises AttributeError.
    """
    return await getattr(caller.scheduler, operation)(**arguments)


def fail_at_first_loss(scheduler: Scheduler, key: Any) -> None:
    """Makes a Dask task end as lost (`KilledWorker`) when the first worker dies with it.

    Dask would run it again under the same key, up to `allowed_failures` times. We count and fence attempts in the
    record, so that each loss must come to us.

    `TaskState.suspicious` counts the workers that died with a task, and is undocumented. Renamed, the function of a
    lost attempt runs again beside the attempt that replaced it; the fence refuses its result.
    """
    scheduler.tasks[key].suspicious = scheduler.allowed_failures


def count_tasks(scheduler: Scheduler) -> TaskCounts:
    """Returns how many Dask tasks the scheduler has. Called hundreds of times a second.

    `queued`, `unrunnable` and `workers[...].processing` are attributes of its state, documented as internals. Renamed,
    this raises AttributeError: the dispatchers get no load and the scheduler's heartbeat fails.
    """
    processing = sum(len(worker.processing) for worker in scheduler.workers.values())
    return TaskCounts(len(scheduler.queued), len(scheduler.unrunnable), processing)


def waiting_by_prefix(scheduler: Scheduler) -> Iterator[tuple[str, int, float]]:
    """Yields of each prefix of keys its name, how many of its tasks wait for a worker, and Dask's mean duration of one
    in seconds, negative if unknown.

    `TaskPrefix.states` and `duration_average` are undocumented. Renamed, this raises AttributeError: the load cannot be
    read, and the controller keeps its fleet as it is.
    """
    for prefix in scheduler.task_prefixes.values():
        yield prefix.name, prefix.states["queued"] + prefix.states["no-worker"], prefix.duration_average


def dashboard_port(scheduler: Scheduler) -> int | None:
    """Returns the port of Dask's dashboard, None if there is none.

    `scheduler.services` is undocumented. Renamed, this raises AttributeError, as `waiting_by_prefix` does.
    """
    dashboard = scheduler.services.get("dashboard")
    return dashboard and int(dashboard.port)


def describe_workers(scheduler: Scheduler) -> list[dict[str, Any]]:
    """Returns what the scheduler knows of each worker.

    `WorkerState` is documented as an internal, `memory.process` and `last_seen` (seconds since 1970, by the scheduler's
    clock) among it. Renamed, this raises AttributeError, as `waiting_by_prefix` does.
    """
    return [
        {
            "name": str(worker.name),
            "address": worker.address,
            "threads": worker.nthreads,
            "memory_limit_bytes": worker.memory_limit,
            "memory_bytes": worker.memory.process,
            "processing": len(worker.processing),
            "occupancy_seconds": float(worker.occupancy),
            "last_seen": worker.last_seen,
        }
        for worker in scheduler.workers.values()
    ]


def read_exception(carried: Any) -> Any:
    """Returns the exception that came to a plugin with a Dask task's transition to `erred`.

    Workers send it pickled inside `distributed.protocol.serialize.Serialized`; the scheduler's own comes as it is. In
    another form it is returned as it came, and the event of the task has its type instead of its message.
    """
    from distributed.protocol import pickle
    from distributed.protocol.serialize import Serialized, deserialize

    try:
        if isinstance(carried, Serialized):
            carried = deserialize(carried.header, carried.frames)
        return pickle.loads(carried) if isinstance(carried, bytes) else carried
    except Exception as error:  # noqa: BLE001 - the user's class may raise anything when it is made again
        return RuntimeError(f"an error that cannot be read here: {attempt_errors.message_of(error)}")


def worker_that_died(error: BaseException, otherwise: str | None) -> str | None:
    """Returns the name of the worker that died with a Dask task; None if that is not what ended the task.

    `KilledWorker.last_worker` is a `WorkerState`, and undocumented. Renamed, the name is `otherwise`.
    """
    from distributed.scheduler import KilledWorker

    if not isinstance(error, KilledWorker):
        return None
    return str(getattr(getattr(error, "last_worker", None), "name", otherwise))


def is_process_running(nanny: Nanny) -> bool:
    """Whether the nanny's worker process has started, and is registered with the scheduler.

    `nanny.process` (private) is None before the first start. Renamed, this raises AttributeError: a worker that is
    stopped does not drain, and its tasks run elsewhere after their attempt is lost.
    """
    return nanny.process is not None and nanny.process.status.name == "running"


def memory_limit(nanny: Nanny) -> int | None:
    """Returns the bytes that the nanny's worker process may take, None for no limit. Dask takes the machine's memory
    if that is less than what it was asked for.

    `nanny.memory_manager` is private. Renamed, this raises AttributeError at a worker's start.
    """
    limit: int | None = nanny.memory_manager.memory_limit
    return limit


def machine_memory() -> int:
    """Returns the bytes of memory of this machine or container, whichever is less.

    `distributed.system.MEMORY_LIMIT` is undocumented. Renamed, this raises ImportError at a worker's start.
    """
    from distributed.system import MEMORY_LIMIT

    return int(MEMORY_LIMIT)


class ExitHandler(Protocol):
    """Hears how a worker process ended, before another one is started."""

    def __call__(self, exit_code: int, *, orderly: bool) -> None: ...


def on_worker_exit(nanny: Nanny, heard: ExitHandler) -> None:
    """Tells of each end of a started nanny's worker process: its exit code, and whether the nanny was closing.

    `nanny.process.on_exit` is private: the nanny calls it, then starts another process. Renamed, nothing is heard: a
    lost attempt is then told by the scheduler's plugin alone, a second later and without a reason.
    """
    process = nanny.process
    go_on = process.on_exit

    def on_exit(exit_code: int) -> None:
        try:
            heard(exit_code, orderly=nanny.status.name != "running")
        finally:
            go_on(exit_code)

    process.on_exit = on_exit


def report_seconds(seconds: list[float]) -> None:
    """Tells the scheduler, with the end of the Dask task that this thread runs, how long each attempt in it really ran.

    The time that Dask measures is of the whole key, and an attempt that was cancelled or superseded before it began
    ends in a millisecond.

    `worker.state.tasks[key].metadata` is private; the scheduler's plugins get it as `metadata` of the transition to
    `memory`. Renamed, this raises AttributeError, and every attempt ends as NOT_RUN.
    """
    from distributed import get_worker

    worker = get_worker()
    worker.state.tasks[worker.get_current_task()].metadata[SECONDS] = seconds


def reported_seconds(transition: dict[str, Any], members: int) -> list[float]:
    """The durations of attempts that came with a Dask task's transition to `memory`.

    Args:
        transition: the keyword arguments that the plugin got.
        members: how many attempts the task had: a worker of an older release tells only how long all took.
    """
    told = (transition.get("metadata") or {}).get(SECONDS)
    if told is not None:
        return list(told)
    spans = transition.get("startstops") or ()
    return [(span["stop"] - span["start"]) / members for span in spans if span["action"] == "compute"]


def set_duration(scheduler: Scheduler, prefix: str, seconds: float | None) -> None:
    """Makes Dask take `seconds` for the duration of a prefix's tasks; None for unknown.

    Dask learns from every Dask task that ends, also from one whose attempts were cancelled before they began: its means
    make the occupancy of workers, which the controller plans by.

    `TaskPrefix.duration_average` is undocumented. Renamed, Dask goes on with what it measured.
    """
    if found := scheduler.task_prefixes.get(prefix):
        found.duration_average = -1 if seconds is None else seconds


def release_keys(scheduler: Scheduler, keys: list[str]) -> None:
    """Takes keys that were sent by `fire_and_forget` out of the scheduler, and off the worker that has not begun them.

    `Client.cancel` needs the client that made them, which is another node's or gone.

    The name of the client that `fire_and_forget` stands for, and `client_releases_keys`, are undocumented. Renamed,
    what was cancelled stays in the queue until a worker passes over it.
    """
    if keys and FORGETFUL in scheduler.clients:
        scheduler.client_releases_keys(keys, FORGETFUL, "dask-graphql-cancelled")


def make_exceptions_portable() -> None:
    """Makes a worker process carry whatever a part of a graph raises to whoever waits for it.

    Dask lets SystemExit and KeyboardInterrupt of a part end the worker process, and an exception without a readable
    text breaks the worker's own report of it, so that the key is never heard of again.

    `distributed.worker._run_task_simple` and `_run_task_async` are private: they call `task(data)`. Renamed, this
    raises AttributeError at the worker's start.
    """
    import distributed.worker as module

    if getattr(module, "_dask_graphql_carries", False):
        return
    run, run_async, process_id = module._run_task_simple, module._run_task_async, os.getpid()

    def run_task_simple(task: Callable[[Any], Any], data: dict[Any, Any], time_delay: float) -> Any:
        def guarded(given: dict[Any, Any]) -> Any:
            try:
                return task(given)
            except BaseException as error:
                if (other := portable(error)) is error:
                    raise
            finally:
                if os.getpid() != process_id:
                    # A part that forked let its child come back: it must not go on as a second worker.
                    os._exit(0 if sys.exc_info()[1] is None else 1)
            # Out here it has no context, which would travel with it.
            raise other

        return run(guarded, data, time_delay)

    async def run_task_async(task: Callable[[Any], Any], data: dict[Any, Any], time_delay: float) -> Any:
        async def guarded(given: dict[Any, Any]) -> Any:
            try:
                return await task(given)
            except BaseException as error:
                if (other := portable(error)) is error:
                    raise
            raise other

        return await run_async(guarded, data, time_delay)

    module._run_task_simple, module._run_task_async = run_task_simple, run_task_async
    module._dask_graphql_carries = True


def portable(error: BaseException) -> BaseException:
    """Returns the exception itself if Dask can carry it to another process as it is, else one that says what it was.
    To be called while it is handled."""
    from asyncio import CancelledError

    from distributed.core import error_message
    from distributed.protocol import pickle

    if isinstance(error, CancelledError):
        return error
    try:
        if isinstance(error, Exception):
            # What Dask does itself next.
            copy = pickle.loads(error_message(error)["exception"].data)
            if type(copy) is type(error) and str(copy) == str(error):
                return error
    except BaseException:  # noqa: BLE001, S110 - a user's class may raise anything when it is asked
        pass
    return GraphPartFailed(attempt_errors.type_of(error), attempt_errors.message_of(error))
