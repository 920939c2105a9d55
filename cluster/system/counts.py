"""How much each client has of what is limited: within one process, or over all processes of one command.

Processes share a file in memory: a count-min sketch (Cormode and Muthukrishnan, 2005) in which each process writes its
own cells only, so that none waits for another, and what one that died has counted can be cleared. Clients are found by
a keyed hash, so that nobody can choose to share cells with somebody else. Two processes that count at the same moment
may exceed a limit by one each.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeAlias

CELLS: Final = 2**16
"""Cells of one process for all kinds of counts; a client uses ROWS of them."""
ROWS: Final = 2
KEY_BYTES: Final = 16
CELL_BYTES: Final = 8
BUCKET_CELLS: Final = 2
"""A bucket is a debt and the time at which it was that."""


class Counts:
    """Counts of one process, by client."""

    def __init__(self) -> None:
        self._own: Counter[str] = Counter()

    def __getitem__(self, client: str) -> int:
        """What all processes have counted for a client."""
        return self._own[client]

    def __len__(self) -> int:
        """The number of clients with a count in this process."""
        return len(self._own)

    def add(self, client: str, number: int = 1) -> None:
        """Adds to a client's count; a count of 0 takes no memory."""
        self._own[client] += number
        if not self._own[client]:
            del self._own[client]


MakeCounts: TypeAlias = Callable[[str], Counts]
"""Makes the counts of one kind, such as `sockets`."""


class SharedCounts(Counts):
    """Counts of which each process of a command sees the sum over all.

    Args:
        kind: what is counted; processes share the counts of the same kind.
    """

    def __init__(self, table: CountTable, kind: str) -> None:
        super().__init__()
        self._table = table
        self._kind = kind

    def __getitem__(self, client: str) -> int:
        return self._own[client] + self._table.of_others(f"{self._kind} {client}")

    def add(self, client: str, number: int = 1) -> None:
        super().add(client, number)
        self._table.add(f"{self._kind} {client}", number)


class CountTable:
    """The file that the processes of one command share.

    Args:
        path: the file, which `create` has made.
        process: the number of this process, from 0.
    """

    def __init__(self, path: Path, process: int) -> None:
        with path.open("r+b") as file:
            memory = mmap.mmap(file.fileno(), 0)
        self._key = bytes(memory[:KEY_BYTES])
        view = memoryview(memory)[KEY_BYTES:].cast("q")
        buckets, counts = view[: BUCKET_CELLS * CELLS], view[BUCKET_CELLS * CELLS :]
        self._debts = buckets.cast("B").cast("d")
        self._columns = [counts[start : start + CELLS] for start in range(0, len(counts), CELLS)]
        self._process = process
        self._own = self._columns[process]
        self._others = [column for number, column in enumerate(self._columns) if number != process]
        # An instance's own, so that a table that is dropped is freed.
        self._cells_of = lru_cache(maxsize=4_096)(self._find_cells)

    @staticmethod
    def create(path: Path, processes: int) -> None:
        """Makes the file, with everything 0."""
        with path.open("xb") as file:
            file.write(os.urandom(KEY_BYTES))
            file.truncate(KEY_BYTES + CELL_BYTES * CELLS * (BUCKET_CELLS + processes))

    def counts(self, kind: str) -> SharedCounts:
        """The counts of one kind."""
        return SharedCounts(self, kind)

    def clear(self, process: int) -> None:
        """Forgets what a process has counted, which has ended."""
        self._columns[process].cast("B")[:] = bytes(CELL_BYTES * CELLS)

    def of_others(self, name: str) -> int:
        """What the other processes have counted; at least, and nearly always exactly."""
        return min(sum(column[cell] for column in self._others) for cell in self._cells_of(name))

    def add(self, name: str, number: int) -> None:
        """Adds to what this process has counted."""
        for cell in self._cells_of(name):
            self._own[cell] += number

    def take_token(self, name: str, per_minute: int, now: float) -> float:
        """Takes a token of a bucket that all processes share and that holds `per_minute` of them.

        Args:
            now: `time.monotonic`, which all processes of a machine share.

        Returns: 0, or the seconds until there is one.
        """
        cells = [BUCKET_CELLS * cell for cell in self._cells_of(name)]
        paid = [(now - self._debts[cell + 1]) * per_minute / 60 for cell in cells]
        debts = [max(0.0, self._debts[cell] - part) for cell, part in zip(cells, paid, strict=True)]
        excess = min(debts) + 1 - per_minute
        if excess > 0:
            return excess * 60 / per_minute
        for cell, debt in zip(cells, debts, strict=True):
            self._debts[cell], self._debts[cell + 1] = debt + 1, now
        return 0.0

    def _find_cells(self, name: str) -> tuple[int, ...]:
        digest = hashlib.blake2b(name.encode(), digest_size=4 * ROWS, key=self._key).digest()
        # A set: where both rows lead to one cell, a client counts there once.
        return tuple({int.from_bytes(digest[4 * row : 4 * row + 4], "little") % CELLS for row in range(ROWS)})
