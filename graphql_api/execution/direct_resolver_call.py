"""Calls the resolver of a root field directly: Strawberry's call looks up each argument's name and type anew, which is
a sixteenth of a busy api node's work."""

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
"""Converts a value that graphql-core has coerced to what a resolver takes."""


class UnsupportedArgument(Exception):
    """Only Strawberry can convert this argument."""


class DirectCall:
    """Calls the asynchronous resolver of one field.

    Args:
        function: the resolver, which takes `info` and the arguments by their Python names.
        arguments: by GraphQL name, the Python name and the conversion of each argument that can be converted here.
    """

    def __init__(
        self, function: Callable[..., Coroutine[Any, Any, Any]], arguments: Mapping[str, tuple[str, Convert]]
    ) -> None:
        self._function = function
        self._arguments = arguments

    def __call__(self, info: Any, values: Mapping[str, Any]) -> Coroutine[Any, Any, Any] | None:
        """Calls the resolver; returns None if only Strawberry can convert one of the arguments."""
        converted = {}
        for name, value in values.items():
            known = self._arguments.get(name)
            if known is None:
                return None
            converted[known[0]] = known[1](value)
        return self._function(info=info, **converted)


def direct_call(field: GraphQLField) -> DirectCall | None:
    """The direct call of a field's resolver; None if it cannot be called directly."""
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
        return _unchanged
    if isinstance(kind, GraphQLList):
        convert = _conversion(kind.of_type)
        return lambda values: None if values is None else [convert(value) for value in values]
    if isinstance(kind, GraphQLInputObjectType):
        return _object(kind)
    raise UnsupportedArgument


def _object(kind: GraphQLInputObjectType) -> Convert:
    """The conversion of an input type with scalar fields only, as others may be recursive."""
    definition = kind.extensions[DEFINITION]
    if definition.from_input is not None or kind.is_one_of:
        raise UnsupportedArgument
    names = {}
    for name, field in kind.fields.items():
        plain = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
        if not isinstance(plain, GraphQLScalarType):
            raise UnsupportedArgument
        names[name] = field.extensions[DEFINITION].python_name
    # As in Strawberry, an omitted field without a default is null.
    absent = {
        field.python_name: None
        for field in definition.fields
        if field.default_value is MISSING and field.default_factory is MISSING
    }
    make = definition.origin

    def convert(value: Any) -> Any:
        return None if value is None else make(**absent | {names[name]: item for name, item in value.items()})

    return convert


def _unchanged(value: Any) -> Any:
    return value
