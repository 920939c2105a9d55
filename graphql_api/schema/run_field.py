"""The subscriptions `run<Name>`: each submits a task and delivers its final record, in one operation.

The operation is refused, with the same codes, whenever `submit<Name>` or `taskResult` would be, and then nothing is
submitted. Once the task is accepted it goes on if the client goes away, as after `submit<Name>`: `withdrawTask` takes
the submission back.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from strawberry.types.field import StrawberryField

from cluster.task_types.task_type import TaskType
from graphql_api.auth.callers import Scope
from graphql_api.context import ApiInfo
from graphql_api.schema.client_names import pascal_case
from graphql_api.schema.delivery import complete_record
from graphql_api.schema.mutations import argument_parameter, resolver_parameters, submit_arguments, task_arguments
from graphql_api.schema.strawberry_fields import set_signature
from graphql_api.schema.submit_options import SubmitOptions
from graphql_api.schema.type_mapping import TypeMap
from graphql_api.strawberry_internals import make_field


def run_name(task_type: TaskType) -> str:
    """The GraphQL name of a task type's `run<Name>`."""
    return f"run{pascal_case(task_type.name)}"


def run_field(task_type: TaskType, type_map: TypeMap, task: type) -> StrawberryField:
    """The subscription `run<Name>` of a task type."""
    type_map.claim(run_name(task_type), task_type.origin)

    async def run(info: ApiInfo, options: SubmitOptions | None = None, **values: Any) -> AsyncGenerator[Any, None]:
        context = info.context
        context.caller.require(Scope.SUBMIT)
        context.caller.require(Scope.READ)
        deliveries = context.node.deliveries
        with context.waiter_slots(1):
            # A caller that cannot be told the result must not have submitted.
            deliveries.require_room()
            submitted = await submit_arguments(info, task_type, values, options)
            record = submitted.record
            if not record.final:
                record = await deliveries.final_record(
                    record.task_id, result=lambda: False, visible=context.caller.can_see
                )
            if not record.result_omitted:
                yield task(record=record)
                return
            async with complete_record(info, record) as complete:
                yield task(record=complete)

    info, options = resolver_parameters()
    arguments = map(argument_parameter, task_arguments(task_type, type_map))
    set_signature(run, [info, *arguments, options], AsyncGenerator[task, None])  # type: ignore[valid-type]
    return make_field(
        f"run_{task_type.name}",
        resolver=run,
        is_subscription=True,
        description="Submits a task and delivers its final record once, then completes. "
        f"Needs the scopes `submit` and `read`. {task_type.description}",
    )
