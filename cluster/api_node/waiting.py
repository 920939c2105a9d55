"""Why a task waits, for how many others and for how long: one decision, from what is known at that moment. No I/O.

The reasons are tried in the order in which they keep a task from running: what holds it back comes before what it would
wait for afterwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from cluster.scheduling.queue_places import Place
from cluster.store.replies import WaitReply


class WaitingReason(StrEnum):
    """Why a QUEUED task does not run."""

    QUEUED_BEHIND = "QUEUED_BEHIND"
    NO_WORKER = "NO_WORKER"
    LAUNCHING = "LAUNCHING"
    NOT_BEFORE = "NOT_BEFORE"
    RETRY = "RETRY"
    LIMIT = "LIMIT"
    PAUSED = "PAUSED"
    SCHEDULER_AWAY = "SCHEDULER_AWAY"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a task waits.

    Attributes:
        ahead: number of tasks that wait for the same and come first; None if that is not known.
        eta_seconds: expected time until it starts, or until its time has come; None without a basis.
    """

    reason: WaitingReason
    ahead: int | None = None
    eta_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers, as the scheduler knows them.

    Attributes:
        threads: of the workers that take tasks.
        launching: workers that were started and take no tasks yet.
        launch_seconds: mean duration of recent launches; None if there was none.
        place: of the task.
    """

    threads: int
    launching: int = 0
    launch_seconds: float | None = None
    place: Place = Place()


@dataclass(frozen=True, slots=True)
class HeldQueue:
    """The tasks that are held with the same limits as the task.

    Attributes:
        ahead: how many of them come first.
        slots: how many slots the narrowest of the limits has.
    """

    ahead: int
    slots: float


def explain(
    wait: WaitReply,
    *,
    not_before: int | None,
    paused: bool,
    workers: Workers | None,
    held: HeldQueue | None,
    duration: float | None,
) -> Waiting:
    """Why a QUEUED task waits.

    Args:
        not_before: as in its record, milliseconds since 1970.
        paused: whether its type is paused.
        workers: None if this node has no connection to the scheduler.
        held: None unless the task is held.
        duration: seconds that one attempt of its type takes; None if that has not been measured.
    """
    if held is None and not wait.dispatched and wait.due_at is not None and wait.due_at > wait.now:
        of_submission = not_before is not None and wait.due_at <= not_before
        reason = WaitingReason.NOT_BEFORE if of_submission else WaitingReason.RETRY
        return Waiting(reason, eta_seconds=(wait.due_at - wait.now) / 1000)
    if paused:
        return Waiting(WaitingReason.PAUSED)
    if workers is None:
        return Waiting(WaitingReason.SCHEDULER_AWAY)
    if held is not None:
        return Waiting(WaitingReason.LIMIT, held.ahead, _until_slot(held, duration))
    if workers.threads:
        return Waiting(WaitingReason.QUEUED_BEHIND, workers.place.ahead, workers.place.seconds)
    if workers.launching:
        return Waiting(WaitingReason.LAUNCHING, workers.place.ahead, workers.launch_seconds)
    return Waiting(WaitingReason.NO_WORKER, workers.place.ahead)


def _until_slot(held: HeldQueue, duration: float | None) -> float | None:
    """The time in which the tasks before it, and one of those that run, take their turns."""
    if duration is None or not 0 < held.slots < math.inf:
        return None
    return (held.ahead + 1) * duration / held.slots
