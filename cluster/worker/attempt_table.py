"""The attempt table: which attempts run in a worker process, in shared memory that its nanny's process reads.

A function that never yields holds the worker's interpreter, so no other code in that process can report on it or end
it. The watchdog runs in the nanny's process and reads this table: what runs, since when, and until when it may.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from cluster.settings import Settings
from cluster.task_types.retry_policy import NO_RETRIES, Retries

SLOTS: Final = 512
"""Attempts in the table at most; a worker that runs more runs the rest without the watchdog's care."""
CONFIRMED_AFTER_SECONDS: Final = 5.0
"""How long the worker process has to confirm an outcome that it has sent: it reads the reply after its next attempt.
Then the attempt is requeued, which Redis refuses if it has the outcome."""

_OWNER: Final = struct.Struct("<q")
_HEARTBEAT: Final = struct.Struct("<d")
_HEADER_BYTES: Final = _OWNER.size + 2 * _HEARTBEAT.size
_SLOT: Final = struct.Struct("<32sqddqddddqqq")
_WITHDRAWN: Final = struct.Struct("<q")
"""The last field of a slot, which the nanny's process writes."""
_EMPTY: Final = b"\0" * 32
_NEVER: Final = float("inf")

AttemptKey: TypeAlias = tuple[str, int]
"""A task id and the number of an attempt."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt in the table. Times are of `time.monotonic`, which all processes of a machine share.

    Attributes:
        started: when it started; infinite until then.
        deadline: when it times out; infinite if the task type has no limit. For an attempt that is queued behind
            others: when it was queued.
        group: the same number for all attempts that one call of a function serves; 0 for an attempt that has its own.
        retries: how an attempt that times out is retried, as the worker's task type declares.
        deferred: it runs with a deferred start: Redis does not know yet that it has begun.
        slot: its place in the table.
    """

    task_id: str
    attempt: int
    started: float
    deadline: float
    retries: Retries = NO_RETRIES
    group: int = 0
    deferred: bool = False
    slot: int = 0

    @property
    def key(self) -> AttemptKey:
        return self.task_id, self.attempt

    @property
    def running(self) -> bool:
        return self.started != _NEVER

    def queued_behind_seconds(self, now: float) -> float:
        """How long it has been queued behind other attempts of its Dask task; 0 if it is not."""
        return 0.0 if self.running or self.deadline == _NEVER else max(0.0, now - self.deadline)


@dataclass(frozen=True, slots=True)
class Heartbeats:
    """When the worker process last showed signs of life, by `time.monotonic`.

    Attributes:
        loop: when its event loop last ran.
        thread: when one of its threads last ran: not while a task holds the interpreter or the process is stopped.
    """

    loop: float
    thread: float


