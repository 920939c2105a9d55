"""What the parent of several api processes decides. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cluster.system.process_table import Phase, ProcessState

START_SECONDS: Final = 120.0
"""How long a process may take to start: it imports the task modules."""
STALE_SECONDS: Final = 3.0
"""A process writes its row once a second. One that has not for so long gets no new connections."""
FROZEN_SECONDS: Final = 30.0
"""One that has not for so long is killed and replaced."""
FIRST_PAUSE_SECONDS: Final = 0.5
MAX_PAUSE_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 60.0
"""A process that ended is started again after FIRST_PAUSE_SECONDS. Each time it ends within STEADY_SECONDS the pause
doubles, up to MAX_PAUSE_SECONDS."""
FAILED_STARTS: Final = 3
"""Failed starts in a row of every process after which the command ends, if none serves."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The times above, which tests shorten. In seconds."""

    start: float = START_SECONDS
    stale: float = STALE_SECONDS
    frozen: float = FROZEN_SECONDS
    first_pause: float = FIRST_PAUSE_SECONDS
    max_pause: float = MAX_PAUSE_SECONDS
    steady: float = STEADY_SECONDS


class Chooser:
    """Chooses the process of each new connection: in turn the one with the fewest connections, and the next one.

    By the fewest alone, a process that was restarted would get every new connection until it had as many as the others,
    and the others' processors would wait for it. By turns alone, connections that stay open would never be spread
    evenly again.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_fewest = True
        self._last = -1

    def choose(self, states: Sequence[ProcessState], handed: Mapping[int, int], now: float) -> int | None:
        """Returns the number of the process; None if none serves.

        Args:
            handed: how many connections each process was handed since it started.
            now: by `time.monotonic`.
        """
        able = [state for state in states if is_able(state, now, self._limits)]
        # One that has lost Redis can do little, but more than none.
        able = [state for state in able if state.ready] or able
        if not able:
            return None
        self._by_fewest = not self._by_fewest
        following = sorted(able, key=lambda state: (state.number <= self._last, state.number))
        if self._by_fewest:
            return min(following, key=lambda state: state.connections + handed[state.number] - state.received).number
        self._last = following[0].number
        return self._last


def is_able(state: ProcessState, now: float, limits: Limits) -> bool:
    """Whether a process gets new connections."""
    return state.phase == Phase.SERVING and now - state.beat_at <= limits.stale


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a process that runs.

    Attributes:
        phase: its phase from now on.
        reason: why it is killed; empty if it is not.
    """

    phase: Phase
    reason: str = ""


def judge(state: ProcessState, now: float, limits: Limits) -> Verdict:
    """Decides about a process from what it has written.

    Args:
        now: by `time.monotonic`.
    """
    if state.phase == Phase.STARTING:
        if state.beat_at:
            return Verdict(Phase.SERVING)
        if now - state.phase_since > limits.start:
            return Verdict(Phase.FROZEN, f"it has not started within {limits.start:g} s")
    elif state.phase == Phase.SERVING and now - state.beat_at > limits.frozen:
        return Verdict(Phase.FROZEN, f"its event loop has not run for {limits.frozen:g} s")
    return Verdict(state.phase)


@dataclass(slots=True)
class History:
    """What happened to one of the processes before.

    Attributes:
        failed_starts: in a row.
    """

    limits: Limits
    failed_starts: int = 0
    _pause: float = field(default=0.0)

    def pause_after(self, *, served: bool, ran_seconds: float) -> float:
        """The process has ended. Returns the seconds until it is started again.

        Args:
            served: whether it served before it ended.
        """
        self.failed_starts = 0 if served else self.failed_starts + 1
        steady = served and ran_seconds > self.limits.steady
        doubled = min(self.limits.max_pause, 2 * self._pause)
        self._pause = self.limits.first_pause if steady or not self._pause else doubled
        return self._pause


def gives_up(histories: Sequence[History], states: Sequence[ProcessState]) -> bool:
    """Whether the command ends, because no process serves and none can be started."""
    if any(state.phase == Phase.SERVING for state in states):
        return False
    return all(history.failed_starts >= FAILED_STARTS for history in histories)
