"""What we use of graphql-core's executor has its effect: a release that changes it fails here, not in production."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from typing import Any

from graphql import (
    ExecutionResult,
    FieldNode,
    GraphQLError,
    GraphQLScalarType,
    GraphQLSchema,
    OperationDefinitionNode,
    build_schema,
    parse,
)

from graphql_api.graphql_core_internals import (
    Executor,
    build_executor,
    event_source,
    execute,
    execute_event,
    execute_from_outcome,
    is_awaitable,
    output_of,
    resolve_info,
)

SCHEMA: GraphQLSchema = build_schema("""
    type Query { one: Int }
    type Thing { size(times: Int!): Int! inner: Thing }
    type Mutation { make(size: Int!): Thing }
    type Subscription { count: Int }
""")
MAKE = parse("mutation Named($size: Int!) { made: make(size: $size) { size(times: 2) inner { size(times: 3) } } }")
COUNT = parse("subscription { count }")
RUNS: list[tuple[int, Any]] = []


class Thing:
    def __init__(self, size: int) -> None:
        self.number = size

    def size(self, info: Any, times: int) -> int:
        return self.number * times

    def inner(self, info: Any) -> Thing:
        return Thing(self.number + 1)


def make(_root: Any, info: Any, size: int) -> Thing:
    RUNS.append((size, info))
    return Thing(size)


async def count(_root: Any, info: Any) -> AsyncIterator[dict[str, int]]:
    for number in range(info.context):
        yield {"count": number}


assert SCHEMA.mutation_type is not None
assert SCHEMA.subscription_type is not None
SCHEMA.mutation_type.fields["make"].resolve = make
SCHEMA.subscription_type.fields["count"].subscribe = count


def executor(document: Any, variables: dict[str, Any] | None = None, context: Any = None) -> Executor:
    made = build_executor(SCHEMA, document, context=context, variables=variables, operation_name=None)
    assert not isinstance(made, list)
    return made


async def finished(result: Any) -> ExecutionResult:
    made = await result if is_awaitable(result) else result
    assert isinstance(made, ExecutionResult)
    return made


async def test_an_operation_is_executed_with_its_variables_and_context() -> None:
    RUNS.clear()
    result = await finished(execute(executor(MAKE, {"size": 4}, "the context")))
    assert result == ExecutionResult({"made": {"size": 8, "inner": {"size": 15}}}, None)
    [(size, info)] = RUNS
    assert (size, info.context) == (4, "the context")


def test_variables_that_do_not_fit_are_told_instead_of_an_executor() -> None:
    errors = build_executor(SCHEMA, MAKE, context=None, variables={"size": "four"}, operation_name="Named")
    assert isinstance(errors, list)
    assert all(isinstance(error, GraphQLError) for error in errors)
    assert "$size" in errors[0].message


async def test_an_operation_whose_resolver_has_run_is_completed_without_running_it_again() -> None:
    RUNS.clear()
    result = await finished(execute_from_outcome(executor(MAKE, {"size": 4}), Thing(7)))
    assert result.data == {"made": {"size": 14, "inner": {"size": 24}}}
    assert RUNS == []


async def test_an_error_of_a_resolver_that_has_run_is_told_as_graphql_core_tells_it() -> None:
    RUNS.clear()
    result = await finished(execute_from_outcome(executor(MAKE, {"size": 4}), ValueError("no")))
    assert result.data == {"made": None}
    assert [(error.message, error.path) for error in result.errors or ()] == [("no", ["made"])]
    assert RUNS == []


async def test_the_info_of_a_root_field_is_that_which_its_resolver_would_get() -> None:
    RUNS.clear()
    built = executor(MAKE, {"size": 4}, "the context")
    await finished(execute(built))
    [(_, info)] = RUNS
    operation = MAKE.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    [node] = operation.selection_set.selections
    assert isinstance(node, FieldNode)
    assert SCHEMA.mutation_type is not None
    made = resolve_info(built, SCHEMA.mutation_type.fields["make"], [node], SCHEMA.mutation_type, "made")
    for name in ("field_name", "field_nodes", "return_type", "parent_type", "schema", "variable_values", "context"):
        assert getattr(made, name) == getattr(info, name), name
    assert made.path.as_list() == info.path.as_list() == ["made"]


async def test_each_event_of_a_subscription_is_executed_by_itself() -> None:
    built = executor(COUNT, context=2)
    source = event_source(built)
    events = await source if isinstance(source, Awaitable) else source
    results = [await finished(execute_event(built, event)) async for event in events]
    assert results == [ExecutionResult({"count": 0}, None), ExecutionResult({"count": 1}, None)]


def test_a_leaf_turns_values_into_what_goes_into_a_response() -> None:
    integer = SCHEMA.type_map["Int"]
    assert isinstance(integer, GraphQLScalarType)
    assert output_of(integer)(True) == 1
