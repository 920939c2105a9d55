"""GraphQL documents: parsed, measured and validated once and cached, as parsing and validating cost ten executions."""

from __future__ import annotations

import itertools
import sys
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    VariableNode,
    parse,
    specified_rules,
)
from strawberry.exceptions import MissingQueryError
from strawberry.types.graphql import OperationType

from cluster.errors import DocumentTooLarge, OperationNotAllowed
from cluster.settings import Settings
from graphql_api.error_messages import hide_schema
from graphql_api.execution.compiled_selection import EventExecution, Execution
from graphql_api.execution.document_limits import (
    DocumentSize,
    Limits,
    check_length,
    check_limits,
    check_list_cost,
    check_variables,
    measure_document,
)
from graphql_api.execution.persisted_operations import PersistedOperations
from graphql_api.strawberry_internals import validate_document

CACHE_BYTES: Final = 64_000_000
"""Size of the cache: the memory of all documents, by `weight_of`."""
MAX_CACHED_BYTES: Final = 8_000
"""A longer document is parsed anew for each request, unless it is a persisted one."""
DOCUMENT_BYTES: Final = 8_000
"""Memory of a document besides its tokens: its entry in the cache and the reader that is compiled for it."""
TOKEN_BYTES: Final = 1_000
"""Memory of one token: its part of the syntax tree."""
LIVE_FIELDS: Final = frozenset({"childCount", "children", "cost", "href", "otherVersions", "parents"})
"""The fields below a final record whose values change all the same: links that expire, other records, and prices."""


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def weight_of(text: str, tokens: int) -> int:
    """The memory of a document in bytes, approximately.

    The syntax tree keeps the text, which comments and long strings make longer than its tokens suggest; it counts three
    times, because a string in it is also in the tree and in the compiled reader.
    """
    return DOCUMENT_BYTES + max(tokens * TOKEN_BYTES, sys.getsizeof(text) * 3)


class DocumentRejected(Exception):
    """A document, or its variables, are not accepted for execution."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


@dataclass(slots=True)
class Operation:
    """One operation of a document.

    Attributes:
        text: text of the document.
        number: number of the document, unique in this process.
        name: name of the operation.
        root_fields: the names of its root fields.
        shared: its response for a final record depends on nothing but the document, the variables and what its caller
            may see.
        introspects: it selects `__schema` or `__type`.
        constant: it selects nothing else, so that its response never changes.
        execution: executes a query or mutation; made on first use.
        event_execution: executes an event of a subscription; made on first use.
        task_variable: the variable with the task's id, if the operation is a `taskResult` that is shared and has no
            other variable, nor directives; else None.
    """

    document: DocumentNode
    node: OperationDefinitionNode
    text: str
    number: int
    kind: OperationType
    name: str | None
    root_fields: frozenset[str]
    shared: bool
    introspects: bool = False
    constant: bool = False
    execution: Execution | None = None
    event_execution: EventExecution | None = None
    task_variable: str | None = None


@dataclass(slots=True)
class CachedDocument:
    """A parsed document.

    Attributes:
        text: the key in the cache, which the syntax tree keeps anyway.
        weight: its memory in bytes.
        cacheable: whether it is kept once it is valid.
        number: unique in this process.
        operations: those that were requested, by the name in the request.
    """

    text: str
    document: DocumentNode
    weight: int
    cacheable: bool
    number: int
    measured: DocumentSize
    valid: bool = False
    operations: dict[str | None, Operation] = field(default_factory=dict)

    def operation(self, name: str | None) -> Operation:
        """The operation with a name, or the only one.

        Args:
            name: None or empty if the request names none; no operation has an empty name.

        Raises:
            DocumentRejected: there is none with this name, or there are several and the request names none.
        """
        found = self.operations.get(name)
        if found is None:
            found = self.operations[name] = self._find(name or None)
        return found

    def _find(self, name: str | None) -> Operation:
        """GetOperation (GraphQL, section 6.1)."""
        nodes = [node for node in self.document.definitions if isinstance(node, OperationDefinitionNode)]
        if name is None and len(nodes) > 1:
            raise DocumentRejected([GraphQLError("Must provide operation name if query contains multiple operations.")])
        for node in nodes:
            own = node.name.value if node.name else None
            if name is None or name == own:
                kind = OperationType(node.operation.value)
                names = frozenset(_root_fields(self.document, node))
                introspects = not names.isdisjoint({"__schema", "__type"})
                constant = introspects and not node.variable_definitions and all(n.startswith("__") for n in names)
                shared = _awaits_one_task(node) and not _selects_live(self.document)
                found = Operation(
                    self.document, node, self.text, self.number, kind, own, names, shared, introspects, constant
                )
                found.task_variable = _task_variable(node) if shared else None
                return found
        message = "Must provide an operation." if name is None else f"Unknown operation named '{name}'."
        raise DocumentRejected([GraphQLError(message)])


def _root_fields(document: DocumentNode, operation: OperationDefinitionNode) -> Iterator[str]:
    """The names of the root fields of an operation, which may be in fragments."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    todo = [operation.selection_set]
    while todo:
        for node in todo.pop().selections:
            if isinstance(node, FieldNode):
                yield node.name.value
            elif isinstance(node, InlineFragmentNode):
                todo.append(node.selection_set)
            elif isinstance(node, FragmentSpreadNode) and (found := fragments.pop(node.name.value, None)):
                todo.append(found.selection_set)


