"""What a GraphQL document may ask, measured before it is validated: validation is what a hostile one makes costly.

One walk over the document, each fragment once, however often it is spread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

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

CHARACTERS: Final = 64_000
"""Longest document. The lexer takes a long name or text as one token, so tokens alone do not bound its work."""
DIRECTIVES: Final = 50
"""Most directives. The schema has no repeatable ones."""
PAIRS: Final = 5_000
"""Most pairs of fields with one response name: validation compares each pair (OverlappingFieldsCanBeMerged)."""
SPREADS: Final = 200
"""Most fragment spreads."""
ITEMS: Final = 5
"""How many plain items of lists in variables count as one value: a list of numbers is read quickly."""
DEFAULT_PAGE: Final = 20
"""Tasks on a page where `first` is not given."""
PAGE_LIMIT: Final = 100
"""Most tasks on a page."""
ROOT_COST: Final = 10
"""Of a field that asks Redis, where others cost 1."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one api; sizes are counts."""

    tokens: int
    depth: int
    aliases: int
    cost: int
    list_items: int
    values: int

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        return cls(
            tokens=settings.document_tokens, depth=settings.document_depth, aliases=settings.document_aliases,
            cost=settings.document_cost, list_items=settings.batch_limit, values=settings.variable_values,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class DocumentSize:
    """What a document asks: its deepest field, the most that one of its operations costs, and counts.

    Attributes:
        per_item: what each item of a variable costs on top, by the variable's name: the inputs of `submit<Name>Many`.
    """

    depth: int
    cost: int
    per_item: dict[str, int]
    aliases: int
    directives: int
    spreads: int
    pairs: int
    list_items: int


def measure_document(document: DocumentNode) -> DocumentSize:
    """Walks a document. Its fragments may be missing or spread themselves: validation says so later."""
    return _Walk(document).measure()


class _Walk:
    def __init__(self, document: DocumentNode) -> None:
        self._document = document
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._known: dict[str, tuple[int, int]] = {}
        self._aliases = self._directives = self._spreads = self._list_items = 0
        self._names: Counter[str] = Counter()
        self._per_item: Counter[str] = Counter()

    def measure(self) -> DocumentSize:
        depth = cost = 0
        for node in self._document.definitions:
            if isinstance(node, OperationDefinitionNode):
                self._count_directives(node.directives)
                for variable in node.variable_definitions or ():
                    self._values(variable.default_value)
                    self._count_directives(variable.directives)
                deep, dear = self._selections(node.selection_set, root=True)
                depth, cost = max(depth, deep), max(cost, dear)
            elif isinstance(node, FragmentDefinitionNode):
                # Also where nothing spreads it: validation looks at it all the same.
                self._fragment(node.name.value)
        pairs = sum(count * (count - 1) // 2 for count in self._names.values())
        return DocumentSize(
            depth, cost, dict(self._per_item), self._aliases, self._directives, self._spreads, pairs, self._list_items
        )

    def _selections(self, selections: SelectionSetNode | None, *, root: bool = False) -> tuple[int, int]:
        """Depth and cost of a selection set."""
        depth = cost = 0
        for node in () if selections is None else selections.selections:
            self._count_directives(node.directives)
            if isinstance(node, FieldNode):
                deep, dear = self._field(node, root=root)
            elif isinstance(node, InlineFragmentNode):
                deep, dear = self._selections(node.selection_set, root=root)
            else:
                assert isinstance(node, FragmentSpreadNode)
                self._spreads += 1
                deep, dear = self._fragment(node.name.value)
            depth, cost = max(depth, deep), cost + dear
        return depth, cost

    def _field(self, node: FieldNode, *, root: bool) -> tuple[int, int]:
        self._names[node.alias.value if node.alias else node.name.value] += 1
        self._aliases += node.alias is not None
        times, inputs = 1, None
        if node.name.value == "tasks":
            times = DEFAULT_PAGE
        for argument in node.arguments or ():
            self._values(argument.value)
            if node.name.value == "tasks" and argument.name.value == "first":
                first = int(argument.value.value) if isinstance(argument.value, IntValueNode) else PAGE_LIMIT
                times = max(1, min(first, PAGE_LIMIT))
            elif root and argument.name.value == "inputs":
                inputs = argument.value
        depth, cost = self._selections(node.selection_set)
        if isinstance(inputs, ListValueNode):
            times = max(1, len(inputs.values))
        elif isinstance(inputs, VariableNode):
            # How many there are, the request will show.
            self._per_item[inputs.name.value] += cost
            times = 0
        # A list's results are read one by one where they are asked for.
        own = ROOT_COST if root or node.name.value in ("result", "partial") else 1
        return depth + 1, own + cost * times

    def _fragment(self, name: str) -> tuple[int, int]:
        if name not in self._known:
            self._known[name] = (0, 0)  # what it counts for inside itself
            if name in self._fragments:
                self._count_directives(self._fragments[name].directives)
                self._known[name] = self._selections(self._fragments[name].selection_set)
        return self._known[name]

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


def check_limits(measured: DocumentSize, limits: Limits) -> None:
    """Raises:
    DocumentTooLarge: a limit is passed; the message names it.
    """
    for what, came, limit in (
        ("nested fields", measured.depth, limits.depth),
        ("aliases", measured.aliases, limits.aliases),
        ("directives", measured.directives, DIRECTIVES),
        ("fragment spreads", measured.spreads, SPREADS),
        ("items in a list", measured.list_items, limits.list_items),
        ("pairs of fields with one name", measured.pairs, PAIRS),
        ("points of cost", measured.cost, limits.cost),
    ):
        if came > limit:
            raise DocumentTooLarge(f"a document has at most {limit} {what}, not {came}", limit=limit)


def check_list_cost(measured: DocumentSize, variables: Any, limits: Limits) -> None:
    """Raises:
    DocumentTooLarge: what is asked of each item of the variables costs too much, all items counted.
    """
    if not measured.per_item or not isinstance(variables, dict):
        return
    cost = measured.cost
    for name, each in measured.per_item.items():
        items = variables.get(name)
        cost += each * (len(items) if isinstance(items, list) else 1)
    if cost > limits.cost:
        raise DocumentTooLarge(
            f"an operation has at most {limits.cost} points of cost, not {cost}: what it selects counts for each "
            "input; select less, or send fewer inputs at once",
            limit=limits.cost,
        )


def check_variables(variables: Any, limits: Limits) -> None:
    """Raises:
    DocumentTooLarge: the variables of an operation have more values than the limit, nested ones counted.
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
        if count + items // ITEMS > limits.values:
            raise DocumentTooLarge(
                f"the variables of an operation have at most {limits.values} values, of which {ITEMS} numbers or texts "
                "in a list are one; send several requests",
                limit=limits.values,
            )
