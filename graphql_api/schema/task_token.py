"""`createTaskToken`: a credential for a browser, which can do little and not for long."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import datetime
from collections.abc import Iterable
from typing import Annotated, Any, Final

import strawberry
from strawberry.types.field import StrawberryField

from cluster.errors import BadInput, Forbidden
from cluster.store.actor import Actor
from cluster.store.audit_stream import AuditAction
from cluster.task_types.registry import Registry
from cluster.task_types.task_id import check_task_id
from graphql_api.auth.callers import Caller, Scope
from graphql_api.auth.confinement import Confinement
from graphql_api.auth.task_tokens import GRANTED
from graphql_api.context import ApiInfo
from graphql_api.schema.expires_in import ExpiresIn, checked_seconds
from graphql_api.schema.submit_options import check_tags
from graphql_api.schema.times import to_datetime
from graphql_api.strawberry_internals import make_field

MAX_TASKS: Final = 100
"""Task ids in one token, which is sent with every request."""
MAX_NAMES: Final = 10
"""Task types that one token may submit."""


@strawberry.type(description="A short-lived credential for some tasks, which a page may hold.")
class TaskToken:
    token: str = strawberry.field(
        description="Sent as `Authorization: Bearer ...`, in `connection_init`, or, for an EventSource or a "
        "download, as `?token=...`."
    )
    expires_at: datetime.datetime
    scopes: list[Scope] = strawberry.field(description="What it allows.")


async def create_task_token(
    info: ApiInfo,
    task_ids: Annotated[
        list[strawberry.ID] | None, strawberry.argument(description=f"For these tasks; at most {MAX_TASKS}.")
    ] = strawberry.UNSET,
    tag: Annotated[
        str | None,
        strawberry.argument(description="For the tasks that have this tag when they are asked for, and those to come."),
    ] = strawberry.UNSET,
    names: Annotated[
        list[str] | None,
        strawberry.argument(
            description=f"With the scope `submit`: the task types that may be submitted; at most {MAX_NAMES}. Their "
            "tasks get `tag`, and may be read by id, as by submitting their input; without `tag` or `taskIds` they are "
            "neither listed nor cancelled."
        ),
    ] = strawberry.UNSET,
    scopes: Annotated[
        list[Scope] | None,
        strawberry.argument(
            description="Of `read`, `cancel` and `submit`, what the caller itself may. Default: `read`."
        ),
    ] = strawberry.UNSET,
    expires_in: ExpiresIn = strawberry.UNSET,
) -> TaskToken | None:
    context = info.context
    caller, node = context.caller, context.node
    caller.require_unconfined("making another token")
    granted = _checked_scopes(caller, scopes or [Scope.READ])
    confinement = _confinement(node.registry, granted, task_ids or [], tag or None, names or [])
    seconds = checked_seconds(expires_in, node.settings)
    assert context.task_tokens is not None
    issued = await context.task_tokens.issue(caller, granted, confinement, seconds)
    node.audit.add(
        AuditAction.TOKEN_CREATED,
        caller.actor,
        task_ids=sorted(confinement.task_ids),
        code=_summary(issued.scopes, confinement),
    )
    expires_at = to_datetime(issued.expires_at * 1000)
    assert expires_at is not None
    return TaskToken(token=issued.text, expires_at=expires_at, scopes=sorted(issued.scopes))


async def revoke_task_token(info: ApiInfo, token: str) -> bool | None:
    context = info.context
    caller, node = context.caller, context.node
    assert context.task_tokens is not None
    claims = await context.task_tokens.read(token)
    if claims is None or await context.task_tokens.revoked.has(claims.token_ids):
        return False
    if claims.confinement.path:
        raise BadInput("a link ends by itself, or with the credential that it was made with", argument="token")
    if caller.confinement is None:
        if not caller.can_name(Actor(claims.creator, claims.account)):
            raise Forbidden("a task token can be revoked by callers of the tenant that made it, and by admins")
    elif claims.token_id not in caller.token_ids:
        raise Forbidden("with a task token no other can be revoked than that one")
    await context.task_tokens.revoked.add(claims.token_id, claims.account, claims.expires_at)
    node.audit.add(
        AuditAction.TOKEN_REVOKED,
        caller.actor,
        task_ids=sorted(claims.confinement.task_ids),
        code=_summary(claims.scopes, claims.confinement),
    )
    return True


def _summary(scopes: Iterable[Scope], confinement: Confinement) -> str:
    """A token in the audit log."""
    tag = [f"tag={confinement.tag}"] if confinement.tag else []
    return " ".join([*sorted(scopes), *sorted(confinement.names), *tag])


def _checked_scopes(caller: Caller, wanted: list[Scope]) -> list[Scope]:
    for scope in wanted:
        if scope not in GRANTED:
            raise BadInput(
                f"a task token has no scope {scope.value!r}, only read, cancel and submit", argument="scopes"
            )
        if not caller.has(scope):
            raise Forbidden(f"a token can do no more than its creator, who has no {scope.value!r}", scope=scope.value)
    return wanted


def _confinement(
    registry: Registry, scopes: list[Scope], task_ids: list[Any], tag: str | None, names: list[str]
) -> Confinement:
    """What a token is to be confined to.

    Raises:
        BadInput: to nothing, or to what does not exist.
    """
    if (Scope.SUBMIT in scopes) != bool(names):
        raise BadInput("the scope submit and `names`, the task types to be submitted, go together", argument="names")
    if not (task_ids or tag or names):
        raise BadInput("a task token is for some tasks: give taskIds, tag or names", argument="taskIds")
    for argument, given, limit in (("taskIds", task_ids, MAX_TASKS), ("names", names, MAX_NAMES)):
        if len(given) > limit:
            raise BadInput(f"{argument} has at most {limit} items, not {len(given)}", argument=argument, limit=limit)
    for name in names:
        if name not in registry:
            raise BadInput(f"this api has no task type {name[:100]!r}", argument="names")
    tags = check_tags([tag] if tag else [], "tag")
    return Confinement(frozenset(check_task_id(task_id) for task_id in task_ids), "".join(tags), frozenset(names))


def token_mutations() -> list[StrawberryField]:
    """What makes task tokens and ends them."""
    return [
        make_field(
            "create_task_token",
            resolver=create_task_token,
            description="Makes a credential for a browser: for some tasks, for a short time, and for no more than the "
            "caller itself may do. It ends with the caller's own credential.",
        ),
        make_field(
            "revoke_task_token",
            resolver=revoke_task_token,
            description="Ends a task token on all nodes, with its open connections and the links that were made with "
            "it: one that the caller's tenant made, or the token that the caller itself has, as when a user of a page "
            "signs out. False if it was not valid any more.",
        ),
    ]
