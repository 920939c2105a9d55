"""`run_task`: a task from its arguments to its outcome, in this process.

What decides is the code of the api node and of the worker: the binding of arguments, the call of the function, the
context in which it reports, the checks of its output, and which errors are retried. What it does not have: the pauses
between retries, the end by force of a function that does not return, other processes, and limits of a queue.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from cluster import attempt_errors
from cluster.data.file_arrays import FileArray
from cluster.data.file_tables import FileTable
from cluster.settings import Settings, load_settings
from cluster.store.folder_blob_store import FolderBlobStore
from cluster.store.record import TaskState
from cluster.task_types.data_files import use_readers
from cluster.task_types.file import File, resolve_like
from cluster.task_types.registry import task_type_of
from cluster.task_types.task_type import Bound
from cluster.task_types.value_types import allow_long_integers
from cluster.task_types.walk import instances_in
from cluster.worker import outcome as outcomes
from cluster.worker.batch_outcomes import run_batch
from cluster.worker.partial_outputs import encode_partial
from cluster.worker.stream_writer import StreamWriter
from cluster.worker.task_context import enter
from dask_graphql.testing.attempt import RecordedAttempt
from dask_graphql.testing.inline_children import InlineChildren
from dask_graphql.testing.kept_data import passed_on
from dask_graphql.testing.outcomes import Attempt, Outcome

T = TypeVar("T")


@dataclass(frozen=True)
class RunOptions:
    """How `run_task` runs a task.

    Attributes:
        cancel_at_progress: the task is cancelled when it reports this fraction or more.
        cancel_after_seconds: the task is cancelled after this time.
        settings: the settings of the nodes; None for the defaults, with tracebacks.
    """

    cancel_at_progress: float | None = None
    cancel_after_seconds: float | None = None
    settings: Settings | None = None


def run_task(function: Callable[..., Any], options: RunOptions | None = None, /, **inputs: Any) -> Outcome:
    """Runs a task as the system does, without Redis and Dask, and returns how it ended.

    Arguments are validated and written as canonical JSON, from which the function gets them; its output is checked
    against the declared type and read back from its JSON. Retries follow at once, and so do tasks that it submits.
    Graphs run with Dask's synchronous scheduler. If an event loop runs in this thread, the function runs in another
    one.

    Args:
        function: a function with `@task`.
        options: when to cancel it, and other settings.
        inputs: the arguments. A file is `File.from_path(...)`; a table or an array may also be that of another
            outcome's `value`.

    Raises:
        RegistryError: the function is no task.
        BadInput: the arguments are refused, as a submission with them would be.
    """
    options = options or RunOptions()
    settings = options.settings or load_settings({}, expose_tracebacks=True)
    given = {name: passed_on(value) for name, value in inputs.items()}
    bound = task_type_of(function).bind(given, limit_bytes=settings.input_limit_bytes)
    files = list(instances_in(given, File))
    allow_long_integers()
    use_readers(FileTable, FileArray)
    return _outside_event_loops(lambda: _run(bound, options, settings, files))


def _outside_event_loops(work: Callable[[], T]) -> T:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    # An async function gets an event loop of its own, and a thread has only one.
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(work).result()


def _run(bound: Bound, options: RunOptions, settings: Settings, files: list[File]) -> Outcome:
    blobs = FolderBlobStore(Path(tempfile.mkdtemp(prefix="dask-graphql-run-")))
    ended = Outcome(bound, blobs)
    checkpoint, retries = "", 0
    while True:
        attempt = Attempt(len(ended.attempts) + 1)
        ended.attempts.append(attempt)
        running = _attempt(bound, attempt, blobs, options, settings)
        if bound.task_type.batch is None:
            running.children = InlineChildren(
                lambda task, inputs: run_task(task, RunOptions(settings=settings), **inputs)
            )
        running.checkpoint = checkpoint
        found = _run_attempt(bound, running, options, settings, files)
        checkpoint = running.checkpoint
        attempt.blobs = running.all_blobs
        if running.cancelled:
            ended.state = TaskState.CANCELLED
            ended.error = attempt.error = attempt_errors.error("CANCELLED", "the task was cancelled")
            return ended
        if isinstance(found, outcomes.Succeeded):
            ended.state, ended.result = TaskState.SUCCEEDED, found.result
            return ended
        attempt.error, attempt.retry_allowed = found.error, found.retries > 0
        if retries >= found.retries:
            ended.state, ended.error = TaskState.FAILED, found.error
            return ended
        retries += 1


def _attempt(
    bound: Bound, attempt: Attempt, blobs: FolderBlobStore, options: RunOptions, settings: Settings
) -> RecordedAttempt:
    output = bound.task_type.output

    def on_progress(fraction: float) -> None:
        attempt.progress.append(fraction)
        if options.cancel_at_progress is not None and fraction >= options.cancel_at_progress:
            running.cancel()

    running = RecordedAttempt(bound.task_id, attempt.number, blobs, partial(encode_partial, bound.task_type, settings))
    running.on_progress = on_progress
    running.on_partial = lambda written: attempt.partials.append(output.read(written))
    if (declared := bound.task_type.items) is not None:

        def append(_: int, items: Sequence[bytes]) -> int:
            attempt.items += [declared.read(item) for item in items]
            return 1

        running.stream = StreamWriter(append, running.stop, settings.stream_limit_bytes)
    return running


def _run_attempt(
    bound: Bound, running: RecordedAttempt, options: RunOptions, settings: Settings, files: list[File]
) -> outcomes.Outcome:
    task_type = bound.task_type

    def resolve_files(arguments: dict[str, Any]) -> None:
        resolve_like(instances_in(arguments, File), files)

    timers = [
        threading.Timer(seconds, stop)
        for seconds, stop in (
            (options.cancel_after_seconds, running.cancel),
            (task_type.timeout_seconds, running.stop.set),
        )
        if seconds is not None
    ]
    for timer in timers:
        timer.daemon = True
        timer.start()
    enter(running)
    started = time.monotonic()
    try:
        member = (bound.task_id, running.attempt, bound.canonical_input)
        if task_type.batch is None:
            found = outcomes.run_function(task_type, member, settings, os.getpid(), resolve_files)
        else:
            # Without a context, as in a worker.
            enter(None)
            read = partial(outcomes.read_arguments, task_type, resolve_files=resolve_files)
            [found] = run_batch(task_type, [member], settings, os.getpid(), read)
    finally:
        enter(None)
        for timer in timers:
            timer.cancel()
    limit = task_type.timeout_seconds
    if limit is not None and time.monotonic() - started > limit:
        # The watchdog would have ended it.
        return outcomes.Failed(attempt_errors.timeout(limit), task_type.retries.allowed_for(TimeoutError()))
    return found
