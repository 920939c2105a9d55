"""The mutations: `submit<Name>` and `submit<Name>Many` for every task type, `cancelTask`, `withdrawTask`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union

import strawberry
from strawberry.tools import create_type
from strawberry.types.field import StrawberryField

from cluster.errors import BadInput, Forbidden
from cluster.store.audit_stream import AuditAction
from cluster.store.record import Record
from cluster.store.replies import SubmitReply
from cluster.store.task_calls import CancelMode
from cluster.task_types.task_id import check_task_id
from cluster.task_types.task_type import Argument, TaskType
from graphql_api.auth.callers import Scope
from graphql_api.context import ApiInfo, unknown_task
from graphql_api.schema.arguments import to_builtin
from graphql_api.schema.client_names import check_names, client_path, pascal_case, upper_camel
from graphql_api.schema.constraints import description_of
from graphql_api.schema.defaults import Default, graphql_default, python_default
from graphql_api.schema.end_wait import TasksWait, TaskWait, end_wait, wait_parameter
from graphql_api.schema.selected_fields import READ_FIELDS, selects
from graphql_api.schema.strawberry_fields import Parameter, input_field, set_signature
from graphql_api.schema.submit_options import SubmitOptions, to_options
from graphql_api.schema.type_mapping import TypeMap
from graphql_api.strawberry_internals import make_field


def submit_fields(task_type: TaskType, type_map: TypeMap, submission: type) -> list[StrawberryField]:
    """The mutations `submit<Name>` and `submit<Name>Many` of a task type."""
    name = pascal_case(task_type.name)
    input_name = f"{name}Input"
    type_map.claim(f"submit{name}", task_type.origin)
    type_map.claim(f"submit{name}Many", task_type.origin)
    type_map.claim(input_name, task_type.origin)
    check_names((*(item.name for item in task_type.arguments), "options", "wait_seconds"), task_type.origin)
    arguments = task_arguments(task_type, type_map)
    spell = functools.partial(client_path, task_type)

    async def submit_one(
        info: ApiInfo, options: SubmitOptions | None = None, wait_seconds: float | None = None, **values: Any
    ) -> Any:
        require_readable(info, Scope.SUBMIT)
        with end_wait(info, wait_seconds, 1) as wait:
            submitted = await submit_arguments(info, task_type, values, options)
            [record] = await wait.records([submitted.record])
        return submission(record=record, outcome=submitted.outcome)

    async def submit_many(
        info: ApiInfo,
        inputs: list[Any],
        options: SubmitOptions | None = None,
        wait_seconds: float | None = None,
    ) -> Any:
        require_readable(info, Scope.SUBMIT)
        settings = info.context.node.settings
        limit = settings.batch_limit
        if len(inputs) > limit:
            raise BadInput(f"submit at most {limit} inputs at once, not {len(inputs)}", limit=limit)
        chosen = to_options(options, info.context.caller, info.context.node)
        caller = await info.context.authorize_submissions(task_type.name, len(inputs))
        bound = []
        for index, item in enumerate(inputs):
            place = f"inputs[{index}]"
            try:
                spell_here = functools.partial(spell, prefix=f"{place}.")
                bound.append(
                    task_type.bind(
                        to_builtin(vars(item)), spell_here, salt=caller.salt, limit_bytes=settings.input_limit_bytes
                    )
                )
            except BadInput as error:
                message = error.message if place in error.message else f"{place}: {error.message}"
                raise BadInput(f"{message}; nothing was submitted", **error.details, index=index) from None
        with end_wait(info, wait_seconds, len({item.task_id for item in bound})) as wait:
            submitted = await info.context.node.submissions.submit(bound, chosen)
            records = await wait.records([item.record for item in submitted])
        return [
            submission(record=record, outcome=item.outcome) for record, item in zip(records, submitted, strict=True)
        ]

    info, options = resolver_parameters()
    parameters = [info, *map(argument_parameter, arguments), options, wait_parameter(TaskWait)]
    set_signature(submit_one, parameters, submission | None)
    fields = [make_field(f"submit_{task_type.name}", resolver=submit_one, description=task_type.description)]
    if arguments:
        members = [input_field(item.declared.name, item.kind, item.default, item.description) for item in arguments]
        input_type = create_type(
            input_name, members, is_input=True, description=f"The arguments of `{task_type.name}`."
        )
        inputs = inspect.Parameter("inputs", inspect.Parameter.KEYWORD_ONLY, annotation=list[input_type])  # type: ignore[valid-type]
        set_signature(submit_many, [info, inputs, options, wait_parameter(TasksWait)], list[submission] | None)  # type: ignore[valid-type]
        fields.append(
            make_field(
                f"submit_{task_type.name}_many",
                resolver=submit_many,
                description="Submits many inputs at once. If one is refused, none is submitted. "
                f"{task_type.description}",
            )
        )
    return fields


async def submit_arguments(
    info: ApiInfo, task_type: TaskType, values: Mapping[str, Any], options: SubmitOptions | None
) -> SubmitReply:
    """Submits one task by its GraphQL arguments."""
    # What the caller may do, and how often, is decided before its arguments are looked at.
    settings = info.context.node.settings
    chosen = to_options(options, info.context.caller, info.context.node)
    caller = await info.context.authorize_submissions(task_type.name, 1)
    spell = functools.partial(client_path, task_type)
    bound = task_type.bind(to_builtin(values), spell, salt=caller.salt, limit_bytes=settings.input_limit_bytes)
    [submitted] = await info.context.node.submissions.submit([bound], chosen)
    return submitted


@dataclass(frozen=True, slots=True)
class TaskArgument:
    """An argument of a task type with its GraphQL type and default."""

    declared: Argument
    kind: Any
    default: Default

    @property
    def description(self) -> str | None:
        return description_of(self.declared.annotation, None, self.default.sentence)


def task_arguments(task_type: TaskType, type_map: TypeMap) -> list[TaskArgument]:
    """The arguments of a task type in GraphQL."""
    name = pascal_case(task_type.name)
    made = []
    for item in task_type.arguments:
        where = f"{task_type.origin}, {item.name}"
        kind = type_map.input(item.annotation, where, name + upper_camel(item.name))
        made.append(TaskArgument(item, kind, graphql_default(item.annotation, item.default, None, where)))
    return made


def end_fields(task: type) -> list[StrawberryField]:
    """`cancelTask` and `withdrawTask`."""

    async def cancel_task(info: ApiInfo, task_id: strawberry.ID) -> Any:
        caller = info.context.caller
        require_readable(info, Scope.CANCEL)
        # Without authentication every caller has every scope, and addresses tell them apart only roughly.
        mode: CancelMode = "cancel_any" if caller.anonymous else "force" if caller.has(Scope.ADMIN) else "cancel"
        ended, record = await _end(info, task_id, mode)
        if not ended and not record.final:
            raise Forbidden(
                "others want this task too: withdrawTask takes back your own submission; to end it for all needs the "
                "scope 'admin'",
                scope=Scope.ADMIN.value,
            )
        if ended:
            _audit(info, AuditAction.CANCEL, record, "")
        return task(record=record)

    async def withdraw_task(info: ApiInfo, task_id: strawberry.ID) -> Any:
        caller = info.context.caller
        # What a task token may submit belongs to others too, whose credentials have the same tenant.
        by_cancel = caller.has(Scope.CANCEL) or caller.confinement is not None
        require_readable(info, Scope.CANCEL if by_cancel else Scope.SUBMIT)
        ended, record = await _end(info, task_id, "withdraw")
        if not record.final or ended:
            _audit(info, AuditAction.WITHDRAW, record, "ENDED" if ended else "")
        return task(record=record)

    fields = []
    for name, resolver, description in (
        (
            "cancel_task",
            cancel_task,
            "Cancels an open task. A task that has ended is not changed. One that other callers submitted too is only "
            "cancelled for an admin (FORBIDDEN); `withdrawTask` is for the others.",
        ),
        (
            "withdraw_task",
            withdraw_task,
            "Takes back what the caller submitted. The task is cancelled if nobody else wants it, and continues "
            "otherwise. Does nothing if the caller did not submit it. Needs the scope `submit` or `cancel`.",
        ),
    ):
        resolver.__annotations__ |= {"return": task | None, "info": ApiInfo, "task_id": strawberry.ID}
        fields.append(make_field(name, resolver=resolver, description=description))
    return fields


async def _end(info: ApiInfo, task_id: str, mode: CancelMode) -> tuple[bool, Record]:
    """Cancels a task or withdraws from it. Returns whether that ended it, and its record.

    Raises:
        TaskNotFound: there is no such task, or the caller may not see it.
    """
    node, caller = info.context.node, info.context.caller
    store = node.store
    check_task_id(task_id)
    record = None
    # A task's tenant never changes, so checking it before cancelling is no race.
    checked = bool(caller.tenant) or caller.confinement is not None
    found = await store.run(store.calls.read(task_id)) if checked else None
    ended = False
    if not checked or (found and caller.can_list(found)):
        ended, record = await store.run(store.calls.cancel(task_id, caller.actor, mode))
        if ended and record is not None:
            node.cancellations.put(record)
    if record is None:
        raise unknown_task(task_id)
    return ended, record


def _audit(info: ApiInfo, action: AuditAction, record: Record, code: str) -> None:
    actor = info.context.caller.actor
    info.context.node.audit.add(action, actor, task=record.name, task_ids=(record.task_id,), code=code)


def require_readable(info: ApiInfo, scope: Scope) -> None:
    """Checks, before a mutation does anything, that the caller has a scope, and `read` too if the mutation selects
    what only readers may see.

    Raises:
        Forbidden: it has not.
    """
    caller = info.context.caller
    caller.require(scope)
    if not caller.has(Scope.READ) and any(selects(info, field) for field in READ_FIELDS):
        caller.require(Scope.READ)


def resolver_parameters() -> tuple[inspect.Parameter, inspect.Parameter]:
    """The parameters `info` and `options` of the resolvers that submit."""
    kind = inspect.Parameter.KEYWORD_ONLY
    return (
        inspect.Parameter("info", kind, annotation=ApiInfo),
        inspect.Parameter("options", kind, default=strawberry.UNSET, annotation=SubmitOptions | None),
    )


def argument_parameter(item: TaskArgument) -> inspect.Parameter:
    """The parameter of a resolver for one argument of its task type."""
    # Not `kind | None`: a lazy type does not support `|`.
    annotation = Union[item.kind, None] if item.default.nullable else item.kind  # noqa: UP007
    if item.description:
        annotation = Annotated[annotation, strawberry.argument(description=item.description)]
    default = python_default(item.default)
    return Parameter(item.declared.name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
