"""Operations of one plain field, executed by a reader that is compiled from the document once.

Most operations ask one root field for a few plain fields, again and again in the same words, and graphql-core looks
each of them up anew: a quarter of a busy api node's time. A reader knows the functions already. It reads what is plain:
fields without arguments and directives that are there at once. Whatever is odd, a document or a value, an error above
all, is left to graphql-core, which gives the same answer: to an event as it would have from the beginning, and to a
query or a mutation with what its root field has given already, as that must not run twice.
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
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLUnionType,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_argument_values,
    is_leaf_type,
)
from graphql import ExecutionResult as CoreResult

from graphql_api.execution.direct_resolver_call import direct_call
from graphql_api.graphql_core_internals import (
    Executor,
    execute,
    execute_event,
    execute_from_outcome,
    is_awaitable,
    output_of,
    resolve_info,
)
from graphql_api.strawberry_internals import is_of_type, resolver_of

Execution: TypeAlias = Callable[[Executor], Any]
"""Executes a query or a mutation that an executor was built for; the result may be awaitable."""
EventExecution: TypeAlias = Callable[[Executor, Any], Any]
"""Executes one event of a subscription that an executor was built for; the result may be awaitable."""
Reader: TypeAlias = Callable[[Any, "Info"], Any]
"""Reads a value of one type as it goes into the answer."""


class NotCompilable(Exception):
    """This is left to graphql-core."""


@dataclass(frozen=True, slots=True)
class Info:
    """What of Strawberry's Info the resolvers of this schema use."""

    context: Any


def event_execution(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
) -> EventExecution:
    """How the events of a valid subscription are executed."""
    try:
        return _Events(_Compiler(schema, document).root(operation))
    except NotCompilable:
        return execute_event


