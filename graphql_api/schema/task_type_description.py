"""What `taskTypes` tells a client beyond names and defaults, so that it never needs introspection.

It is read off the finished GraphQL schema, so that it cannot differ from what the schema accepts and answers.
"""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import dataclasses
import datetime
import decimal
import enum
import types
import uuid
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

import strawberry
from annotated_types import BaseMetadata
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from cluster.task_types.pydantic_internals import has_own_rules
from cluster.task_types.task_id import canonical
from cluster.task_types.task_type import TaskType
from cluster.task_types.value_types import BigIntMark
from graphql_api.strawberry_internals import enum_class, input_default, python_name

_PLAIN: Final = (
    bool, int, float, str, datetime.datetime, datetime.date, datetime.time, decimal.Decimal, uuid.UUID, dict, Any,
)  # fmt: skip


@strawberry.type(description="A field of an object that a task type takes or returns.")
class TypeField:
    name: str = strawberry.field(description="As Python spells it, and as the task id's input does.")
    description: str | None = strawberry.field(description="What it means, and its bounds.")
    graphql_name: str = strawberry.field(description="As this schema spells it.")
    graphql_type: str = strawberry.field(description="Its GraphQL type, as in `[Int!]!`.")
    has_default: bool = strawberry.field(description="Whether an input may leave it out.")
    default: strawberry.scalars.JSON | None = strawberry.field(description="What is filled in where it is left out.")
    needs_arguments: bool = strawberry.field(description="Whether it can be read with arguments only.")


@strawberry.type(description="A member of an enum.")
class TypeMember:
    name: str = strawberry.field(description="As this schema spells it.")
    value: strawberry.scalars.JSON = strawberry.field(description="As the function and the task id's input have it.")


@strawberry.type(description="An object or an enum that a task type takes or returns.")
class UsedType:
    name: str = strawberry.field(description="Its GraphQL name.")
    fields: list[TypeField] = strawberry.field(description="Of an object.")
    members: list[TypeMember] = strawberry.field(description="Of an enum.")


def used_types(schema: GraphQLSchema, task_type: TaskType, mutation: str, output: str) -> list[UsedType]:
    """Every object and enum that the arguments of a task type or its output use, by name."""
    assert schema.mutation_type is not None
    arguments = schema.mutation_type.fields[mutation].args
    names = {argument.name for argument in task_type.arguments}
    found: dict[str, GraphQLNamedType] = {}
    waiting: list[Any] = [argument.type for name, argument in arguments.items() if python_name(argument, name) in names]
    waiting.append(schema.type_map[output])
    while waiting:
        named = get_named_type(waiting.pop())
        if named.name in found or (is_leaf_type(named) and not isinstance(named, GraphQLEnumType)):
            continue
        found[named.name] = named
        if isinstance(named, GraphQLObjectType | GraphQLInputObjectType | GraphQLInterfaceType):
            waiting += [field.type for field in named.fields.values()]
        elif isinstance(named, GraphQLUnionType):
            waiting += named.types
    return [_used(found[name]) for name in sorted(found)]


def _used(named: GraphQLNamedType) -> UsedType:
    if isinstance(named, GraphQLEnumType):
        cls = enum_class(named)
        values = {name: cls[name].value if cls and name in cls.__members__ else name for name in named.values}
        members = [TypeMember(name=name, value=_json(value)) for name, value in values.items()]
        return UsedType(name=named.name, fields=[], members=members)
    fields: dict[str, Any] = getattr(named, "fields", {})
    return UsedType(name=named.name, fields=[_field(name, field) for name, field in fields.items()], members=[])


def _field(name: str, field: GraphQLField | GraphQLInputField) -> TypeField:
    has_default, default = input_default(field) if isinstance(field, GraphQLInputField) else (False, None)
    return TypeField(
        name=python_name(field, name),
        description=field.description,
        graphql_name=name,
        graphql_type=str(field.type),
        has_default=has_default,
        default=_json(default) if has_default else None,
        needs_arguments=_needs_arguments(field),
    )


def _needs_arguments(field: GraphQLField | GraphQLInputField) -> bool:
    return isinstance(field, GraphQLField) and any(is_required_argument(item) for item in field.args.values())


def _json(value: Any) -> Any:
    return canonical(to_jsonable_python(value, fallback=str))


def selection(named: GraphQLNamedType, above: tuple[str, ...] = ()) -> str:
    """A selection of all that can be read of an output type without arguments; a type inside itself is left out."""
    if isinstance(named, GraphQLUnionType | GraphQLInterfaceType):
        members = named.types if isinstance(named, GraphQLUnionType) else ()
        return " ".join(
            ["__typename", *(f"... on {item.name} {{ {selection(item, (*above, named.name))} }}" for item in members)]
        )
    assert isinstance(named, GraphQLObjectType)
    parts = ["__typename"]
    for name, field in named.fields.items():
        inner = get_named_type(field.type)
        if _needs_arguments(field) or inner.name in (*above, named.name):
            continue
        parts.append(name if is_leaf_type(inner) else f"{name} {{ {selection(inner, (*above, named.name))} }}")
    return " ".join(parts)


def plain_input(annotation: Any) -> bool:
    """Whether the canonical form of an argument follows from its GraphQL type and value alone.

    It does not where a value has several forms (a Duration), has no order (a set), is turned to a type that the client
    does not see (the values of a typed dict), or is rewritten (a stripped text, a validator of the author's).
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        if any(isinstance(mark, BigIntMark) for mark in arguments[1:]):
            return True
        marks = [item for mark in arguments[1:] for item in (mark.metadata if isinstance(mark, FieldInfo) else [mark])]
        # Bounds and patterns are BaseMetadata; pydantic's StringConstraints, which may strip or change case, is not.
        return all(isinstance(mark, BaseMetadata) for mark in marks) and plain_input(arguments[0])
    if origin in (Union, types.UnionType):
        inner = [item for item in arguments if item is not type(None)]
        return len(inner) == 1 and plain_input(inner[0])
    if origin is list or (origin is tuple and arguments[1:] == (Ellipsis,)):
        return plain_input(arguments[0])
    if origin is dict:
        return arguments == (str, Any)
    if annotation in _PLAIN:
        return True
    if not isinstance(annotation, type):
        return False
    if issubclass(annotation, enum.Enum):
        return all(isinstance(member.value, str | int) for member in annotation)
    return _plain_object(annotation)


def _plain_object(cls: type) -> bool:
    if issubclass(cls, BaseModel):
        names = cls.model_fields.values()
        if cls.model_config or has_own_rules(cls) or any(item.alias or item.exclude for item in names):
            return False
    elif (
        not dataclasses.is_dataclass(cls)
        or hasattr(cls, "__post_init__")
        # It is part of the input, and no client gives it.
        or not all(item.init for item in dataclasses.fields(cls))
    ):
        return False
    hints = get_type_hints(cls, include_extras=True)
    return all(plain_input(hint) for hint in hints.values())
