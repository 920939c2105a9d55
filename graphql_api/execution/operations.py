"""Executing operations: one document from its text to its result or its stream of results.

Strawberry builds the schema and keeps the sockets. What its schema does around graphql-core for every operation (hooks
of extensions, a context of its own) cost as much as the execution, and nothing here hooks in. Whoever waits for the
same result with the same document shares one execution and one serialisation of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterable, AsyncIterator, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, Final, cast

import orjson
import strawberry
from graphql import (
    ExecutionResult as CoreResult,
)
from graphql import GraphQLError
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from cluster.observability import metrics
from cluster.store.record import Record
from graphql_api.errors import mask_error
from graphql_api.execution.compiled_selection import EventExecution, event_execution, field_execution
from graphql_api.execution.document_cache import DocumentCache, DocumentRejected, Operation
from graphql_api.graphql_core_internals import Executor, build_executor, event_source
from graphql_api.strawberry_internals import PreExecutionError, core_schema

EVERY: Final = frozenset(OperationType)
KEPT_BYTES: Final = 16 * 2**20
"""Most bytes of all kept answers together."""
ENTRY_BYTES: Final = 800
"""What a kept answer takes beside its own bytes, about: its key, and its place."""
LONGEST: Final = 2**20
"""Longest answer that is kept, in bytes."""


class Operations(strawberry.Schema):
    """A schema that executes by itself.

    Args:
        documents: parses, bounds, validates and keeps what is executed.
        options: of Strawberry's schema.
    """

    def __init__(self, documents: DocumentCache, **options: Any) -> None:
        super().__init__(**options)
        self._core = core_schema(self)
        self._documents = documents
        self._response_cache = ResponseCache()

    async def execute(  # type: ignore[override]
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any = None,
        root_value: Any = None,
        operation_name: str | None = None,
        allowed_operation_types: Collection[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        """Executes a query or a mutation.

        Raises:
            MissingQueryError: there is no document.
            InvalidOperationTypeError: the operation is none of the allowed types.
        """
        try:
            operation = self._prepare(query, variable_values, operation_name, allowed_operation_types)
        except DocumentRejected as refused:
            return self._refused(refused.errors)
        return await self._execute(operation, variable_values, context_value)

    def kind(self, query: str, variables: Mapping[str, Any] | None, operation_name: str | None) -> OperationType | None:
        """What an operation is, before it is executed; None where it is refused."""
        try:
            return self._documents.parsed(query, variables).operation(operation_name).kind
        except (DocumentRejected, MissingQueryError):
            return None

    async def stream(  # type: ignore[override]
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any = None,
        root_value: Any = None,
        operation_name: str | None = None,
        operation_extensions: dict[str, Any] | None = None,
        allowed_operation_types: Collection[OperationType] | None = None,
    ) -> AsyncIterator[ExecutionResult]:
        """Executes any operation; a query or a mutation has one result.

        The first result is a PreExecutionError where nothing was executed.
        """
        return self._results(query, variable_values, context_value, operation_name, allowed_operation_types)

    # What both do -----------------------------------------------------------------------------------------------------

    def _prepare(
        self,
        text: str | None,
        variables: Mapping[str, Any] | None,
        name: str | None,
        allowed: Collection[OperationType] | None,
    ) -> Operation:
        kind = "refused"
        try:
            kept = self._documents.parsed(text, variables)
            operation = kept.operation(name)
            if operation.kind not in (allowed or EVERY):
                raise InvalidOperationTypeError(operation.kind)
            kind = operation.kind.value
            self._documents.validate(self._core, kept)
            return operation
        finally:
            metrics.labelled(metrics.OPERATIONS, kind).inc()

    def _refused(self, errors: list[GraphQLError]) -> PreExecutionError:
        for error in errors:
            mask_error(error)
        return PreExecutionError(data=None, errors=errors)

    async def _execute(self, operation: Operation, variables: dict[str, Any] | None, context: Any) -> ExecutionResult:
        try:
            executor = self._executor(operation, variables, context)
            if isinstance(executor, list):
                return self._told(CoreResult(None, executor))
            if operation.execution is None:
                operation.execution = field_execution(self._core, operation.document, operation.node)
            result = operation.execution(executor)
            if isawaitable(result):
                result = await result
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told no more than that it is ours
            return self._refused([_as_graphql(error)])
        return self._told(result)

    def _executor(
        self, operation: Operation, variables: dict[str, Any] | None, context: Any
    ) -> Executor | list[GraphQLError]:
        """What executes an operation, or what is wrong with the variables.

        Graphql-core's plain one: Strawberry's delivers incrementally, by directives that this schema has not.
        """
        return build_executor(
            self._core, operation.document, context=context, variables=variables, operation_name=operation.name
        )

    def _told(self, result: CoreResult) -> ExecutionResult:
        for error in result.errors or ():
            mask_error(error)
        return ExecutionResult(data=result.data, errors=result.errors)

    async def _results(
        self,
        text: str | None,
        variables: dict[str, Any] | None,
        context: Any,
        name: str | None,
        allowed: Collection[OperationType] | None,
    ) -> AsyncIterator[ExecutionResult]:
        try:
            operation = self._prepare(text, variables, name, allowed)
        except DocumentRejected as refused:
            yield self._refused(refused.errors)
            return
        except (InvalidOperationTypeError, MissingQueryError) as error:
            yield self._refused([GraphQLError(_words(error), original_error=error)])
            return
        if operation.kind is not OperationType.SUBSCRIPTION:
            yield await self._execute(operation, variables, context)
            return
        try:
            results = await self._subscribe(operation, variables, context)
            if isinstance(results, CoreResult):
                yield self._refused(results.errors or [])
                return
            async with aclosing(results):  # type: ignore[type-var]
                async for result in results:
                    yield self._told(result)
        except Exception as error:  # noqa: BLE001 - as above
            yield self._told(CoreResult(None, [_as_graphql(error)]))

    async def _subscribe(
        self, operation: Operation, variables: dict[str, Any] | None, context: Any
    ) -> AsyncIterator[CoreResult] | CoreResult:
        """The results of a subscription, or what is wrong with it."""
        executor = self._executor(operation, variables, context)
        if isinstance(executor, list):
            return CoreResult(None, executor)
        source = event_source(executor)
        if isawaitable(source):
            source = await source
        if isinstance(source, CoreResult):
            return source
        if operation.event_execution is None:
            operation.event_execution = event_execution(self._core, operation.document, operation.node)
        execute = operation.event_execution
        if operation.shared:
            execute = _Shared(self._response_cache, operation, execute, variables)
        return _responses(executor, source, execute)


async def _responses(
    executor: Executor, source: AsyncIterable[Any], execute: EventExecution
) -> AsyncIterator[CoreResult]:
    """MapSourceToResponseEvent (GraphQL, section 6.2.3.2). Graphql-core's own copies its executor for every event."""
    async with aclosing(source) as events:  # type: ignore[type-var]
        async for event in events:
            result = execute(executor, event)
            yield await result if isawaitable(result) else result


