"""What became of an attempt: the call of the task function, and its output as JSON or as an error."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from cluster import attempt_errors
from cluster.task_types.conversion import to_builtin
from cluster.task_types.result_checks import InvalidOutput, check_output
from cluster.task_types.task_type import TaskType
from cluster.worker.graph_tasks import compute, is_collection, is_future, wait_for

ROOM_BYTES: Final = 10_000
"""What a result may have beyond the limit of one value."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The function returned; `result` is the JSON of its output."""

    result: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """The function raised, or returned what it did not declare.

    Attributes:
        retry: another attempt may help.
        platform: it was no fault of the task, so that its `retries` do not count.
    """

    error: dict[str, Any]
    retry: bool
    platform: bool = False


def call(task_type: TaskType, arguments: dict[str, Any]) -> Any:
    """Calls the function: plain, async, a generator, or one whose Dask collection or future is then computed."""
    value = task_type.function(**arguments)
    # A collection and a future are awaitable too.
    if inspect.isawaitable(value) and not is_collection(value) and not is_future(value):
        value = asyncio.run(_await(value))
    if is_collection(value):
        value = compute(value)
    elif is_future(value):
        value = wait_for(value)
    return list(value) if inspect.isgenerator(value) else value


async def _await(awaitable: Any) -> Any:
    return await awaitable


def encode(task_type: TaskType, value: Any, limit_bytes: int) -> Succeeded | Failed:
    """The JSON of an output, held to the declared type and the size limit."""
    try:
        value = to_builtin(value, task_type.declared_output)
        value = task_type.validate_output(value)
        # Without computed fields, which are computed again where they are asked for.
        encoded = task_type.output.dump_json(value, warnings="error", by_alias=False, round_trip=True)
        if len(encoded) <= limit_bytes + ROOM_BYTES:
            # What JSON cannot carry would be written and never read again.
            check_output(task_type.declared_output, value)
            task_type.check_output_round_trip(encoded, value)
    except (ValidationError, PydanticSerializationError, InvalidOutput, RecursionError) as error:
        return Failed(
            attempt_errors.error(
                "BAD_OUTPUT",
                f"{task_type.name} did not return what it declares, {task_type.returns!r}: "
                f"{attempt_errors.message_of(error)}",
                type(error).__name__,
            ),
            retry=False,
        )
    # The limit is for one value; the names and small fields around it have room of their own.
    if len(encoded) > limit_bytes + ROOM_BYTES:
        return Failed(
            attempt_errors.error(
                "RESULT_TOO_LARGE",
                f"{task_type.name} returned {len(encoded)} bytes of JSON, and a record carries {limit_bytes}: store "
                "large values by dask_graphql.save_blob and return the Blob",
            ),
            retry=False,
        )
    return Succeeded(encoded)
