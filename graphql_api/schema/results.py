"""Reading the output of a record."""

from __future__ import annotations

from collections.abc import Awaitable
from inspect import iscoroutine
from typing import Any

from pydantic import ValidationError

from cluster.errors import ResultGone, ResultUnreadable
from cluster.store.record import Record, TaskState
from graphql_api.answer_size import current_answer
from graphql_api.context import ApiInfo
from graphql_api.schema.output_json import Writer


def read_result(record: Record, info: ApiInfo) -> Any:
    """The output of a record, or an awaitable that loads it; None if it has none, or no task type any more."""
    if record.name not in info.context.node.registry:
        return None
    if record.state is not TaskState.SUCCEEDED:
        return load_previous_result(record, info) if record.previous_at is not None else None
    # Lists of tasks are read without results, which must then be loaded.
    return load_result(record, info) if record.result is None else decode_result(record, record.result, info)


def read_output(record: Record, info: ApiInfo) -> Any:
    """The output of a record as JSON, or an awaitable of that."""
    value = read_result(record, info)
    write = info.context.json_writers.get(record.name)
    if value is None or write is None:
        return None
    return _written(value, write, info) if iscoroutine(value) else write(value, info)


async def _written(value: Awaitable[Any], write: Writer, info: ApiInfo) -> Any:
    loaded = await value
    return None if loaded is None else write(loaded, info)


async def load_result(record: Record, info: ApiInfo) -> Any:
    """Loads the output of a record that was read without it; None if a running task has not reported any.

    Raises:
        ResultGone: the record has expired, or belongs to another run by now.
    """
    results = info.context.node.deliveries.results
    now = await current_answer().record((record.task_id, record.run), lambda: results.complete(record))
    if now is not None and now.run == record.run and now.result is not None and now.state is record.state:
        return decode_result(record, now.result, info)
    if record.final:
        raise ResultGone(
            f"the result of {record.task_id} has expired, or the task was submitted again: request it again"
        )
    return None


async def load_previous_result(record: Record, info: ApiInfo) -> Any:
    """Loads the output of the run before, which a task keeps that is computed again; None if there is a newer one."""
    answer = current_answer()
    previous = await answer.in_turn(info.context.node.store.read_previous_result(record.task_id))
    answer.read(len(previous or b""))
    return None if previous is None else decode_result(record, previous, info)


def decode_result(record: Record, encoded: bytes, info: ApiInfo) -> Any:
    """Decodes the output of a record to the task type's own Python value.

    Raises:
        ResultUnreadable: it does not fit what the task type returns today.
    """
    try:
        value = info.context.node.registry[record.name].output.read(encoded)
    except ValidationError:
        raise ResultUnreadable(
            f"the kept result of {record.task_id} does not fit what {record.name} returns today; submit the task with "
            "recompute: true"
        ) from None
    wrapper = info.context.wrappers.get(record.name)
    return value if wrapper is None else wrapper(value=value)
