"""The call of the script that reads the newest changes of a shard, and what it returns."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, Final

import orjson

from cluster.store.call_builder import CallBuilder, milliseconds
from cluster.store.lua_scripts import Call, unpack
from cluster.store.record import Event, Record, TaskState, parse_event

RECORDED_SECONDS: Final = 300.0
"""How long changes are recorded after the last node has asked for them."""
PAGE_CHANGES: Final = 200
"""Changes of a shard in one page."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a task, as its shard keeps it.

    Attributes:
        number: from 1 within the shard.
        check: tells it from another change that had the same number, before Redis lost its last writes.
        was: the state before; None if there was no task.
        name, tenant, submitted_at, tags, submitted_by: as in the record of the task at that time.
    """

    number: int
    check: int
    task_id: str
    was: TaskState | None
    event: Event
    name: str
    tenant: str
    submitted_at: int
    tags: tuple[str, ...]
    submitted_by: str

    def summary(self) -> Record:
        """The record as far as the change tells it: without input, result, error and times of attempts."""
        event = self.event
        return Record(
            self.task_id, self.name, "", b"", event.state, event.attempt, event.seq, self.submitted_at, None, None,
            None, event.progress, 0, None, 0, None, 0, 0, self.tenant, "", None, None, submitted_by=self.submitted_by,
            tags=self.tags,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ChangePage:
    """Changes of a shard.

    Attributes:
        last: number of the newest one; 0 if none are recorded.
        anchor: number and check of the change that the caller has, or with which it begins; None if it is gone: then
            others after it may be gone too.
        changes: those after it, in their order.
    """

    last: int
    anchor: tuple[int, int] | None
    changes: tuple[Change, ...] = ()


class ChangeCalls(CallBuilder):
    @property
    def changes_channel(self) -> str:
        """The channel of nodes that want changes: the digit of a shard that has new ones."""
        return f"{self.prefix}:changes"

    def read_changes(
        self, digit: str, after: int | None, *, limit: int = PAGE_CHANGES, listen: bool = False
    ) -> Call[ChangePage]:
        """Reads changes of a shard.

        Args:
            after: number of the last one that the caller has; None to begin after the newest one.
            limit: how many at most.
            listen: record changes for RECORDED_SECONDS from now on, and notify the nodes of the next one.
        """

        def parse(reply: bytes) -> ChangePage:
            last, *found = unpack(reply)
            # What was overwritten has another number in its place.
            kept = [(unpack(packed), zlib.crc32(packed)) for packed in found if packed]
            if not kept or kept[0][0][0] != (last if after is None else after):
                return ChangePage(last, None)
            anchor, *rest = kept
            return ChangePage(last, (anchor[0][0], anchor[1]), tuple(_parse(*change) for change in rest))

        listening = milliseconds(RECORDED_SECONDS) if listen else ""
        return self._shard_call("read_changes", digit, "" if after is None else after, limit, listening, parse=parse)


def _parse(values: list[Any], check: int) -> Change:
    number, task_id, was, event, name, tenant, submitted_at, tags, submitted_by = values
    return Change(
        number=number,
        check=check,
        task_id=task_id.decode(),
        was=TaskState(was.decode()) if was else None,
        event=parse_event(event),
        name=name.decode(),
        tenant=(tenant or b"").decode(),
        submitted_at=int(submitted_at),
        tags=tuple(orjson.loads(tags)) if tags else (),
        submitted_by=(submitted_by or b"").decode(),
    )
