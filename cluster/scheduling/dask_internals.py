"""Every private or undocumented interface of Dask that we use: why, and what happens if it is renamed.
`tests/cluster/scheduling/test_dask_internals.py` verifies that each still has its effect.

Written against distributed 2026.3 to 2026.8.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from itertools import count
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

from cluster import attempt_errors

if TYPE_CHECKING:
    from distributed import Client, Nanny, Scheduler, SchedulerPlugin, Worker

logger = logging.getLogger(__name__)
T = TypeVar("T")

SECONDS_KEY: Final = "dask_graphql_seconds"
"""Entry of a Dask task's metadata with the durations of its attempts."""


FIRE_AND_FORGET: Final = "fire-and-forget"
"""Name of the pseudo-client that wants the keys of `fire_and_forget`."""


MAX_CACHED_KEYS: Final = 2_000
"""Maximum number of keys whose prefixes Dask's cache keeps after `trim_key_cache`."""


class GraphPartFailed(Exception):
    """A part of a task's graph raised an exception that Dask cannot send to the task's process.

    Attributes:
        original_type: name of the class that was raised.
    """

    def __init__(self, original_type: str, message: str) -> None:
        super().__init__(original_type, message)
        self.original_type = original_type
        self._message = message

    def __str__(self) -> str:
        return self._message


class _NoSpans:
    """Takes the place of the spans extension. Workers that have spans (stock workers, and those of an earlier release)
    report them with each heartbeat, and a scheduler without the extension would close them."""

    def __bool__(self) -> bool:
        return False

    def heartbeat(self, worker: object, reported: object) -> None:
        """Ignores the spans that a worker reports."""


def annotation_by_key(values: Mapping[str, T]) -> T | Callable[[str], T]:
    """An annotation of one `Client.map` whose keys have different ones; also its `priority`, which it passes on as an
    annotation.

    The scheduler calls an annotation that is a function with each key (as `dask.annotate` documents). The function is
    a method of a plain dict, as the scheduler unpickles it. If that changes, every task of the call gets the function
    as its annotation: the scheduler cannot order them, and the plugin fails to read it.
    """
    first = next(iter(values.values()))
    if all(value == first for value in values.values()):
        return first
    return dict(values).__getitem__


def set_priority(scheduler: Scheduler, key: Any, first: tuple[float, ...]) -> None:
    """Puts this in front of what Dask orders a task by. To be called from the plugin's `update_graph`, before the task
    is queued.

    `TaskState.priority` is documented; that it may be changed in `update_graph` is not. If the hook is called later,
    or the workers take no longer tuples, tasks run in the order of their priorities and submissions.
    """
    task = scheduler.tasks[key]
    task.priority = (*first, *task.priority[-2:])


def reorder(scheduler: Scheduler, places: Mapping[str, tuple[float, ...]]) -> None:
    """As `set_priority`, for tasks that wait already.

    `Scheduler.queued` is documented as an internal: a heap that does not notice if a task's priority changes, so it is
    filled anew. If it is another kind of collection, this fails or has no effect.
    """
    for key, first in places.items():
        set_priority(scheduler, key, first)
    refill(scheduler.queued)


def drop_spans(node: Scheduler | Worker) -> None:
    """Removes Dask's spans from a scheduler or a worker.

    A scheduler creates a span whenever it goes from idle to busy and never deletes one (distributed issue 7977): 5 kB
    and four counters for each task that arrives alone. We use none of them.

    `extensions["spans"]` is private. If it is renamed, the spans are back and memory grows; there is no other effect.
    """
    from distributed import Scheduler

    if node.extensions.pop("spans", None) is not None and isinstance(node, Scheduler):
        node.extensions["spans"] = _NoSpans()


def trim_key_cache() -> None:
    """Empties Dask's cache of key prefixes if it has grown beyond MAX_CACHED_KEYS; to be called regularly.

    Dask keeps the last 100,000 (`functools.lru_cache`): at a few tasks a second it grows for hours, up to 30 MB.
    Our keys are split twice in their lives, at most. If the function is no longer cached, this raises AttributeError.
    """
    from dask.utils import key_split

    if key_split.cache_info().currsize > MAX_CACHED_KEYS:
        key_split.cache_clear()


