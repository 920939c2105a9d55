"""Runs a task function that yields the items of a stream: each is checked, and sent as it comes."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing, closing
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from cluster import attempt_errors
from cluster.errors import TaskError
from cluster.task_types.output_type import OutputType
from cluster.task_types.result_checks import InvalidOutput
from cluster.task_types.task_type import TaskType
from cluster.task_types.value_types import Blob, StreamSummary
from cluster.task_types.walk import instances_in
from cluster.worker.stream_writer import StreamWriter
from cluster.worker.task_context import RunningAttempt

MAX_ITEM_BYTES: Final = 256 * 1024
"""Maximum length of the JSON of one item."""
MAX_BLOBS: Final = 1_000
"""Maximum number of blobs in the items of one stream; the record lists them."""


def write_stream(task_type: TaskType, value: Any, attempt: RunningAttempt) -> StreamSummary:
    """Writes the items of a returned iterator, iterable or async iterator.

    Raises:
        TaskError: an item is not of the declared type, the stream became too long, or the task was cancelled.
        StreamLost: Redis has lost items.
    """
    assert task_type.items is not None
    writer, declared = attempt.stream, task_type.items
    blobs: list[Blob] = []
    assert writer is not None, "the executor has set it for this task type"
    writer.begin()

    def write(item: Any) -> None:
        if attempt.stop.is_set():
            raise TaskError("CANCELLED", "the task was cancelled")
        encoded = _encode(task_type.name, declared, item, writer)
        if declared.has_blobs and (found := list(instances_in(item, Blob))):
            blobs.extend(found)
            if len(blobs) > MAX_BLOBS:
                raise TaskError("STREAM_TOO_LARGE", f"the items of a stream have at most {MAX_BLOBS} blobs")
            # First, because whoever sees the item may use its `fileId` while this task runs on.
            attempt.make_files(found)
        writer.add(encoded)

    if hasattr(value, "__aiter__"):
        asyncio.run(_each_async(value, write))
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes | dict):
        _each(value, write)
    else:
        raise TaskError(
            "BAD_OUTPUT", f"{task_type.name} declares a Stream, so it yields items or returns a list of them, not a "
            f"{type(value).__name__}"
        )  # fmt: skip
    writer.flush()
    return StreamSummary(attempt.task_id, attempt.attempt, writer.count, writer.size_bytes, blobs)


def _each(items: Iterable[Any], write: Callable[[Any], None]) -> None:
    if not inspect.isgenerator(items):
        for item in items:
            write(item)
        return
    with closing(items):  # so that its `finally` blocks run before the outcome is stored
        for item in items:
            write(item)


async def _each_async(items: AsyncIterator[Any], write: Callable[[Any], None]) -> None:
    if not inspect.isasyncgen(items):
        async for item in items:
            write(item)
        return
    async with aclosing(items):
        async for item in items:
            write(item)


def _encode(name: str, declared: OutputType, item: Any, writer: StreamWriter) -> bytes:
    try:
        item = declared.validate(item)
        encoded = declared.dump(item)
        if len(encoded) <= MAX_ITEM_BYTES:
            declared.check(encoded, item)
    except (ValidationError, PydanticSerializationError, InvalidOutput, RecursionError) as error:
        raise TaskError(
            "BAD_OUTPUT",
            f"item {writer.count + 1} of {name} is not what it declares, {declared.annotation!r}: "
            f"{attempt_errors.message_of(error)}",
        ) from error
    if len(encoded) > MAX_ITEM_BYTES:
        raise TaskError(
            "STREAM_TOO_LARGE",
            f"item {writer.count + 1} of {name} has {len(encoded)} bytes of JSON, but an item has at most "
            f"{MAX_ITEM_BYTES}: store large values with dask_graphql.save_blob and yield the Blob",
        )
    return encoded
