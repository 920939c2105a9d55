"""The mutation `retryTask`: submits a task again with the input of its record."""

from __future__ import annotations

from typing import Any

import orjson
import strawberry
from strawberry.types.field import StrawberryField

from cluster.api_node.submission import SubmitOptions as Options
from cluster.errors import BadInput
from cluster.store.record import Record
from cluster.task_types.task_id import check_task_id
from cluster.task_types.task_type import Bound
from graphql_api.auth.callers import Caller, Scope
from graphql_api.context import ApiInfo, unknown_task
from graphql_api.schema.mutations import require_readable
from graphql_api.strawberry_internals import make_field


def retry_field(submission: type) -> StrawberryField:
    """`retryTask`."""

    async def retry_task(info: ApiInfo, task_id: strawberry.ID) -> Any:
        require_readable(info, Scope.SUBMIT)
        node = info.context.node
        check_task_id(task_id)
        record = await node.store.run(node.store.calls.read(task_id))
        if record is None or not info.context.caller.can_see(record):
            raise unknown_task(task_id)
        caller = await info.context.authorize_submissions(record.name, 1)
        # Without `recompute`: a task that has succeeded meanwhile, or is open, is not run again.
        options = options_again(record, caller)
        [submitted] = await node.submissions.submit([bound_again(info, record)], options)
        return submission(record=submitted.record, outcome=submitted.outcome)

    retry_task.__annotations__ |= {"return": submission | None, "info": ApiInfo, "task_id": strawberry.ID}
    return make_field(
        "retry_task",
        resolver=retry_task,
        description="Submits a task that failed or was cancelled again, with the input of its record: RECOMPUTED. One "
        "that is open is joined, and one that has succeeded is not run again (CACHED). What `submit<Name>` needs, this "
        "needs too; of the options of the earlier submission, its priority and its "
        "tags apply.",
    )


def options_again(record: Record, caller: Caller) -> Options:
    """What applies to a task that this caller submits again."""
    return Options(
        priority=record.priority if caller.has(Scope.PRIORITY) else min(0, record.priority),
        tenant=caller.tenant, account=caller.account, actor=caller.actor, salt=caller.salt,
        tags=record.tags,
    )  # fmt: skip


def bound_again(info: ApiInfo, record: Record) -> Bound:
    """The task of a record, as if it were submitted by its arguments.

    Raises:
        BadInput: this api does not have its task type, or one that gives the same input another id.
    """
    task_type = info.context.node.registry.get(record.name)
    if task_type is None:
        raise BadInput(f"this api has no task type {record.name!r} any more")
    limit_bytes = info.context.node.settings.input_limit_bytes
    salt = info.context.caller.salt
    bound = task_type.bind(orjson.loads(record.input), salt=salt, limit_bytes=limit_bytes, run_key=record.run_key)
    if bound.task_id != record.task_id:
        raise BadInput(
            f"{record.name} has changed since {record.task_id} was submitted (version {record.version}, now "
            f"{task_type.version}), so the task would be another one: submit it by its arguments"
        )
    return bound
