"""What an account's tasks use: read from the counters of all shards, with what this node has accepted since."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from cluster.store.async_store import Store
from cluster.store.keys import SHARDS

USAGE_MAX_AGE_SECONDS: Final = 0.5
"""How long what was read is used."""
RECORD_BYTES: Final = 1_500
"""What a record counts for besides its input, result and blobs; the same number is in _common.lua."""
MAX_ACCOUNTS: Final = 10_000
"""Maximum number of accounts that a node remembers."""


@dataclass(slots=True)
class Usage:
    """Attributes:
    open: tasks that have not ended.
    bytes: of inputs, results, errors and blobs, and a fixed number for each record.
    """

    open: int = 0
    bytes: int = 0

    def add(self, counter: int) -> None:
        """Adds what a shard counts, in one number: open tasks times 2**42, and bytes."""
        open_, size = divmod(counter, 2**42)
        self.open += open_
        self.bytes += size


async def read_usage(store: Store, account: str) -> Usage:
    """The sums over the shards. A shard whose counters are read while a task moves is counted before or after it.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    replies = await store.commands([("HGET", store.calls.usage_key(digit), account) for digit in SHARDS])
    usage = Usage()
    for reply in replies:
        usage.add(int(reply or 0))
    return usage


async def read_all_usage(store: Store) -> dict[str, Usage]:
    """The usage of every account that has any, summed over the shards.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    found: defaultdict[str, Usage] = defaultdict(Usage)
    for reply in await store.commands([("HGETALL", store.calls.usage_key(digit)) for digit in SHARDS]):
        pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
        for name, value in pairs:
            found[name.decode()].add(int(value))
    return dict(found)


class AccountUsage:
    """The usage of the accounts that submit on this node."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, tuple[float, Usage]] = {}

    async def of(self, account: str) -> Usage:
        """The usage of an account, at most USAGE_MAX_AGE_SECONDS old."""
        now = time.monotonic()
        read_at, usage = self._known.get(account, (float("-inf"), Usage()))
        if now - read_at > USAGE_MAX_AGE_SECONDS:
            # Before the read, so that others use what is known meanwhile.
            self._known.pop(account, None)  # the newest last
            self._known[account] = now, usage
            if len(self._known) > MAX_ACCOUNTS:
                del self._known[next(iter(self._known))]
            fresh = await read_usage(self._store, account)
            usage.open, usage.bytes = fresh.open, fresh.bytes
        return usage

    def add(self, account: str, count: int, size: int) -> None:
        """Counts tasks that this node has just accepted."""
        if account in self._known:
            usage = self._known[account][1]
            usage.open += count
            usage.bytes += size
