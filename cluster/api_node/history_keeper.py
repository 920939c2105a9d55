"""The keeper of the history: one api node at a time writes each minute that has ended, and each block of ten.

The scripts that end a task count it in its shard, so the history is that of the whole system, whichever nodes run. The
keeper adds up the shards, samples the state of the cluster, and writes both into one hash. Nodes of an earlier release
do not count what they end.
"""

from __future__ import annotations

import datetime
from typing import Final

from cluster.api_node.cluster_snapshot import read_snapshot
from cluster.api_node.history_counts import UNSAMPLED, Gauges, Span, merge_spans, pack_span, span_of_counts, unpack_span
from cluster.api_node.history_schedule import (
    BLOCK_MINUTES,
    block_field,
    due_spans,
    minute_field,
    parse_fields,
)
from cluster.api_node.leader_service import LeaderService
from cluster.api_node.reloads import Reloads
from cluster.api_node.schedulers import Schedulers
from cluster.observability import metrics
from cluster.store.async_store import Store
from cluster.store.call_builder import milliseconds
from cluster.store.end_counts import parse_end_counts
from cluster.store.keys import SHARDS
from cluster.store.record import TaskState
from cluster.store.replies import hash_fields

ROUND_SECONDS: Final = 5.0
"""Pause between two looks at what is due; a minute is written this long after its end at the latest."""
BUSY_TTL_SECONDS: Final = 63 * 86_400.0
"""How long the running times of a day are kept: for all of this month and the one before."""


class HistoryKeeper(LeaderService):
    """One node's candidate for keeping the history."""

    def __init__(self, store: Store, schedulers: Schedulers, node: str) -> None:
        super().__init__(store, "history", store.calls.history_keeper_key, node, pause_seconds=ROUND_SECONDS)
        self._schedulers = schedulers

    async def _round(self) -> None:
        await self.lease.acquired()
        await self.write_due()

    async def write_due(self) -> None:
        """Writes what is due, and deletes what has expired.

        Raises:
            StoreUnavailable: Redis does not answer; the next round goes on.
        """
        store, key = self._store, self._store.calls.history_key
        minutes, blocks = parse_fields(await store.command("HKEYS", key))
        due = due_spans(minutes, blocks, await store.server_milliseconds())
        for minute in due.minutes:
            # What the cluster was like in a minute that was missed is not known.
            await self._write_minute(minute, await self._sample() if minute == due.minutes[-1] else UNSAMPLED)
        for first in due.blocks:
            packed = await store.command("HMGET", key, *map(minute_field, range(first, first + BLOCK_MINUTES)))
            block = merge_spans(unpack_span(each) for each in packed if each)
            await store.command("HSETNX", key, block_field(first), pack_span(block))
        if due.expired:
            await store.command("HDEL", key, *due.expired)

    async def _write_minute(self, minute: int, gauges: Gauges) -> None:
        """Adds up the shards' counts of a minute. If two keepers ever do so, the first one's sum stays: the shards'
        counts are deleted only after it."""
        store, calls = self._store, self._store.calls
        keys = [calls.ends_key(digit, minute) for digit in SHARDS]
        replies = await store.commands([("HGETALL", key) for key in keys])
        span = span_of_counts((end for reply in replies for end in parse_end_counts(hash_fields(reply))), gauges)
        if not span.series and gauges == UNSAMPLED:
            return
        if await store.command("HSETNX", calls.history_key, minute_field(minute), pack_span(span)):
            metrics.HISTORY_MINUTES.inc()
            await self._add_busy(minute, span)
        await store.commands([("UNLINK", key) for key in keys])

    async def _add_busy(self, minute: int, span: Span) -> None:
        """Adds how long each task type ran in a minute to its day, for its share of the costs."""
        day = datetime.datetime.fromtimestamp(minute * 60, datetime.UTC).date().isoformat()
        key = self._store.calls.busy_key(day)
        busy = [(name, milliseconds(ended.busy_seconds)) for (_, name), ended in span.series.items()]
        commands: list[tuple[str | int, ...]] = [("HINCRBY", key, name, ran) for name, ran in busy if ran]
        if commands:
            await self._store.commands([*commands, ("PEXPIRE", key, milliseconds(BUSY_TTL_SECONDS))])

    async def _sample(self) -> Gauges:
        snapshot = await read_snapshot(self._store, self._schedulers, Reloads())
        fleet = snapshot.fleet or {}
        return Gauges(
            waiting=snapshot.tasks[TaskState.QUEUED],
            running=snapshot.tasks[TaskState.RUNNING],
            workers=len(snapshot.load["workers"]) if snapshot.load else None,
            wanted=fleet.get("wanted"),
            cost_per_hour=fleet.get("cost_per_hour"),
        )
