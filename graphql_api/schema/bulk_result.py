"""The GraphQL type `BulkResult`: what a bulk operation has done with one page of tasks."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

from dataclasses import dataclass, field
from typing import Final

import strawberry

from cluster.errors import PublicError
from cluster.store.record_queries import Position
from graphql_api.schema.paging import make_cursor

EXAMPLES: Final = 5
"""Task ids that a refusal names."""


@strawberry.type(description="Tasks of a bulk operation that were refused for one reason.")
class BulkRefusal:
    code: str = strawberry.field(description="The code that the operation on one of them has; such as FORBIDDEN.")
    message: str = strawberry.field(description="That of the first of them.")
    count: int
    task_ids: list[strawberry.ID] = strawberry.field(description="The first five of them.")


@strawberry.type(
    description="What a bulk operation has done with one page of the tasks that are meant, or with `dryRun` would do. "
    "Tasks that were neither done nor refused needed nothing: they had changed meanwhile."
)
class BulkResult:
    matched: int = strawberry.field(description="How many tasks of this page are meant.")
    done: int = strawberry.field(description="For how many of them it was done.")
    wanted_by_others: int = strawberry.field(
        description="How many of those that were done others than the caller had submitted; 0 of `retryTasks`."
    )
    refused: list[BulkRefusal] = strawberry.field(description="Those for which it was not, by reason.")
    end_cursor: str | None = strawberry.field(description="Pass it as `after` for the next page.")
    has_next_page: bool = strawberry.field(
        description="Whether there are, or may be, further tasks. A page may end early: after 2,000 records that had "
        "to be looked at, or because there is no room for more submissions at the moment."
    )


@dataclass
class Tally:
    """Counts what becomes of the tasks of a page."""

    matched: int = 0
    done: int = 0
    wanted_by_others: int = 0
    refused: dict[str, BulkRefusal] = field(default_factory=dict)

    def refuse(self, task_id: str, error: PublicError) -> None:
        """Counts a task for which an operation on it alone would raise `error`."""
        known = self.refused.setdefault(
            error.code, BulkRefusal(code=error.code, message=error.message, count=0, task_ids=[])
        )
        known.count += 1
        if len(known.task_ids) < EXAMPLES:
            known.task_ids.append(strawberry.ID(task_id))

    def result(self, end: Position | None, *, more: bool) -> BulkResult:
        return BulkResult(
            matched=self.matched, done=self.done, wanted_by_others=self.wanted_by_others,
            refused=list(self.refused.values()),
            end_cursor=None if end is None else make_cursor(end), has_next_page=more,
        )  # fmt: skip
