"""Compiles the selection of a document into a reader: a function that reads the selected fields from a value.

A reader supports only plain selections: fields without arguments and directives whose values are available at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from inspect import iscoroutine
from typing import Any, TypeAlias

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLUnionType,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    is_leaf_type,
)

from graphql_api.answer_size import COUNTED_LEAVES, FIELD_BYTES, LIST_ITEM_BYTES, Answer
from graphql_api.graphql_core_internals import is_awaitable, output_of
from graphql_api.strawberry_internals import is_of_type, resolver_of

Reader: TypeAlias = Callable[[Any, "Info"], Any]
"""Converts a value of one type to its form in the response."""


class NotCompilable(Exception):
    """The selection or value is not supported; graphql-core executes it."""


@dataclass(frozen=True, slots=True)
class Info:
    """The part of Strawberry's Info that the resolvers of this schema use.

    Attributes:
        answer: where readers count what they write.
    """

    context: Any
    answer: Answer


@dataclass(frozen=True, slots=True)
class RootField:
    """The only root field of an operation.

    Attributes:
        name: of the field in the response.
        read: converts the field's value.
    """

    kind: GraphQLObjectType
    name: str
    nodes: list[FieldNode]
    field: GraphQLField
    read: Reader


class SelectionCompiler:
    """Compiles the selections of one document.

    Raises, in every method:
        NotCompilable: a reader does not support the selection.
    """

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }

    def root(self, operation: OperationDefinitionNode) -> RootField:
        """The only root field of an operation."""
        kind = self._schema.get_root_type(operation.operation)
        assert kind is not None, "the operation is valid"
        fields = self.collected(kind, [operation.selection_set])
        if operation.directives or len(fields) != 1:
            raise NotCompilable
        [(name, nodes)] = fields.items()
        field = kind.fields.get(nodes[0].name.value)
        if field is None:  # __schema, __type, __typename
            raise NotCompilable
        return RootField(kind, name, nodes, field, self.value(field.type, nodes))

    def collected(
        self, kind: GraphQLObjectType, selections: Sequence[SelectionSetNode | None]
    ) -> dict[str, list[FieldNode]]:
        """The selected fields of a type, by their names in the response (GraphQL, section 6.3.2)."""
        fields: dict[str, list[FieldNode]] = {}
        for selection in selections:
            for node in self._fields(kind, selection):
                fields.setdefault(node.alias.value if node.alias else node.name.value, []).append(node)
        return fields

    def _fields(self, kind: GraphQLObjectType, selection: SelectionSetNode | None) -> Iterator[FieldNode]:
        for node in () if selection is None else selection.selections:
            if node.directives:
                raise NotCompilable
            if isinstance(node, FieldNode):
                yield node
                continue
            fragment = self._fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
            assert isinstance(fragment, FragmentDefinitionNode | InlineFragmentNode)
            if fragment.directives:
                raise NotCompilable
            condition = fragment.type_condition
            named = kind if condition is None else self._schema.get_type(condition.name.value)
            if not isinstance(named, GraphQLObjectType | GraphQLUnionType | GraphQLInterfaceType):
                raise NotCompilable
            if (
                named is kind
                or named in kind.interfaces
                or (isinstance(named, GraphQLUnionType) and kind in named.types)
            ):
                yield from self._fields(kind, fragment.selection_set)

    def value(self, kind: GraphQLOutputType, nodes: Sequence[FieldNode]) -> Reader:
        """The reader of a value (section 6.4.3)."""
        if isinstance(kind, GraphQLNonNull):
            return self._non_null(kind.of_type, nodes)
        read = self._non_null(kind, nodes)
        return lambda value, info: None if value is None else read(value, info)

    def _non_null(self, kind: GraphQLOutputType, nodes: Sequence[FieldNode]) -> Reader:
        """The reader of a value that is not null."""
        if isinstance(kind, GraphQLList):
            return _list_of(self.value(kind.of_type, nodes))
        if is_leaf_type(kind):
            return _leaf(output_of(kind))
        if isinstance(kind, GraphQLObjectType):
            read = self._object(kind, nodes)
            return _one_of([kind], lambda _: read)
        if isinstance(kind, GraphQLUnionType):
            # There may be hundreds of task types, of which few occur in responses.
            return _one_of(kind.types, lambda member: self._object(member, nodes))
        raise NotCompilable

    def _object(self, kind: GraphQLObjectType, nodes: Sequence[FieldNode]) -> Reader:
        """The reader of an object's selected fields."""
        constants: dict[str, Any] = {}
        fields: list[tuple[str, Reader, Reader]] = []
        for name, asked in self.collected(kind, [node.selection_set for node in nodes]).items():
            if asked[0].name.value == "__typename":
                constants[name] = kind.name
                continue
            field = kind.fields[asked[0].name.value]
            constants[name] = None
            fields.append((name, _resolver(field), self.value(field.type, asked)))

        size = sum(len(name) + FIELD_BYTES for name in constants)

        def read(value: Any, info: Info) -> dict[str, Any]:
            info.answer.write(size)
            made = constants.copy()  # which has the fields in the document's order
            for name, resolve, complete in fields:
                made[name] = complete(resolve(value, info), info)
            return made

        return read


def _resolver(field: GraphQLField) -> Reader:
    """The reader of a field's value from its object."""
    resolver = resolver_of(field)
    if resolver is None:
        raise NotCompilable
    get, name, takes_info = resolver.get, resolver.attribute, resolver.takes_info
    if name is not None:
        return lambda value, _info: get(value, name)

    def read(value: Any, info: Info) -> Any:
        got = get(value, info) if takes_info else get(value)
        if is_awaitable(got):
            if iscoroutine(got):
                got.close()
            raise NotCompilable
        return got

    return read


def _leaf(coerce: Callable[[Any], Any]) -> Reader:
    def read(value: Any, info: Info) -> Any:
        made = coerce(value)
        if made is None:
            raise NotCompilable
        if made.__class__ in COUNTED_LEAVES:
            info.answer.write_leaf(made)
        return made

    return read


def _list_of(read: Reader) -> Reader:
    def read_all(values: Any, info: Info) -> list[Any]:
        if not isinstance(values, list | tuple):
            raise NotCompilable
        info.answer.write(LIST_ITEM_BYTES * len(values))
        return [read(value, info) for value in values]

    return read_all


def _one_of(kinds: Sequence[GraphQLObjectType], reader: Callable[[GraphQLObjectType], Reader]) -> Reader:
    """The reader of an object of one of these types, which its class determines. Readers are made on demand."""
    known: dict[type, Reader] = {}

    def read(value: Any, info: Info) -> Any:
        found = known.get(type(value))
        if found is None:
            fits = [kind for kind in kinds if is_of_type(kind, value)]
            if len(fits) != 1:
                raise NotCompilable
            try:
                found = reader(fits[0])
            except NotCompilable:
                found = _not_compilable
            known[type(value)] = found
        return found(value, info)

    return read


def _not_compilable(_value: Any, _info: Info) -> Any:
    raise NotCompilable