class ResponseCache:
    """Answers that may be given again: the data of final records, which never change. The oldest used go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()
        self._bytes = 0

    def get(self, key: tuple[Any, ...]) -> bytes | None:
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
        return kept

    def put(self, key: tuple[Any, ...], data: bytes) -> None:
        if len(data) > LONGEST or key in self._kept:
            return
        self._kept[key] = data
        self._bytes += len(data) + ENTRY_BYTES
        while self._bytes > KEPT_BYTES:
            self._bytes -= len(self._kept.popitem(last=False)[1]) + ENTRY_BYTES


@dataclass(frozen=True, slots=True)
class _Shared:
    """Executes the event of a final record once for all who asked in the same words."""

    responses: ResponseCache
    operation: Operation
    execute: EventExecution
    variables: dict[str, Any] | None

    def __call__(self, executor: Executor, event: Any) -> Any:
        record: Record = event.record
        if not record.final:
            return self.execute(executor, event)
        # Who is asked by the same words about the same end of the same task gives the same answer; whether the caller
        # may see it was looked at before.
        try:
            variables = compact(orjson.dumps(self.variables or {}))
        except TypeError:
            # Integers beyond 64 bits and lone surrogates are legal in a variable, and have no form here: not shared.
            return self.execute(executor, event)
        words = self.operation.number, self.operation.name, variables
        end = record.attempt, record.seq, record.finished_at, record.submissions, record.expires_at
        key = (record.task_id, *end, *words)
        kept = self.responses.get(key)
        if kept is not None:
            return CoreResult(cast(Any, orjson.Fragment(kept)), None)
        result = self.execute(executor, event)
        return self._later(key, result) if isawaitable(result) else self._keep(key, result)

    async def _later(self, key: tuple[Any, ...], result: Any) -> CoreResult:
        return self._keep(key, await result)

    def _keep(self, key: tuple[Any, ...], result: CoreResult) -> CoreResult:
        if result.errors:
            return result
        try:
            data = compact(orjson.dumps(result.data))
        except TypeError:  # as above
            return result
        self.responses.put(key, data)
        return CoreResult(cast(Any, orjson.Fragment(data)), None)


def compact(made: bytes) -> bytes:
    """A copy that takes its length and no more: what orjson makes keeps the buffer of 4 KB that it was written into."""
    return bytes(memoryview(made))


def _as_graphql(error: Exception) -> GraphQLError:
    return error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)


def _words(error: InvalidOperationTypeError | MissingQueryError) -> str:
    if isinstance(error, InvalidOperationTypeError):
        many = {OperationType.QUERY: "queries", OperationType.MUTATION: "mutations"}
        return f"{many.get(error.operation_type, 'subscriptions')} are not allowed"
    return str(error)
