"""The GraphQL input `TaskFilter`: the tasks that a list, a subscription or a bulk operation is about."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import datetime
from collections.abc import Callable
from typing import Final

import strawberry

import graphql_api.schema.enums  # noqa: F401 - gives the enum TaskState its description
from cluster.errors import BadInput
from cluster.store.record import Record, TaskState
from cluster.store.task_filter import MAX_LISTS, TaskFilter
from cluster.task_types.declaration import check_name
from graphql_api.auth.callers import Caller
from graphql_api.schema.arguments import given
from graphql_api.schema.times import to_milliseconds

MAX_TEXT_LENGTH: Final = 200
"""Characters of a text in a filter."""


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
