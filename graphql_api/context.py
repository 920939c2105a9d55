"""The context of every resolver: the api node, and the caller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from strawberry.types import Info

from cluster.api_node.node import Node
from cluster.errors import PublicError, RateLimited, TaskNotFound, Unauthenticated
from cluster.store.actor import Actor
from cluster.store.record import Record
from graphql_api.auth.callers import Caller
from graphql_api.auth.task_tokens import TaskTokens
from graphql_api.operation_limit import take_operation
from graphql_api.send_window import SendWindow


@dataclass(slots=True)
class Context:
    """One request, or one WebSocket with all its operations."""

    node: Node
    wrappers: dict[str, Callable[..., Any]] = field(default_factory=dict)
    json_writers: dict[str, Callable[[Any, Any], Any]] = field(default_factory=dict)
    known_caller: Caller | None = None
    public_url: str = ""
    """The URL under which the client reaches the API; see `public_url`."""
    response_headers: dict[str, str] = field(default_factory=dict)
    """Additional headers of the HTTP response."""
    last_event_id: int | None = None
    """The `Last-Event-ID` of an event stream's request: the last event that its client has received."""
    event_id: int | None = None
    """The id of the item that a subscription yielded last, if it can be resumed after it."""
    client_gone: Callable[[], Awaitable[None]] | None = None
    """Waits until the client of a request has disconnected; None where that cancels the operation anyway."""

    task_tokens: TaskTokens | None = None
    """Makes tokens for the caller."""

    _send_window: SendWindow | None = None

    @property
    def base_path(self) -> str:
        """The path of `public_url`, with which the paths of downloads begin; "" if there is none."""
        return urlsplit(self.public_url).path

    @property
    def send_window(self) -> SendWindow:
        """The large results in transit to this client."""
        if self._send_window is None:
            self._send_window = SendWindow(self.node.settings.socket_unsent_bytes)
        return self._send_window

    @property
    def caller(self) -> Caller:
        """The caller of the request.

        Raises:
            Unauthenticated: the request was not authenticated (yet).
        """
        if self.known_caller is None:
            raise Unauthenticated("the request has no caller")
        return self.known_caller

    def audit_refusal(self, error: PublicError) -> None:
        """Counts a refusal and writes it to the audit log, if it is one of those that are audited."""
        if error.audited:
            self.node.audit.refused(Actor() if self.known_caller is None else self.known_caller.actor, error)

    async def authorize_submissions(self, name: str, count: int) -> Caller:
        """Checks that the caller may submit tasks of this type, and takes `count` tokens of its rate limit; returns the
        caller.

        Raises:
            Forbidden: the caller may not submit.
            RateLimited: it, or its tenant, submitted too much in the last minute.
        """
        self.caller.require_submit(name)
        account = self.caller.account
        tenant_limit = self.node.policies.of(account).submissions_per_minute
        if tenant_limit is not None:
            await self._take_tokens(f"tenant:{account}", tenant_limit, count, "by your tenant")
        await self._take_tokens(self.caller.name, self.node.settings.submissions_per_minute, count, "by one caller")
        return self.caller

    async def _take_tokens(self, bucket: str, limit: int, count: int, whose: str) -> None:
        if not limit or not count:
            return
        store = self.node.store
        wait = await store.run(store.calls.take_tokens(bucket, limit, limit, count))
        if wait:
            seconds = -(-wait // 1000)
            self.response_headers["Retry-After"] = str(seconds)
            raise RateLimited(
                f"at most {limit} submissions per minute {whose}; nothing was submitted, try again in {seconds} s",
                limit=limit,
                retryAfterSeconds=seconds,
            )

    def authorize_operation(self) -> None:
        """Takes a token of the caller's operations on this node.

        Raises:
            RateLimited: it sent too many operations in the last minute.
        """
        take_operation(self.node, self.caller)

    def waiter_slots(self, count: int) -> AbstractContextManager[None]:
        """Counts a subscription that waits for so many tasks against the caller's account, while it is open.

        Raises:
            TooManySubscriptions: the account has too many, when the block is entered.
        """
        return self.node.waiters.slots(self.caller.account, count)

    def require_visible(self, record: Record) -> Record:
        """Returns the record if the caller may see it.

        Raises:
            TaskNotFound: it belongs to another tenant.
        """
        if not self.caller.can_see(record):
            raise unknown_task(record.task_id)
        return record


def unknown_task(task_id: str) -> TaskNotFound:
    """The refusal of a task id. It is the same for a task of another tenant, whose existence must not be told."""
    return TaskNotFound(f"the task {task_id} is unknown: it was never submitted, or its record has expired")


ApiInfo: TypeAlias = Info[Context, None]
