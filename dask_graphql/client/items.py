"""The items of a task's stream, as they come, resumable by their cursors."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from dask_graphql.client.events import FINAL_STATES
from dask_graphql.client.http_transport import HttpTransport
from dask_graphql.client.resumed import resumed
from dask_graphql.client.task_types import TaskType
from dask_graphql.client.websocket_transport import WebSocketTransport

QUERY: Final = """subscription($id: ID!, $after: String) {{
  taskItems(taskId: $id, after: $after) {{ cursor attempt number typed {{ ... on {item_type} {{ {selection} }} }} }}
}}"""
END: Final = "query($id: ID!) {{ task(taskId: $id) {{ state result {{ ... on {output_type} {{ count }} }} }} }}"


@dataclass(frozen=True)
class Item:
    """One item of a task's stream.

    Attributes:
        value: the item as a Python value, in the form of a result.
        number: from 1 within its attempt.
        attempt: the attempt that made it. If another one begins, its items follow from number 1: those before are void.
        cursor: to resume after this item.
    """

    value: Any
    number: int
    attempt: int
    cursor: str


async def follow_items(
    websocket: WebSocketTransport, http: HttpTransport, task_id: str, task_type: TaskType, after: str | None
) -> AsyncGenerator[Item, None]:
    """Yields every item after the one with the cursor `after`, until the task has ended.

    Raises:
        Refused, ApiUnavailable: the items cannot be read.
    """
    assert task_type.stream is not None
    query = QUERY.format(item_type=task_type.stream.item_type, selection=task_type.stream.selection)
    last = after

    def accept(payload: Mapping[str, Any]) -> Item:
        nonlocal last
        last = payload["cursor"]
        value = task_type.decode_item(payload["typed"])
        return Item(value, payload["number"], payload["attempt"], payload["cursor"])

    while True:
        items = resumed(websocket, query, "taskItems", lambda: {"id": task_id, "after": last}, accept)
        async with aclosing(items):
            async for item in items:
                yield item
        # An api node that stops may end the subscription too.
        data = await http.execute(END.format(output_type=task_type.output_type), {"id": task_id})
        if _is_over(data["task"], last):
            return


def _is_over(task: Mapping[str, Any] | None, last: str | None) -> bool:
    """Whether a task has no items after the one with this cursor."""
    if task is None:
        return True  # its record has expired meanwhile
    if task["state"] not in FINAL_STATES:
        return False
    received = int(last.rpartition(":")[2]) if last else 0
    return task["result"] is None or task["result"]["count"] == received
