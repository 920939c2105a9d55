"""Limits on GraphQL documents. They are checked before validation, which a hostile document can itself make expensive.

A document is measured in one walk that visits each fragment once, however often it is spread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    Node,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)

from cluster.errors import DocumentTooLarge
from cluster.settings import Settings

BYTES_PER_TOKEN: Final = 8
"""Length of a document, in bytes for each token that it may have: comments and long names are few tokens."""
MAX_NAME_LENGTH: Final = 200
"""Characters of an alias or a field's name, which a response repeats for each object of a list."""
MAX_DIRECTIVES: Final = 50
"""Directives in a document. The schema has no repeatable ones."""
MAX_FIELD_PAIRS: Final = 5_000
"""Pairs of fields with the same response name: validation compares each pair (OverlappingFieldsCanBeMerged)."""
MAX_SPREADS: Final = 200
"""Fragment spreads in a document."""
PLAIN_ITEMS_PER_VALUE: Final = 5
"""This many scalar items of lists in variables count as one value, as a list of numbers is read quickly."""
VALUES_BESIDE_VARIABLES: Final = 1_000
"""Values of a request that are not in its variables."""
DEFAULT_PAGE: Final = 20
"""Items per page without `first` and `last`."""
PAGE_LIMIT: Final = 100
"""Items per page at most."""
PAGED: Final = frozenset({"tasks", "audit", "webhookDeliveries", "otherVersions"})
"""The lists with `first` or `last`, or of at most DEFAULT_PAGE items: what is selected below one counts for each item
of a page."""
ROOT_COST: Final = 10
"""Cost of a field that reads or writes Redis, or reads a long value; other fields cost 1."""
BATCHED_COST: Final = 3
"""Cost of one input of `submit<Name>Many`, or of one id of `taskResults`: many are written or watched together."""
SEARCH_COST: Final = 500
"""Cost of `failures`, which looks at as many records as a page of a search."""
BATCHES: Final = {"inputs": True, "taskIds": False}
"""The arguments of such root fields, and whether the selection counts for each item: those of a subscription are
executed one by one, as they come."""
BULK: Final = frozenset({"cancelTasks", "withdrawTasks", "retryTasks", "forgetTasks"})
"""The mutations of a page of tasks: each task costs as one input of a batch."""
BULK_PAGE: Final = 1_000
"""Tasks of such a page at most."""
LONG_FIELDS: Final = frozenset(
    {"input", "result", "output", "partial", "logs", "attempts", "otherVersions", "histogram"}
)
"""Fields of a task that may be long and are read for each task of a list, and one of a list that makes Redis count."""
SCHEMA_LISTS: Final = {"types": 100, "fields": 5, "inputFields": 3, "enumValues": 2}
"""Usual lengths of the longer lists in `__schema` and `__type`, for their cost."""
SCHEMA_COST: Final = 100_000
"""Cost of all `__schema` and `__type` in an operation: twice that of the query that tools send, whatever the schema."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one api; sizes are counts."""

    tokens: int
    depth: int
    aliases: int
    cost: int
    list_items: int
    values: int

    @property
    def document_bytes(self) -> int:
        """Length of a document's text in UTF-8."""
        return self.tokens * BYTES_PER_TOKEN

    @property
    def json_values(self) -> int:
        """Values in the JSON of a request whose variables are within the limit."""
        return PLAIN_ITEMS_PER_VALUE * self.values + VALUES_BESIDE_VARIABLES

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        return cls(
            tokens=settings.document_tokens, depth=settings.document_depth, aliases=settings.document_aliases,
            cost=settings.document_cost, list_items=settings.batch_limit, values=settings.variable_values,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class DocumentSize:
    """The size of a document: the depth of its deepest field, the cost of its most expensive operation, and counts.

    Attributes:
        schema_cost: the cost of what the most expensive operation asks of the schema itself.
        per_item: the additional cost per item of a list variable, by name: the inputs of `submit<Name>Many`.
        defaults: the number of items of list variables that are omitted, by name.
    """

    depth: int
    cost: int
    schema_cost: int
    per_item: dict[str, int]
    defaults: dict[str, int]
    longest_name: int
    aliases: int
    directives: int
    spreads: int
    pairs: int
    list_items: int


def measure_document(document: DocumentNode, result_fields: Collection[str] = ()) -> DocumentSize:
    """Measures a document. Fragments may be missing or recursive, which validation reports later.

    Args:
        result_fields: the GraphQL names of `@result_field` methods, whose values are made when they are read.
    """
    return _Walk(document, LONG_FIELDS.union(result_fields)).measure()


class _Size(NamedTuple):
    """The size of a selection set."""

    depth: int = 0
    cost: int = 0
    schema_cost: int = 0


class _Walk:
    def __init__(self, document: DocumentNode, long_fields: Collection[str]) -> None:
        self._document = document
        self._long_fields = long_fields
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._known: dict[tuple[str, bool], _Size] = {}
        self._aliases = self._directives = self._spreads = self._list_items = self._longest_name = 0
        self._names: Counter[str] = Counter()
        self._per_item: Counter[str] = Counter()
        self._defaults: dict[str, int] = {}

    def measure(self) -> DocumentSize:
        depth = cost = schema_cost = 0
        for node in self._document.definitions:
            if isinstance(node, OperationDefinitionNode):
                self._count_directives(node.directives)
                for variable in node.variable_definitions or ():
                    self._values(variable.default_value)
                    self._count_directives(variable.directives)
                    if isinstance(variable.default_value, ListValueNode):
                        self._defaults[variable.variable.name.value] = len(variable.default_value.values)
                size = self._selections(node.selection_set, root=True)
                depth, cost = max(depth, size.depth), max(cost, size.cost)
                schema_cost = max(schema_cost, size.schema_cost)
            elif isinstance(node, FragmentDefinitionNode):
                # Even if nothing spreads it: it is validated all the same.
                self._fragment(node.name.value)
        pairs = sum(count * (count - 1) // 2 for count in self._names.values())
        return DocumentSize(
            depth, cost, schema_cost, dict(self._per_item), self._defaults, self._longest_name, self._aliases,
            self._directives, self._spreads, pairs, self._list_items,
        )  # fmt: skip

    def _selections(self, selections: SelectionSetNode | None, *, root: bool = False, of_schema: bool = False) -> _Size:
        """The size of a selection set; below `__schema` and `__type`, `cost` is that of SCHEMA_LISTS."""
        depth = cost = schema_cost = 0
        for node in () if selections is None else selections.selections:
            self._count_directives(node.directives)
            if isinstance(node, FieldNode):
                size = self._field(node, root=root, of_schema=of_schema)
            elif isinstance(node, InlineFragmentNode):
                size = self._selections(node.selection_set, root=root, of_schema=of_schema)
            else:
                assert isinstance(node, FragmentSpreadNode)
                self._spreads += 1
                size = self._fragment(node.name.value, of_schema=of_schema)
            depth, cost, schema_cost = max(depth, size.depth), cost + size.cost, schema_cost + size.schema_cost
        return _Size(depth, cost, schema_cost)

    def _field(self, node: FieldNode, *, root: bool, of_schema: bool) -> _Size:
        name = node.name.value
        shown = node.alias.value if node.alias else name
        self._names[shown] += 1
        self._longest_name = max(self._longest_name, len(shown))
        self._aliases += node.alias is not None
        for argument in node.arguments or ():
            self._values(argument.value)
        if of_schema:
            size = self._selections(node.selection_set, of_schema=True)
            return _Size(size.depth + 1, 1 + size.cost * SCHEMA_LISTS.get(name, 1))
        if name in ("__schema", "__type"):
            size = self._selections(node.selection_set, of_schema=True)
            return _Size(size.depth + 1, ROOT_COST, size.cost)
        size = self._selections(node.selection_set)
        own = ROOT_COST if root or name in self._long_fields else 1
        if root and name == "failures":
            own += SEARCH_COST
        if root and name in BULK:
            own += BATCHED_COST * self._page_size(node, BULK_PAGE, BULK_PAGE)
        times = self._page_size(node) if name in PAGED else 1
        cost = size.cost * times
        for argument in node.arguments or ():
            each = BATCHES.get(argument.name.value) if name != "nodes" else True
            if root and each is not None:
                cost = self._batch_cost(argument.value, size.cost, each=each)
        return _Size(size.depth + 1, own + cost, size.schema_cost * times)

    def _page_size(self, node: FieldNode, default: int = DEFAULT_PAGE, limit: int = PAGE_LIMIT) -> int:
        sizes = [
            int(argument.value.value) if isinstance(argument.value, IntValueNode) else limit
            for argument in node.arguments or () if argument.name.value in ("first", "last")
        ]  # fmt: skip
        return max(1, min(max(sizes, default=default), limit))

    def _batch_cost(self, items: Node, selection: int, *, each: bool) -> int:
        """The cost of a batch, without that of a variable's items, whose number is known only with the variables
        (`check_list_cost`)."""
        item, once = (BATCHED_COST + selection, 0) if each else (BATCHED_COST, selection)
        if isinstance(items, VariableNode):
            self._per_item[items.name.value] += item
            return once
        return once + item * (max(1, len(items.values)) if isinstance(items, ListValueNode) else 1)

    def _fragment(self, name: str, *, of_schema: bool = False) -> _Size:
        known = name, of_schema
        if known not in self._known:
            self._known[known] = _Size()  # for recursive spreads
            if name in self._fragments:
                self._count_directives(self._fragments[name].directives)
                self._known[known] = self._selections(self._fragments[name].selection_set, of_schema=of_schema)
        return self._known[known]

    def _count_directives(self, directives: Iterable[DirectiveNode] | None) -> None:
        for directive in directives or ():
            self._directives += 1
            for argument in directive.arguments or ():
                self._values(argument.value)

    def _values(self, value: Node | None) -> None:
        todo = [value]
        while todo:
            node = todo.pop()
            if isinstance(node, ListValueNode):
                self._list_items = max(self._list_items, len(node.values))
                todo += node.values
            elif isinstance(node, ObjectValueNode):
                todo += [field.value for field in node.fields]


def check_length(text: str, limits: Limits) -> None:
    """Raises:
    DocumentTooLarge: the text of a document has too many bytes.
    """
    limit = limits.document_bytes
    if len(text) > limit or (not text.isascii() and len(text.encode("utf-8", "surrogatepass")) > limit):
        raise DocumentTooLarge(f"a document may have at most {limit} bytes; send long values as variables", limit=limit)


def check_limits(measured: DocumentSize, limits: Limits) -> None:
    """Raises:
    DocumentTooLarge: the document exceeds a limit, which the message names.
    """
    for what, actual, limit in (
        ("nested fields", measured.depth, limits.depth),
        ("characters in a name", measured.longest_name, MAX_NAME_LENGTH),
        ("aliases", measured.aliases, limits.aliases),
        ("directives", measured.directives, MAX_DIRECTIVES),
        ("fragment spreads", measured.spreads, MAX_SPREADS),
        ("items in a list", measured.list_items, limits.list_items),
        ("pairs of fields with one name", measured.pairs, MAX_FIELD_PAIRS),
        ("points of cost", measured.cost, limits.cost),
        ("points of cost for its introspection", measured.schema_cost, SCHEMA_COST),
    ):
        if actual > limit:
            raise DocumentTooLarge(f"a document may have at most {limit} {what}, not {actual}", limit=limit)


def check_list_cost(measured: DocumentSize, variables: Any, limits: Limits) -> None:
    """Raises:
    DocumentTooLarge: the document costs too much, given the number of items in the variables.
    """
    if not measured.per_item:
        return
    given = variables if isinstance(variables, dict) else {}
    cost = measured.cost
    for name, each in measured.per_item.items():
        items = given.get(name)
        count = len(items) if isinstance(items, list) else 1
        cost += each * (count if name in given else measured.defaults.get(name, 1))
    if cost > limits.cost:
        raise DocumentTooLarge(
            f"an operation has at most {limits.cost} points of cost, not {cost}: its selection counts for each input; "
            "select fewer fields, or send fewer inputs at once",
            limit=limits.cost,
        )


def check_variables(variables: Any, limits: Limits) -> None:
    """Raises:
    DocumentTooLarge: the variables of an operation have more values than the limit, including nested ones.
    """
    count = 0
    items = 0
    todo = [variables]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            todo += value.values()
            count += len(value)
        elif isinstance(value, list):
            nested = [item for item in value if isinstance(item, dict | list)]
            todo += nested
            count += len(nested)
            items += len(value) - len(nested)
        if count + items // PLAIN_ITEMS_PER_VALUE > limits.values:
            raise DocumentTooLarge(
                f"the variables of an operation may have at most {limits.values} values, where {PLAIN_ITEMS_PER_VALUE} "
                "numbers or strings in a list count as one; send several requests, or let the operator raise "
                "DASK_GRAPHQL_VARIABLE_VALUES",
                limit=limits.values,
            )