def pause_worker(scheduler: Scheduler, address: str) -> bool:
    """Stops the scheduler from sending work to a worker, without involving the worker. Returns False if the worker is
    unknown or gets no work anyway.

    `handle_worker_status_change` is undocumented; Dask calls it when a worker reports that it pauses because it is
    short of memory. If it is renamed, this raises AttributeError, and silent workers continue to get work.
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


def queue_restricted_tasks(scheduler: Scheduler, choose: Callable[[Any], Any], fill: Callable[[], None]) -> None:
    """Lets tasks that ask for a resource wait for a free thread, as Dask lets other tasks. For `PoolQueues`.

    `decide_worker_non_rootish`, which leaves a task in the state `no-worker` if it finds none, and
    `stimulus_queue_slots_maybe_opened` are private. If one is renamed, this raises AttributeError when a scheduler with
    pools starts.

    Args:
        choose: returns the worker for such a task, if it has no dependencies and may run on any host; None to wait.
        fill: called when workers may have got free threads.
    """
    decide, on_slots_opened = scheduler.decide_worker_non_rootish, scheduler.stimulus_queue_slots_maybe_opened

    def decide_worker_non_rootish(task: Any) -> Any:
        if task.resource_restrictions and not (task.dependencies or task.worker_restrictions or task.host_restrictions):
            return choose(task)
        return decide(task)

    def stimulus_queue_slots_maybe_opened(*, stimulus_id: str) -> None:
        on_slots_opened(stimulus_id=stimulus_id)
        fill()

    scheduler.decide_worker_non_rootish = decide_worker_non_rootish
    scheduler.stimulus_queue_slots_maybe_opened = stimulus_queue_slots_maybe_opened


def freest_worker(scheduler: Scheduler, resources: Mapping[str, float]) -> Any:
    """Returns the worker with these resources and a free thread that has the fewest tasks for a thread; None if there
    is none.

    `Scheduler.idle_task_count`, the workers that have fewer tasks than `worker-saturation` allows, is documented as an
    internal. If it is renamed, this raises AttributeError, and no task of a pool starts.
    """
    free = (
        worker
        for worker in scheduler.idle_task_count
        if all(worker.resources.get(name, -1.0) >= amount for name, amount in resources.items())
    )
    return min(free, key=lambda worker: len(worker.processing) / worker.nthreads, default=None)


def process(scheduler: Scheduler, key: Any) -> None:
    """Gives a waiting task to a worker, if there is one for it. `Scheduler.transitions` is undocumented."""
    scheduler.transitions({key: "processing"}, f"dask-graphql-pool-{time.time()}")


def priority_queue() -> Any:
    """Returns an empty queue of the scheduler's tasks in the order of their priorities, as that of `Scheduler.queued`.

    `distributed.collections.HeapSet` is undocumented. If it is renamed, this raises ImportError.
    """
    from distributed.collections import HeapSet

    return HeapSet(key=attrgetter("priority"))


def refill(queue: Any) -> None:
    """Sorts a queue anew: it does not notice if a task's priority changes."""
    tasks = list(queue)
    queue.clear()
    for task in tasks:
        queue.add(task)


class TaskCounts(NamedTuple):
    """Numbers of a scheduler's Dask tasks.

    Attributes:
        queued: waiting for a thread.
        no_worker: waiting for any worker.
        processing: assigned to a worker.
    """

    queued: int
    no_worker: int
    processing: int


def add_handlers(scheduler: Scheduler, handlers: dict[str, Callable[..., Awaitable[Any]]]) -> None:
    """Adds operations that clients and nannies can call on the scheduler, as `client.scheduler.<name>(...)` and
    `nanny.scheduler.<name>(...)`. A handler must accept further keyword arguments.

    Adding to `scheduler.handlers` while the scheduler runs is undocumented. If Dask copied the table at start, every
    call of `SchedulerClient` would fail, and with it autoscaling and the `cluster` query.
    """
    scheduler.handlers.update(handlers)


def add_stream_handler(scheduler: Scheduler, operation: str, handler: Callable[..., None]) -> None:
    """Adds an operation for messages that clients send by `send_to_scheduler`. The handler gets the message's fields
    and `client`, the sender's id, and must not raise: Dask would close the connection.

    `scheduler.stream_handlers` is undocumented. If it is renamed, this raises AttributeError when a scheduler starts.
    If Dask copied the table at start, a message would close its connection: no task would start.
    """
    scheduler.stream_handlers[operation] = handler


def send_to_scheduler(client: Client, message: Mapping[str, Any]) -> None:
    """Sends a message for an operation of `add_stream_handler`, without waiting and without a reply. A scheduler that
    does not know the operation closes the connection. To be called in the client's event loop.

    `client.scheduler_comm` is private. If it is renamed, this raises AttributeError: attempts are
    given back, and no task starts.

    Raises:
        OSError: the connection is closed.
    """
    client.scheduler_comm.send(message)