def field_execution(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> Execution:
    """How a valid query or mutation is executed."""
    try:
        return _Once(_Compiler(schema, document).root(operation))
    except NotCompilable:
        return execute


@dataclass(frozen=True, slots=True)
class _Root:
    """The only root field of an operation.

    Attributes:
        name: of the field in the answer.
        read: reads what the field gives.
    """

    kind: GraphQLObjectType
    name: str
    nodes: list[FieldNode]
    field: GraphQLField
    read: Reader


class _Events:
    def __init__(self, root: _Root) -> None:
        self._name = root.name
        self._read = root.read

    def __call__(self, executor: Executor, event: Any) -> Any:
        try:
            return CoreResult({self._name: self._read(event, Info(executor.context_value))}, None)
        except Exception:  # noqa: BLE001 - graphql-core comes upon it again, and tells it as it tells all errors
            return execute_event(executor, event)


class _Once:
    def __init__(self, root: _Root) -> None:
        self._root = root
        self._call = direct_call(root.field)

    async def __call__(self, executor: Executor) -> CoreResult:
        root = self._root
        try:
            arguments = get_argument_values(root.field, root.nodes[0], executor.variable_values)
        except Exception:  # noqa: BLE001 - as with the events: nothing has run yet
            return await _finished(execute(executor))
        try:
            value = self._call and self._call(Info(executor.context_value), arguments)
            if value is None:
                value = self._by_strawberry(executor, arguments)
            if is_awaitable(value):
                value = await value
        except Exception as error:  # noqa: BLE001 - graphql-core tells it
            return await self._given(executor, error)
        try:
            return CoreResult({root.name: root.read(value, Info(executor.context_value))}, None)
        except Exception:  # noqa: BLE001 - as above
            return await self._given(executor, value)

    def _by_strawberry(self, executor: Executor, arguments: dict[str, Any]) -> Any:
        root = self._root
        info = resolve_info(executor, root.field, root.nodes, root.kind, root.name)
        assert root.field.resolve is not None, "Strawberry gives each field one"
        return root.field.resolve(executor.root_value, info, **arguments)

    async def _given(self, executor: Executor, outcome: Any) -> CoreResult:
        """The result, made by graphql-core of what the root field has given: a value, or an error."""
        return await _finished(execute_from_outcome(executor, outcome))


async def _finished(result: Any) -> CoreResult:
    made: CoreResult = await result if is_awaitable(result) else result
    return made


class _Compiler:
    """Raises, in every method:
    Odd: there is something that a reader cannot do.
    """

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }

    def root(self, operation: OperationDefinitionNode) -> _Root:
        """The only field of an operation."""
        kind = self._schema.get_root_type(operation.operation)
        assert kind is not None, "the operation is valid"
        fields = self.collected(kind, [operation.selection_set])
        if operation.directives or len(fields) != 1:
            raise NotCompilable
        [(name, nodes)] = fields.items()
        field = kind.fields.get(nodes[0].name.value)
        if field is None:  # __schema, __type, __typename
            raise NotCompilable
        return _Root(kind, name, nodes, field, self.value(field.type, nodes))

    def collected(
        self, kind: GraphQLObjectType, selections: Sequence[SelectionSetNode | None]
    ) -> dict[str, list[FieldNode]]:
        """The fields of a type, by their names in the answer (GraphQL, section 6.3.2)."""
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
            if not isinstance(named, GraphQLObjectType | GraphQLUnionType):
                raise NotCompilable
            if named is kind or (isinstance(named, GraphQLUnionType) and kind in named.types):
                yield from self._fields(kind, fragment.selection_set)

    def value(self, kind: GraphQLOutputType, nodes: Sequence[FieldNode]) -> Reader:
        """Reads a value (section 6.4.3)."""
        if isinstance(kind, GraphQLNonNull):
            return self._present(kind.of_type, nodes)
        read = self._present(kind, nodes)
        return lambda value, info: None if value is None else read(value, info)

    def _present(self, kind: GraphQLOutputType, nodes: Sequence[FieldNode]) -> Reader:
        """Reads a value that is not null."""
        if isinstance(kind, GraphQLList):
            return _list_of(self.value(kind.of_type, nodes))
        if is_leaf_type(kind):
            return _leaf(output_of(kind))
        if isinstance(kind, GraphQLObjectType):
            read = self._object(kind, nodes)
            return _one_of([kind], lambda _: read)
        if isinstance(kind, GraphQLUnionType):
            # There may be hundreds of task types; those that come are few.
            return _one_of(kind.types, lambda member: self._object(member, nodes))
        raise NotCompilable

    def _object(self, kind: GraphQLObjectType, nodes: Sequence[FieldNode]) -> Reader:
        """Reads the fields of an object that were asked for."""
        constants: dict[str, Any] = {}
        fields: list[tuple[str, Reader, Reader]] = []
        for name, asked in self.collected(kind, [node.selection_set for node in nodes]).items():
            if asked[0].name.value == "__typename":
                constants[name] = kind.name
                continue
            field = kind.fields[asked[0].name.value]
            constants[name] = None
            fields.append((name, _resolver(field), self.value(field.type, asked)))

        def read(value: Any, info: Info) -> dict[str, Any]:
            made = constants.copy()  # which has the order of the document
            for name, resolve, complete in fields:
                made[name] = complete(resolve(value, info), info)
            return made

        return read


def _resolver(field: GraphQLField) -> Reader:
    """What gets a field's value from its object."""
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
    def read(value: Any, _info: Info) -> Any:
        made = coerce(value)
        if made is None:
            raise NotCompilable
        return made

    return read


def _list_of(read: Reader) -> Reader:
    def read_all(values: Any, info: Info) -> list[Any]:
        if not isinstance(values, list | tuple):
            raise NotCompilable
        return [read(value, info) for value in values]

    return read_all


def _one_of(kinds: Sequence[GraphQLObjectType], reader: Callable[[GraphQLObjectType], Reader]) -> Reader:
    """Reads an object that is of one of these types, which its class tells. Their readers are made as they come."""
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
                found = _leave
            known[type(value)] = found
        return found(value, info)

    return read


def _leave(_value: Any, _info: Info) -> Any:
    raise NotCompilable
