"""Every private or undocumented interface of Strawberry that we use, each with why, and how it would break.
`tests/graphql_api/test_strawberry_internals.py` shows that each still has its effect.

Strawberry is made for types that are written as classes. Ours are made from task types at start, keep the author's own
classes as values, and are executed by graphql_api/execution, which reads what Strawberry knows of a field once instead
of for each value.

Written against strawberry-graphql 0.341.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
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
    "DEFINITION",
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
    "validate_document",
]
# Passed on as they are, from modules that Strawberry does not document; moved, they raise ImportError at start:
# `validate_document` holds a document to a schema with given rules; `PreExecutionError` is the result of an operation
# that was refused before it began, by which a WebSocket tells an `error` message from a `next` message;
# `to_camel_case` is how Strawberry spells names, and so how `submit<Name>` and error messages must: if its rules
# change, names in the schema change with it, which `make lint` reports as a breaking change of schema.graphql.

DEFINITION: Final = "strawberry-definition"
"""The entry of a GraphQL element's `extensions` with what Strawberry made it from. If it is renamed, `taskTypes` shows
GraphQL names in place of Python's, from which clients compute other task ids, and nothing is compiled."""


def core_schema(schema: strawberry.Schema) -> GraphQLSchema:
    """Returns graphql-core's schema inside Strawberry's.

    `_schema` is private. Renamed, this raises AttributeError at an api node's start.
    """
    return schema._schema


def make_field(name: str, annotation: Any = None, **options: Any) -> StrawberryField:
    """Makes a field of a type that `strawberry.tools.create_type` is given, with a name of GraphQL that is not spelled
    anew.

    `type_annotation`, `python_name` and `name` are attributes of the field that are documented for no such use: set
    after the field is made, they win over what Strawberry derives from a class body. If one were computed instead,
    setting it would raise AttributeError at an api node's start.

    Args:
        name: the field's name in Python and in GraphQL, before `StrawberryConfig` spells it in camelCase.
        annotation: its type, a Python class of Strawberry's or a scalar; None if `resolver` says it.
        options: of `strawberry.field`.
    """
    made: Any = strawberry.field(**options)
    if annotation is not None:
        made.type_annotation = StrawberryAnnotation(annotation)
    made.python_name = made.name = name
    return made  # type: ignore[no-any-return]


@dataclass(frozen=True)
class ForwardReference(LazyType[Any, Any]):
    """Stands for a class that is being made while one of its own fields needs it: a type that holds itself.

    Strawberry looks for a LazyType's class in a module by its name; ours are in no module. `resolve_type` is
    undocumented. Renamed, a task type that takes or returns such a type fails at an api node's start.

    Attributes:
        made: the classes that are made so far, by key.
    """

    made: dict[Any, Any] = field(default_factory=dict, compare=False)
    key: Any = None

    def resolve_type(self) -> type[Any]:
        return self.made[self.key]  # type: ignore[no-any-return]


def set_type_check(made: type, test: Callable[[Any], bool]) -> None:
    """Makes the members of a union be told apart by `test`: the values are the task author's classes, which Strawberry
    has not made.

    `is_type_of` of a type's definition, set after the type was made, is undocumented. Without its effect a result that
    is an object cannot be read: `Unexpected type ... for TaskOutput`.
    """
    get_object_definition(made, strict=True).is_type_of = lambda value, _info: test(value)


def default_scalar(kind: type) -> Any:
    """Returns the definition of Strawberry's own scalar for a Python type, for a stricter one to be made from it.

    `DEFAULT_SCALAR_REGISTRY` is undocumented. Moved, this raises ImportError at start.
    """
    return DEFAULT_SCALAR_REGISTRY[kind]


# What Strawberry knows of the elements of a finished schema ---------------------------------------------------------


def python_name(element: Any, graphql_name: str) -> str:
    """Returns how Python spells an argument or a field that GraphQL calls `graphql_name`."""
    return getattr(element.extensions.get(DEFINITION), "python_name", None) or graphql_name


def enum_class(named: GraphQLNamedType) -> Any:
    """Returns the Python Enum of a GraphQL enum; None if Strawberry did not make it.

    `wrapped_cls` of its definition is undocumented. Renamed, `taskTypes` shows an enum's names in place of its values.
    """
    return getattr(named.extensions.get(DEFINITION), "wrapped_cls", None)


def input_default(element: GraphQLInputField) -> tuple[bool, Any]:
    """Returns whether a field of an input type has a default, and the default.

    `default` and `default_factory` of its definition are a dataclass field's. Renamed, `taskTypes` shows no defaults.
    """
    definition: Any = element.extensions.get(DEFINITION)
    default = getattr(definition, "default", dataclasses.MISSING)
    factory = getattr(definition, "default_factory", dataclasses.MISSING)
    if default is dataclasses.MISSING and factory not in (None, dataclasses.MISSING):
        default = factory()
    has_default = default is not dataclasses.MISSING and default is not strawberry.UNSET
    return has_default, default if has_default else None


def strawberry_field(element: GraphQLField) -> StrawberryField | None:
    """Returns what Strawberry made a field from, unless it was made otherwise or has extensions of Strawberry's."""
    made = (element.extensions or {}).get(DEFINITION)
    return made if isinstance(made, StrawberryField) and not made.extensions else None


@dataclass(frozen=True, slots=True)
class Resolver:
    """How the value of a field is got from its object.

    Attributes:
        get: called with the object; with `attribute`, too, if there is one; with the `info`, too, if `takes_info`.
        attribute: the name of the attribute that is the value.
    """

    get: Callable[..., Any]
    attribute: str | None = None
    takes_info: bool = False


def resolver_of(element: GraphQLField) -> Resolver | None:
    """Returns the plain function that Strawberry calls for a field without arguments; None if it is not so simple.

    `base_resolver`, its `wrapped_func`, `signature` and `is_async`, and `default_resolver` of a field are undocumented.
    Renamed, this raises AttributeError at the first operation.
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

    `origin` of its definition, the class that Strawberry made, is undocumented. Renamed, this raises AttributeError at
    the first operation.
    """
    definition = named.extensions[DEFINITION]
    if definition.is_type_of is not None:
        return bool(definition.is_type_of(value, None))
    return isinstance(value, definition.origin)
