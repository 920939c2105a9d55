"""The mutations: `submit<Name>` and `submit<Name>Many` for every task type, `cancelTask`, `withdrawTask`,
`forgetTask`."""

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
from cluster.store.task_calls import CancelMode, DecideMode
from cluster.task_types.task_id import check_task_id
from cluster.task_types.task_type import Argument, TaskType
from graphql_api.auth.callers import Caller, Scope
from graphql_api.context import ApiInfo, unknown_task
from graphql_api.schema.arguments import to_builtin
from graphql_api.schema.client_names import check_names, client_path, pascal_case, upper_camel
from graphql_api.schema.constraints import description_of
from graphql_api.schema.defaults import Default, graphql_default, python_default
from graphql_api.schema.end_wait import TasksWait, TaskWait, end_wait, wait_parameter
from graphql_api.schema.selected_fields import READ_FIELDS, selects
from graphql_api.schema.strawberry_fields import Parameter, input_field, set_signature
from graphql_api.schema.submit_options import SubmitOptions, run_key_of, to_options
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
        run_key = run_key_of(options, info.context.caller)
        caller = await info.context.authorize_submissions(task_type.name, len(inputs))
        bind = functools.partial(
            task_type.bind, salt=caller.salt, limit_bytes=settings.input_limit_bytes, run_key=run_key
        )
        bound = []
        for index, item in enumerate(inputs):
            place = f"inputs[{index}]"
            try:
                spell_here = functools.partial(spell, prefix=f"{place}.")
                bound.append(bind(to_builtin(vars(item)), spell_here))
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
    run_key = run_key_of(options, info.context.caller)
    caller = await info.context.authorize_submissions(task_type.name, 1)
    spell = functools.partial(client_path, task_type)
    bound = task_type.bind(
        to_builtin(values), spell, salt=caller.salt, limit_bytes=settings.input_limit_bytes, run_key=run_key
    )
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
    """`cancelTask`, `withdrawTask` and `forgetTask`."""

    async def cancel_task(info: ApiInfo, task_id: strawberry.ID) -> Any:
        require_readable(info, Scope.CANCEL)
        ended, record = await _end(info, task_id, decide_mode(info.context.caller))
        if not ended and not record.final:
            raise others_want("withdrawTask takes back your own submission; to end it for all needs the scope 'admin'")
        if ended:
            audit_end(info, AuditAction.CANCEL, record)
        return task(record=record)

    async def withdraw_task(info: ApiInfo, task_id: strawberry.ID) -> Any:
        require_readable(info, withdraw_scope(info.context.caller))
        ended, record = await _end(info, task_id, "withdraw")
        if not record.final or ended:
            audit_end(info, AuditAction.WITHDRAW, record, "ENDED" if ended else "")
        return task(record=record)

    async def forget_task(info: ApiInfo, task_id: strawberry.ID) -> Any:
        require_readable(info, Scope.CANCEL)
        node, caller = info.context.node, info.context.caller
        await require_listed(info, check_task_id(task_id))
        reply = await node.store.run(node.store.calls.forget(task_id, caller.actor, decide_mode(caller)))
        record = reply.record
        if record is None:
            raise unknown_task(task_id)
        if not reply.done and not record.final:
            raise BadInput(
                f"{task_id} is {record.state}: only a task that has ended is deleted; cancel it first",
                argument="taskId",
            )
        if not reply.done:
            raise others_want("to delete it for all needs the scope 'admin'")
        audit_end(info, AuditAction.FORGET, record)
        return task(record=record)

    fields = []
    for name, resolver, description in (
        (
            "forget_task",
            forget_task,
            "Deletes a task that has ended: its record, result, events and lines at once, its blobs within a minute. "
            "One that others submitted too is only deleted for an admin (FORBIDDEN). Returns the task as it was. Then "
            "its id is unknown, as if it had expired: a submission computes it anew, and who waits for it waits for "
            "that one.",
        ),
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


def decide_mode(caller: Caller) -> DecideMode:
    """How a caller decides about tasks that others may want too."""
    # Without authentication every caller has every scope, and addresses tell them apart only roughly.
    return "cancel_any" if caller.anonymous else "force" if caller.has(Scope.ADMIN) else "cancel"


def withdraw_scope(caller: Caller) -> Scope:
    """The scope with which a caller takes back what it submitted."""
    # What a task token may submit belongs to others too, whose credentials have the same tenant.
    return Scope.CANCEL if caller.has(Scope.CANCEL) or caller.confinement is not None else Scope.SUBMIT


def others_want(advice: str) -> Forbidden:
    """The refusal of what would end or delete a task for others."""
    return Forbidden(f"others want this task too: {advice}", scope=Scope.ADMIN.value)


async def _end(info: ApiInfo, task_id: str, mode: CancelMode) -> tuple[bool, Record]:
    """Cancels a task or withdraws from it. Returns whether that ended it, and its record.

    Raises:
        TaskNotFound: there is no such task, or the caller may not see it.
    """
    node, caller = info.context.node, info.context.caller
    store = node.store
    check_task_id(task_id)
    await require_listed(info, task_id)
    ended, record = await store.run(store.calls.cancel(task_id, caller.actor, mode))
    if record is None:
        raise unknown_task(task_id)
    if ended:
        node.cancellations.put(record)
    return ended, record


async def require_listed(info: ApiInfo, task_id: str) -> None:
    """Checks that the caller may end this task, as far as that is about whose it is.

    Raises:
        TaskNotFound: there is no such task, or the caller may not see it.
    """
    caller, store = info.context.caller, info.context.node.store
    # A task's tenant never changes, so checking it before ending the task is no race.
    if caller.tenant or caller.confinement is not None:
        found = await store.run(store.calls.read(task_id))
        if found is None or not caller.can_list(found):
            raise unknown_task(task_id)


def audit_end(info: ApiInfo, action: AuditAction, record: Record, code: str = "") -> None:
    """Records that the caller has ended, withdrawn or deleted a task."""
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
