"""The GraphQL type of a task's error."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import strawberry

from graphql_api.schema.error_codes import TaskErrorCode, platform_code


@strawberry.type(description="Why a task did not succeed.")
class TaskError:
    code: str = strawberry.field(
        description="A stable code for programs: one of TaskErrorCode, or one of the task function's own."
    )
    message: str = strawberry.field(description="A message for people.")
    type: str | None = strawberry.field(description="Type of the exception that the function raised, if any.")
    traceback: str | None = strawberry.field(
        default=None,
        description="Traceback of the exception, for callers with the scope `admin`; null unless EXPOSE_TRACEBACKS is "
        "set, as in `dask-graphql dev`.",
    )

    @strawberry.field(description="`code`, if it is one of the platform's; null if it is the task function's own.")
    def platform_code(self) -> TaskErrorCode | None:
        return platform_code(self.code)
