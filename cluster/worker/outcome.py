"""The outcome of an attempt: the call of the task function, and its output as JSON or its exception as an error."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from cluster import attempt_errors
from cluster.data.data_sink import DataSink
from cluster.data.libraries import DataExtraMissing
from cluster.data.outputs import is_collection, is_written_by_parts, store_data
from cluster.errors import BadInput, BlobError, StreamLost, TaskError
from cluster.scheduling.entry_point import AttemptInput
from cluster.settings import Settings
from cluster.task_types.result_checks import InvalidOutput
from cluster.task_types.task_type import TaskType
from cluster.task_types.value_types import Blob
from cluster.task_types.walk import instances_in
from cluster.worker.attempt_data import attempt_sink
from cluster.worker.child_tasks import HandedBack
from cluster.worker.graph_tasks import compute, is_future, wait_for
from cluster.worker.stream_items import write_stream
from cluster.worker.task_context import attempt_or_part

logger = logging.getLogger(__name__)

OVERHEAD_BYTES: Final = 10_000
"""How much longer a result may be than the limit of one value: for field names and small fields."""
OWN_FOLDER: Final = f"{Path(__file__).parents[1]}{os.sep}"
MAX_TRACEBACK_LENGTH: Final = 20_000
"""Characters of a traceback that a log line or a record keeps, from its end, which is the most useful part."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The function returned.

    Attributes:
        result: the JSON of its output.
        blobs: those in its output.
    """

    result: bytes
    blobs: tuple[Blob, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The function raised, or returned a value that it did not declare.

    Attributes:
        retries: how many retries the task type allows after this error; 0 if another attempt would fail too.
        platform: whether the platform is at fault, so that the task's `retries` do not count.
        handed_back: whether it did not fail, and only begins anew some seconds later.
    """

    error: dict[str, Any]
    retries: int = 0
    platform: bool = False
    handed_back: bool = False


_HANDED_BACK: Final = "its worker has no room for another task that waits for its children (WAITING_TASKS_LIMIT)"

Outcome: TypeAlias = Succeeded | Failed
T = TypeVar("T")


def run_function(
    task_type: TaskType,
    attempt: AttemptInput,
    settings: Settings,
    process_id: int,
    resolve_files: Callable[[dict[str, Any]], None],
) -> Outcome:
    """Runs the task function of an attempt.

    Args:
        process_id: of the worker process; a fork of it that comes back from the function exits.
        resolve_files: finds out where the files among the arguments are.
    """

    def work() -> Outcome:
        value = call(task_type, read_arguments(task_type, attempt, resolve_files))
        if task_type.items is not None:
            value = write_stream(task_type, value, attempt_or_part())
        # Inside, because an output may be computed while it is read: by a generator, or by a class's serializer.
        sink = attempt_sink() if task_type.output.declared.holds_data else None
        return encode(task_type, value, settings.inline_limit_bytes, sink)

    return outcome_of(task_type, attempt, settings, process_id, work)