def _awaits_one_task(node: OperationDefinitionNode) -> bool:
    """Whether an operation is a subscription of `taskResult` and nothing else."""
    fields = node.selection_set.selections
    return (
        node.operation.value == "subscription"
        and len(fields) == 1
        and isinstance(fields[0], FieldNode)
        and fields[0].name.value == "taskResult"
    )


def _task_variable(node: OperationDefinitionNode) -> str | None:
    """The variable that names the task of a `taskResult`, if there is no other one and no directive."""
    [field] = node.selection_set.selections
    assert isinstance(field, FieldNode)
    arguments, variables = field.arguments or (), node.variable_definitions or ()
    if len(arguments) != 1 or len(variables) != 1 or node.directives or field.directives or variables[0].directives:
        return None
    given = arguments[0].value
    return given.name.value if isinstance(given, VariableNode) else None


def _selects_live(document: DocumentNode) -> bool:
    """Whether a document selects one of LIVE_FIELDS, anywhere."""
    sets = [
        node.selection_set
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode | FragmentDefinitionNode)
    ]
    while sets:
        for node in sets.pop().selections:
            if isinstance(node, FieldNode) and node.name.value in LIVE_FIELDS:
                return True
            if isinstance(node, FieldNode | InlineFragmentNode) and node.selection_set is not None:
                sets.append(node.selection_set)
    return False


class DocumentCache:
    """The documents of one api node: valid ones, by the SHA-256 of their text, bounded by the memory they take."""

    def __init__(self, settings: Settings, persisted: PersistedOperations) -> None:
        self._limits = Limits.of(settings)
        self._persisted = persisted
        self.answer_bytes = settings.answer_bytes
        self.result_fields: Collection[str] = ()
        """The GraphQL names of the schema's `@result_field` methods, which cost more than other fields."""
        self.run_fields: Collection[str] = ()
        """The GraphQL names of the schema's subscriptions that submit a task."""
        self._rules = tuple(specified_rules)
        if not settings.introspection:
            self._rules += (NoSchemaIntrospectionCustomRule,)
        self._introspection = settings.introspection
        self._numbers = itertools.count()
        self._documents: OrderedDict[str, CachedDocument] = OrderedDict()
        self._bytes = 0

    def parse_cached(self, text: str | None, variables: Any = None) -> CachedDocument:
        """Returns a parsed document, from the cache if possible. It may not be validated yet.

        Raises:
            MissingQueryError: there is no document.
            DocumentRejected: it is not GraphQL, exceeds a limit, or is not one of the allowed operations.
        """
        if not text:
            raise MissingQueryError
        try:
            check_variables(variables, self._limits)
            document = self._find(text)
            check_list_cost(document.measured, variables, self._limits)
        except (DocumentTooLarge, OperationNotAllowed) as error:
            raise DocumentRejected([GraphQLError(error.message, original_error=error)]) from error
        except GraphQLError as error:
            raise DocumentRejected([error]) from error
        return document

    def valid_operation(self, text: str, name: str | None) -> Operation | None:
        """An operation that was requested before, of a valid document in the cache; or None."""
        document = self._documents.get(text)
        if document is None:
            return None
        self._documents.move_to_end(text)
        return document.operations.get(name)

    def _find(self, text: str) -> CachedDocument:
        found = self._documents.get(text)
        if found is not None:
            self._documents.move_to_end(text)
            return found
        persisted = self._persisted.contains(text)
        if not persisted:
            check_length(text, self._limits)
        return self._parse(text, cacheable=persisted or _size(text) <= MAX_CACHED_BYTES)

    def _parse(self, text: str, *, cacheable: bool) -> CachedDocument:
        self._persisted.check(text)
        try:
            document = parse(text, max_tokens=self._limits.tokens)
            measured = measure_document(document, self.result_fields)
            check_limits(measured, self._limits)
        except RecursionError:
            raise DocumentTooLarge(f"a document may have at most {self._limits.depth} nested fields") from None
        except GraphQLError as error:
            if "tokens" in error.message:
                raise DocumentTooLarge(
                    f"a document may have at most {self._limits.tokens} tokens", limit=self._limits.tokens
                ) from None
            raise
        tokens = max(1, document.token_count or self._limits.tokens)
        return CachedDocument(text, document, weight_of(text, tokens), cacheable, next(self._numbers), measured)

    def changes_something(self, operation: Operation) -> bool:
        """Whether an operation does more than read: it is a mutation, or a subscription that submits a task."""
        return operation.kind is OperationType.MUTATION or not operation.root_fields.isdisjoint(self.run_fields)

    def validate(self, schema: GraphQLSchema, document: CachedDocument) -> None:
        """Validates a document against the schema, once, and keeps it if it is valid.

        Raises:
            DocumentRejected: it is not valid.
        """
        if document.valid:
            return
        errors = validate_document(schema, document.document, self._rules)
        if errors:
            self.hide_schema(errors, document.document)
            raise DocumentRejected(errors)
        document.valid = True
        if document.cacheable:
            self._keep(document)

    def _keep(self, document: CachedDocument) -> None:
        if document.text in self._documents:
            return
        self._documents[document.text] = document
        self._bytes += document.weight
        while self._bytes > CACHE_BYTES:
            self._bytes -= self._documents.popitem(last=False)[1].weight

    def hide_schema(
        self, errors: list[GraphQLError], document: DocumentNode, variables: Mapping[str, Any] | None = None
    ) -> None:
        """Removes from errors what the client cannot know of the schema if INTROSPECTION is off."""
        if errors and not self._introspection:
            hide_schema(errors, document, variables)
