"""Every private or undocumented interface of Strawberry that we use, each with why, and how it would break.
`tests/graphql_api/test_strawberry_internals.py` shows that each still has its effect.

Strawberry is made for types that are written as classes. Our types are made from task types at start, their values are
instances of the author's own classes, and graphql_api/execution executes them, which reads Strawberry's description of
a field once instead of for each value.

Written against strawberry-graphql 0.341.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import isfunction
from typing import Any, Final

import strawberry
from graphql import GraphQLField, GraphQLInputField, GraphQLNamedType, GraphQLObjectType, GraphQLSchema
from strawberry.annotation import StrawberryAnnotation
from strawberry.schema.schema import validate_document
from strawberry.schema.types.scalar import DEFAULT_SCALAR_REGISTRY
from strawberry.types import get_object_definition
from strawberry.types.execution import PreExecutionError
from strawberry.types.field import StrawberryField
from strawberry.types.lazy_type import LazyType
from strawberry.utils.str_converters import to_camel_case

__all__ = [
    "ForwardReference",
    "PreExecutionError",
    "Resolver",
    "core_schema",
    "default_scalar",
    "enum_class",
    "input_default",
    "is_of_type",
    "make_field",
    "python_name",
    "resolver_of",
    "set_type_check",
    "strawberry_field",
    "to_camel_case",
    "type_name",
    "validate_document",
]
# Re-exported from modules that Strawberry does not document; if they are moved, importing them fails at start.
# `validate_document` validates a document against a schema with given rules. `PreExecutionError` is the result of an
# operation that was refused before it started, which a WebSocket sends as `error` instead of `next`. `to_camel_case`
# makes Strawberry's names, and must make those of `submit<Name>` and error messages: if its rules change, names in the
# schema change too, which `make lint` reports as a breaking change of schema.graphql.

DEFINITION: Final = "strawberry-definition"
"""The key in a GraphQL element's `extensions` of the Strawberry definition that it was made from. If it is renamed,
`taskTypes` shows GraphQL names instead of Python's, so that clients compute wrong task ids, and nothing is compiled."""


def core_schema(schema: strawberry.Schema) -> GraphQLSchema:
    """Returns graphql-core's schema inside Strawberry's.

    `_schema` is private. Renamed, this raises AttributeError at an api node's start.
    """
    return schema._schema


def make_field(name: str, annotation: Any = None, **options: Any) -> StrawberryField:
    """Makes a field for `strawberry.tools.create_type`.

    Setting `type_annotation`, `python_name` and `name` after the field was made is undocumented: they override what
    Strawberry derives from a class body. If one of them became computed, setting it would raise AttributeError at an
    api node's start.

    Args:
        name: the field's Python name, which `StrawberryConfig` converts to camelCase for GraphQL.
        annotation: its type, a class of Strawberry's or a scalar; None if the resolver has it.
        options: passed to `strawberry.field`.
    """
    made: Any = strawberry.field(**options)
    if annotation is not None:
        made.type_annotation = StrawberryAnnotation(annotation)
    made.python_name = made.name = name
    return made  # type: ignore[no-any-return]


@dataclass(frozen=True)
class ForwardReference(LazyType[Any, Any]):
    """Stands for a class that is still being made, in one of its own fields: a recursive type.

    Strawberry looks up a LazyType's class by name in a module; ours are in no module. `resolve_type` is undocumented.
    If it is renamed, a task type that takes or returns such a type fails at an api node's start.

    Attributes:
        made: the classes made so far, by key.
    """

    made: dict[Any, Any] = field(default_factory=dict, compare=False)
    key: Any = None

    def resolve_type(self) -> type[Any]:
        return self.made[self.key]  # type: ignore[no-any-return]


def type_name(kind: Any, scalars: Mapping[Any, Any]) -> str:
    """Returns the GraphQL name of a scalar, an enum or an object, as Strawberry's annotations have them.

    The definition of an enum is in an undocumented attribute of its class. If it is renamed, a task type that returns
    an enum fails at an api node's start.

    Args:
        scalars: the schema's own scalars, which Strawberry's do not know.
    """
    if isinstance(kind, LazyType):
        return kind.type_name
    definition = scalars.get(kind) or getattr(kind, "__strawberry_definition__", None) or default_scalar(kind)
    return str(definition.name)