_created: Final = count()


def create_task(
    scheduler: Scheduler,
    key: str,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    first: tuple[float, ...],
    resources: Mapping[str, float] | None,
) -> None:
    """Adds a Dask task that is not known yet, as a graph of one task would. `start_tasks` must follow.

    `Scheduler.new_task`, the form of its `Task` (`dask._task_spec`), and that a priority ends with a generation and a
    number, are private. If one is renamed, this raises an exception: no task starts.

    Args:
        function: importable on the workers.
        arguments: plain values, without Dask's keys or collections.
        first: what it is ordered by; among equals, the earlier one comes first.
        resources: what its worker must have.
    """
    from dask._task_spec import Task

    task = scheduler.new_task(key, Task(key, function, *arguments), "released")
    task.priority = (*first, scheduler.generation, next(_created))
    if resources:
        task.resource_restrictions = dict(resources)


def start_tasks(scheduler: Scheduler, keys: Sequence[str], *, informed: SchedulerPlugin) -> None:
    """Starts Dask tasks of `create_task`, or lets them wait, in the order of their priorities. They end as those of
    `fire_and_forget` do.

    `client_desires_keys`, `transitions`, and the order in which that takes its argument, the last first, are private.
    If one is renamed, this raises AttributeError: no task starts. If the order changes, tasks of one call start in
    another order. So is `observe_tasks` of the spans extension.

    Args:
        informed: the plugin that knows of them. Others are told, as of a graph: pages of the dashboard follow tasks.
    """
    if not keys:
        return
    scheduler.client_desires_keys(keys, FIRE_AND_FORGET)
    tasks = sorted(map(scheduler.tasks.__getitem__, keys), key=attrgetter("priority"), reverse=True)
    if spans := scheduler.extensions.get("spans"):
        # Only where `drop_spans` was not called. A stock worker whose task has no span would end at its next heartbeat.
        spans.observe_tasks(tasks, code=(), span_metadata={})
    stimulus = f"dask-graphql-attempts-{time.time()}"
    for plugin in list(scheduler.plugins.values()):
        if plugin is not informed:
            _inform(plugin, scheduler, keys, stimulus)
    scheduler.transitions({task.key: "waiting" for task in tasks}, stimulus)


def _inform(plugin: SchedulerPlugin, scheduler: Scheduler, keys: Sequence[str], stimulus: str) -> None:
    priorities = {key: scheduler.tasks[key].priority for key in keys}
    try:
        plugin.update_graph(
            scheduler, client=FIRE_AND_FORGET, tasks=list(keys), keys=set(keys), annotations=defaultdict(dict),
            priority=priorities, stimulus_id=stimulus,
        )  # fmt: skip
    except Exception:
        # As Dask does with an exception of a plugin.
        logger.exception("the plugin %s failed", type(plugin).__name__)


def connection_of(client: Client) -> object:
    """An object that identifies the client's current connection to a scheduler; a new one after each reconnection.

    `client.scheduler_comm` is private, and the client creates a new one for each connection. If it kept one, a node
    would not subscribe to the load of a restarted scheduler, and would let every single task linger.
    """
    return client.scheduler_comm


async def call_handler(caller: Client | Nanny, operation: str, **arguments: Any) -> Any:
    """Calls an operation of the scheduler, Dask's own or one of `add_handlers`.

    `scheduler` of a client and of a nanny is undocumented. If it is renamed, this raises AttributeError.
    """
    return await getattr(caller.scheduler, operation)(**arguments)


def fail_at_first_loss(scheduler: Scheduler, key: Any) -> None:
    """Makes a Dask task fail with `KilledWorker` when the first worker dies with it.

    Dask would run it again under the same key, up to `allowed_failures` times. Each loss must be reported to us
    instead, because we count and fence attempts in the record.

    `TaskState.suspicious` is undocumented; it counts the workers that died with a task. If it is renamed, the function
    of a lost attempt runs again beside the attempt that replaced it; the fence refuses its result.
    """
    scheduler.tasks[key].suspicious = scheduler.allowed_failures


def count_tasks(scheduler: Scheduler) -> TaskCounts:
    """Returns how many Dask tasks the scheduler has. Called hundreds of times a second.

    `queued`, `unrunnable` and `workers[...].processing` are documented as internals. If one is renamed, this raises
    AttributeError: dispatchers get no load and the scheduler's heartbeat fails.
    """
    processing = sum(len(worker.processing) for worker in scheduler.workers.values())
    return TaskCounts(len(scheduler.queued), len(scheduler.unrunnable), processing)


