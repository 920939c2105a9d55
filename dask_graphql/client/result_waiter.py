"""Final records: many waiting callers share few subscriptions, since the api bounds the operations of one socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from dask_graphql.client.errors import ClientError, Refused, refusal
from dask_graphql.client.task_types import TaskType
from dask_graphql.client.websocket_transport import Session, Subscription

BUNDLE_LIMIT: Final = 500
"""Most task ids of one subscription; an api that takes fewer says so, and is heard."""

BUNDLES: Final = 16
"""From so many small subscriptions for one task type on, they are merged into one."""

FIELDS: Final = "taskId name state attempt progress error { code message type }"
"""What is asked of every final record, beside its result."""


class _Waiter:
    """One caller that waits for one task."""

    __slots__ = ("bundle", "future", "task_id")

    def __init__(self, task_id: str, bundle: _Bundle) -> None:
        self.task_id = task_id
        self.bundle = bundle
        self.future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()


class _Bundle:
    """The tasks of one `taskResults` subscription, with those who wait for each."""

    def __init__(self) -> None:
        self.waiters: dict[str, list[_Waiter]] = {}
        self.subscription: Subscription | None = None


class Finals:
    """Waits for final records over a session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._gathering: dict[str, _Bundle] = {}
        self._open: dict[str, list[_Bundle]] = {}
        self._limit = BUNDLE_LIMIT

    async def wait(self, task_id: str, task_type: TaskType | None) -> dict[str, Any]:
        """The final record of a task as the api tells it, with its result where the task type is known.

        Raises:
            Refused, ApiUnavailable: the record cannot be had. The task is not touched by that.
        """
        waiter = self._join(task_id, task_type)
        try:
            return await waiter.future
        finally:
            self._leave(waiter, task_type)

    def _join(self, task_id: str, task_type: TaskType | None) -> _Waiter:
        name = task_type.name if task_type else ""
        bundle = self._gathering.get(name)
        if bundle is None or len(bundle.waiters) >= self._limit:
            # Opened after all that run now have had the chance to join it.
            bundle = self._gathering[name] = _Bundle()
            asyncio.get_running_loop().call_soon(self._begin, bundle, task_type)
        waiter = _Waiter(task_id, bundle)
        bundle.waiters.setdefault(task_id, []).append(waiter)
        return waiter

    def _leave(self, waiter: _Waiter, task_type: TaskType | None) -> None:
        bundle = waiter.bundle
        waiters = bundle.waiters.get(waiter.task_id, [])
        if waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del bundle.waiters[waiter.task_id]
        if not bundle.waiters and bundle.subscription is not None:
            self._close(bundle, task_type)

    def _begin(self, bundle: _Bundle, task_type: TaskType | None) -> None:
        name = task_type.name if task_type else ""
        if self._gathering.get(name) is bundle:
            del self._gathering[name]
        if not bundle.waiters:
            return
        small = [other for other in self._open.get(name, []) if len(other.waiters) <= self._limit // 2]
        if len(small) >= BUNDLES:
            for other in small:
                if len(bundle.waiters) + len(other.waiters) <= self._limit:
                    self._close(other, task_type)
                    self._move(other, bundle)
        selection = FIELDS
        if task_type is not None:
            selection += f" result {{ ... on {task_type.output_type} {{ {task_type.selection} }} }}"
        bundle.subscription = Subscription(
            f"subscription($ids: [ID!]!) {{ taskResults(taskIds: $ids) {{ {selection} }} }}",
            lambda: {"ids": list(bundle.waiters)},
            on_data=lambda data, errors: self._deliver(bundle, data["taskResults"], errors),
            on_end=lambda error: self._ended(bundle, task_type, error),
            complete=lambda: not bundle.waiters,
        )
        self._open.setdefault(name, []).append(bundle)
        self._session.open(bundle.subscription)

    def _close(self, bundle: _Bundle, task_type: TaskType | None) -> None:
        assert bundle.subscription is not None
        self._session.close_subscription(bundle.subscription)
        self._forget(bundle, task_type)

    def _forget(self, bundle: _Bundle, task_type: TaskType | None) -> None:
        name = task_type.name if task_type else ""
        bundle.subscription = None
        if bundle in (others := self._open.get(name, [])):
            others.remove(bundle)

    @staticmethod
    def _move(source: _Bundle, target: _Bundle) -> None:
        for task_id, waiters in source.waiters.items():
            for waiter in waiters:
                waiter.bundle = target
            target.waiters.setdefault(task_id, []).extend(waiters)
        source.waiters = {}

    @staticmethod
    def _deliver(bundle: _Bundle, record: dict[str, Any], errors: Sequence[Mapping[str, Any]]) -> None:
        for waiter in bundle.waiters.pop(record["taskId"], []):
            if waiter.future.done():
                continue
            if errors:
                waiter.future.set_exception(refusal(errors))
            else:
                waiter.future.set_result(record)

    def _ended(self, bundle: _Bundle, task_type: TaskType | None, error: ClientError | None) -> None:
        self._forget(bundle, task_type)
        limit = error.extensions.get("limit") if isinstance(error, Refused) else None
        if isinstance(limit, int) and 0 < limit < len(bundle.waiters):
            # This api takes fewer ids at once than we asked for.
            self._limit = limit
            self._split(bundle, task_type)
            return
        for waiters in bundle.waiters.values():
            for waiter in waiters:
                if not waiter.future.done():
                    waiter.future.set_exception(error or ClientError("the subscription ended"))
        bundle.waiters = {}

    def _split(self, bundle: _Bundle, task_type: TaskType | None) -> None:
        ids = list(bundle.waiters)
        for start in range(0, len(ids), self._limit):
            part = _Bundle()
            moving = _Bundle()
            moving.waiters = {task_id: bundle.waiters[task_id] for task_id in ids[start : start + self._limit]}
            self._move(moving, part)
            self._begin(part, task_type)
        bundle.waiters = {}