def set_type_check(made: type, test: Callable[[Any], bool]) -> None:
    """Makes a union determine by `test` whether a value is of this member: the values are instances of the task
    author's classes, which Strawberry did not make.

    Setting `is_type_of` of a type's definition after the type was made is undocumented. If it has no effect, results
    that are objects cannot be read: `Unexpected type ... for TaskOutput`.
    """
    get_object_definition(made, strict=True).is_type_of = lambda value, _info: test(value)


def default_scalar(kind: type) -> Any:
    """Returns the definition of Strawberry's own scalar for a Python type, as the base of a stricter one.

    `DEFAULT_SCALAR_REGISTRY` is undocumented. If it is moved, importing it fails at start.
    """
    return DEFAULT_SCALAR_REGISTRY[kind]


# The definitions of the elements of a finished schema --------------------------------------------------------------


def python_name(element: Any, graphql_name: str) -> str:
    """Returns the Python name of an argument or field that GraphQL calls `graphql_name`."""
    return getattr(element.extensions.get(DEFINITION), "python_name", None) or graphql_name


def enum_class(named: GraphQLNamedType) -> Any:
    """Returns the Python Enum of a GraphQL enum; None if Strawberry did not make it.

    `wrapped_cls` of its definition is undocumented. If it is renamed, `taskTypes` shows names instead of values.
    """
    return getattr(named.extensions.get(DEFINITION), "wrapped_cls", None)


def input_default(element: GraphQLInputField) -> tuple[bool, Any]:
    """Returns whether a field of an input type has a default, and the default.

    Its definition has `default` and `default_factory` like a dataclass field. If they are renamed, `taskTypes` shows no
    defaults.
    """
    definition: Any = element.extensions.get(DEFINITION)
    default = getattr(definition, "default", dataclasses.MISSING)
    factory = getattr(definition, "default_factory", dataclasses.MISSING)
    if default is dataclasses.MISSING and factory not in (None, dataclasses.MISSING):
        default = factory()
    has_default = default is not dataclasses.MISSING and default is not strawberry.UNSET
    return has_default, default if has_default else None


def strawberry_field(element: GraphQLField) -> StrawberryField | None:
    """Returns the Strawberry field that a field was made from; None if there is none, or if it has extensions."""
    made = (element.extensions or {}).get(DEFINITION)
    return made if isinstance(made, StrawberryField) and not made.extensions else None


@dataclass(frozen=True, slots=True)
class Resolver:
    """How to get the value of a field from its object.

    Attributes:
        get: called with the object, and also with `attribute` if there is one, and with `info` if `takes_info`.
        attribute: the name of the attribute with the value.
    """

    get: Callable[..., Any]
    attribute: str | None = None
    takes_info: bool = False


def resolver_of(element: GraphQLField) -> Resolver | None:
    """Returns the plain function that Strawberry calls for a field without arguments; None if there is none.

    `base_resolver`, its `wrapped_func`, `signature` and `is_async`, and `default_resolver` of a field are undocumented.
    If one is renamed, this raises AttributeError at the first operation.
    """
    made = strawberry_field(element)
    if made is None or element.args:
        return None
    resolver = made.base_resolver
    if resolver is None:
        return Resolver(made.default_resolver, attribute=made.python_name)
    function = resolver.wrapped_func
    own, *taken = resolver.signature.parameters
    if not isfunction(function) or resolver.is_async or own not in ("self", "root") or taken not in ([], ["info"]):
        return None
    return Resolver(function, takes_info=bool(taken))


def is_of_type(named: GraphQLObjectType, value: Any) -> bool:
    """Whether a value is of an object type.

    `origin` of its definition, the class that Strawberry made, is undocumented. If it is renamed, this raises
    AttributeError at the first operation.
    """
    definition = named.extensions[DEFINITION]
    if definition.is_type_of is not None:
        return bool(definition.is_type_of(value, None))
    return isinstance(value, definition.origin)