def worker_loads(scheduler: Scheduler) -> Iterator[tuple[Mapping[str, float], int, int]]:
    """Yields the resources of each worker, its threads and its tasks. `processing` as in `count_tasks`."""
    for worker in scheduler.workers.values():
        yield worker.resources, worker.nthreads, len(worker.processing)


def waiting_by_prefix(scheduler: Scheduler) -> Iterator[tuple[str, int, float]]:
    """Yields for each key prefix its name, how many of its tasks wait for a worker, and Dask's average duration of one
    in seconds, negative if unknown.

    `TaskPrefix.states` and `duration_average` are undocumented. If one is renamed, this raises AttributeError: the load
    cannot be read, and the controller does not change its fleet.
    """
    for prefix in scheduler.task_prefixes.values():
        yield prefix.name, prefix.states["queued"] + prefix.states["no-worker"], prefix.duration_average


def dashboard_port(scheduler: Scheduler) -> int | None:
    """Returns the port of Dask's dashboard; None if there is none.

    `scheduler.services` is undocumented. If it is renamed, this raises AttributeError, with the same consequences as in
    `waiting_by_prefix`.
    """
    dashboard = scheduler.services.get("dashboard")
    return dashboard and int(dashboard.port)


def describe_workers(scheduler: Scheduler) -> list[dict[str, Any]]:
    """Returns what the scheduler knows about each worker. `last_seen` is in seconds since 1970 by the scheduler's
    clock.

    `WorkerState` is documented as an internal. If one of its attributes is renamed, this raises AttributeError, with
    the same consequences as in `waiting_by_prefix`.
    """
    return [
        {
            "name": str(worker.name),
            "address": worker.address,
            "threads": worker.nthreads,
            "memory_limit_bytes": worker.memory_limit,
            "memory_bytes": worker.memory.process,
            "processing": len(worker.processing),
            # They wait for others, and occupy no thread.
            "long_running": len(worker.long_running),
            "occupancy_seconds": float(worker.occupancy),
            "last_seen": worker.last_seen,
            # A percentage of one CPU, which the worker reports with each heartbeat.
            "cpu": (worker.metrics.get("cpu") or 0.0) / 100,
            "resources": dict(worker.resources),
        }
        for worker in scheduler.workers.values()
    ]


def running_threads(scheduler: Scheduler) -> int:
    """Returns the threads of the workers that take tasks: those that retire or are paused do not.

    `Scheduler.running` is documented as an internal. If it is renamed, this raises AttributeError: nobody learns why a
    task waits.
    """
    return sum(worker.nthreads for worker in scheduler.running)


OrderedTasks: TypeAlias = list[tuple[str, float]]
"""Keys of Dask tasks in the order in which they run, each with Dask's average duration, negative if unknown."""


def ordered_tasks(
    scheduler: Scheduler, limit: int, group: Callable[[Mapping[str, Any] | None], str]
) -> dict[str, tuple[list[tuple[int, OrderedTasks]], OrderedTasks]]:
    """Returns for each worker its threads and the Dask tasks that it was given, and those that wait for a worker; none
    of these if there are more than `limit`.

    `queued`, `unrunnable`, `processing` and the priorities are documented as internals. If one is renamed, this raises
    AttributeError, with the same consequences as in `running_threads`.

    Args:
        group: the group of workers or tasks with these resources; the reply is by group.
    """

    def ordered(tasks: Collection[Any]) -> OrderedTasks:
        first = sorted(tasks, key=lambda task: task.priority)
        return [(str(task.key), task.prefix.duration_average) for task in first]

    workers: dict[str, list[tuple[int, OrderedTasks]]] = defaultdict(list)
    for worker in scheduler.workers.values():
        workers[group(worker.resources)].append((worker.nthreads, ordered(worker.processing)))
    waiting: dict[str, list[Any]] = defaultdict(list)
    if len(scheduler.queued) + len(scheduler.unrunnable) <= limit:
        for task in (*scheduler.queued, *scheduler.unrunnable):
            waiting[group(task.resource_restrictions)].append(task)
    return {name: (workers[name], ordered(waiting[name])) for name in (workers | waiting)}


class RunningPart(NamedTuple):
    """One run of a Dask task in the calling thread.

    Attributes:
        key: its key.
        tag: the value of the annotation that was asked for.
        started: when this run began, to tell it from others of the same key.
    """

    key: str
    tag: str
    started: float


