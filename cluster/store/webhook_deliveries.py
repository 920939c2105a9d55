"""The deliveries of an account, newest first: what is pending, what arrived and what did not."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from cluster.store.async_store import Store
from cluster.store.keys import SHARDS

DELIVERY_ID: Final = re.compile(r"msg_[0-9a-f]{41}")
SCANNED: Final = 500
"""Maximum number of deliveries that one query looks at. With a filter, a page may have fewer than asked for, and still
be followed by others."""


class DeliveryStatus(StrEnum):
    """`PENDING`: it is tried, or will be again."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery, as people see it. Times are milliseconds since 1970.

    Attributes:
        to: the id of a webhook, or the URL that a submission named.
        name, state: of the task, at its end.
        at: when the task ended.
        tries: how often it was tried.
        reply: what came back last: `HTTP 503`, or what went wrong; empty before the first try.
        tried_at: when it was last tried.
        due_at: when it is tried next, or was claimed to be; None if it is not PENDING.
    """

    delivery_id: str
    task_id: str
    to: str
    name: str
    state: str
    at: int
    status: DeliveryStatus
    tries: int
    reply: str
    tried_at: int | None
    due_at: int | None

    @property
    def position(self) -> tuple[int, str]:
        """Its place in the list."""
        return self.at, self.delivery_id


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Deliveries, newest first, and the position after which others follow, or None at the end."""

    deliveries: tuple[Delivery, ...]
    next_after: tuple[int, str] | None


_FIELDS: Final = ("task", "to", "name", "state", "at", "status", "tries", "reply", "tried_at")


async def read_deliveries(
    store: Store, account: str, first: int, after: tuple[int, str] | None, matches: Callable[[Delivery], bool]
) -> DeliveryPage:
    """Reads the newest deliveries of an account that match, from all shards.

    Args:
        after: only those that follow this position.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    found: list[Delivery] = []
    scanned = 0
    while scanned < SCANNED:
        page = await _read_page(store, account, first + 1, after)
        for delivery in page:
            scanned += 1
            if matches(delivery):
                if len(found) == first:
                    return DeliveryPage(tuple(found), after)
                found.append(delivery)
            after = delivery.position
        if len(page) <= first:
            return DeliveryPage(tuple(found), None)
    return DeliveryPage(tuple(found), after)


async def _read_page(store: Store, account: str, limit: int, after: tuple[int, str] | None) -> list[Delivery]:
    # Within one millisecond Redis orders by id, from the highest.
    highest = "+inf" if after is None else after[0]
    rows = await store.commands(
        [
            ("ZREVRANGEBYSCORE", store.calls.deliveries_of_key(digit, account), highest, "-inf", "WITHSCORES", "LIMIT",
             0, limit + _SAME_MILLISECOND)
            for digit in SHARDS
        ]
    )  # fmt: skip
    positions = [_positions(row) for row in rows]
    merged = heapq.merge(*positions, reverse=True)
    chosen = [place for place in merged if after is None or place < after][:limit]
    return [item for item in await _read(store, chosen) if item is not None]


_SAME_MILLISECOND: Final = 100
"""Deliveries of one account and shard in one millisecond, at most: as many are read beside those asked for."""


def _positions(row: Any) -> list[tuple[int, str]]:
    pairs = row if row and isinstance(row[0], (list, tuple)) else list(zip(row[::2], row[1::2], strict=True))
    return [(int(float(score)), name.decode()) for name, score in pairs]


async def _read(store: Store, positions: list[tuple[int, str]]) -> list[Delivery | None]:
    commands: list[tuple[Any, ...]] = []
    for _, delivery_id in positions:
        commands += [
            ("HMGET", store.calls.delivery_key(delivery_id), *_FIELDS),
            ("ZSCORE", store.calls.due_deliveries_key(delivery_id), delivery_id),
        ]
    replies = await store.commands(commands) if commands else []
    return [_delivery(delivery_id, replies[2 * i], replies[2 * i + 1]) for i, (_, delivery_id) in enumerate(positions)]


def _delivery(delivery_id: str, values: list[bytes | None], due_at: bytes | float | None) -> Delivery | None:
    if values[0] is None:
        return None  # it has expired since
    task_id, to, name, state, at, status, tries, reply, tried_at = ((value or b"").decode() for value in values)
    return Delivery(
        delivery_id, task_id, to, name, state, int(at), DeliveryStatus(status), int(tries), reply,
        int(tried_at) if tried_at else None, None if due_at is None else int(float(due_at)),
    )  # fmt: skip
