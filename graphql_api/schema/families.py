"""The tasks that a task has submitted, and those that have submitted it."""

from __future__ import annotations

from typing import Final

from cluster.errors import BadInput
from cluster.store.families import children_of, count_children, parents_of
from cluster.store.record import Record
from graphql_api.answer_size import current_answer
from graphql_api.context import ApiInfo
from graphql_api.schema.selected_fields import read_page

MAX_CHILDREN: Final = 200
"""Maximum number of children in one page."""


async def load_children(record: Record, info: ApiInfo, first: int, skip: int) -> list[Record]:
    """A page of the tasks that a task's latest run has submitted.

    Raises:
        BadInput: the page is out of bounds.
    """
    if not 0 <= first <= MAX_CHILDREN:
        raise BadInput(f"first must be from 0 to {MAX_CHILDREN}, not {first}", argument="first", limit=MAX_CHILDREN)
    if skip < 0:
        raise BadInput(f"skip must be 0 or more, not {skip}", argument="skip")

    async def read() -> list[Record]:
        return await _listed(info, await children_of(info.context.node.store, record, first, skip))

    return await current_answer().in_turn(read())


async def load_child_count(record: Record, info: ApiInfo) -> int:
    """How many tasks a task's latest run has submitted."""
    return await current_answer().in_turn(count_children(info.context.node.store, record))


async def load_parents(record: Record, info: ApiInfo) -> list[Record]:
    """The tasks that have submitted a task's latest run."""

    async def read() -> list[Record]:
        return await _listed(info, await parents_of(info.context.node.store, record))

    return await current_answer().in_turn(read())


async def _listed(info: ApiInfo, task_ids: list[str]) -> list[Record]:
    found = await read_page(info, task_ids)
    return [record for record in found if record is not None and info.context.caller.can_list(record)]
