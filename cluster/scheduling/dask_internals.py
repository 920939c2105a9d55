"""Every private or undocumented interface of Dask that the worker and the scheduler touch, each with why, and how it
would break. `tests/cluster/scheduling/test_dask_internals.py` shows that each still has its effect.

Written against distributed 2026.3 to 2026.8.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from cluster import attempt_errors

if TYPE_CHECKING:
    from distributed import Nanny, Scheduler, Worker


SECONDS: Final = "dask_graphql_seconds"
"""The entry of a Dask task's metadata that has the durations of its attempts."""


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
