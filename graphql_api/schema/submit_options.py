"""The options of a submission: the GraphQL input, and its checks."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import datetime
import time
from collections.abc import Sequence

import strawberry

from cluster.api_node.node import Node
from cluster.api_node.submission import SubmitOptions as Options
from cluster.errors import BadInput, Forbidden
from cluster.task_types.declaration import MAX_TTL_SECONDS, MIN_TTL_SECONDS
from graphql_api.auth.callers import Caller, Scope
from graphql_api.auth.confinement import Confinement

PRIORITY_LIMIT = 100
MAX_TAGS = 8
"""Tags of a task."""
MAX_TAG_LENGTH = 64
"""Characters of a tag."""
MAX_RUN_KEY_LENGTH = 200
"""Characters of a run key."""


@strawberry.input(description="Options of a submission.")
class SubmitOptions:
    recompute: bool = strawberry.field(default=False, description="Run the task again even if a result is stored.")
    priority: int = strawberry.field(
        default=0,
        description="From -100 to 100; tasks with a higher priority run first. Above 0 it needs the scope `priority`.",
    )
    not_before: datetime.datetime | None = strawberry.field(
        default=strawberry.UNSET, description="Do not run the task before this time."
    )
    start_before: datetime.datetime | None = strawberry.field(
        default=strawberry.UNSET,
        description="If no worker has started the task by this time, it ends as FAILED with the code "
        "EXPIRED_BEFORE_START. Default: what its task type declares.",
    )
    ttl_seconds: float | None = strawberry.field(
        default=strawberry.UNSET,
        description="How long the result is kept after the task's end. Default: what its task type declares, or "
        "RESULT_TTL_SECONDS. The task is kept as long as the submission asks that asks for most.",
    )
    tags: list[str] | None = strawberry.field(
        default=strawberry.UNSET,
        description="Texts by which people recognise the task: at most 8, of at most 64 characters. They do not change "
        "its id; a submission that joins a task or finds its result leaves the tags as they are.",
    )
    webhook: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="URL that is told of the task's end: a POST of JSON, signed with `webhookSecret`. Each submission "
        "that shares a run may name its own.",
    )
    run_key: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="Asks for a run of its own: part of the task id, 1 to 200 printable characters. The same input "
        "with the same key is the same task, so that a request may be repeated; with another key it runs again. "
        "Default: the run that all submissions of the input share.",
    )


def to_options(options: SubmitOptions | None, caller: Caller, node: Node) -> Options:
    """The options of a submission.

    Raises:
        BadInput: one of them is out of bounds.
        Forbidden: the caller may not have a priority above 0; or a task token does not allow tags or `recompute`.
    """
    tags = check_tags(options.tags or []) if options else ()
    if caller.confinement is not None:
        tags = _confined_tags(caller.confinement, tags, recompute=bool(options and options.recompute))
    if not options:
        return Options(tenant=caller.tenant, account=caller.account, actor=caller.actor, salt=caller.salt, tags=tags)
    if options.priority > 0:
        caller.require(Scope.PRIORITY)
    check_priority(options.priority, "options.priority")
    not_before = options.not_before or None
    if not_before is not None and not_before.tzinfo is None:
        raise BadInput("options.notBefore needs a time zone, as in 2026-01-31T12:00:00Z")
    days = node.settings.not_before_days
    if not_before is not None and not_before.timestamp() > time.time() + days * 86_400:
        raise BadInput(f"options.notBefore is at most {days} days ahead", argument="options.notBefore", limit=days)
    start_before = options.start_before or None
    if start_before is not None and start_before.tzinfo is None:
        raise BadInput("options.startBefore needs a time zone, as in 2026-01-31T12:00:00Z")
    if start_before is not None and not_before is not None and start_before <= not_before:
        raise BadInput(
            "options.startBefore must be later than options.notBefore, or the task can never start",
            argument="options.startBefore",
        )
    ttl_seconds = check_ttl(options.ttl_seconds, node, "options.ttlSeconds")
    return Options(
        recompute=options.recompute,
        priority=options.priority,
        not_before=_milliseconds(not_before),
        ttl_seconds=ttl_seconds,
        tags=tags,
        webhook=_webhook(options.webhook, caller, node) if options.webhook else None,
        start_before=_milliseconds(start_before),
        tenant=caller.tenant,
        account=caller.account,
        actor=caller.actor,
        salt=caller.salt,
    )


def run_key_of(options: SubmitOptions | None, caller: Caller) -> str:
    """The run key of a submission; empty for none.

    Raises:
        BadInput: it is empty, too long or not printable.
        Forbidden: the caller has a task token, with which an input runs once.
    """
    return check_run_key(options.run_key if options else None, caller, "options.runKey")


def check_run_key(run_key: str | None, caller: Caller, argument: str) -> str:
    """A run key that a client gave; empty for none.

    Raises:
        BadInput, Forbidden: as `run_key_of`.
    """
    if run_key is None or run_key is strawberry.UNSET:
        return ""
    caller.require_unconfined("a run key")
    if not 0 < len(run_key) <= MAX_RUN_KEY_LENGTH or not run_key.isprintable():
        raise BadInput(
            f"{argument} has 1 to {MAX_RUN_KEY_LENGTH} printable characters, unlike "
            f"{run_key[: MAX_RUN_KEY_LENGTH + 1]!r}",
            argument=argument, limit=MAX_RUN_KEY_LENGTH,
        )  # fmt: skip
    return run_key


def _confined_tags(confinement: Confinement, tags: tuple[str, ...], *, recompute: bool) -> tuple[str, ...]:
    """The tags of a submission with a task token: that of the token.

    Raises:
        Forbidden: it asks for other tags, or to run again what has succeeded, which would take the tags from a task of
            others.
    """
    own = (confinement.tag,) if confinement.tag else ()
    if recompute or set(tags) - set(own):
        raise Forbidden("a task token submits with the tag that it was made for, and without recompute")
    return own


def check_ttl(ttl_seconds: float | None, node: Node, argument: str) -> float | None:
    """How long a client wants results to be kept; None if it does not say.

    Raises:
        BadInput: that is out of bounds.
    """
    if ttl_seconds is None or ttl_seconds is strawberry.UNSET:
        return None
    longest = node.settings.result_ttl_seconds or MAX_TTL_SECONDS
    if not MIN_TTL_SECONDS <= ttl_seconds <= longest:
        raise BadInput(
            f"{argument} must be from {MIN_TTL_SECONDS:g} to {longest}, not {ttl_seconds:g}",
            argument=argument, limit=longest,
        )  # fmt: skip
    return ttl_seconds


def check_tags(tags: Sequence[str], argument: str = "options.tags") -> tuple[str, ...]:
    """Tags that a client gave, each once.

    Raises:
        BadInput: there are too many, or one is empty, too long or of more than one line.
    """
    tags = tuple(dict.fromkeys(tags))
    if len(tags) > MAX_TAGS:
        raise BadInput(f"a task has at most {MAX_TAGS} tags, not {len(tags)}", argument=argument, limit=MAX_TAGS)
    for tag in tags:
        if not 0 < len(tag) <= MAX_TAG_LENGTH or not tag.isprintable():
            raise BadInput(
                f"a tag has 1 to {MAX_TAG_LENGTH} printable characters, unlike {tag[: MAX_TAG_LENGTH + 1]!r}",
                argument=argument, limit=MAX_TAG_LENGTH,
            )  # fmt: skip
    return tags


def check_priority(priority: int, argument: str) -> None:
    """Raises:
    BadInput: a priority is out of bounds.
    """
    if not -PRIORITY_LIMIT <= priority <= PRIORITY_LIMIT:
        raise BadInput(
            f"{argument} must be from -{PRIORITY_LIMIT} to {PRIORITY_LIMIT}, not {priority}", argument=argument
        )


def _milliseconds(time: datetime.datetime | None) -> int | None:
    return None if time is None else round(time.timestamp() * 1000)


def _webhook(url: str, caller: Caller, node: Node) -> str:
    """The URL that is told of a task's end.

    Raises:
        BadInput: it cannot be used.
        Forbidden: the caller is a page with a task token: what its user makes up is not sent in the tenant's name.
    """
    caller.require_unconfined("naming a webhook")
    return node.webhooks.check_url(url, "options.webhook")
