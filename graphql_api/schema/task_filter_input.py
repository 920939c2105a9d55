"""The GraphQL input `TaskFilter`: the tasks that a list, a subscription or a bulk operation is about."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import datetime
from collections.abc import Callable
from typing import Final

import strawberry

import graphql_api.schema.enums  # noqa: F401 - gives the enum TaskState its description
from cluster.errors import BadInput
from cluster.store.failure_key import KEY
from cluster.store.record import Record, TaskState
from cluster.store.task_filter import MAX_LISTS, TaskFilter
from cluster.task_types.declaration import check_name
from cluster.task_types.task_id import check_task_id
from graphql_api.auth.callers import Caller
from graphql_api.schema.arguments import given
from graphql_api.schema.times import to_milliseconds

MAX_TEXT_LENGTH: Final = 200
"""Characters of a text in a filter."""
MAX_IDS: Final = 1_000
"""Task ids in a filter."""
MAX_TEXTS: Final = 100
"""Tags, or codes of errors, in a filter."""


@strawberry.input(
    name="TaskFilter",
    description="The tasks that are meant: those that meet every condition given. A condition that is null or omitted "
    "does not count; an empty list is a condition that no task meets.",
)
class TaskFilterInput:
    states: list[TaskState] | None = strawberry.field(default=strawberry.UNSET, description="In one of these states.")
    names: list[str] | None = strawberry.field(
        default=strawberry.UNSET, description="Of one of these task types; at most 10."
    )
    tag: str | None = strawberry.field(default=strawberry.UNSET, description="With this tag.")
    error_code: str | None = strawberry.field(
        default=strawberry.UNSET, description="With an error of this code: of the platform, or of your task's own."
    )
    submitted_by: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="Submitted by this one: what `submittedBy` shows, or what `caller { name }` shows to them.",
    )
    submitted_after: datetime.datetime | None = strawberry.field(
        default=strawberry.UNSET, description="Submitted at this time or later."
    )
    submitted_before: datetime.datetime | None = strawberry.field(
        default=strawberry.UNSET, description="Submitted before this time."
    )
    text: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="With this text in the task id, the name, the JSON of the input, a tag or the error's message. "
        "Upper and lower case are the same. In lists, inputs of more than 16 kB are not searched.",
    )
    ids: list[strawberry.ID] | None = strawberry.field(
        default=strawberry.UNSET, description="With one of these task ids; at most 1,000."
    )
    tags: list[str] | None = strawberry.field(
        default=strawberry.UNSET, description="With at least one of these tags; at most 100."
    )
    error_codes: list[str] | None = strawberry.field(
        default=strawberry.UNSET, description="With an error of one of these codes; at most 100."
    )
    min_run_seconds: float | None = strawberry.field(
        default=strawberry.UNSET,
        description="Ended, and the latest attempt ran for this long or longer. With either bound, tasks that have not "
        "ended, or that no worker began, are not meant.",
    )
    max_run_seconds: float | None = strawberry.field(
        default=strawberry.UNSET, description="Ended, and the latest attempt ran for this long or shorter."
    )
    worker: str | None = strawberry.field(
        default=strawberry.UNSET, description="The latest attempt ran, or runs, on the worker of this name."
    )
    finished_after: datetime.datetime | None = strawberry.field(
        default=strawberry.UNSET,
        description="Ended at this time or later. With either bound, tasks that have not ended are not meant.",
    )
    finished_before: datetime.datetime | None = strawberry.field(
        default=strawberry.UNSET, description="Ended before this time."
    )
    failure_group: str | None = strawberry.field(
        default=strawberry.UNSET, description="Failed, and is of the group with this `key` (the query `failures`)."
    )


def to_task_filter(where: TaskFilterInput | None, place: str = "where") -> TaskFilter:
    """The filter that a client sent.

    Args:
        place: the argument's name, for messages.

    Raises:
        BadInput: a condition is malformed or out of bounds; the message names it.
    """
    if not where:
        return TaskFilter()
    names = given(where.names)
    if names is not None and len(set(names)) > MAX_LISTS:
        raise BadInput(
            f"{place}.names has at most {MAX_LISTS} names, not {len(set(names))}",
            argument=f"{place}.names",
            limit=MAX_LISTS,
        )
    states = given(where.states)
    return TaskFilter(
        states=None if states is None else frozenset(states),
        names=None if names is None else frozenset(check_name(name) for name in names),
        tag=_text(where.tag, f"{place}.tag"),
        error_code=_text(where.error_code, f"{place}.errorCode"),
        submitted_by=_text(where.submitted_by, f"{place}.submittedBy"),
        since=to_milliseconds(where.submitted_after or None, f"{place}.submittedAfter"),
        until=to_milliseconds(where.submitted_before or None, f"{place}.submittedBefore"),
        text=_text(where.text, f"{place}.text"),
        ids=_ids(where.ids, f"{place}.ids"),
        tags=_texts(where.tags, f"{place}.tags"),
        error_codes=_texts(where.error_codes, f"{place}.errorCodes"),
        min_run_seconds=_seconds(where.min_run_seconds, f"{place}.minRunSeconds"),
        max_run_seconds=_seconds(where.max_run_seconds, f"{place}.maxRunSeconds"),
        worker=_text(where.worker, f"{place}.worker"),
        finished_since=to_milliseconds(where.finished_after or None, f"{place}.finishedAfter"),
        finished_until=to_milliseconds(where.finished_before or None, f"{place}.finishedBefore"),
        failure_group=_failure_group(where.failure_group, f"{place}.failureGroup"),
    )


def shown_to(caller: Caller, wanted: TaskFilter) -> Callable[[Record], bool]:
    """Whether a task is one that `wanted` means, among those that the caller may find."""

    def matches(record: Record) -> bool:
        return caller.can_list(record) and wanted.matches(record, caller.can_name)

    return matches


def _text(value: str | None, argument: str) -> str | None:
    """A text of a filter.

    Raises:
        BadInput: it is empty, which is more likely a mistake than a wish for all tasks, or too long.
    """
    text: str | None = given(value)
    if text is not None and not 0 < len(text) <= MAX_TEXT_LENGTH:
        raise BadInput(
            f"{argument} has 1 to {MAX_TEXT_LENGTH} characters, not {len(text)}",
            argument=argument,
            limit=MAX_TEXT_LENGTH,
        )
    return text


def _failure_group(value: str | None, argument: str) -> str | None:
    """The key of a group of failures.

    Raises:
        BadInput: it is none.
    """
    key: str | None = given(value)
    if key is not None and not KEY.fullmatch(key):
        raise BadInput(
            f"{argument} is 16 hex digits, the `key` of a group of `failures`, not {key[:60]!r}", argument=argument
        )
    return key


def _ids(values: list[strawberry.ID] | None, argument: str) -> frozenset[str] | None:
    """The task ids of a filter.

    Raises:
        BadInput: there are too many.
        BadTaskId: one of them is no task id.
    """
    ids = given(values)
    return None if ids is None else frozenset(map(check_task_id, _few(ids, MAX_IDS, argument)))


def _texts(values: list[str] | None, argument: str) -> frozenset[str] | None:
    """The texts of a filter, of which a task has one.

    Raises:
        BadInput: there are too many, or one of them is empty or too long.
    """
    texts = given(values)
    if texts is None:
        return None
    for text in _few(texts, MAX_TEXTS, argument):
        _text(text, argument)
    return frozenset(texts)


def _few(values: list[str], limit: int, argument: str) -> list[str]:
    if len(values) > limit:
        raise BadInput(f"{argument} has at most {limit} items, not {len(values)}", argument=argument, limit=limit)
    return values


def _seconds(value: float | None, argument: str) -> float | None:
    """A number of seconds in a filter.

    Raises:
        BadInput: it is negative.
    """
    seconds: float | None = given(value)
    if seconds is not None and seconds < 0:
        raise BadInput(f"{argument} is at least 0, not {seconds:g}", argument=argument)
    return seconds
