"""The GraphQL types of streams: the output of a task type that yields items, and each item as it is delivered."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson
import strawberry
from pydantic import RootModel, ValidationError
from strawberry.tools import create_type
from strawberry.types import get_object_definition

from cluster.api_node.followers import Item
from cluster.errors import BadInput, ResultGone, ResultUnreadable
from cluster.store.item_calls import PAGE_ITEMS
from cluster.task_types.annotations import is_dataclass_or_model, unwrap_annotated
from cluster.task_types.output_type import OutputType
from cluster.task_types.task_type import TaskType
from cluster.task_types.value_types import Blob, StreamSummary
from graphql_api.answer_size import current_answer
from graphql_api.context import ApiInfo
from graphql_api.schema.client_names import pascal_case
from graphql_api.schema.scalars import BigInt
from graphql_api.schema.strawberry_fields import Parameter, positional_parameter, set_signature
from graphql_api.schema.type_mapping import TypeMap
from graphql_api.strawberry_internals import make_field, set_type_check

DEFAULT_ITEMS: Final = 100
"""Items in one page of a kept stream without `first`."""
CURSOR: Final = re.compile("([0-9]{1,10}):([0-9]{1,10})")
"""Attempt and number of an item. Neither ever has more digits, and the scripts read longer ones as other numbers."""
NUMBER_BITS: Final = 32
"""Bits of an item's number in the id of its server-sent event; those above are its attempt."""


@dataclass(frozen=True, slots=True)
class StreamValue:
    """The output of a stream, for the fields of its GraphQL type."""

    task: str
    value: StreamSummary

    @property
    def count(self) -> int:
        return self.value.count

    @property
    def size_bytes(self) -> int:
        return self.value.size_bytes


@dataclass(frozen=True, slots=True)
class StreamType:
    """What the schema needs of a task type that yields items.

    Attributes:
        output: the member of the union `TaskOutput`.
        item: the member of the union `StreamItem`.
        wrap: makes an item a value of `item`.
        wraps_value: whether `item` wraps a value that is not an object.
    """

    output: type
    item: type
    wrap: Callable[[Any], Any]
    wraps_value: bool

    @property
    def item_name(self) -> str:
        """The GraphQL name of `item`."""
        return get_object_definition(self.item, strict=True).name


def stream_type(task_type: TaskType, type_map: TypeMap) -> StreamType:
    """The GraphQL types of a task type that yields items.

    Raises:
        RegistryError: the items have no GraphQL form, or a name is taken.
    """
    assert task_type.items is not None
    name = pascal_case(task_type.name)
    annotation, where = task_type.items.annotation, f"{task_type.origin}, what it yields"
    bare, _ = unwrap_annotated(annotation)
    type_map.claim(f"{name}Result", task_type.origin)
    if bare is not Blob and is_dataclass_or_model(bare) and not issubclass(bare, RootModel):
        item = mapped = type_map.output(annotation, where, f"{name}Item")
        wrap: Callable[[Any], Any] = lambda value: value  # noqa: E731
        wraps_value = False
    else:
        type_map.claim(f"{name}Item", task_type.origin)
        mapped = type_map.output(annotation, where, f"{name}ItemValue")
        value = make_field("value", mapped, description="The item itself.")
        item = create_type(f"{name}Item", [value], description=f"An item of `{task_type.name}`.")
        wrap = lambda value: item(value=value)  # noqa: E731
        wraps_value = True
    type_map.result_fields.add("items")
    count = make_field("count", int, description="Number of items.")
    size = make_field("size_bytes", BigInt, description="Length of their JSON.")
    members = [count, size, _items_field(task_type.items, mapped)]
    output = create_type(f"{name}Result", members, description=f"The output of `{task_type.name}`: a stream of items.")
    set_type_check(output, lambda value: isinstance(value, StreamValue) and value.task == task_type.name)
    return StreamType(output, item, wrap, wraps_value)


