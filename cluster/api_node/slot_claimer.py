"""The slot claimer: dispatches held tasks when their limits have room.

One api node at a time claims. Each freed slot and each task that is held is announced to all nodes and marked in its
shard, so the claimer looks only at what may have changed. What it decides is in held_tasks.py, the scripts in
cluster/store.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Final

from cluster.api_node.dispatcher import Dispatchable, Dispatches
from cluster.api_node.held_tasks import Allocation, HeldTasks, Queue, allocate, limit_names
from cluster.api_node.leader_service import LeaderService
from cluster.api_node.limits import Limits
from cluster.api_node.schedulers import Schedulers
from cluster.observability import metrics
from cluster.store.async_store import Store
from cluster.store.keys import SHARDS
from cluster.store.limit_calls import HeldTask, LimitList

POLL_SECONDS: Final = 0.5
"""Interval at which the marks of the shards are read if nothing was announced."""
PAGE_SIZE: Final = 64
"""Maximum number of queues in one step, and of tasks per shard of a single one."""
MARKS: Final = 256
"""Maximum number of marks that are read per shard in one step."""
CHECK_SECONDS: Final = 1.0
"""Interval at which PAGE_SIZE of the limits that queues wait at are checked for slots that nobody holds any more."""


class SlotClaimer(LeaderService):
    """One node's candidate for claiming held tasks."""

    def __init__(self, store: Store, schedulers: Schedulers, dispatcher: Dispatches, limits: Limits, node: str) -> None:
        super().__init__(store, "slot claimer", store.calls.slot_lease_key, node)
        self._schedulers = schedulers
        self._connected: frozenset[int] = frozenset()
        self._dispatcher = dispatcher
        self._limits = limits
        self._held = HeldTasks()
        self._term = 0
        self._number: int | None = None
        self._next_check = 0.0
        self._to_check: list[str] = []

    def on_limits_changed(self) -> None:
        """A limit may have another number, or none any more."""
        for limit in self._held.limits:
            self._held.on_room(limit)
        self.wake()

    async def _round(self) -> None:
        """Waits until there may be room, then claims. Without their scheduler, tasks stay held."""
        await self._wait_for_work(POLL_SECONDS)
        if not self.active:
            self._number, self._held = None, HeldTasks()
        if self._connected != (connected := self._schedulers.connected):
            # The marks of a scheduler that was away are gone: what it has is read anew.
            self._connected, self._number = connected, None
        if not self.active or not connected:
            return
        try:
            if self._number is None or self._term != self.lease.term:
                await self._take_over()
            while self.active and self._schedulers.connected == connected and await self._step():
                pass
            if self.active and time.monotonic() >= self._next_check:
                self._next_check = time.monotonic() + CHECK_SECONDS
                await self._check_slots()
        except BaseException:
            # A claim whose reply is missing may still run, after slots were counted again: as an older claimer's it is
            # refused.
            self._number = None
            raise

    async def _take_over(self) -> None:
        """Refuses older claimers in every shard, and reads what is held. Slots are counted only after that."""
        calls, term = self._store.calls, self.lease.term
        number = int(await self._store.command("INCR", calls.claimers_key))
        newest = await self._store.run_many([calls.become_claimer(digit, number) for digit in SHARDS])
        if not all(newest):
            return
        self._held = HeldTasks()
        for digit in SHARDS:
            cursor = b"0"
            while True:
                cursor, found = await self._store.command("SSCAN", calls.held_key(digit), cursor, "COUNT", 1_000)
                for limits in found:
                    self._held.add(limits.decode())
                if int(cursor) == 0:
                    break
        self._number, self._term = number, term

    async def _step(self) -> bool:
        """Looks at one page of queues. Returns whether there may be more to do."""
        if self._number is None:
            return False
        more = await self._read_marks()
        lists = self._held.next_queues(PAGE_SIZE)
        if not lists:
            return more
        queues, room = await self._peek(lists)
        decided = allocate(queues, room, {limit: self._held.best_order(limit) for limit in room})
        self._held.record(decided, room)
        await self._claim(decided)
        return True

    async def _read_marks(self) -> bool:
        """Reads what may have room. Returns whether there is more of it."""
        found = await self._store.commands([("SPOP", self._store.calls.woken_key(digit), MARKS) for digit in SHARDS])
        for mark in (mark.decode() for marks in found for mark in marks):
            if mark[0] == "+":
                self._held.add(mark[1:])
            else:
                self._held.on_room(mark[1:])
        return any(len(marks) == MARKS for marks in found)

    async def _peek(self, lists: list[LimitList]) -> tuple[list[Queue], dict[str, float]]:
        """The next tasks of queues, and the room of their limits."""
        slots = {limit.partition("=")[0]: self._limits.slots(limit) for limits in lists for limit in limits.split(" ")}
        names = list(slots)
        # No more than can be claimed in this step, and about as many from one queue as from PAGE_SIZE of them.
        useful = max(min(slots[name] for name in limit_names(limits)) for limits in lists)
        first = int(max(1, min(PAGE_SIZE // len(lists), useful)))
        replies = await self._store.run_many(
            [self._store.calls.peek_held(digit, names, lists, first) for digit in SHARDS]
        )
        room = {name: slots[name] - sum(used[i] for used, _ in replies) for i, name in enumerate(names)}
        # A task whose scheduler is away would keep a slot that others can use.
        ready = [
            found
            for digit, (_, found) in zip(SHARDS, replies, strict=True)
            if self._schedulers.number_of(digit) in self._connected
        ]
        return [_merge(limits, [found[i] for found in ready], first) for i, limits in enumerate(lists)], room

    async def _claim(self, decided: Allocation) -> None:
        """Claims tasks and dispatches them."""
        assert self._number is not None
        by_shard: dict[str, list[tuple[LimitList, str]]] = defaultdict(list)
        for limits, task in decided.claims:
            by_shard[task.task_id[0]].append((limits, task.task_id))
        replies = await self._store.run_many(
            [self._store.calls.claim_held(digit, self._number, tasks) for digit, tasks in by_shard.items()]
        )
        for tasks, claimed in zip(by_shard.values(), replies, strict=True):
            if claimed is None:
                self._number = None
                continue
            for item in claimed:
                self._dispatcher.put(
                    Dispatchable(
                        item.task_id,
                        item.attempt,
                        item.name,
                        item.input,
                        item.priority,
                        item.trace,
                        item.account,
                        item.resumes,
                        item.pool,
                    )
                )
            metrics.labelled(metrics.HELD_TASKS, "claimed").inc(len(claimed))
            ids = {item.task_id for item in claimed}
            # They ended meanwhile, or the reply would have been too long: their slots are free for others.
            for limits in {limits for limits, task_id in tasks if task_id not in ids}:
                self._held.add(limits)
                for limit in limit_names(limits):
                    self._held.on_room(limit)
        await self._dispatcher.drained()

    async def _check_slots(self) -> None:
        """Frees slots of attempts that ended without freeing them, and finds room that nobody announced."""
        if not self._to_check:
            self._to_check = self._held.limits
        names, self._to_check = self._to_check[:PAGE_SIZE], self._to_check[PAGE_SIZE:]
        if names:
            replies = await self._store.run_many([self._store.calls.check_slots(digit, names) for digit in SHARDS])
            for name, used in zip(names, map(sum, zip(*replies, strict=True)), strict=True):
                if used < self._limits.slots(name):
                    self._held.on_room(name)


def _merge(limits: LimitList, shards: list[list[HeldTask]], first: int) -> Queue:
    """The next tasks of a queue, from the first ones of each shard. Beyond the last one of a shard that has more, the
    order is not known."""
    known_until = min((tasks[-1].order for tasks in shards if len(tasks) == first), default=None)
    tasks = sorted((task for found in shards for task in found), key=lambda task: (task.order, task.task_id))
    if known_until is not None:
        tasks = [task for task in tasks if task.order <= known_until]
    return Queue(limits, tasks[: PAGE_SIZE * 16], known_until is None)
