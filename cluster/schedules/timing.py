"""When a schedule is due: a cron expression in a time zone, or an interval. Times are milliseconds since 1970.

Cron expressions have the meaning of Debian's cron, also where clocks change (cron(8)): one with a fixed minute and hour
runs once on each of its days. If clocks skip its time, it runs at the first moment after the gap; if they repeat it, it
runs the first time. One whose minute or hour begins with `*` goes by elapsed time: `0 * * * *` runs in every hour that
there is, and so twice in one that is repeated. Intervals go by elapsed time too, counted from 1970, so that a schedule
that is set again keeps its ticks.
"""

from __future__ import annotations

import datetime
import re
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cronsim import CronSim, CronSimError

from cluster.errors import BadInput

MAX_CRON_LENGTH: Final = 200
"""Characters of a cron expression."""
MIN_INTERVAL_SECONDS: Final = 10
"""Shortest interval: the nodes look for due schedules every second."""
MAX_INTERVAL_SECONDS: Final = 366 * 86_400
ZONE_NAME: Final = re.compile(r"[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,2}")


@dataclass(frozen=True, slots=True)
class Timing:
    """When a schedule is due.

    Attributes:
        cron: five fields: minute, hour, day of the month, month, day of the week; empty for an interval.
        every_seconds: the interval; 0 with `cron`.
        time_zone: an IANA name, such as `Europe/Berlin`, in which `cron` is read.
    """

    cron: str = ""
    every_seconds: int = 0
    time_zone: str = "UTC"

    def ticks(self, after: int) -> Iterator[int]:
        """The ticks later than a time, in their order; none if there is none within fifty years.

        Raises:
            BadInput: this node cannot read the expression, or does not know the time zone.
        """
        if self.every_seconds:
            step = self.every_seconds * 1000
            tick = after // step * step
            while True:
                tick += step
                yield tick
        for moment in self._simulate(after):
            tick = round(moment.timestamp() * 1000)
            # In an hour that clocks repeat, the simulation begins with the first of both.
            if tick > after:
                after = tick
                yield tick

    def next_tick(self, after: int) -> int | None:
        """The first tick later than a time; None if there is none within fifty years.

        Raises:
            BadInput: as `ticks`.
        """
        return next(self.ticks(after), None)

    def _simulate(self, after: int) -> CronSim:
        zone = find_zone(self.time_zone)
        try:
            return CronSim(self.cron, datetime.datetime.fromtimestamp(after / 1000, zone))
        except CronSimError as error:
            raise BadInput(
                f"cron is five fields, such as `30 2 * * *` (minute, hour, day of the month, month, day of the week), "
                f"not {self.cron[:MAX_CRON_LENGTH]!r}: {error}",
                argument="cron",
            ) from None


def check_timing(cron: str | None, every_seconds: float | None, time_zone: str | None, now: int) -> Timing:
    """The timing that somebody asks for.

    Args:
        now: the time that the first tick must be later than.

    Raises:
        BadInput: it has not exactly one of `cron` and `every_seconds`, or one of them or the time zone is wrong; or it
            is never due.
    """
    if (cron is None) == (every_seconds is None):
        raise BadInput("a schedule has either `cron` or `everySeconds`", argument="cron")
    if every_seconds is not None:
        if not MIN_INTERVAL_SECONDS <= every_seconds <= MAX_INTERVAL_SECONDS or every_seconds != int(every_seconds):
            raise BadInput(
                f"everySeconds is a whole number from {MIN_INTERVAL_SECONDS} to {MAX_INTERVAL_SECONDS}, not "
                f"{every_seconds:g}",
                argument="everySeconds",
            )
        return Timing(every_seconds=int(every_seconds), time_zone=_known(time_zone))
    assert cron is not None
    fields = cron[: MAX_CRON_LENGTH + 1].split()
    if len(cron) > MAX_CRON_LENGTH or len(fields) != 5:
        raise BadInput(
            "cron is five fields separated by spaces, such as `30 2 * * *`: minute, hour, day of the month, month, day "
            f"of the week; at most {MAX_CRON_LENGTH} characters",
            argument="cron",
        )
    timing = Timing(cron=" ".join(fields), time_zone=_known(time_zone))
    if timing.next_tick(now) is None:
        raise BadInput(f"no day of the next fifty years fulfils {timing.cron!r}", argument="cron")
    return timing


def _known(time_zone: str | None) -> str:
    name = time_zone or "UTC"
    find_zone(name)
    return name


def find_zone(name: str) -> zoneinfo.ZoneInfo:
    """A time zone by its name.

    Raises:
        BadInput: there is none.
    """
    try:
        if ZONE_NAME.fullmatch(name):
            return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise BadInput(
        f"there is no time zone {name[:100]!r}: give a name of the IANA time zone database, such as Europe/Berlin",
        argument="timeZone",
    )
