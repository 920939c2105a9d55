"""The whole output of a task as JSON, with the names and the forms of its GraphQL type: `Task.output`."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutine
from typing import Any, Final, TypeAlias

from graphql import (
    GraphQLField,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    get_named_type,
    is_leaf_type,
)

from graphql_api.graphql_core_internals import is_awaitable, output_of
from graphql_api.strawberry_internals import resolver_of

Writer: TypeAlias = Callable[[Any, Any], Any]
"""Makes JSON of a value, given the `info` of the resolver that needs it."""

_LEFT_OUT: Final = object()


def json_writer(kind: GraphQLNamedType, *, unwrap: bool) -> Writer:
    """What writes the values of an output type.

    Fields with arguments are left out, and those that must be read first (from the blob store). A method that returns
    objects is called, but not the methods of these that do so too: they may have no end.

    Args:
        unwrap: whether the type wraps an output that is not an object, which is then written by itself.
    """
    assert isinstance(kind, GraphQLObjectType), "every output is an object, if need be one that wraps it"
    writers = _Writers()
    if unwrap:
        write = writers.of(kind.fields["value"].type, inner=False)
        return lambda value, info: write(value.value, info)
    return writers.of(kind, inner=False)


class _Writers:
    """Writers, each made once: a type may contain itself."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, bool], list[tuple[str, Writer]]] = {}

    def of(self, kind: GraphQLOutputType, *, inner: bool) -> Writer:
        """The writer of a type. `inner`: whether its values are what a method has returned."""
        if isinstance(kind, GraphQLNonNull):
            return self.of(kind.of_type, inner=inner)
        if isinstance(kind, GraphQLList):
            write = self.of(kind.of_type, inner=inner)
            return lambda values, info: None if values is None else [write(value, info) for value in values]
        if is_leaf_type(kind):
            coerce = output_of(kind)
            return lambda value, _info: None if value is None else coerce(value)
        assert isinstance(kind, GraphQLObjectType), "outputs have no fields of a union or an interface"
        fields = self._fields(kind, inner=inner)

        def write_object(value: Any, info: Any) -> Any:
            if value is None:
                return None
            written = ((name, write(value, info)) for name, write in fields)
            return {name: part for name, part in written if part is not _LEFT_OUT}

        return write_object

    def _fields(self, kind: GraphQLObjectType, *, inner: bool) -> list[tuple[str, Writer]]:
        key = kind.name, inner
        if key not in self._made:
            # Known before it is filled, so that a type that contains itself finds it.
            found = self._made[key] = []
            for name, field in kind.fields.items():
                write = self._field(field, inner=inner)
                if write is not None:
                    found.append((name, write))
        return self._made[key]

    def _field(self, field: GraphQLField, *, inner: bool) -> Writer | None:
        """What writes a field of an object; None if it is left out."""
        resolver = resolver_of(field)
        if field.args or resolver is None:
            return None
        get, attribute, takes_info = resolver.get, resolver.attribute, resolver.takes_info
        if attribute is not None:
            write = self.of(field.type, inner=inner)
            return lambda value, info: write(get(value, attribute), info)
        if inner and not is_leaf_type(get_named_type(field.type)):
            return None
        write = self.of(field.type, inner=True)

        def call(value: Any, info: Any) -> Any:
            made = get(value, info) if takes_info else get(value)
            if not is_awaitable(made):
                return write(made, info)
            if iscoroutine(made):
                made.close()
            return _LEFT_OUT

        return call