def running_part(annotation: str) -> RunningPart | None:
    """Returns what the calling thread runs for Dask, if that has a certain annotation; None outside a worker's thread.

    `get_worker` and `get_current_task` are public. `WorkerState.tasks` and its `annotations` and `start_time` are
    documented as internals. If one is renamed, this raises AttributeError: `save_blob` fails in the parts of graphs.
    """
    from distributed import get_worker

    try:
        worker = get_worker()
        key = worker.get_current_task()
    except (ValueError, KeyError):
        return None
    state = worker.state.tasks.get(key)
    tag = state and (state.annotations or {}).get(annotation)
    return RunningPart(str(key), str(tag), state.start_time or 0.0) if state and tag else None


def read_exception(received: Any) -> Any:
    """Returns the exception that a plugin received with a Dask task's transition to `erred`.

    Workers send it pickled inside `distributed.protocol.serialize.Serialized`; the scheduler's own exceptions are not
    wrapped. If Dask changes the form, it is returned as received, and the task's event has its type as message.
    """
    from distributed.protocol import pickle
    from distributed.protocol.serialize import Serialized, deserialize

    try:
        if isinstance(received, Serialized):
            received = deserialize(received.header, received.frames)
        return pickle.loads(received) if isinstance(received, bytes) else received
    except Exception as error:  # noqa: BLE001 - the user's class may raise anything when it is unpickled
        return RuntimeError(f"an error that cannot be read here: {attempt_errors.message_of(error)}")


def worker_that_died(error: BaseException, otherwise: str | None) -> str | None:
    """Returns the name of the worker that died with a Dask task; None if the task failed for another reason.

    `KilledWorker.last_worker` is an undocumented `WorkerState`. If it is renamed, the name is `otherwise`.
    """
    from distributed.scheduler import KilledWorker

    if not isinstance(error, KilledWorker):
        return None
    return str(getattr(getattr(error, "last_worker", None), "name", otherwise))


def is_process_running(nanny: Nanny) -> bool:
    """Whether the nanny's worker process has started and registered with the scheduler.

    `nanny.process` (private) is None before the first start. If it is renamed, this raises AttributeError: a worker
    that is stopped does not drain, and its tasks run elsewhere once their attempts are lost.
    """
    return nanny.process is not None and nanny.process.status.name == "running"


def is_closing(nanny: Nanny) -> bool:
    """Whether the worker process of a nanny has told it that it closes, as when its scheduler is gone.

    `nanny.status` is undocumented. If the state is renamed, attempts that run when the scheduler is replaced end with
    their process after half a minute, as Dask ends it.
    """
    return bool(nanny.status.name == "closing_gracefully")


def memory_limit(nanny: Nanny) -> int | None:
    """Returns the memory limit of the nanny's worker process in bytes; None if there is none. It is never more than the
    machine's memory, whatever was configured.

    `nanny.memory_manager` is private. If it is renamed, this raises AttributeError when a worker starts.
    """
    limit: int | None = nanny.memory_manager.memory_limit
    return limit


def machine_memory() -> int:
    """Returns the memory of this machine or container in bytes, whichever is less.

    `distributed.system.MEMORY_LIMIT` is undocumented. If it is renamed, this raises ImportError when a worker starts.
    """
    from distributed.system import MEMORY_LIMIT

    return int(MEMORY_LIMIT)


class ExitHandler(Protocol):
    """Called with the exit code of a worker process, before the next process is started."""

    def __call__(self, exit_code: int, *, orderly: bool) -> None: ...


def on_worker_exit(nanny: Nanny, handler: ExitHandler) -> None:
    """Calls the handler whenever a worker process of a started nanny exits. `orderly` means that the nanny was closing.

    `nanny.process.on_exit` is private: the nanny calls it, then starts another process. If it is renamed, the handler
    is never called: a lost attempt is then reported by the scheduler's plugin only, one second later and without a
    cause.
    """
    process = nanny.process
    original = process.on_exit

    def on_exit(exit_code: int) -> None:
        try:
            handler(exit_code, orderly=nanny.status.name != "running")
        finally:
            original(exit_code)

    process.on_exit = on_exit


