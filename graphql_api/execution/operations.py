"""Executes operations: from the text of a document to its result or its stream of results.

Strawberry builds the schema and handles the sockets. What its schema does around graphql-core for each operation (hooks
of extensions, a context of its own) costs as much as the execution, and this api uses none of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Mapping
from contextlib import aclosing
from inspect import isawaitable
from typing import Any, Final, cast

import orjson
import strawberry
from graphql import ExecutionResult as CoreResult
from graphql import GraphQLError
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from cluster.errors import AnswerTooLarge, PublicError
from cluster.observability import metrics
from cluster.store.record import Record
from graphql_api.answer_size import Answer, counted_answer
from graphql_api.auth.callers import Scope
from graphql_api.context import Context
from graphql_api.errors import mask_error
from graphql_api.execution.compiled_selection import CompiledEvents, EventExecution, event_execution, field_execution
from graphql_api.execution.document_cache import DocumentCache, DocumentRejected, Operation
from graphql_api.execution.response_cache import CachedExecution, ResponseCache, compact, response_key
from graphql_api.graphql_core_internals import Executor, build_executor, event_source, execute
from graphql_api.strawberry_internals import PreExecutionError, core_schema

ALL_OPERATIONS: Final = frozenset(OperationType)


class Operations(strawberry.Schema):
    """A schema that executes operations itself.

    Args:
        documents: parses, limits, validates and caches documents.
        options: passed to Strawberry's schema.

    Attributes:
        task_class: the class of `Task` objects, made from a `record`.
    """

    task_class: Callable[..., Any]

    def __init__(self, documents: DocumentCache, **options: Any) -> None:
        super().__init__(**options)
        self._core = core_schema(self)
        self.documents = self._documents = documents
        self._response_cache = ResponseCache()
        self._answer_bytes = documents.answer_bytes
        # One at a time: threads that compute keep the event loop from running.
        self._introspecting = asyncio.Lock()

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
            InvalidOperationTypeError: the operation's type is not allowed.
        """
        try:
            operation = self._prepare(query, variable_values, operation_name, allowed_operation_types)
        except DocumentRejected as refused:
            return self._refused(refused.errors, context_value)
        return await self._execute(operation, variable_values, context_value)

    def kind(self, query: str, variables: Mapping[str, Any] | None, operation_name: str | None) -> OperationType | None:
        """The type of an operation, before it is executed; None if it is refused."""
        try:
            return self._documents.parse_cached(query, variables).operation(operation_name).kind
        except (DocumentRejected, MissingQueryError):
            return None

    def changes_something(self, query: str, variables: Mapping[str, Any] | None, operation_name: str | None) -> bool:
        """Whether an operation does more than read, before it is executed; False if it is refused."""
        try:
            document = self._documents.parse_cached(query, variables)
            return self._documents.changes_something(document.operation(operation_name))
        except (DocumentRejected, MissingQueryError):
            return False

    async def stream(  # type: ignore[override]
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any = None,
        root_value: Any = None,
        operation_name: str | None = None,
        operation_extensions: dict[str, Any] | None = None,
        allowed_operation_types: Collection[OperationType] | None = None,
        *,
        counted: bool = False,
    ) -> AsyncIterator[ExecutionResult]:
        """Executes any operation and yields its results; a query or a mutation has one.

        If nothing was executed, the only result is a PreExecutionError.

        Args:
            counted: the metrics have the operation already.
        """
        allowed = allowed_operation_types
        return self._results(query, variable_values, context_value, operation_name, allowed, counted=counted)

    # The result of one task, without a coroutine ----------------------------------------------------------------------

    def awaited_task(self, query: str, variables: Any, operation_name: str | None) -> tuple[Operation, str] | None:
        """The operation and its task id, if it is a plain `taskResult`: executed before, with a compiled selection, and
        the id as its only variable. `stream` executes any other."""
        operation = self._documents.valid_operation(query, operation_name)
        if operation is None or operation.task_variable is None or not isinstance(variables, dict):
            return None
        task_id = variables.get(operation.task_variable)
        if len(variables) != 1 or not isinstance(task_id, str):
            return None
        return (operation, task_id) if isinstance(operation.event_execution, CompiledEvents) else None

    def awaited_data(self, operation: Operation, task_id: str, record: Record, context: Context) -> bytes | None:
        """The JSON of the data with which an operation of `awaited_task` responds to a final record that its caller may
        see; None if `stream` must execute it: its result is long, or an error occurred."""
        if record.result_omitted:
            return None
        variables = f'{{"{operation.task_variable}":"{task_id}"}}'.encode()
        key = response_key(record, operation, variables, context)
        data = self._response_cache.get(key)
        if data is None:
            execution = operation.event_execution
            assert isinstance(execution, CompiledEvents), "`awaited_task` has checked it"
            try:
                with counted_answer(self._answer_bytes) as answer:
                    read = execution.read(context, self.task_class(record=record))
                    answer.check()
                data = compact(orjson.dumps(read))
            except Exception:  # noqa: BLE001 - `stream` meets it again and reports it
                return None
            self._response_cache.put(key, data)
        return data

    # Shared by both ---------------------------------------------------------------------------------------------------

    def _prepare(
        self,
        text: str | None,
        variables: Mapping[str, Any] | None,
        name: str | None,
        allowed: Collection[OperationType] | None,
        *,
        counted: bool = False,
    ) -> Operation:
        kind = "refused"
        try:
            document = self._documents.parse_cached(text, variables)
            operation = document.operation(name)
            allowed = allowed or ALL_OPERATIONS
            if operation.kind not in allowed:
                raise InvalidOperationTypeError(operation.kind)
            if OperationType.MUTATION not in allowed and self._documents.changes_something(operation):
                raise InvalidOperationTypeError(OperationType.MUTATION)
            kind = operation.kind.value
            self._documents.validate(self._core, document)
            return operation
        finally:
            if not counted:
                metrics.labelled(metrics.OPERATIONS, kind).inc()

    def _refused(self, errors: list[GraphQLError], context: Any) -> PreExecutionError:
        _mask(errors, context)
        return PreExecutionError(data=None, errors=errors)

    async def _execute(self, operation: Operation, variables: dict[str, Any] | None, context: Any) -> ExecutionResult:
        try:
            executor = self._executor(operation, variables, context)
            if isinstance(executor, list):
                return self._masked(operation, variables, CoreResult(None, executor), context)
            if operation.introspects:
                context.caller.require(Scope.READ)
                if operation.constant:
                    return self._masked(operation, variables, await self._introspect(operation, executor), context)
            if operation.execution is None:
                operation.execution = field_execution(self._core, operation.document, operation.node)
            with counted_answer(self._answer_bytes) as answer:
                result = operation.execution(executor)
                if isawaitable(result):
                    result = await result
            result = _bounded(result, answer, carried_out=operation.kind is OperationType.MUTATION)
        except Exception as error:  # noqa: BLE001 - masked as an internal error
            return self._refused([_as_graphql(error)], context)
        return self._masked(operation, variables, result, context)

    async def _introspect(self, operation: Operation, executor: Executor) -> CoreResult:
        """Executes an operation that asks only of the schema: once for as long as its response is cached, and in a
        thread, because it takes tens of milliseconds."""
        key = "introspection", operation.number, operation.name
        async with self._introspecting:
            data = self._response_cache.get(key)
            if data is None:
                with counted_answer(self._answer_bytes) as answer:
                    result = await asyncio.to_thread(lambda: _bounded(execute(executor), answer))
                if result.errors:
                    return result
                data = compact(orjson.dumps(result.data))
                self._response_cache.put(key, data)
        return CoreResult(cast(Any, orjson.Fragment(data)), None)

    def _executor(
        self, operation: Operation, variables: dict[str, Any] | None, context: Any
    ) -> Executor | list[GraphQLError]:
        """What executes an operation, or what is wrong with the variables.

        Graphql-core's plain one: Strawberry's delivers incrementally, by directives that this schema has not.
        """
        return build_executor(
            self._core, operation.document, context=context, variables=variables, operation_name=operation.name
        )

    def _masked(
        self, operation: Operation, variables: dict[str, Any] | None, result: CoreResult, context: Any
    ) -> ExecutionResult:
        if result.errors:
            self._documents.hide_schema(result.errors, operation.document, variables)
            _mask(result.errors, context)
        return ExecutionResult(data=result.data, errors=result.errors)

    async def _results(
        self,
        text: str | None,
        variables: dict[str, Any] | None,
        context: Any,
        name: str | None,
        allowed: Collection[OperationType] | None,
        *,
        counted: bool = False,
    ) -> AsyncIterator[ExecutionResult]:
        try:
            operation = self._prepare(text, variables, name, allowed, counted=counted)
        except DocumentRejected as refused:
            yield self._refused(refused.errors, context)
            return
        except (InvalidOperationTypeError, MissingQueryError) as error:
            yield self._refused([GraphQLError(_message(error), original_error=error)], context)
            return
        if operation.kind is not OperationType.SUBSCRIPTION:
            yield await self._execute(operation, variables, context)
            return
        try:
            subscribed = await self._subscribe(operation, variables, context)
            if isinstance(subscribed, CoreResult):
                self._documents.hide_schema(subscribed.errors or [], operation.document, variables)
                yield self._refused(subscribed.errors or [], context)
                return
            # MapSourceToResponseEvent (GraphQL, section 6.2.3.2). Graphql-core's own copies its executor for every
            # event.
            executor, source, execute = subscribed
            async with aclosing(source) as events:  # type: ignore[type-var]
                async for event in events:
                    with counted_answer(self._answer_bytes) as answer:
                        result = execute(executor, event)
                        if isawaitable(result):
                            result = await result
                    yield self._masked(operation, variables, _bounded(result, answer), context)
        except Exception as error:  # noqa: BLE001 - as above
            yield self._masked(operation, variables, CoreResult(None, [_as_graphql(error)]), context)

    async def _subscribe(
        self, operation: Operation, variables: dict[str, Any] | None, context: Any
    ) -> tuple[Executor, AsyncIterable[Any], EventExecution] | CoreResult:
        """The executor of a subscription, its events, and what executes them; or one result with its errors."""
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
            execute = CachedExecution(self._response_cache, operation, execute, variables)
        return executor, source, execute


def _bounded(result: CoreResult, answer: Answer, *, carried_out: bool = False) -> CoreResult:
    """The result, or the refusal of one that is too large; `carried_out` if it is that of a mutation."""
    if not answer.exceeded:
        return result
    errors = [error for error in result.errors or () if isinstance(error.original_error, AnswerTooLarge)]
    # graphql-core drops errors below a position that another error has made null.
    refused = answer.refusal()
    error = errors[0] if errors else GraphQLError(refused.message, original_error=refused)
    if carried_out:
        error.message += "; the mutation itself was carried out"
    return CoreResult(None, [error])


def _mask(errors: list[GraphQLError], context: Any) -> None:
    """Changes errors in place to what a client may see, and leaves refusals in the audit log."""
    for error in errors:
        if isinstance(error.original_error, PublicError):
            context.audit_refusal(error.original_error)
        mask_error(error)


def _as_graphql(error: Exception) -> GraphQLError:
    return error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)


def _message(error: InvalidOperationTypeError | MissingQueryError) -> str:
    if isinstance(error, InvalidOperationTypeError):
        many = {OperationType.QUERY: "queries", OperationType.MUTATION: "mutations"}
        return f"{many.get(error.operation_type, 'subscriptions')} are not allowed"
    return str(error)
