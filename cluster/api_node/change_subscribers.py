"""The subscribers of one node to changes, and which of them want a change. No I/O.

With many subscribers a change is compared only with those whose filter may match: they are found by the tag, the
submitter, the id, the task type or the state that their filter asks for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from cluster.store.actor import Actor
from cluster.store.change_calls import Change
from cluster.store.record import Record
from cluster.store.task_filter import TaskFilter

QUEUE_LIMIT: Final = 1_000
"""Changes that wait for a slow reader; beyond it they are dropped, and it is told to read its list again."""

Matches: TypeAlias = Callable[[Record, TaskFilter], bool]
"""Whether a subscriber may see a task, and it meets the conditions."""

Key: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ChangeItem:
    """What a subscriber gets.

    Attributes:
        cursor: resumes after this item.
        change: None if changes before this item may have been missed.
        record: the task as it is now, without its input and result; None if it has expired, or there is no change.
        matches: whether the task meets the conditions after the change; if not, it did before, as far as is known.
    """

    cursor: str
    change: Change | None = None
    record: Record | None = None
    matches: bool = False


class ChangeFilter:
    """What a subscriber wants.

    Args:
        matches: as the caller may see it.
    """

    def __init__(self, wanted: TaskFilter, matches: Matches) -> None:
        self.wanted = wanted
        self._matches = matches
        # What a change itself does not tell is left to the record.
        self._coarse = wanted.of_changes
        self.needs_input = wanted.text is not None

    def keys(self) -> list[Key]:
        """Under which a subscriber with this filter is found; a change that it wants has at least one of them."""
        wanted = self.wanted
        if wanted.ids is not None:
            return [("id", task_id) for task_id in wanted.ids]
        if wanted.tag is not None:
            return [("tag", wanted.tag)]
        if wanted.tags is not None:
            return [("tag", tag) for tag in wanted.tags]
        if wanted.submitted_by is not None:
            return [("by", wanted.submitted_by)]
        if wanted.names is not None:
            return [("name", name) for name in wanted.names]
        if wanted.states is not None:
            return [("state", state) for state in wanted.states]
        return [("", "")]

    def may_want(self, change: Change) -> bool:
        """Whether the change may be wanted, as far as it tells."""
        return any(self._matches(summary, self._coarse) for summary in _around(change, change.summary()))

    def wants(self, change: Change, record: Record | None) -> tuple[bool, bool]:
        """Whether the change is wanted, as the task meets the conditions after it or before, and whether it does after
        it.

        Args:
            record: the task as it is now; None if it is gone: then it meets none any more, and what it met is left to
                what the change tells.
        """
        if record is None:
            return self.may_want(change), False
        *before, after = _around(change, record)
        matches = self._matches(after, self.wanted)
        # Error and times of the run before are gone with it.
        begins_anew = change.was is not None and change.was.final and not change.event.state.final
        did_match = any(self._matches(each, self._coarse if begins_anew else self.wanted) for each in before)
        return matches or did_match, matches


def _around(change: Change, record: Record) -> list[Record]:
    """The task before the change, if it was in another state, and after it."""
    after = record if record.state is change.event.state else replace(record, state=change.event.state)
    if not after.final and after.error is not None:
        after = replace(after, error=None)
    if change.was is None or change.was is change.event.state:
        return [after]
    before = replace(after, state=change.was)
    return [before if before.final else replace(before, error=None), after]


def keys_of(change: Change) -> Iterator[Key]:
    """The keys under which those are found who may want a change."""
    yield "", ""
    yield "id", change.task_id
    yield "name", change.name
    yield "state", change.event.state
    if change.was not in (None, change.event.state):
        yield "state", str(change.was)
    for tag in change.tags:
        yield "tag", tag
    actor = Actor.parse(change.submitted_by)
    if actor is not None:
        yield "by", actor.name
        if actor.title != actor.name:
            yield "by", actor.title


class Subscriber:
    """One subscription, with what waits for its reader.

    Attributes:
        ahead_of: number of the last change of each shard that it has already; those up to it are not for it.
    """

    __slots__ = ("_missed", "_queue", "_wake", "ahead_of", "filter")

    def __init__(self, wanted: ChangeFilter, ahead_of: list[int]) -> None:
        self.filter = wanted
        self.ahead_of = ahead_of
        self._queue: deque[ChangeItem] = deque()
        self._missed = False
        self._wake = asyncio.Event()

    def has(self, change: Change) -> bool:
        return change.number <= self.ahead_of[int(change.task_id[0], 16)]

    def put(self, item: ChangeItem) -> None:
        if self._missed:
            return
        self._queue.append(item)
        if len(self._queue) > QUEUE_LIMIT:
            self.miss()
        self._wake.set()

    def miss(self) -> None:
        """Changes are lost to it; what waits is of no use any more."""
        self._queue.clear()
        self._missed = True
        self._wake.set()

    async def next(self) -> ChangeItem | None:
        """The next item, once there is one; None if changes were missed."""
        while not self._queue and not self._missed:
            self._wake.clear()
            await self._wake.wait()
        if self._missed:
            self._missed = False
            return None
        return self._queue.popleft()


class Subscribers:
    """The subscribers of one node."""

    def __init__(self) -> None:
        self._by_key: dict[Key, dict[Subscriber, None]] = {}
        self._all: dict[Subscriber, None] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Subscriber]:
        return iter(list(self._all))

    def add(self, subscriber: Subscriber) -> None:
        self._all[subscriber] = None
        for key in subscriber.filter.keys():  # noqa: SIM118 - no mapping
            self._by_key.setdefault(key, {})[subscriber] = None

    def remove(self, subscriber: Subscriber) -> None:
        del self._all[subscriber]
        for key in subscriber.filter.keys():  # noqa: SIM118 - no mapping
            self._by_key[key].pop(subscriber, None)
            if not self._by_key[key]:
                del self._by_key[key]

    def of(self, change: Change) -> list[Subscriber]:
        """Those who may want a change, as far as it tells."""
        found: dict[Subscriber, None] = {}
        for key in keys_of(change):
            found.update(self._by_key.get(key, ()))
        return [each for each in found if not each.has(change) and each.filter.may_want(change)]
