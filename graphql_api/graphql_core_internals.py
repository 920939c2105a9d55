"""Every private or undocumented interface of graphql-core that we use, each with why, and how it would break.
`tests/graphql_api/test_graphql_core_internals.py` shows that each still has its effect.

graphql-core executes each operation from its document; we compile an operation's selection once (execution/
compiled_selection.py) and fall back to graphql-core for anything unusual. That needs its executor: the object with one
operation, its variables and its context. It is exported since 3.3, but its methods are undocumented, so setup.cfg
requires a version below 3.4.

Written against graphql-core 3.3.2.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Sized
from typing import Any, TypeAlias

from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLLeafType,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    MiddlewareManager,
    create_source_event_stream,
    execute_subscription_event,
)
from graphql import Executor as CoreExecutor
from graphql.pyutils import Path, is_awaitable

from cluster.errors import AnswerTooLarge
from graphql_api.answer_size import FIELD_BYTES, LIST_ITEM_BYTES, Answer, current_answer

__all__ = [
    "CountingExecutor",
    "Executor",
    "build_executor",
    "event_source",
    "execute",
    "execute_event",
    "execute_from_outcome",
    "is_awaitable",
    "output_of",
    "resolve_info",
]
# `is_awaitable` is re-exported; graphql-core does not document it. If it is moved, importing it fails at start.

Executor: TypeAlias = CoreExecutor[Any]
"""One operation with its variables and context, ready to be executed."""


class CountingExecutor(CoreExecutor[Any]):
    """Counts what it writes into the current answer (`answer_size`), which is refused if it becomes too large.

    From then on it writes nothing more, without errors: an error for each item of a list would be another long answer.

    `execute_fields`, `complete_iterable_value` and `complete_leaf_value` are undocumented. If one is renamed, answers
    that graphql-core executes are not bounded by ANSWER_BYTES.
    """

    def execute_fields(
        self, parent_type: Any, source_value: Any, path: Any, grouped_field_set: Any, position_context: Any
    ) -> Any:
        answer = current_answer()
        if answer.refused:
            return {}
        _count(answer, sum(map(len, grouped_field_set)) + FIELD_BYTES * len(grouped_field_set))
        return super().execute_fields(parent_type, source_value, path, grouped_field_set, position_context)

    def complete_iterable_value(
        self, item_type: Any, field_details_list: Any, info: Any, path: Any, items: Any, position_context: Any
    ) -> Any:
        answer = current_answer()
        if answer.refused:
            return []
        if isinstance(items, Sized):
            _count(answer, LIST_ITEM_BYTES * len(items))
        return super().complete_iterable_value(item_type, field_details_list, info, path, items, position_context)

    def complete_leaf_value(self, return_type: Any, result: Any) -> Any:  # type: ignore[override]
        answer = current_answer()
        if answer.refused:
            return ""
        made = super().complete_leaf_value(return_type, result)
        try:
            answer.write_leaf(made)
        except AnswerTooLarge:
            answer.refused = True
            raise
        return made


def _count(answer: Answer, size: int) -> None:
    try:
        answer.write(size)
    except AnswerTooLarge:
        answer.refused = True
        raise


def build_executor(
    schema: GraphQLSchema,
    document: DocumentNode,
    *,
    context: Any,
    variables: dict[str, Any] | None,
    operation_name: str | None,
) -> Executor | list[GraphQLError]:
    """Returns the executor of an operation of a valid document, or the errors of the variables.

    `Executor.build` and the names of its arguments are undocumented. If one is renamed, this raises at the first
    operation.
    """
    return CountingExecutor.build(
        schema, document, context_value=context, raw_variable_values=variables, operation_name=operation_name
    )


def execute(executor: Executor) -> Any:
    """Executes a query or a mutation. Returns an ExecutionResult, or an awaitable of one.

    `execute_operation` is undocumented. If it is renamed, this raises AttributeError at the first operation.
    """
    return executor.execute_operation()


def execute_event(executor: Executor, event: Any) -> Any:
    """Executes one event of a subscription, with an executor of its own.

    `build_per_event_executor` is undocumented. If it is renamed, this raises AttributeError at the first event.
    """
    return execute_subscription_event(executor.build_per_event_executor(event))


def event_source(executor: Executor) -> Any:
    """Returns the events of a subscription as an async iterator, or its errors as an ExecutionResult, or an
    awaitable of either.

    That `create_source_event_stream` accepts an executor is undocumented. If that changes, this raises at the first
    subscription.
    """
    source: AsyncIterable[Any] | ExecutionResult | Awaitable[Any] = create_source_event_stream(executor)
    return source


def resolve_info(
    executor: Executor, field: GraphQLField, nodes: list[FieldNode], kind: GraphQLObjectType, name: str
) -> GraphQLResolveInfo[Any]:
    """Returns the `info` that graphql-core would pass to the resolver of a root field.

    `build_resolve_info` and `Path` are undocumented. If one is renamed, this raises AttributeError at the first
    operation.

    Args:
        name: the field's name in the response.
    """
    return executor.build_resolve_info(field, nodes, kind, Path(None, name, kind.name))


def execute_from_outcome(executor: Executor, outcome: Any) -> Any:
    """Executes an operation of one root field whose resolver has run already and must not run again. Returns the same
    as `execute`.

    A second executor of the same operation gets a middleware that returns `outcome` instead of calling the root field's
    resolver. Setting `middleware_manager` after an executor was built is undocumented. If it has no effect, the
    resolver runs again: a mutation is executed twice.

    Args:
        outcome: what the resolver returned, or the exception that it raised.
    """

    def resolve(resolver: Callable[..., Any], source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        if info.path.prev is not None:
            return resolver(source, info, **arguments)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    again = executor.build_per_event_executor(executor.root_value)
    again.middleware_manager = MiddlewareManager(resolve)
    return again.execute_operation()


def output_of(kind: GraphQLLeafType) -> Callable[[Any], Any]:
    """Returns the function that converts a value of a scalar or an enum to its form in a response.

    `coerce_output_value` is new in 3.3. If it is renamed, this raises AttributeError at the first operation.
    """
    return kind.coerce_output_value