def _items_field(declared: OutputType, mapped: Any) -> Any:
    async def items(root: Any, info: ApiInfo, after: int, first: int) -> Any:
        if after < 0 or not 1 <= first <= PAGE_ITEMS:
            raise BadInput(f"after is 0 or more, and first from 1 to {PAGE_ITEMS}, not {after} and {first}")
        summary: StreamSummary = root.value
        store, answer = info.context.node.store, current_answer()
        found: list[Any] = []
        more = after < summary.count
        while more and len(found) < first:
            page = await answer.in_turn(
                store.run(
                    store.calls.read_items(
                        summary.task_id, summary.attempt, after + len(found), limit=first - len(found)
                    )
                )
            )
            if page.attempt != summary.attempt:
                raise ResultGone(f"the items of {summary.task_id} have expired, or are computed again: ask again")
            answer.read(sum(map(len, page.items)))
            found += [read_item(declared, item, summary.task_id) for item in page.items]
            more = page.more
        return found

    after = Parameter("after", Parameter.KEYWORD_ONLY, annotation=int, default=0)
    first = Parameter("first", Parameter.KEYWORD_ONLY, annotation=int, default=DEFAULT_ITEMS)
    returns: Any = list[mapped]
    set_signature(
        items, [positional_parameter("root", Any), positional_parameter("info", ApiInfo), after, first], returns
    )
    description = f"The items after the first `after` ones; `first` is at most {PAGE_ITEMS}."
    return make_field("items", resolver=items, description=description)


def make_task_item(item_union: Any, streams: dict[str, StreamType]) -> type:
    """`TaskItem` for a schema whose streams have the items `item_union`; None if it has no streams."""

    @strawberry.type(description="One item of a task's stream, as it comes.")
    class TaskItem:
        item: strawberry.Private[Item]

        @strawberry.field(description="To resume, pass that of the last item received as `after`.")
        def cursor(self) -> str:
            return f"{self.item.attempt}:{self.item.number}"

        @strawberry.field(
            description="The attempt that made it. If another one begins, its items follow from number 1: those before "
            "are void."
        )
        def attempt(self) -> int:
            return self.item.attempt

        @strawberry.field(description="Number of the item, from 1 within its attempt.")
        def number(self) -> int:
            return self.item.number

        @strawberry.field(
            description="The item as JSON, with the names of the task's types; null if the api does not know the task "
            "type."
        )
        def value(self, info: ApiInfo) -> strawberry.scalars.JSON | None:
            declared = info.context.node.registry.get(self.item.record.name)
            if declared is None or declared.items is None:
                return None  # nothing tells what is hidden
            return orjson.loads(declared.items.shown(self.item.json))  # type: ignore[no-any-return]

        if item_union is not None:

            @strawberry.field(description="The item as its own type; null if the api does not know the task type.")
            def typed(self, info: ApiInfo) -> item_union | None:
                record = self.item.record
                declared = info.context.node.registry.get(record.name)
                if declared is None or declared.items is None or record.name not in streams:
                    return None
                return streams[record.name].wrap(read_item(declared.items, self.item.json, record.task_id))

    return TaskItem


def read_item(declared: OutputType, encoded: bytes, task_id: str) -> Any:
    """An item as its own type.

    Raises:
        ResultUnreadable: it does not fit what the task type yields today.
    """
    try:
        return declared.read(encoded)
    except ValidationError:
        raise ResultUnreadable(
            f"an item of {task_id} does not fit what its task type yields today; submit the task with recompute: true"
        ) from None


def parse_cursor(cursor: str | None) -> tuple[int | None, int]:
    """The attempt, and the number of its last item, that a client has; (None, 0) for none.

    Raises:
        BadInput: it is not a cursor.
    """
    if not cursor:
        return None, 0
    if not (match := CURSOR.fullmatch(cursor)):
        raise BadInput(f"after is the cursor of an item, not {cursor[:40]!r}", argument="after")
    return int(match[1]), int(match[2])


def event_id(item: Item) -> int:
    """The id of the server-sent event with this item."""
    return item.attempt << NUMBER_BITS | item.number


def parse_event_id(last: int) -> tuple[int, int]:
    """The attempt and the number in the id of a server-sent event."""
    return last >> NUMBER_BITS, last & ((1 << NUMBER_BITS) - 1)
