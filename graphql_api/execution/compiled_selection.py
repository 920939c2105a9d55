"""Executes operations with one root field by a reader that is compiled once per document.

Most operations select a few plain fields of one root field, and the same documents come again and again. graphql-core
looks up each field anew, which takes a quarter of a busy api node's time; a reader has the functions at hand. Anything
unusual (unsupported syntax, unexpected values, any error) falls back to graphql-core, which gives the same response. It
executes an event from the beginning, and a query or mutation from the outcome of its root field, which must not run
twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from graphql import DocumentNode, GraphQLError, GraphQLSchema, OperationDefinitionNode, get_argument_values
from graphql import ExecutionResult as CoreResult

from cluster.errors import AnswerTooLarge
from graphql_api.answer_size import current_answer
from graphql_api.execution.selection_compiler import Info, NotCompilable, RootField, SelectionCompiler
from graphql_api.graphql_core_internals import (
    Executor,
    execute,
    execute_event,
    execute_from_outcome,
    is_awaitable,
    resolve_info,
)

Execution: TypeAlias = Callable[[Executor], Any]
"""Executes the query or mutation of an executor; the result may be awaitable."""
EventExecution: TypeAlias = Callable[[Executor, Any], Any]
"""Executes one event of the subscription of an executor; the result may be awaitable."""


def event_execution(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
) -> EventExecution:
    """Returns what executes the events of a valid subscription."""
    try:
        return CompiledEvents(SelectionCompiler(schema, document).root(operation))
    except NotCompilable:
        return execute_event


def field_execution(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> Execution:
    """Returns what executes a valid query or mutation."""
    try:
        return _CompiledField(SelectionCompiler(schema, document).root(operation))
    except NotCompilable:
        return execute


class CompiledEvents:
    """Executes the events of a subscription with a compiled selection."""

    def __init__(self, root: RootField) -> None:
        self._name = root.name
        self._read = root.read

    def read(self, context: Any, event: Any) -> dict[str, Any]:
        """The data of the response to an event.

        Raises:
            Exception: the reader cannot read it, or the answer is too large.
        """
        return {self._name: self._read(event, Info(context, current_answer()))}

    def __call__(self, executor: Executor, event: Any) -> Any:
        try:
            return CoreResult(self.read(executor.context_value, event), None)
        except AnswerTooLarge as error:
            return _too_large(error, self._name)
        except Exception:  # noqa: BLE001 - graphql-core meets it again and reports it
            return execute_event(executor, event)


class _CompiledField:
    def __init__(self, root: RootField) -> None:
        self._root = root

    async def __call__(self, executor: Executor) -> CoreResult:
        root = self._root
        try:
            arguments = get_argument_values(root.field, root.nodes[0], executor.variable_values)
        except Exception:  # noqa: BLE001 - as above: nothing has run yet
            return await _awaited(execute(executor))
        try:
            value = self._resolve(executor, arguments)
            if is_awaitable(value):
                value = await value
        except Exception as error:  # noqa: BLE001 - graphql-core reports it
            return await self._complete(executor, error)
        try:
            return CoreResult({root.name: root.read(value, Info(executor.context_value, current_answer()))}, None)
        except AnswerTooLarge as error:
            return _too_large(error, root.name)
        except Exception:  # noqa: BLE001 - as above
            return await self._complete(executor, value)

    def _resolve(self, executor: Executor, arguments: dict[str, Any]) -> Any:
        root = self._root
        info = resolve_info(executor, root.field, root.nodes, root.kind, root.name)
        assert root.field.resolve is not None, "Strawberry gives each field one"
        return root.field.resolve(executor.root_value, info, **arguments)

    async def _complete(self, executor: Executor, outcome: Any) -> CoreResult:
        """Lets graphql-core complete the outcome of the root field: a value or an error."""
        return await _awaited(execute_from_outcome(executor, outcome))


def _too_large(error: AnswerTooLarge, name: str) -> CoreResult:
    return CoreResult(None, [GraphQLError(error.message, path=[name], original_error=error)])


async def _awaited(result: Any) -> CoreResult:
    made: CoreResult = await result if is_awaitable(result) else result
    return made
