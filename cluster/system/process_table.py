"""What the processes of one command know of each other: a file in memory with a row for each.

The parent writes some fields of a row and the process the others, so that nobody waits for anybody, and one that hangs
is noticed by what it does not write.
"""

from __future__ import annotations

import mmap
import os
import time
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

FIELDS: Final = 8
FIELD_BYTES: Final = 8
PHASE, PHASE_SINCE, RESTARTS, PROCESS_ID, BEAT_AT, RECEIVED, CONNECTIONS, READY = range(FIELDS)
"""The first three are written by the parent."""


class Phase(IntEnum):
    """What the parent knows of a process."""

    STARTING = 0
    SERVING = 1
    FROZEN = 2
    ENDED = 3


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One process, as its row says.

    Attributes:
        number: from 0.
        phase_since: by `time.monotonic`.
        restarts: how many times it was started again.
        beat_at: when it last wrote its row, by `time.monotonic`; 0 if it has not yet.
        received: how many connections it had received by then.
        connections: how many of them were open.
        ready: whether it could accept tasks and deliver results.
    """

    number: int
    phase: Phase
    phase_since: float
    restarts: int
    process_id: int
    beat_at: float
    received: int
    connections: int
    ready: bool


class ProcessTable:
    """The rows of all processes of one command.

    Args:
        path: the file, which `create` has made.
    """

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            memory = mmap.mmap(file.fileno(), 0)
        self._fields = memoryview(memory).cast("d")
        self._processes = len(self._fields) // FIELDS

    @staticmethod
    def create(path: Path, processes: int) -> None:
        """Makes the file, with all processes `ENDED`."""
        with path.open("xb") as file:
            file.truncate(FIELDS * FIELD_BYTES * processes)
        table = ProcessTable(path)
        for number in range(processes):
            table.set_phase(number, Phase.ENDED)

    def states(self) -> list[ProcessState]:
        """All rows, in the order of their numbers."""
        return [self.state(number) for number in range(self._processes)]

    def state(self, number: int) -> ProcessState:
        """The row of one process."""
        row = self._fields[FIELDS * number : FIELDS * (number + 1)].tolist()
        return ProcessState(
            number,
            Phase(int(row[PHASE])),
            row[PHASE_SINCE],
            int(row[RESTARTS]),
            int(row[PROCESS_ID]),
            row[BEAT_AT],
            int(row[RECEIVED]),
            int(row[CONNECTIONS]),
            bool(row[READY]),
        )

    # The parent writes ------------------------------------------------------------------------------------------------

    def begin(self, number: int, process_id: int, restarts: int) -> None:
        """A process was started."""
        row = FIELDS * number
        for field in (BEAT_AT, RECEIVED, CONNECTIONS, READY):
            self._fields[row + field] = 0.0
        self._fields[row + PROCESS_ID] = process_id
        self._fields[row + RESTARTS] = restarts
        self.set_phase(number, Phase.STARTING)

    def set_phase(self, number: int, phase: Phase) -> None:
        """A process has changed its phase."""
        self._fields[FIELDS * number + PHASE] = phase
        self._fields[FIELDS * number + PHASE_SINCE] = time.monotonic()

    # The process writes -----------------------------------------------------------------------------------------------

    def beat(self, number: int, *, received: int, connections: int, ready: bool) -> None:
        """Says that the event loop of a process runs, and what it does. Nothing is written by one that was replaced."""
        row = FIELDS * number
        if int(self._fields[row + PROCESS_ID]) != os.getpid():
            return
        self._fields[row + RECEIVED] = received
        self._fields[row + CONNECTIONS] = connections
        self._fields[row + READY] = ready
        self._fields[row + BEAT_AT] = time.monotonic()
