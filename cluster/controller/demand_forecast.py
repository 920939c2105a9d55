"""Demand that is foreseen because it came at the same time of earlier hours, days or weeks. Pure: no I/O.

For every minute it is recorded how many workers its work needed: the work that came in the busiest third of the
minute, to be done in the same time again. So a job of many tasks at once counts as workers for 20 s, not as a mean.

A period is believed if most of what it foresaw lately has come. Then a minute is expected to need what it needed one
period ago and two periods ago, the lesser of both, if that is at least twice what was needed just now: for slower
changes the policy needs no forecast. So demand is foreseen from its fourth time on, and demand without a period never.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

MINUTE_SECONDS: Final = 60
DAY_MINUTES: Final = 1_440
PERIODS: Final = (5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720, DAY_MINUTES, 7 * DAY_MINUTES)
"""Minutes after which demand may recur: those of schedules and of people. Others recur after one of these too, as 90
minutes do after three hours."""
DAYS: Final = 22
"""How many days are recorded: three weeks, and today. 31 kB."""
SLOT_SECONDS: Final = 20.0
"""Work that comes within so many seconds is to be done within as many. Workers that are bought ahead cost about a
minute each, however long they work: for less work each, most of the bill would be launches; for more, tasks would wait
as long as for workers that are bought when they come."""
SLOTS: Final = 3
"""Slots of a minute."""
EVIDENCE_MINUTES: Final = 30
"""A period is judged by its last round, or by so many minutes if that is longer: within five minutes, too much is
chance."""
BELIEVED_SHARE: Final = 0.75
"""Of what a period foresaw, how much must have come."""
STEPS: Final = 8
"""Steps of the recorded numbers in which they double: 9 % each."""
SMALLEST: Final = 1 / 8
"""The smallest number of workers that is recorded."""
WORKERS: Final = (0.0, *(SMALLEST * 2 ** ((byte - 1) / STEPS) for byte in range(1, 256)))
"""The number of workers that each byte of the record stands for."""
EMPTY_DAY: Final = bytes(DAY_MINUTES)


class Forecast(NamedTuple):
    """What is expected.

    Attributes:
        workers: that will be needed.
        period_minutes: after which their demand recurs; 0 if none is expected.
    """

    workers: int = 0
    period_minutes: int = 0


NOTHING_EXPECTED: Final = Forecast()


def encode(workers: float) -> int:
    """The byte for a number of workers (WORKERS)."""
    return 0 if workers < SMALLEST else min(255, round(STEPS * math.log2(workers / SMALLEST)) + 1)


@dataclass(slots=True)
class DemandRecord:
    """How many workers the work of each minute needed, for DAYS days.

    Attributes:
        days: day since 1970 -> a byte for each of its minutes.
        changed: days that have changed since they were saved.
        arriving: the work that came per second in the last three slots, in seconds of one thread.
    """

    days: dict[int, bytearray] = field(default_factory=dict)
    changed: set[int] = field(default_factory=set)
    arriving: float = 0.0
    _latest: tuple[float, ...] = (0.0,) * SLOTS
    """The work that came in each of the last slots."""
    _work: float = 0.0
    """The same of this slot."""
    _at: float = -math.inf
    _waiting_seconds: float = 0.0
    _believed: tuple[int, ...] = ()
    """The periods that are believed in this minute."""

    def observe(self, waiting_seconds: float, busy: int, threads: int, now: float) -> None:
        """Adds what is observed, which is to happen every second or so.

        Args:
            waiting_seconds: the work that waits, in seconds of one thread.
            busy: threads that have a task.
            threads: of each worker.
            now: seconds since 1970.
        """
        elapsed = now - self._at
        if 0 <= elapsed <= SLOT_SECONDS:
            if now // SLOT_SECONDS != self._at // SLOT_SECONDS:
                self._latest = (*self._latest[1:], max(0.0, self._work))
                self.arriving = sum(self._latest) / (SLOTS * SLOT_SECONDS)
                self._work = 0.0
            # What came is what was done, and what waits more than before.
            self._work += waiting_seconds - self._waiting_seconds + busy * elapsed
        else:
            # The first time, or the clock was set.
            self._latest, self.arriving, self._work = (0.0,) * SLOTS, 0.0, 0.0
        minute, before = int(now // MINUTE_SECONDS), self._at
        self._at, self._waiting_seconds = now, waiting_seconds
        self._write(minute, self._work / (SLOT_SECONDS * threads))
        if minute != before // MINUTE_SECONDS:
            for day in [day for day in self.days if day <= minute // DAY_MINUTES - DAYS]:
                del self.days[day]
                self.changed.discard(day)
            self._judge(minute)

    def _write(self, minute: int, workers: float) -> None:
        if byte := encode(workers):
            day, of_day = divmod(minute, DAY_MINUTES)
            record = self.days.setdefault(day, bytearray(DAY_MINUTES))
            if byte > record[of_day]:
                record[of_day] = byte
                self.changed.add(day)

    def load(self, days: Mapping[int, bytes]) -> None:
        """Adds what an earlier controller has recorded."""
        for day, saved in days.items():
            own = self.days.setdefault(day, bytearray(DAY_MINUTES))
            own[: len(saved)] = map(max, own, saved[:DAY_MINUTES])
        if self.days and math.isfinite(self._at):
            self._judge(int(self._at // MINUTE_SECONDS))

    def expected(self, launch_seconds: float, now: float) -> Forecast:
        """What is expected from now until a worker that is started now is ready.

        Args:
            launch_seconds: how long that takes.
            now: seconds since 1970.
        """
        found, minute = NOTHING_EXPECTED, int(now // MINUTE_SECONDS)
        if not self._believed:
            return found
        came = self._minutes(minute, 1)[0]
        least = max(self._minutes(minute - 2, 2)) + STEPS
        for at in range(minute, int((now + launch_seconds) // MINUTE_SECONDS) + 1):
            for period in self._believed:
                byte = min(self._minutes(at - period, 1)[0], self._minutes(at - 2 * period, 1)[0])
                # What has come, or most of it, is no longer expected.
                has_come = at == minute and came > 0 and byte < came + STEPS // 2
                if byte >= least and not has_come and WORKERS[byte] > found.workers:
                    found = Forecast(math.ceil(WORKERS[byte] - 0.25), period)
        return found

    def _judge(self, minute: int) -> None:
        self._believed = tuple(period for period in PERIODS if self._is_believed(period, minute))

    def _is_believed(self, period: int, minute: int) -> bool:
        """Whether most of what the period foresaw before a minute has come."""
        length = max(period, EVIDENCE_MINUTES)
        came, once, twice = (self._minutes(minute - length - n * period, length) for n in (0, 1, 2))
        if not (any(once) and any(twice)):
            return False
        foreseen = [(min(pair), byte) for byte, *pair in zip(came, once, twice, strict=True) if all(pair)]
        total = sum(WORKERS[byte] for byte, _ in foreseen)
        return 0 < BELIEVED_SHARE * total <= sum(WORKERS[min(pair)] for pair in foreseen)

    def _minutes(self, first: int, count: int) -> bytes:
        """The record of so many minutes; 0 where there is none."""
        days = range(first // DAY_MINUTES, (first + count - 1) // DAY_MINUTES + 1)
        start = first % DAY_MINUTES
        return b"".join(self.days.get(day, EMPTY_DAY) for day in days)[start : start + count]