def report_seconds(seconds: list[float]) -> None:
    """Reports to the scheduler how long each attempt of this thread's Dask task ran, and that nobody needs its result.
    Sent when the Dask task ends.

    Dask itself measures the Dask task as a whole, in which an attempt that was cancelled or superseded before its start
    takes a millisecond.

    `worker.state.tasks[key].metadata` is private; the scheduler's plugins get it as `metadata` of the transition to
    `memory`. If it is renamed, this raises AttributeError, and every attempt ends as NOT_RUN.
    """
    from distributed import get_worker

    from cluster.scheduling.unused_results import announce_drop

    worker = get_worker()
    metadata = worker.state.tasks[worker.get_current_task()].metadata
    metadata[SECONDS_KEY] = seconds
    announce_drop(worker, metadata)


def reported_seconds(transition: dict[str, Any], members: int) -> list[float]:
    """Returns the durations of attempts that were reported with a Dask task's transition to `memory`.

    Args:
        transition: the keyword arguments of the plugin's `transition`.
        members: number of attempts in the Dask task. A worker of an older release reports only their total.
    """
    reported = (transition.get("metadata") or {}).get(SECONDS_KEY)
    if reported is not None:
        return list(reported)
    spans = transition.get("startstops") or ()
    return [(span["stop"] - span["start"]) / members for span in spans if span["action"] == "compute"]


def set_duration(scheduler: Scheduler, prefix: str, seconds: float | None) -> None:
    """Overrides Dask's average duration of a prefix's tasks; None for unknown.

    Dask includes Dask tasks whose attempts were cancelled before they started in its average. From it Dask computes the
    occupancy of workers, on which the controller bases its plan.

    `TaskPrefix.duration_average` is undocumented. If it is renamed, Dask uses its own average.
    """
    if found := scheduler.task_prefixes.get(prefix):
        found.duration_average = -1 if seconds is None else seconds


def release_keys(scheduler: Scheduler, keys: list[str]) -> None:
    """Removes keys that were sent by `fire_and_forget` from the scheduler, and from workers that have not started them.

    `Client.cancel` needs the client that created them, which may belong to another node or be gone.

    The name of the pseudo-client of `fire_and_forget` and `client_releases_keys` are undocumented. If one is renamed,
    cancelled attempts stay in the queue until a worker skips them.
    """
    if keys and FIRE_AND_FORGET in scheduler.clients:
        scheduler.client_releases_keys(keys, FIRE_AND_FORGET, "dask-graphql-cancelled")


def make_exceptions_portable() -> None:
    """Makes a worker process send every exception that a part of a graph raises to the task that waits for it.

    In stock Dask, SystemExit and KeyboardInterrupt of a part end the worker process, and an exception whose text cannot
    be read breaks the worker's report of it, so that the key never ends.

    `distributed.worker._run_task_simple` and `_run_task_async`, which call `task(data)`, are private. If one is
    renamed, this raises AttributeError when the worker starts.
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
                    # The part forked and its child returned: it must not continue as a second worker.
                    os._exit(0 if sys.exc_info()[1] is None else 1)
            # Raised outside the `except` block so that it has no `__context__`, which would be sent with it.
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
    """Returns the exception itself if Dask can send it to another process unchanged, else a `GraphPartFailed` that
    describes it. Must be called while the exception is being handled."""
    from asyncio import CancelledError

    from distributed.core import error_message
    from distributed.protocol import pickle

    if isinstance(error, CancelledError):
        return error
    try:
        if isinstance(error, Exception):
            # The same steps that Dask takes next.
            copy = pickle.loads(error_message(error)["exception"].data)
            if type(copy) is type(error) and str(copy) == str(error):
                return error
    except BaseException:  # noqa: BLE001, S110 - a user's class may raise anything when it is pickled
        pass
    return GraphPartFailed(attempt_errors.type_of(error), attempt_errors.message_of(error))


def leave_thread_pool() -> None:
    """Takes the calling thread out of its worker's pool, which gets another thread for further tasks; the scheduler
    counts the thread's task as one that takes no room any more. Does nothing outside a worker's pool.

    `distributed.secede` is public; that the threads of a pool know it by `thread_state.executor` is not. If that is
    renamed, tasks that wait for their children keep their threads, and may wait for ever.
    """
    from distributed import secede
    from distributed.threadpoolexecutor import thread_state

    if hasattr(thread_state, "executor") and getattr(thread_state, "proceed", False):
        secede()


def return_to_thread_pool() -> None:
    """Waits until another thread of the pool has ended its task, and takes its place. Does nothing outside a pool.

    As `leave_thread_pool`.
    """
    from distributed import rejoin
    from distributed.threadpoolexecutor import thread_state

    if hasattr(thread_state, "executor") and not thread_state.proceed:
        rejoin()
