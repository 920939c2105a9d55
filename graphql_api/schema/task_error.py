"""The GraphQL type of a task's error."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import strawberry


@strawberry.type(description="Why a task did not succeed.")
class TaskError:
    code: str = strawberry.field(description="A stable code for programs: TASK_FAILED, WORKER_LOST, CANCELLED, ...")
    message: str = strawberry.field(description="A message for people.")
    type: str | None = strawberry.field(description="Type of the exception that the function raised, if any.")
    traceback: str | None = strawberry.field(
        default=None,
        description="Traceback of the exception, for callers with the scope `admin`; null unless EXPOSE_TRACEBACKS is "
        "set, as in `dask-graphql dev`.",
    )
