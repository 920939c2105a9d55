"""GraphQL documents: parsed, measured and validated once, and kept, since both cost ten times the execution."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from graphql import (
    DocumentNode,
    GraphQLError,
    NameNode,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    parse,
)
from strawberry.extensions import SchemaExtension
from strawberry.schema.exceptions import CannotGetOperationTypeError
from strawberry.schema.schema import validate_document

from cluster import metrics
from cluster.errors import DocumentTooLarge, OperationNotAllowed
from cluster.settings import Settings
from graphql_api.limits import CHARACTERS, Limits, check, check_variables, measure
from graphql_api.persisted import PersistedOperations

KEPT_TOKENS: Final = 100_000
"""Most tokens of all kept documents together; a token is about a kilobyte of syntax tree."""


@dataclass(slots=True)
class _Kept:
    document: DocumentNode
    tokens: int
    valid: bool = False


class Documents:
    """The documents of one api."""

    def __init__(self, settings: Settings, persisted: PersistedOperations) -> None:
        self._limits = Limits.of(settings)
        self._persisted = persisted
        self._introspection = settings.introspection
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._tokens = 0

    def extension(self) -> Callable[[], SchemaExtension]:
        """What makes Strawberry take documents from here."""
        return lambda: _Extension(self)

    def parsed(self, text: str) -> DocumentNode:
        """The syntax tree of a document.

        Raises:
            GraphQLError: it is not GraphQL, passes a limit, or is not one of the allowed operations.
        """
        kept = self._kept.get(text)
        if kept is not None:
            self._kept.move_to_end(text)
            return kept.document
        try:
            return self._parse(text)
        except (DocumentTooLarge, OperationNotAllowed) as error:
            raise GraphQLError(error.message, original_error=error) from error

    def _parse(self, text: str) -> DocumentNode:
        self._persisted.check(text)
        if len(text) > CHARACTERS:
            raise DocumentTooLarge(f"a document has at most {CHARACTERS} characters; send long values as variables")
        try:
            document = parse(text, max_tokens=self._limits.tokens)
            check(measure(document), self._limits)
        except RecursionError:
            raise DocumentTooLarge(f"a document has at most {self._limits.depth} nested fields") from None
        except GraphQLError as error:
            if "tokens" in error.message:
                raise DocumentTooLarge(
                    f"a document has at most {self._limits.tokens} tokens", limit=self._limits.tokens
                ) from None
            raise
        tokens = max(1, document.token_count or self._limits.tokens)
        self._kept[text] = _Kept(document, tokens)
        self._tokens += tokens
        while self._tokens > KEPT_TOKENS:
            self._tokens -= self._kept.popitem(last=False)[1].tokens
        return document

    def errors(self, text: str, context: Any) -> list[GraphQLError]:
        """What validation says of a parsed document."""
        kept = self._kept.get(text)
        if kept is not None and kept.valid:
            return []
        rules = tuple(context.validation_rules)
        if not self._introspection:
            rules += (NoSchemaIntrospectionCustomRule,)
        errors: list[GraphQLError] = validate_document(context.schema._schema, context.graphql_document, rules)
        if not self._introspection:
            for error in errors:
                # The suggestions would tell the schema name by name.
                error.message = error.message.partition(" Did you mean ")[0]
        if kept is not None:
            kept.valid = not errors
        return errors

    def check_variables(self, variables: Any) -> None:
        """Raises GraphQLError where the variables are too many."""
        try:
            check_variables(variables, self._limits)
        except DocumentTooLarge as error:
            raise GraphQLError(error.message, original_error=error) from error


def _nothing(operation_name: str | None) -> DocumentNode:
    """Stands for a document that is refused, until that is told; it has the operation that was asked for."""
    name = None if operation_name is None else NameNode(value=operation_name)
    operation = OperationDefinitionNode(
        operation=OperationType.QUERY, name=name, selection_set=SelectionSetNode(selections=())
    )
    return DocumentNode(definitions=(operation,))


class _Extension(SchemaExtension):
    def __init__(self, documents: Documents) -> None:
        super().__init__()
        self._documents = documents

    def on_parse(self) -> Iterator[None]:
        context = self.execution_context
        if context.query:
            try:
                self._documents.check_variables(context.variables)
                context.graphql_document = self._documents.parsed(context.query)
            except GraphQLError as error:
                # Raised, it would end a WebSocket's operation without a word.
                context.graphql_document = _nothing(context.operation_name)
                context.pre_execution_errors = [error]
        metrics.OPERATIONS.labels(self._kind()).inc()
        yield

    def _kind(self) -> str:
        """`query`, `mutation` or `subscription`; `refused` where there is no such operation."""
        context = self.execution_context
        if context.graphql_document is None or context.pre_execution_errors:
            return "refused"
        try:
            return context.operation_type.value
        except CannotGetOperationTypeError:
            return "refused"

    def on_validate(self) -> Iterator[None]:
        context = self.execution_context
        if context.query and context.pre_execution_errors is None:
            # Strawberry validates by itself only where this is None.
            context.pre_execution_errors = self._documents.errors(context.query, context)
        yield
