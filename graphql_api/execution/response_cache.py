"""A cache of responses for final records, which are executed and serialised once for all who send the same request and
see the same things."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, Final, cast

import orjson
from graphql import ExecutionResult as CoreResult

from cluster.store.record import Record
from graphql_api.context import Context
from graphql_api.execution.compiled_selection import EventExecution
from graphql_api.execution.document_cache import Operation
from graphql_api.graphql_core_internals import Executor

CACHE_BYTES: Final = 16 * 2**20
"""Size of the cache: the bytes of all entries."""
ENTRY_OVERHEAD_BYTES: Final = 1_000
"""What an entry takes besides its response and the texts of its key, approximately: its place in the dict."""
MAX_RESPONSE_BYTES: Final = 4 * 2**20
"""Responses that are larger, with the texts of their key, are not cached."""


class ResponseCache:
    """An LRU cache of serialised response data of final records, which never change."""

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()
        self._bytes = 0

    def get(self, key: tuple[Any, ...]) -> bytes | None:
        data = self._entries.get(key)
        if data is not None:
            self._entries.move_to_end(key)
        return data

    def put(self, key: tuple[Any, ...], data: bytes) -> None:
        weight = _weight(key, data)
        if weight > MAX_RESPONSE_BYTES + ENTRY_OVERHEAD_BYTES or key in self._entries:
            return
        self._entries[key] = data
        self._bytes += weight
        while self._bytes > CACHE_BYTES:
            self._bytes -= _weight(*self._entries.popitem(last=False))


def _weight(key: tuple[Any, ...], data: bytes) -> int:
    """What an entry takes. A client decides how long its variables are, and the name of the host."""
    return len(data) + ENTRY_OVERHEAD_BYTES + sum(len(part) for part in key if isinstance(part, bytes | str))


@dataclass(frozen=True, slots=True)
class CachedExecution:
    """Executes the event of a final record once for all subscriptions with the same document and variables, of callers
    with the same view under the same URL, as paths and links begin with that."""

    responses: ResponseCache
    operation: Operation
    execute: EventExecution
    variables: dict[str, Any] | None

    def __call__(self, executor: Executor, event: Any) -> Any:
        record: Record = event.record
        if not record.final:
            return self.execute(executor, event)
        try:
            variables = compact(orjson.dumps(self.variables or {}))
        except TypeError:
            # Integers beyond 64 bits and lone surrogates are legal in variables, but orjson refuses them: not cached.
            return self.execute(executor, event)
        key = response_key(record, self.operation, variables, executor.context_value)
        data = self.responses.get(key)
        if data is not None:
            return CoreResult(cast(Any, orjson.Fragment(data)), None)
        result = self.execute(executor, event)
        return self._store_later(key, result) if isawaitable(result) else self._store(key, result)

    async def _store_later(self, key: tuple[Any, ...], result: Any) -> CoreResult:
        return self._store(key, await result)

    def _store(self, key: tuple[Any, ...], result: CoreResult) -> CoreResult:
        if result.errors:
            return result
        try:
            data = compact(orjson.dumps(result.data))
        except TypeError:  # as above
            return result
        self.responses.put(key, data)
        return CoreResult(cast(Any, orjson.Fragment(data)), None)


def response_key(record: Record, operation: Operation, variables: bytes, context: Context) -> tuple[Any, ...]:
    """The key of a response to a final record, which the caller may see.

    The same request about the same end of the same task has the same response for those who see the same.

    Args:
        variables: their JSON.
    """
    return (
        record.task_id, record.attempt, record.seq, record.finished_at, record.submissions, record.expires_at,
        operation.number, operation.name, variables, context.public_url, context.caller.view,
    )  # fmt: skip


def compact(made: bytes) -> bytes:
    """A copy that takes no more memory than its length: orjson's output keeps the 4 KB buffer it was written into."""
    return bytes(memoryview(made))
