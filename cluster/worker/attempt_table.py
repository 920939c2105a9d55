"""The running board: which attempts run in a worker process, in shared memory that its nanny's process reads.

A function that never yields holds the worker's interpreter, so nobody inside can speak for it or end it. The warden
sits in the nanny's process and reads this board: what runs, since when, and until when it may.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cluster.settings import Settings

SLOTS: Final = 512
"""Most attempts that one worker runs at once; what is beyond them runs all the same, without the warden's care."""

_OWNER: Final = struct.Struct("<q")
_BEAT: Final = struct.Struct("<d")
_HEAD_BYTES: Final = _OWNER.size + 2 * _BEAT.size
_SLOT: Final = struct.Struct("<32sqddq")
_EMPTY: Final = b"\0" * 32


@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt on the board. Times are of `time.monotonic`, which all processes of a machine share.

    Attributes:
        started: infinite until it begins.
        deadline: infinite where the task type has no limit. Of one that waits behind others: since when it does.
        retries: how many more attempts a failing one may have, as the worker's task type says.
    """

    task_id: str
    attempt: int
    started: float
    deadline: float
    retries: int = 0

    @property
    def running(self) -> bool:
        return self.started != float("inf")

    def behind(self, now: float) -> float:
        """How long it has waited behind others of its Dask task, in seconds; 0 where it does not."""
        return 0.0 if self.running or self.deadline == float("inf") else now - self.deadline


@dataclass(frozen=True, slots=True)
class Beats:
    """When the worker process was last seen to work, by `time.monotonic`.

    Attributes:
        loop: when its event loop last turned.
        thread: when a thread of it last ran: not while a task holds the interpreter, or the process is stopped.
    """

    loop: float
    thread: float


class AttemptTable:
    """A fixed table in a file that both processes map, headed by the id of the worker process that writes it and by its
    beats: what a process left there that is dead says nothing of the one that came after it.

    Each slot is written by one thread before its id is set, so that a reader never takes a half-written one for real.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        size = _HEAD_BYTES + SLOTS * _SLOT.size
        if create:
            path.write_bytes(b"\0" * size)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)
        self._free = list(range(SLOTS - 1, -1, -1))
        self._lock = threading.Lock()

    def enter(self, task_id: str, attempt: int, *, behind: bool = False) -> int | None:
        """Puts an attempt on the board that is about to begin, or that waits `behind` others; answers its slot, or None
        where the board is full."""
        with self._lock:
            if not self._free:
                return None
            slot = self._free.pop()
        self._write(slot, task_id, attempt, float("inf"), time.monotonic() if behind else float("inf"), 0)
        return slot

    def begin(
        self, slot: int | None, task_id: str, attempt: int, timeout_seconds: float | None, retries: int = 0
    ) -> None:
        """Says that the attempt runs from now on, for at most so long; after a time-out it may have `retries`."""
        if slot is None:
            return
        started = time.monotonic()
        deadline = float("inf") if timeout_seconds is None else started + timeout_seconds
        self._write(slot, task_id, attempt, started, deadline, retries)

    def _write(self, slot: int, task_id: str, attempt: int, started: float, deadline: float, retries: int) -> None:
        packed = _SLOT.pack(task_id.encode(), attempt, started, deadline, retries)
        offset = _HEAD_BYTES + slot * _SLOT.size
        self._map[offset : offset + 32] = _EMPTY
        self._map[offset + 32 : offset + _SLOT.size] = packed[32:]
        self._map[offset : offset + 32] = packed[:32]

    def leave(self, slot: int | None) -> None:
        """Takes an attempt off the board."""
        if slot is None:
            return
        offset = _HEAD_BYTES + slot * _SLOT.size
        self._map[offset : offset + 32] = _EMPTY
        with self._lock:
            self._free.append(slot)

    def own(self) -> None:
        """Empties the board and makes it this process's."""
        now = _BEAT.pack(time.monotonic())
        self._map[:] = _OWNER.pack(os.getpid()) + now + now + b"\0" * (SLOTS * _SLOT.size)

    def clear(self) -> None:
        """Empties the board, which is nobody's then; for when its owner has ended."""
        self._map[:] = b"\0" * len(self._map)

    def beat_loop(self) -> None:
        """Says that the event loop of the worker process turns."""
        self._map[_OWNER.size : _OWNER.size + _BEAT.size] = _BEAT.pack(time.monotonic())

    def beat_thread(self) -> None:
        """Says that threads of the worker process run."""
        self._map[_OWNER.size + _BEAT.size : _HEAD_BYTES] = _BEAT.pack(time.monotonic())

    @property
    def owner(self) -> int:
        """Which process owns the board, or owned it as the last; 0 for none."""
        return int(_OWNER.unpack(self._map[: _OWNER.size])[0])

    def beats(self, process_id: int | None) -> Beats | None:
        """When the process was last seen to work; None where the board is not its own."""
        if not process_id or self.owner != process_id:
            return None
        (loop,) = _BEAT.unpack(self._map[_OWNER.size : _OWNER.size + _BEAT.size])
        (thread,) = _BEAT.unpack(self._map[_OWNER.size + _BEAT.size : _HEAD_BYTES])
        return Beats(loop, thread)

    def entries(self, process_id: int | None) -> list[Entry]:
        """What is on the board now, if it is the board of this process."""
        if not process_id or self.owner != process_id:
            return []
        return [
            Entry(task_id.decode(), attempt, started, deadline, retries)
            for task_id, attempt, started, deadline, retries in _SLOT.iter_unpack(self._map[_HEAD_BYTES:])
            if task_id != _EMPTY
        ]


def table_path(settings: Settings, name: str) -> Path:
    """Where the attempt table of a worker lies."""
    return Path(settings.data_dir).absolute() / "scratch" / f"{name}.attempts"


def failure_path(table: Path) -> Path:
    """Where the worker process writes why it cannot serve, for its nanny to read."""
    return table.with_suffix(".failure")
