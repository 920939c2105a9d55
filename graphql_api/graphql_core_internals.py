"""Every private or undocumented interface of graphql-core that we use, each with why, and how it would break.
`tests/graphql_api/test_graphql_core_internals.py` shows that each still has its effect.

graphql-core executes each operation from its document; we compile what an operation selects once (execution/
compiled_selection.py) and come back to graphql-core for what is not plain. For that we need its executor: the object
that holds one operation with its variables and context. It is exported, and new in 3.3, but its methods are not
described. setup.cfg ends at 3.4 for that reason.

Written against graphql-core 3.3.2.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
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

__all__ = [
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
# `is_awaitable` is passed on as it is; graphql-core does not document it. Moved, it raises ImportError at start.

Executor: TypeAlias = CoreExecutor[Any]
"""One operation with its variables and context, ready to be executed."""


def build_executor(
    schema: GraphQLSchema,
    document: DocumentNode,
    *,
    context: Any,
    variables: dict[str, Any] | None,
    operation_name: str | None,
) -> Executor | list[GraphQLError]:
    """Returns what executes an operation of a valid document, or what is wrong with the variables.

    `Executor.build` and the names of its arguments are undocumented. Renamed, this raises at the first operation.
    """
    return CoreExecutor.build(
        schema, document, context_value=context, raw_variable_values=variables, operation_name=operation_name
    )


def execute(executor: Executor) -> Any:
    """Executes a query or a mutation from its beginning. Returns an ExecutionResult, or an awaitable of one.

    `execute_operation` is undocumented. Renamed, this raises AttributeError at the first operation.
    """
    return executor.execute_operation()


def execute_event(executor: Executor, event: Any) -> Any:
    """Executes one event of a subscription, with an executor of its own.

    `build_per_event_executor` is undocumented. Renamed, this raises AttributeError at the first event.
    """
    return execute_subscription_event(executor.build_per_event_executor(event))


def event_source(executor: Executor) -> Any:
    """Returns the events of a subscription as an async iterator, what is wrong with it as an ExecutionResult, or either
    as an awaitable.

    That `create_source_event_stream` takes an executor is undocumented. Changed, this raises at the first subscription.
    """
    source: AsyncIterable[Any] | ExecutionResult | Awaitable[Any] = create_source_event_stream(executor)
    return source


def resolve_info(
    executor: Executor, field: GraphQLField, nodes: list[FieldNode], kind: GraphQLObjectType, name: str
) -> GraphQLResolveInfo[Any]:
    """Returns the `info` that graphql-core would give the resolver of a root field.

    `build_resolve_info` and `Path` are undocumented. Renamed, this raises AttributeError at the first operation.

    Args:
        name: of the field in the response.
    """
    return executor.build_resolve_info(field, nodes, kind, Path(None, name, kind.name))


def execute_from_outcome(executor: Executor, outcome: Any) -> Any:
    """Executes an operation of one root field whose resolver has run already and must not again. Returns as `execute`.

    A second executor of the same operation gets a middleware that returns `outcome` in the root field's place.
    `middleware_manager`, set after an executor was built, is undocumented. Without its effect the resolver would run
    again: a mutation would be done twice.

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
    """Returns the function that turns a value of a scalar or an enum into what goes into a response.

    `coerce_output_value` is new in 3.3. Renamed, this raises AttributeError at the first operation.
    """
    return kind.coerce_output_value
