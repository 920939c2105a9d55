"""Which fields an operation selects, and reading records with no more than they need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from cluster.store.record import Record
from graphql_api.answer_size import current_answer

READ_FIELDS: Final = (
    "input", "result", "output", "partial", "error", "worker", "logs", "attempts", "otherVersions", "waiting",
    "message", "data", "children", "childCount", "parents",
)  # fmt: skip
"""The fields of a task that need the scope `read`, also where another scope lets a caller see the task."""


RESULT_FIELDS: Final = ("result", "output")
"""The fields of a task that need its result."""


def selects(info: Any, *fields: str) -> bool:
    """Whether an operation selects a field with one of these names, at any depth."""

    def among(selections: Any) -> bool:
        return any(getattr(item, "name", None) in fields or among(item.selections) for item in selections)

    return among(info.selected_fields)


async def read_page(info: Any, task_ids: Sequence[str]) -> list[Record | None]:
    """The records of tasks, with their inputs and results only if the operation selects them.

    Raises:
        AnswerTooLarge: they are too large for one answer; they are measured before they are read.
    """
    store = info.context.node.store
    inputs, results = selects(info, "input"), selects(info, *RESULT_FIELDS, "partial")
    fields = [name for name, wanted in (("input", inputs), ("result", results)) if wanted]
    if fields:
        current_answer().read(await store.lengths(task_ids, fields))
    records: list[Record | None] = await store.read_many(task_ids, inputs=inputs, results=results)
    return records
