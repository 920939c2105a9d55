"""Calling the resolver of a root field without Strawberry's way there, which looks every argument's name and type up
anew: a sixteenth of what a busy api node does."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import MISSING
from inspect import iscoroutinefunction
from typing import Any, TypeAlias

from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
)
from strawberry.types.field import StrawberryField

from graphql_api.strawberry_internals import DEFINITION

Convert: TypeAlias = Callable[[Any], Any]
"""Makes what a resolver takes of a value that graphql-core has coerced."""


class UnsupportedArgument(Exception):
    """Strawberry converts this in a way of its own."""


class DirectCall:
    """Calls the asynchronous resolver of one field.

    Args:
        function: the resolver; it takes `info` and the arguments by their Python names.
        arguments: by their GraphQL names, the Python name and the conversion of those that are converted here.
    """

    def __init__(
        self, function: Callable[..., Coroutine[Any, Any, Any]], arguments: Mapping[str, tuple[str, Convert]]
    ) -> None:
        self._function = function
        self._arguments = arguments

    def __call__(self, info: Any, values: Mapping[str, Any]) -> Coroutine[Any, Any, Any] | None:
        """What the resolver does with these arguments; None where one of them is Strawberry's to convert."""
        converted = {}
        for name, value in values.items():
            known = self._arguments.get(name)
            if known is None:
                return None
            converted[known[0]] = known[1](value)
        return self._function(info=info, **converted)


def direct_call(field: GraphQLField) -> DirectCall | None:
    """How the resolver of a field is called directly; None where it cannot be."""
    made = (field.extensions or {}).get(DEFINITION)
    if not isinstance(made, StrawberryField) or made.extensions or made.base_resolver is None:
        return None
    resolver = made.base_resolver
    function = resolver.wrapped_func
    if not iscoroutinefunction(function) or "info" not in resolver.signature.parameters:
        return None
    if {"self", "root", "parent"} & resolver.signature.parameters.keys():
        return None
    arguments = {}
    for name, argument in field.args.items():
        try:
            arguments[name] = argument.extensions[DEFINITION].python_name, _conversion(argument.type)
        except UnsupportedArgument:
            continue
    return DirectCall(function, arguments)


def _conversion(kind: GraphQLInputType) -> Convert:
    if isinstance(kind, GraphQLNonNull):
        return _conversion(kind.of_type)
    if isinstance(kind, GraphQLScalarType):
        return _as_it_is
    if isinstance(kind, GraphQLList):
        convert = _conversion(kind.of_type)
        return lambda values: None if values is None else [convert(value) for value in values]
    if isinstance(kind, GraphQLInputObjectType):
        return _object(kind)
    raise UnsupportedArgument


def _object(kind: GraphQLInputObjectType) -> Convert:
    """Of an input type whose fields are plain; others may contain themselves."""
    definition = kind.extensions[DEFINITION]
    if definition.from_input is not None or kind.is_one_of:
        raise UnsupportedArgument
    names = {}
    for name, field in kind.fields.items():
        plain = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
        if not isinstance(plain, GraphQLScalarType):
            raise UnsupportedArgument
        names[name] = field.extensions[DEFINITION].python_name
    # What a client may leave out and has no default is null, as Strawberry has it.
    absent = {
        field.python_name: None
        for field in definition.fields
        if field.default_value is MISSING and field.default_factory is MISSING
    }
    make = definition.origin

    def convert(value: Any) -> Any:
        return None if value is None else make(**absent | {names[name]: item for name, item in value.items()})

    return convert


def _as_it_is(value: Any) -> Any:
    return value
