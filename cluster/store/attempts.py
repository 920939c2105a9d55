"""The attempts of a task, from its events. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cluster.store.record import Event, EventKind, Record

ENDS_OF_THE_ONE_BEFORE: Final = frozenset({EventKind.RETRY, EventKind.LOST})
"""Events that name the next attempt."""
ENDS: Final = frozenset({EventKind.SUCCEEDED, EventKind.FAILED, EventKind.CANCELLED})


@dataclass(slots=True)
class Attempt:
    """One try to run a task. Times are milliseconds since 1970.

    Attributes:
        worker: None if no worker began it, or if that is not known any more.
        started_at: None likewise.
        ended_at: None while it waits or runs.
        end: the event that ended it; None likewise.
        reason: why it was retried, lost or ended, for people; None without a reason.
    """

    number: int
    worker: str | None = None
    started_at: int | None = None
    ended_at: int | None = None
    end: EventKind | None = None
    reason: str | None = None


def attempts_of(record: Record, events: Iterable[Event]) -> list[Attempt]:
    """The attempts that a worker began or that ended, of all runs whose events are kept, by their number. Numbers that
    are missing were replaced before a worker began them.

    Args:
        events: those that are kept, oldest first.
    """
    found: dict[int, Attempt] = {}

    def attempt(number: int) -> Attempt:
        return found.setdefault(number, Attempt(number))

    for event in events:
        if event.kind is EventKind.STARTED:
            begun = attempt(event.attempt)
            begun.started_at, begun.worker = event.at, event.worker
        elif event.kind in ENDS or event.kind in ENDS_OF_THE_ONE_BEFORE:
            ended = attempt(event.attempt - (event.kind in ENDS_OF_THE_ONE_BEFORE))
            ended.ended_at, ended.end, ended.reason = event.at, event.kind, event.message
    if record.started_at is not None:
        newest = attempt(record.attempt)
        newest.started_at = newest.started_at or record.started_at
        newest.worker = newest.worker or record.worker
    return [found[number] for number in sorted(found)]
