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

SLOTS: Final = 512
"""Most attempts that one worker runs at once; what is beyond them runs all the same, without the warden's care."""

_OWNER: Final = struct.Struct("<q")
_SLOT: Final = struct.Struct("<32sqdd")
_EMPTY: Final = b"\0" * 32


@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt on the board. Times are of `time.monotonic`, which all processes of a machine share.

    Attributes:
        started: infinite until it begins.
        deadline: infinite where the task type has no limit. Of one that waits behind others: since when it does.
    """

    task_id: str
    attempt: int
    started: float
    deadline: float

    @property
    def running(self) -> bool:
        return self.started != float("inf")

    def behind(self, now: float) -> float:
        """How long it has waited behind others of its Dask task, in seconds; 0 where it does not."""
        return 0.0 if self.running or self.deadline == float("inf") else now - self.deadline


class RunningBoard:
    """A fixed table in a file that both processes map, headed by the id of the worker process that writes it: what a
    process left there that is dead says nothing of the one that came after it.

    Each slot is written by one thread before its id is set, so that a reader never takes a half-written one for real.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        size = _OWNER.size + SLOTS * _SLOT.size
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
        self._write(slot, task_id, attempt, float("inf"), time.monotonic() if behind else float("inf"))
        return slot

    def begin(self, slot: int | None, task_id: str, attempt: int, timeout_seconds: float | None) -> None:
        """Says that the attempt runs from now on, for at most so long."""
        if slot is None:
            return
        started = time.monotonic()
        deadline = float("inf") if timeout_seconds is None else started + timeout_seconds
        self._write(slot, task_id, attempt, started, deadline)

    def _write(self, slot: int, task_id: str, attempt: int, started: float, deadline: float) -> None:
        packed = _SLOT.pack(task_id.encode(), attempt, started, deadline)
        offset = _OWNER.size + slot * _SLOT.size
        self._map[offset : offset + 32] = _EMPTY
        self._map[offset + 32 : offset + _SLOT.size] = packed[32:]
        self._map[offset : offset + 32] = packed[:32]

    def leave(self, slot: int | None) -> None:
        """Takes an attempt off the board."""
        if slot is None:
            return
        offset = _OWNER.size + slot * _SLOT.size
        self._map[offset : offset + 32] = _EMPTY
        with self._lock:
            self._free.append(slot)

    def own(self) -> None:
        """Empties the board and makes it this process's."""
        self._map[:] = _OWNER.pack(os.getpid()) + b"\0" * (SLOTS * _SLOT.size)

    def entries(self, process_id: int | None) -> list[Entry]:
        """What is on the board now, if it is the board of this process."""
        (owner,) = _OWNER.unpack(self._map[: _OWNER.size])
        if owner != process_id:
            return []
        return [
            Entry(task_id.decode(), attempt, started, deadline)
            for task_id, attempt, started, deadline in _SLOT.iter_unpack(self._map[_OWNER.size :])
            if task_id != _EMPTY
        ]
