"""The schema, generated from the registry: adding a task type touches no file here."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import strawberry
from graphql import GraphQLError
from pydantic import BaseModel
from strawberry.annotation import StrawberryAnnotation
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.tools import create_type
from strawberry.types.base import get_object_definition
from strawberry.types.execution import ExecutionContext

from cluster.registry import Registry
from cluster.values import Blob
from graphql_api.errors import present
from graphql_api.mutations import cancel_field, submit_fields
from graphql_api.queries import make_query
from graphql_api.subscriptions import make_subscription
from graphql_api.type_map import CONFIG, TypeMap, pascal
from graphql_api.types import make_task_types

DOCUMENT_CACHE = 1_000
"""Documents whose parse and validation are kept: both cost ten times the execution."""


class Schema(strawberry.Schema):
    """Strawberry's schema, whose errors are rewritten to what clients may see.

    `wrappers` are the object types around outputs that are none, and `outputs` the GraphQL names of all output types,
    by task name.
    """

    wrappers: dict[str, type]
    outputs: dict[str, str]

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        for error in errors:
            present(error)


class _ParserCache(ParserCache):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(maxsize=DOCUMENT_CACHE)


class _ValidationCache(ValidationCache):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(maxsize=DOCUMENT_CACHE)


def make_schema(registry: Registry) -> Schema:
    """Builds the schema of the registered task types.

    Raises:
        RegistryError: a type has no GraphQL form, or two need the same name.
    """
    type_map = TypeMap()
    wrappers: dict[str, type] = {}
    outputs: list[Any] = []
    names: dict[str, str] = {}
    for task_type in registry.values():
        returns = task_type.returns
        if (
            returns is not Blob
            and isinstance(returns, type)
            and (dataclasses.is_dataclass(returns) or issubclass(returns, BaseModel))
        ):
            made = type_map.output(returns, task_type.origin)
        else:
            made = wrappers[task_type.name] = _wrapper(task_type.name, returns, type_map, task_type.origin)
        names[task_type.name] = get_object_definition(made, strict=True).name
        if made not in outputs:
            outputs.append(made)
    union: Any = Annotated[_union(outputs), strawberry.union("TaskOutput", description="The output of any task type.")]
    task, submission, connection = make_task_types(union)
    members = [field for task_type in registry.values() for field in submit_fields(task_type, type_map, submission)]
    schema = Schema(
        query=make_query(task, connection),
        mutation=create_type("Mutation", [*members, cancel_field(task)]),
        subscription=make_subscription(task),
        types=outputs,
        config=CONFIG,
        extensions=[_ParserCache, _ValidationCache],
    )
    schema.wrappers, schema.outputs = wrappers, names
    return schema


def _union(outputs: list[Any]) -> Any:
    union = outputs[0]
    for output in outputs[1:]:
        union = union | output
    return union


def _wrapper(name: str, returns: Any, type_map: TypeMap, origin: str) -> type:
    """An object type around an output that is none: `<Name>Result { value }`."""
    graphql_name = f"{pascal(name)}Result"
    type_map.claim(graphql_name, origin)
    value: Any = strawberry.field(description="The output itself.")
    value.python_name = value.name = "value"
    value.type_annotation = StrawberryAnnotation(type_map.output(returns, origin))
    return create_type(graphql_name, [value], description=f"The output of `{name}`.")
