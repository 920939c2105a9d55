"""The outcomes of several attempts that one call of the function serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, Protocol, runtime_checkable

from cluster import attempt_errors
from cluster.scheduling.entry_point import AttemptInput
from cluster.settings import Settings
from cluster.task_types.task_type import TaskType
from cluster.worker.outcome import Failed, Outcome, call, encode, outcome_of


def run_batch(
    task_type: TaskType,
    attempts: Sequence[AttemptInput],
    settings: Settings,
    process_id: int,
    read: Callable[[AttemptInput], dict[str, Any]],
) -> list[Outcome]:
    """Calls the function of a task type with `batch` once for all attempts.

    It returns an output or an exception for each. If it raises instead, each attempt gets a call of its own, so that an
    input that it cannot process fails alone.

    Args:
        process_id: of the worker process.
        read: returns the arguments of an attempt.
    """

    def call_once() -> Any:
        inputs = [read(attempt) for attempt in attempts]
        columns = {item.name: [values[item.name] for values in inputs] for item in task_type.arguments}
        return call(task_type, columns)

    returned = outcome_of(task_type, attempts[0], settings, process_id, call_once)
    if isinstance(returned, Failed) and len(attempts) > 1:
        return [run_batch(task_type, [attempt], settings, process_id, read)[0] for attempt in attempts]
    if isinstance(returned, Failed):
        return [returned]
    if problem := _not_a_list_for(returned, len(attempts)):
        return [Failed(attempt_errors.error("BAD_OUTPUT", f"{task_type.name} {problem}"))] * len(attempts)
    return [
        outcome_of(task_type, attempt, settings, process_id, lambda value=value: _encode(task_type, value, settings))  # type: ignore[misc]
        for attempt, value in zip(attempts, returned, strict=True)
    ]


def _not_a_list_for(returned: Any, attempts: int) -> str | None:
    """What is wrong with the outputs of a batch as a whole."""
    if isinstance(returned, str | bytes | Mapping | Set) or not isinstance(returned, Sequence | _Array):
        return f"returned a {type(returned).__name__} for a batch of {attempts}: return a list with an output for each"
    if len(returned) != attempts:
        return f"returned {len(returned)} outputs for a batch of {attempts}"
    return None


@runtime_checkable
class _Array(Protocol):
    """An array of numpy, a column of pandas."""

    def __len__(self) -> int: ...
    def __array__(self) -> Any: ...


def _encode(task_type: TaskType, value: Any, settings: Settings) -> Outcome:
    if isinstance(value, BaseException):
        raise value
    return encode(task_type, value, settings.inline_limit_bytes)
