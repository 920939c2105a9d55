"""A schedule: what it submits and when, what it has done, and what is to be done now."""

from __future__ import annotations

import datetime
import re
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Final

import orjson

from cluster.errors import BadInput
from cluster.schedules.timing import Timing

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,49}")
KEPT_RUNS: Final = 10
"""How many of its last ticks a schedule remembers."""


class Overlap(StrEnum):
    """What happens to a tick while the task of the tick before is still open."""

    SKIP = "SKIP"
    ALLOW = "ALLOW"
    CANCEL_PREVIOUS = "CANCEL_PREVIOUS"

    @classmethod
    def _missing_(cls, value: object) -> Overlap:
        return cls.SKIP  # what a later release has added


class TickOutcome(StrEnum):
    """What became of a tick."""

    SUBMITTED = "SUBMITTED"
    SKIPPED = "SKIPPED"
    MISSED = "MISSED"

    @classmethod
    def _missing_(cls, value: object) -> TickOutcome:
        return cls.SUBMITTED  # what a later release has added


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick that is over.

    Attributes:
        at: when it was due, milliseconds since 1970.
        task_id: the task that it submitted; empty if it submitted none.
    """

    at: int
    outcome: TickOutcome
    task_id: str = ""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule. Times are milliseconds since 1970.

    Attributes:
        name: unique among those who share tasks.
        tenant: whose tasks it submits, if tenants are isolated; else empty.
        account: whose quotas they count against, and who may change it.
        salt: the tenant's, of task ids; else empty.
        task: the task type.
        input: the arguments in canonical form.
        overlap: what happens while the task of the tick before is open.
        catch_up_seconds: how late a tick may be submitted, as after an outage; then it is missed.
        priority, tags, ttl_seconds: as those of a submission.
        set_by: the text of the actor that set it last.
        set_at: when.
        paused_at: since when it is paused; None if it is not.
        decided_until: what is due up to this time is over.
        last_task_id: the task that it submitted last; empty for none.
        runs: its last ticks, oldest first.
        problem: why the tick that is due now could not be submitted yet; empty for none.
    """

    name: str
    tenant: str
    account: str
    salt: str
    task: str
    input: dict[str, Any]
    timing: Timing
    overlap: Overlap
    catch_up_seconds: float
    priority: int
    tags: tuple[str, ...]
    ttl_seconds: float | None
    set_by: str
    set_at: int
    decided_until: int
    paused_at: int | None = None
    last_task_id: str = ""
    runs: tuple[Tick, ...] = ()
    problem: str = ""

    def run_key(self, at: int) -> str:
        """The run key of a tick: every node that submits it means the same task."""
        when = datetime.datetime.fromtimestamp(at / 1000, datetime.UTC)
        return f"{self.tag}@{when.isoformat(timespec='seconds' if at % 1000 == 0 else 'milliseconds')[:-6]}Z"

    @property
    def tag(self) -> str:
        """What all its tasks are tagged with."""
        return schedule_tag(self.name)

    def after_tick(self, tick: Tick, decided_until: int | None = None) -> Schedule:
        """The schedule with a tick that is over."""
        return replace(
            self, runs=(*self.runs, tick)[-KEPT_RUNS:], last_task_id=tick.task_id or self.last_task_id, problem="",
            decided_until=tick.at if decided_until is None else decided_until,
        )  # fmt: skip

    def next_tick(self) -> int | None:
        """The first tick that is not over; None if it is paused or has none.

        Raises:
            BadInput: this node cannot read its timing.
        """
        return None if self.paused_at is not None else self.timing.next_tick(self.decided_until)

    def dump(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def load(cls, text: bytes) -> Schedule:
        """Reads a stored schedule. Ignores what a later release has added."""
        raw = orjson.loads(text)
        known = {item.name: raw[item.name] for item in fields(cls) if item.name in raw}
        return cls(**known | {
            "timing": Timing(**{item.name: raw["timing"][item.name] for item in fields(Timing)}),
            "overlap": Overlap(raw["overlap"]),
            "tags": tuple(raw["tags"]),
            "runs": tuple(Tick(run["at"], TickOutcome(run["outcome"]), run["task_id"]) for run in raw["runs"]),
        })  # fmt: skip


def schedule_tag(name: str) -> str:
    """The tag of a schedule's tasks; what all its run keys begin with, too."""
    return f"schedule:{name}"


def check_schedule_name(name: str) -> str:
    """Returns the name.

    Raises:
        BadInput: it cannot be the name of a schedule.
    """
    if not NAME.fullmatch(name):
        raise BadInput(
            f"the name of a schedule has 1 to 50 letters, digits, and after the first `_`, `.`, `-`, unlike "
            f"{name[:60]!r}",
            argument="name",
        )
    return name


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done about a schedule now.

    Attributes:
        schedule: with the ticks that are missed by now.
        tick: the one to submit; None if none is due.
    """

    schedule: Schedule
    tick: int | None = field(default=None)


def decide(schedule: Schedule, now: int) -> Due:
    """What is due: the oldest tick that is not too late. All that are too late are one entry in `runs`.

    Raises:
        BadInput: this node cannot read the timing.
    """
    tick = schedule.next_tick()
    if tick is None or tick > now:
        return Due(schedule)
    earliest = now - round(schedule.catch_up_seconds * 1000)
    if tick < earliest:
        problem = schedule.problem
        schedule = schedule.after_tick(Tick(tick, TickOutcome.MISSED), decided_until=earliest - 1)
        schedule = replace(schedule, problem=problem)
        tick = schedule.next_tick()
    return Due(schedule, tick if tick is not None and tick <= now else None)
