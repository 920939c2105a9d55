"""The object types that wrap outputs which are not objects: `<Name>Result { value }`."""

from __future__ import annotations

from types import UnionType
from typing import Any, Union, get_args, get_origin

from strawberry.tools import create_type

from cluster.task_types.task_type import TaskType
from graphql_api.schema.client_names import pascal_case
from graphql_api.schema.constraints import description_of
from graphql_api.schema.scalars import CONFIG
from graphql_api.schema.type_mapping import TypeMap
from graphql_api.strawberry_internals import make_field, type_name


def output_wrapper(task_type: TaskType, type_map: TypeMap) -> type:
    """The type that wraps the output of a task type in a field `value`, and in one that is named after its type.

    GraphQL does not merge `value` of several members of `TaskOutput` in one selection if its types differ; fields with
    different names it does.
    """
    name = f"{pascal_case(task_type.name)}Result"
    type_map.claim(name, task_type.origin)
    returns = type_map.output(task_type.returns, f"{task_type.origin}, what it returns", f"{name}Value")
    fields = [make_field("value", returns, description=description_of(task_type.returns, "The output itself."))]
    twin = typed_name(returns)
    if twin != "value":
        fields.append(
            make_field(
                twin,
                Union[_nullable(returns)[0], None],  # noqa: UP007 - a lazy type has no `|` of its own
                resolver=lambda root: root.value,
                description="The same as `value`. Every output of this type is in a field of this name, so that one "
                "selection can read many task types.",
            )
        )
    return create_type(name, fields, description=f"The output of `{task_type.name}`.")


def typed_name(mapped: Any) -> str:
    """A field's name for a type: `int` for Int, `intList` for [Int!], `intOrNullList` for [Int], `bigInt`, `json`."""
    inner, _ = _nullable(mapped)
    if get_origin(inner) is list:
        [item] = get_args(inner)
        return f"{typed_name(item)}{'OrNull' if _nullable(item)[1] else ''}List"
    name = type_name(inner, CONFIG.scalar_map)
    return name.lower() if name.isupper() else name[0].lower() + name[1:]


def _nullable(mapped: Any) -> tuple[Any, bool]:
    """`T | None` as (T, True), anything else as (itself, False), of the types that TypeMap makes."""
    if get_origin(mapped) not in (Union, UnionType):
        return mapped, False
    [inner] = [item for item in get_args(mapped) if item is not type(None)]
    return inner, True
