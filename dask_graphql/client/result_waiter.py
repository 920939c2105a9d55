"""Waiting for final records: many callers share a few subscriptions, as the api bounds the operations of one socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from dask_graphql.client.errors import ClientError, Refused, refusal
from dask_graphql.client.subscription import Subscription
from dask_graphql.client.task_types import TaskType
from dask_graphql.client.websocket_transport import WebSocketTransport

MAX_IDS: Final = 500
"""Task ids per subscription at most; lowered if an api says that it takes fewer."""

MERGE_THRESHOLD: Final = 16
"""This many small subscriptions for one task type are merged into one."""

FIELDS: Final = "taskId name state attempt progress error { code message type traceback }"
"""Selected of every final record, besides its result."""


class _Waiter:
    """One caller that waits for one task."""

    __slots__ = ("future", "shared", "task_id")

    def __init__(self, task_id: str, shared: _SharedSubscription) -> None:
        self.task_id = task_id
        self.shared = shared
        self.future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()


class _SharedSubscription:
    """One `taskResults` subscription: its tasks, with the callers that wait for each."""

    def __init__(self) -> None:
        self.waiters: dict[str, list[_Waiter]] = {}
        self.subscription: Subscription | None = None


class ResultWaiter:
    """Waits for final records over a client's WebSocket."""

    def __init__(self, websocket: WebSocketTransport) -> None:
        self._websocket = websocket
        self._pending: dict[str, _SharedSubscription] = {}
        self._open: dict[str, list[_SharedSubscription]] = {}
        self._limit = MAX_IDS

    async def wait(self, task_id: str, task_type: TaskType | None) -> dict[str, Any]:
        """Waits for a task's final record and returns it as GraphQL, with its result if the task type is given.

        Raises:
            Refused, ApiUnavailable: the record cannot be read. The task is not affected.
        """
        waiter = self._join(task_id, task_type)
        try:
            return await waiter.future
        finally:
            self._leave(waiter, task_type)

    def _join(self, task_id: str, task_type: TaskType | None) -> _Waiter:
        name = task_type.name if task_type else ""
        shared = self._pending.get(name)
        if shared is None or len(shared.waiters) >= self._limit:
            # Opened in the next iteration of the event loop, so that callers of this one can join it.
            shared = self._pending[name] = _SharedSubscription()
            asyncio.get_running_loop().call_soon(self._subscribe, shared, task_type)
        waiter = _Waiter(task_id, shared)
        shared.waiters.setdefault(task_id, []).append(waiter)
        return waiter

    def _leave(self, waiter: _Waiter, task_type: TaskType | None) -> None:
        shared = waiter.shared
        waiters = shared.waiters.get(waiter.task_id, [])
        if waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del shared.waiters[waiter.task_id]
        if not shared.waiters and shared.subscription is not None:
            self._close(shared, task_type)

    def _subscribe(self, shared: _SharedSubscription, task_type: TaskType | None) -> None:
        name = task_type.name if task_type else ""
        if self._pending.get(name) is shared:
            del self._pending[name]
        if not shared.waiters:
            return
        small = [other for other in self._open.get(name, []) if len(other.waiters) <= self._limit // 2]
        if len(small) >= MERGE_THRESHOLD:
            for other in small:
                if len(shared.waiters) + len(other.waiters) <= self._limit:
                    self._close(other, task_type)
                    self._move(other, shared)
        selection = FIELDS
        if task_type is not None:
            selection += f" result {{ ... on {task_type.output_type} {{ {task_type.selection} }} }}"
        shared.subscription = Subscription(
            f"subscription($ids: [ID!]!) {{ taskResults(taskIds: $ids) {{ {selection} }} }}",
            lambda: {"ids": list(shared.waiters)},
            on_data=lambda data, errors: self._deliver(shared, data["taskResults"], errors),
            on_end=lambda error: self._on_end(shared, task_type, error),
            complete=lambda: not shared.waiters,
        )
        self._open.setdefault(name, []).append(shared)
        self._websocket.open(shared.subscription)

    def _close(self, shared: _SharedSubscription, task_type: TaskType | None) -> None:
        assert shared.subscription is not None
        self._websocket.close_subscription(shared.subscription)
        self._discard(shared, task_type)

    def _discard(self, shared: _SharedSubscription, task_type: TaskType | None) -> None:
        name = task_type.name if task_type else ""
        shared.subscription = None
        if shared in (others := self._open.get(name, [])):
            others.remove(shared)

    @staticmethod
    def _move(source: _SharedSubscription, target: _SharedSubscription) -> None:
        for task_id, waiters in source.waiters.items():
            for waiter in waiters:
                waiter.shared = target
            target.waiters.setdefault(task_id, []).extend(waiters)
        source.waiters = {}

    @staticmethod
    def _deliver(shared: _SharedSubscription, record: dict[str, Any], errors: Sequence[Mapping[str, Any]]) -> None:
        for waiter in shared.waiters.pop(record["taskId"], []):
            if waiter.future.done():
                continue
            if errors:
                waiter.future.set_exception(refusal(errors))
            else:
                waiter.future.set_result(record)

    def _on_end(self, shared: _SharedSubscription, task_type: TaskType | None, error: ClientError | None) -> None:
        self._discard(shared, task_type)
        limit = error.extensions.get("limit") if isinstance(error, Refused) else None
        if isinstance(limit, int) and 0 < limit < len(shared.waiters):
            # This api takes fewer ids per subscription.
            self._limit = limit
            self._split(shared, task_type)
            return
        for waiters in shared.waiters.values():
            for waiter in waiters:
                if not waiter.future.done():
                    waiter.future.set_exception(error or ClientError("the subscription ended"))
        shared.waiters = {}

    def _split(self, shared: _SharedSubscription, task_type: TaskType | None) -> None:
        ids = list(shared.waiters)
        for start in range(0, len(ids), self._limit):
            part = _SharedSubscription()
            moving = _SharedSubscription()
            moving.waiters = {task_id: shared.waiters[task_id] for task_id in ids[start : start + self._limit]}
            self._move(moving, part)
            self._subscribe(part, task_type)
        shared.waiters = {}
