"""Builds the calls of all scripts. Pure, so that the asyncio client and the threaded client share the whole
protocol."""

from __future__ import annotations

from typing import Final

from cluster.settings import Settings
from cluster.store.call_builder import milliseconds
from cluster.store.change_calls import ChangeCalls
from cluster.store.child_calls import ChildCalls
from cluster.store.file_calls import FileCalls
from cluster.store.item_calls import ItemCalls
from cluster.store.limit_calls import LimitCalls
from cluster.store.log_calls import LogCalls
from cluster.store.lua_scripts import SCRIPTS, Call
from cluster.store.shard_calls import ShardCalls
from cluster.store.task_calls import TaskCalls
from cluster.store.webhook_calls import WebhookCalls

EPOCH_TTL_SECONDS: Final = 5.0
"""How long a heartbeat of the scheduler is valid."""

MAX_UNCONTROLLED_SECONDS: Final = 86_400.0
"""Longest time without a controller in which workers are taken to have cost what they cost before and after it."""

COST_DAYS: Final = 93
"""Days of which the costs are kept."""

PROBE_TTL_SECONDS: Final = 60.0
"""How long the key is kept that a node writes to test whether Redis accepts writes."""


class Calls(TaskCalls, ShardCalls, LimitCalls, ItemCalls, LogCalls, FileCalls, ChangeCalls, WebhookCalls, ChildCalls):
    """The calls of tasks, of shards and of files, and those that have a single key."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._file_ttl = milliseconds(settings.file_ttl_seconds)

    def record_time(self, key: str, suffix: str = "") -> Call[int]:
        """Writes the time, and `suffix` after it, to a key. Returns the time, milliseconds since 1970 by Redis's
        clock."""
        return self._key_call("write_time", key, suffix, "")

    def probe(self, node: str) -> Call[int]:
        """Tests whether Redis accepts writes, with a key of the node's own. Returns the time, as `record_time`."""
        return self._key_call("write_time", self.probe_key(node), "", milliseconds(PROBE_TTL_SECONDS))

    def take_tokens(self, caller: str, size: int, per_minute: int, cost: int) -> Call[int]:
        """Takes `cost` tokens from a caller's bucket of `size`. Returns 0, or the milliseconds until it has them."""
        return self._key_call("take_tokens", self.rate_key(caller), size, per_minute, cost)

    def add_cost(self, per_hour: float) -> Call[float]:
        """Adds what the workers have cost since the last call to the costs of the day. Returns what today, in UTC, has
        cost, in US dollars.

        Args:
            per_hour: what they cost now, in US dollars.
        """
        arguments = (f"{per_hour:.6f}", milliseconds(MAX_UNCONTROLLED_SECONDS), COST_DAYS)
        return Call(SCRIPTS["add_cost"], (self.costs_key,), (self.prefix, "", *arguments), float)

    def replace_field(self, key: str, field: str, old: bytes, new: bytes) -> Call[int]:
        """Replaces a field of a hash if it still is `old` (empty: none), or deletes it if `new` is empty. Returns
        whether it was `old`."""
        return self._key_call("replace_field", key, field, old, new)