class AttemptTable:
    """A fixed table in a file that both processes map. Its header has the id of the worker process that writes it, so
    that entries of a dead process are never taken for its successor's, and that process's heartbeats.

    Each slot is written by one thread, its id last, so that a reader never takes a half-written one for real.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        size = _HEADER_BYTES + SLOTS * _SLOT.size
        if create:
            path.write_bytes(b"\0" * size)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)
        self._free = list(range(SLOTS - 1, -1, -1))
        self._lock = threading.Lock()

    def add(self, task_id: str, attempt: int, *, queued_behind: bool = False) -> int | None:
        """Adds an attempt that is about to start, or that is `queued_behind` others. Returns its slot, or None if the
        table is full."""
        with self._lock:
            if not self._free:
                return None
            slot = self._free.pop()
        end = self._end_of(slot)
        self._map[end - _WITHDRAWN.size : end] = _WITHDRAWN.pack(0)
        self._write(slot, task_id, attempt, _NEVER, time.monotonic() if queued_behind else _NEVER, NO_RETRIES)
        return slot

    def start(
        self,
        slot: int | None,
        task_id: str,
        attempt: int,
        timeout_seconds: float | None,
        retries: Retries = NO_RETRIES,
        group: int = 0,
        *,
        deferred: bool = False,
    ) -> bool:
        """Marks an attempt as running from now on, for `timeout_seconds` at most; `retries` says how a timeout is
        retried. Returns False if the nanny has withdrawn it meanwhile (`withdraw`)."""
        if slot is None:
            return True
        started = time.monotonic()
        deadline = _NEVER if timeout_seconds is None else started + timeout_seconds
        self._write(slot, task_id, attempt, started, deadline, retries, group, deferred)
        (withdrawn,) = _WITHDRAWN.unpack_from(self._map, self._end_of(slot) - _WITHDRAWN.size)
        return not withdrawn

    def await_reply(self, slot: int | None, task_id: str, attempt: int) -> None:
        """Marks an attempt as ended: its outcome was sent to Redis, which has not confirmed it. From
        CONFIRMED_AFTER_SECONDS on it counts as queued behind others again."""
        if slot is not None:
            self._write(slot, task_id, attempt, _NEVER, time.monotonic() + CONFIRMED_AFTER_SECONDS, NO_RETRIES)

    def _write(
        self, slot: int, task_id: str, attempt: int, started: float, deadline: float, retries: Retries, group: int = 0,
        deferred: bool = False,
    ) -> None:  # fmt: skip
        allowed = retries.allowed_for(TimeoutError())
        pauses = (retries.delay, retries.factor, retries.longest_seconds, retries.jitter)
        packed = _SLOT.pack(task_id.encode(), attempt, started, deadline, allowed, *pauses, group, deferred, 0)
        end = self._end_of(slot)
        offset = end - _SLOT.size
        self._map[offset : offset + 32] = _EMPTY
        self._map[offset + 32 : end - _WITHDRAWN.size] = packed[32 : -_WITHDRAWN.size]
        self._map[offset : offset + 32] = packed[:32]

    def _end_of(self, slot: int) -> int:
        return _HEADER_BYTES + (slot + 1) * _SLOT.size

    def withdraw(self, entries: Iterable[Entry]) -> None:
        """Called in the nanny's process before it requeues attempts that have not started: one that starts nevertheless
        asks Redis first."""
        for entry in entries:
            end = self._end_of(entry.slot)
            self._map[end - _WITHDRAWN.size : end] = _WITHDRAWN.pack(1)

    def remove(self, slot: int | None) -> None:
        """Removes an attempt."""
        if slot is None:
            return
        offset = self._end_of(slot) - _SLOT.size
        self._map[offset : offset + 32] = _EMPTY
        with self._lock:
            self._free.append(slot)

    def claim(self) -> None:
        """Empties the table and makes this process its owner."""
        now = _HEARTBEAT.pack(time.monotonic())
        self._map[:] = _OWNER.pack(os.getpid()) + now + now + b"\0" * (SLOTS * _SLOT.size)

    def clear(self) -> None:
        """Empties the table, after its owner has ended."""
        self._map[:] = b"\0" * len(self._map)

    def record_loop_heartbeat(self) -> None:
        """Records that the event loop of the worker process runs."""
        self._map[_OWNER.size : _OWNER.size + _HEARTBEAT.size] = _HEARTBEAT.pack(time.monotonic())

    def record_thread_heartbeat(self) -> None:
        """Records that threads of the worker process run."""
        self._map[_OWNER.size + _HEARTBEAT.size : _HEADER_BYTES] = _HEARTBEAT.pack(time.monotonic())

    @property
    def owner(self) -> int:
        """The id of the process that owns the table, even if it has ended; 0 if there is none."""
        return int(_OWNER.unpack(self._map[: _OWNER.size])[0])

    def heartbeats(self, process_id: int | None) -> Heartbeats | None:
        """The heartbeats of a process; None if it does not own the table."""
        if not process_id or self.owner != process_id:
            return None
        (loop,) = _HEARTBEAT.unpack(self._map[_OWNER.size : _OWNER.size + _HEARTBEAT.size])
        (thread,) = _HEARTBEAT.unpack(self._map[_OWNER.size + _HEARTBEAT.size : _HEADER_BYTES])
        return Heartbeats(loop, thread)

    def entries(self, process_id: int | None) -> list[Entry]:
        """The current entries; empty if this process does not own the table."""
        if not process_id or self.owner != process_id:
            return []
        slots = _SLOT.iter_unpack(self._map[_HEADER_BYTES:])
        return [
            Entry(
                task_id.decode(),
                attempt,
                started,
                deadline,
                Retries(allowed, delay=delay, factor=factor, jitter=jitter, max_delay=longest),
                group,
                bool(deferred),
                slot,
            )
            for slot, (
                task_id, attempt, started, deadline, allowed, delay, factor, longest, jitter, group, deferred, _
            ) in enumerate(slots)
            if task_id != _EMPTY
        ]  # fmt: skip


def table_path(settings: Settings, name: str) -> Path:
    """The file of a worker's attempt table."""
    return Path(settings.data_dir).absolute() / "scratch" / f"{name}.attempts"


def failure_path(table: Path) -> Path:
    """The file in which the worker process writes why it cannot serve, for its nanny to read."""
    return table.with_suffix(".failure")