def read_arguments(
    task_type: TaskType, attempt: AttemptInput, resolve_files: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """The arguments of an attempt, from its canonical input."""
    arguments = task_type.read_input(attempt[2])
    if task_type.has_files:
        resolve_files(arguments)
    return arguments


def outcome_of(
    task_type: TaskType, attempt: AttemptInput, settings: Settings, process_id: int, work: Callable[[], T]
) -> T | Failed:
    """What `work` returns, or the failure that the exception means which it raises."""
    task_id, number, _ = attempt
    try:
        with _exit_in_forks(process_id):
            return work()
    except HandedBack:
        return Failed(attempt_errors.error("CHILDREN_PENDING", _HANDED_BACK), handed_back=True)
    except DataExtraMissing as error:
        return Failed(attempt_errors.from_exception("NOT_INSTALLED", error))
    except BadInput as error:
        # The same input is as bad in another attempt.
        return Failed(attempt_errors.from_exception("BAD_INPUT", error))
    except TaskError as error:
        # A subclass with its own __init__ may have neither.
        code, retry = getattr(error, "code", None), getattr(error, "retry", False)
        return Failed(
            attempt_errors.from_exception(code if code and isinstance(code, str) else "TASK_FAILED", error),
            task_type.retries.limit if retry else 0,
        )
    except StreamLost as error:
        return Failed(attempt_errors.from_exception("STREAM_LOST", error), platform=True)
    except BlobError as error:
        allowed = task_type.retries.allowed_for(error)
        return Failed(attempt_errors.from_exception("BLOB_STORE", error), allowed, platform=error.temporary)
    except BaseException as error:  # noqa: BLE001 - any exception of a user's function is the task's outcome
        shown = _traceback(error)[-MAX_TRACEBACK_LENGTH:]
        logger.info("task %s attempt %d raised:\n%s", task_id, number, shown)
        # Dask raises it for a part of a graph that killed its workers; their logs say how.
        lost = type(error).__name__ == "KilledWorker"
        fields = attempt_errors.from_exception("WORKER_LOST" if lost else "TASK_FAILED", error)
        if settings.expose_tracebacks:
            fields["traceback"] = attempt_errors.utf8_text(shown)
        # A lost worker is not the function's error, whichever of those are retried.
        return Failed(fields, task_type.retries.limit if lost else task_type.retries.allowed_for(error))


def _traceback(error: BaseException) -> str:
    """The traceback of an exception, from the first frame outside this package on: the task's function."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(OWN_FOLDER):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames or error.__traceback__))


@contextmanager
def _exit_in_forks(process_id: int) -> Iterator[None]:
    """Exits any process but the given one at the end of the block.

    If a function forks, its child may return or raise too: that is not the outcome of the attempt, and the child must
    not continue as a second worker with the connections of the first.
    """
    try:
        yield
    finally:
        if os.getpid() != process_id:
            error = sys.exc_info()[1]
            status = error.code if isinstance(error, SystemExit) else None if error is None else 1
            os._exit(status if isinstance(status, int) else int(status is not None))


def call(task_type: TaskType, arguments: dict[str, Any]) -> Any:
    """Calls the function: plain, async, a generator, or one that returns a Dask collection or future to wait for."""
    value = task_type.function(**arguments)
    # Collections and futures are awaitable too.
    if inspect.isawaitable(value) and not is_collection(value) and not is_future(value):
        value = asyncio.run(_await(value))
    whole = not task_type.output.declared.holds_data
    if is_collection(value) and (whole or not is_written_by_parts(value)):
        value = compute(value)
    elif is_future(value):
        value = wait_for(value)
    # A table and a stream are written piece by piece, as their generator makes them.
    in_pieces = task_type.output.declared.is_data or task_type.items is not None
    return list(value) if inspect.isgenerator(value) and not in_pieces else value


async def _await(awaitable: Any) -> Any:
    return await awaitable


def encode(task_type: TaskType, value: Any, limit_bytes: int, sink: DataSink | None = None) -> Outcome:
    """The JSON of an output, after checks against the declared type and the size limit.

    Args:
        sink: where its tables and arrays are written; None for a partial output, which cannot have any.
    """
    try:
        if task_type.output.declared.holds_data:
            value = store_data(value, task_type.output.declared, sink)
        value = task_type.output.validate(value)
        encoded = task_type.output.dump(value)
        if len(encoded) <= limit_bytes + OVERHEAD_BYTES:
            # Otherwise a value that JSON cannot represent would be stored and never be readable.
            task_type.output.check(encoded, value)
    except (ValidationError, PydanticSerializationError, InvalidOutput, RecursionError) as error:
        return Failed(
            attempt_errors.error(
                "BAD_OUTPUT",
                f"{task_type.name} did not return what it declares, {task_type.returns!r}: "
                f"{attempt_errors.message_of(error)}",
                type(error).__name__,
            )
        )
    if len(encoded) > limit_bytes + OVERHEAD_BYTES:
        return Failed(
            attempt_errors.error(
                "RESULT_TOO_LARGE",
                f"{task_type.name} returned {len(encoded)} bytes of JSON, but a record holds {limit_bytes}: store "
                "large values with dask_graphql.save_blob and return the Blob, or declare Table or Array",
            )
        )
    return Succeeded(encoded, tuple(instances_in(value, Blob)) if task_type.output.has_blobs else ())
