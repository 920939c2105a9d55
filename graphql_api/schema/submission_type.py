"""The GraphQL type of an accepted submission."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import strawberry

from cluster.store.record import Record, SubmissionOutcome


def make_submission(task_class: type) -> type:
    """`Submission` for a schema's `Task`."""

    @strawberry.type(description="An accepted request for a task.")
    class Submission:
        record: strawberry.Private[Record]
        outcome: SubmissionOutcome

        @strawberry.field
        def task_id(self) -> strawberry.ID:
            return strawberry.ID(self.record.task_id)

        @strawberry.field
        def task(self) -> task_class:  # type: ignore[valid-type]
            return task_class(record=self.record)  # type: ignore[no-any-return]

    return Submission
