"""Reads of records and of the lists of tasks, by plain Redis commands: nothing here changes a record."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, TypeAlias

from cluster.store.keys import SHARDS
from cluster.store.record import (
    FIELDS,
    FIELDS_BUT_RESULT,
    Event,
    LogLine,
    Record,
    TaskState,
    parse_event,
    parse_log_line,
    parse_record,
)
from cluster.store.script_calls import Calls
from cluster.store.task_filter import EVERYTHING, TaskFilter

MIN_READ: Final = 100
"""Entries of each list that are read together at least."""

Position: TypeAlias = tuple[int, str]
"""The place of a task in the lists: when it was submitted, milliseconds since 1970, and its id."""

OPEN_STATES: Final = tuple(state for state in TaskState if not state.final)


class RecordQueries(ABC):
    """The queries of the asyncio client.

    Raises, in every method:
        StoreUnavailable: Redis does not answer within TIMEOUT_SECONDS.
    """

    calls: Calls

    @abstractmethod
    async def commands(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Runs plain Redis commands in one round trip."""

    @abstractmethod
    async def command(self, *parts: Any) -> Any:
        """Runs one plain Redis command, for the few keys that no script owns."""

    @abstractmethod
    async def ask_primaries(self, *parts: Any) -> list[Any]:
        """Runs a command without a key on every primary: of a single Redis, on that one."""

    async def read(self, task_id: str) -> Record | None:
        """Returns the record of a task, or None."""
        [record] = await self.read_many([task_id])
        return record

    async def read_many(
        self, task_ids: Sequence[str], *, inputs: bool = True, results: bool = True
    ) -> list[Record | None]:
        """Returns the records of tasks, in their order, with empty inputs if `inputs` is false, and without their
        results if `results` is."""
        if not task_ids:
            return []
        names = FIELDS if results else FIELDS_BUT_RESULT
        if not inputs:
            names = tuple("-" if name == "input" else name for name in names)
        # Redis may return an expired key for a moment. Expiry is judged by Redis's clock: this node's may be hours off.
        clock, *replies = await self.commands(
            [("TIME",), *(("HMGET", self.calls.record_key(task_id), *names) for task_id in task_ids)]
        )
        now, records = _milliseconds(clock), []
        for task_id, values in zip(task_ids, replies, strict=True):
            record = parse_record(task_id, values)
            records.append(None if record and record.expires_at and record.expires_at <= now else record)
        return records

    async def read_previous_result(self, task_id: str) -> bytes | None:
        """Returns the result of the run before, while a task is computed again and has no new one; else None."""
        result: bytes | None = await self.command("HGET", self.calls.record_key(task_id), "previous")
        return result

    async def read_log(self, task_id: str) -> list[LogLine]:
        """Returns the newest lines that a task has printed or logged, in its current or last run, oldest first."""
        reply = await self.command("LRANGE", self.calls.log_key(task_id), 0, -1)
        return [parse_log_line(line) for line in reply]

    async def read_events(self, task_id: str) -> list[Event]:
        """Returns the events of a task that are kept, oldest first."""
        reply = await self.command("LRANGE", self.calls.events_key(task_id), 0, -1)
        return [parse_event(line) for line in reply]

    async def lengths(self, task_ids: Sequence[str], fields: Sequence[str]) -> int:
        """Returns the bytes of these fields in the records of tasks, together."""
        return sum(
            await self.commands(
                [("HSTRLEN", self.calls.record_key(task_id), field) for task_id in task_ids for field in fields]
            )
        )

    async def input_lengths(self, task_ids: Sequence[str]) -> list[int]:
        """Returns the bytes of the input of each task; 0 for one that is gone."""
        return await self.commands([("HSTRLEN", self.calls.record_key(task_id), "input") for task_id in task_ids])

    async def list_tasks(
        self,
        limit: int,
        *,
        newest_first: bool = True,
        below: Position | None = None,
        above: Position | None = None,
        wanted: TaskFilter = EVERYTHING,
        tenant: str | None = None,
    ) -> list[Position]:
        """Lists tasks by the time of their submission, as (submitted_at, task id).

        Args:
            limit: maximum number of tasks.
            newest_first: the order, and from which end the list is read.
            below, above: only tasks before the one in time, and after the other.
            wanted: only tasks in these lists and this span of time, or those with its `ids`; other conditions are for
                the caller to check.
            tenant: only tasks of this tenant; of those with `ids`, the caller checks that too.
        """
        found: list[Position] = []
        while True:
            if wanted.ids is not None:
                pairs, end = await self._positions(wanted.ids), None
            else:
                pairs, end = await self._listed(limit - len(found), newest_first, below, above, wanted, tenant)
            between = [pair for pair in pairs if (below is None or pair < below) and (above is None or pair > above)]
            found += sorted(between, reverse=newest_first)
            if end is None or len(found) >= limit:
                return found[:limit]
            below, above = (end, above) if newest_first else (below, end)

    async def _listed(
        self,
        limit: int,
        newest_first: bool,
        below: Position | None,
        above: Position | None,
        wanted: TaskFilter,
        tenant: str | None,
    ) -> tuple[set[Position], Position | None]:
        """The next tasks in the lists between two positions, and some before them: all as far as the position that is
        returned, or None if there are no further ones."""
        lowest, highest = _span(wanted)
        if above is not None and (wanted.since is None or above[0] >= wanted.since):
            lowest = f"({above[0]}"
        if below is not None and (wanted.until is None or below[0] < wanted.until):
            highest = f"({below[0]}"
        # Any number of ids from a cursor's own millisecond may be on either side of it, so they are all read.
        edges = {cursor[0] for cursor in (above, below) if cursor is not None and wanted.spans(cursor[0])}
        verb, ends = ("ZREVRANGEBYSCORE", (highest, lowest)) if newest_first else ("ZRANGEBYSCORE", (lowest, highest))
        keys = self._index_keys(wanted, tenant)
        # The ids of a time are spread evenly over the shards, so each has about its share of a long page.
        first = min(limit, max(MIN_READ, 2 * limit // len(SHARDS)))
        pages = [(verb, key, *ends, "WITHSCORES", "LIMIT", 0, first) for key in keys]
        at_edges = [(verb, key, edge, edge, "WITHSCORES") for key in keys for edge in edges]
        replies = [_pairs(reply) for reply in await self.commands([*pages, *at_edges])]
        cut_off = [pairs[-1] for pairs in replies[: len(pages)] if len(pairs) == first]
        end = None if not cut_off else max(cut_off) if newest_first else min(cut_off)
        # A task that changes its state meanwhile may be in two of the lists.
        found = {pair for pairs in replies for pair in pairs}
        if end is None:
            return found, None
        return {pair for pair in found if (pair >= end if newest_first else pair <= end)}, end

    async def _positions(self, task_ids: Collection[str]) -> set[Position]:
        """The positions of the tasks with these ids that have a record."""
        ids = list(task_ids)
        times = await self.commands([("HGET", self.calls.record_key(task_id), "submitted_at") for task_id in ids])
        return {(int(at), task_id) for task_id, at in zip(ids, times, strict=True) if at}

    async def count_tasks(self, wanted: TaskFilter, tenant: str | None = None) -> int:
        """Returns the number of tasks in the lists and the span of time of a filter, of one tenant or of all. Records
        that have expired and are not pruned yet are counted too."""
        lowest, highest = _span(wanted)
        commands = [("ZCOUNT", key, lowest, highest) for key in self._index_keys(wanted, tenant)]
        return sum(await self.commands(commands)) if commands else 0

    def _index_keys(self, wanted: TaskFilter, tenant: str | None) -> list[str]:
        lists = wanted.lists
        return [self.calls.index_key(digit, state, name, tenant) for digit in SHARDS for state, name in lists]

    async def count(self, state: TaskState, name: str | None = None) -> int:
        """Returns the number of records in a state, of one task type or of all."""
        [count] = await self._counts([(state, name)])
        return count

    async def counts(self, tenant: str | None = None) -> dict[TaskState, int]:
        """Returns the number of records in each state, of one tenant or of all."""
        return dict(zip(TaskState, await self._counts([(state, None) for state in TaskState], tenant), strict=True))

    async def count_open(self, names: Sequence[str], tenant: str | None = None) -> list[int]:
        """Returns the number of QUEUED and RUNNING records of each of these task types, of one tenant or of all."""
        counts = await self._counts([(state, name) for name in names for state in OPEN_STATES], tenant)
        return [sum(counts[i : i + len(OPEN_STATES)]) for i in range(0, len(counts), len(OPEN_STATES))]

    async def count_queued(self, names: Sequence[str]) -> list[int]:
        """Returns the number of QUEUED records of each of these task types."""
        return await self._counts([(TaskState.QUEUED, name) for name in names])

    async def _counts(self, indexes: Sequence[tuple[TaskState, str | None]], tenant: str | None = None) -> list[int]:
        """Returns the number of records in each index, given by state and task type, over all shards."""
        replies = await self.commands(
            [("ZCARD", self.calls.index_key(digit, state, name, tenant)) for state, name in indexes for digit in SHARDS]
        )
        width = len(SHARDS)
        return [sum(replies[i : i + width]) for i in range(0, len(replies), width)]

    async def count_due_after(self, milliseconds: int) -> int:
        """Returns the number of open tasks that are due later than this from now."""
        after = await self.server_milliseconds() + milliseconds
        replies = await self.commands(
            [("ZCOUNT", f"{self.calls.shard_prefix(digit)}:open", f"({after}", "+inf") for digit in SHARDS]
        )
        return sum(replies)

    async def queue_age(self) -> float:
        """Returns the seconds since the oldest QUEUED task was submitted; 0 if none is QUEUED."""
        oldest = await self.oldest_queued_at()
        return 0.0 if oldest is None else max(0.0, await self.server_milliseconds() / 1000 - oldest)

    async def oldest_queued_at(self, tenant: str | None = None) -> float | None:
        """Returns when the oldest QUEUED task was submitted, of one tenant or of all, seconds since 1970; None if none
        is QUEUED."""
        keys = [self.calls.index_key(digit, TaskState.QUEUED, None, tenant) for digit in SHARDS]
        replies = await self.commands([("ZRANGE", key, 0, 0, "WITHSCORES") for key in keys])
        scores = [score for reply in replies for _, score in members(reply)]
        return min(scores) / 1000 if scores else None

    async def memory(self) -> tuple[int, int]:
        """Returns the bytes that count against Redis's `maxmemory`, and `maxmemory` itself, 0 if there is none; of a
        cluster, those of the primary with the largest share of it in use."""
        found = []
        for text in await self.ask_primaries("INFO", "memory"):
            info = dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)
            # Buffers of replicas and of the append-only file do not count (redis.io, "Key eviction").
            used = int(info["used_memory"]) - int(info.get("mem_not_counted_for_evict", 0))
            found.append((used, int(info.get("maxmemory", 0))))
        return max(found, key=lambda memory: memory[0] / (memory[1] or math.inf))

    async def server_milliseconds(self) -> int:
        """Returns the time by Redis's clock, milliseconds since 1970."""
        return _milliseconds(await self.command("TIME"))


def _span(wanted: TaskFilter) -> tuple[str | int, str | int]:
    """The lowest and the highest score of what a filter wants."""
    return "-inf" if wanted.since is None else wanted.since, "+inf" if wanted.until is None else f"({wanted.until}"


def _pairs(reply: Sequence[Any]) -> list[Position]:
    """The positions in a range, in its order."""
    return [(int(score), member.decode()) for member, score in members(reply)]


def _milliseconds(time_reply: Sequence[Any]) -> int:
    """Converts the reply to `TIME` to milliseconds since 1970."""
    seconds, microseconds = time_reply
    return int(seconds) * 1000 + int(microseconds) // 1000


def members(reply: Sequence[Any]) -> Iterator[tuple[bytes, float]]:
    """The (member, score) pairs of a range: a list of pairs under RESP3, a flat list under RESP2."""
    if reply and not isinstance(reply[0], list | tuple):
        return zip(reply[::2], map(float, reply[1::2]), strict=True)
    return ((member, float(score)) for member, score in reply)
