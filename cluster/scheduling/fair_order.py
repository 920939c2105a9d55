"""The fair order: the accounts that have attempts waiting share the workers' time in the ratio of their weights.

Start-time fair queueing (Goyal, Vin, Cheng, SIGCOMM 1996) within each priority. When a Dask task arrives it gets a
turn, a point in virtual time: when its account's previous one would be done, or now if that is later. Dask takes turns
as priorities, so there is no second queue. No I/O: the scheduler's plugin reports what arrives, starts and ends.
docs/designs/0017-fair-shares.md says why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

DaskPriority: TypeAlias = tuple[float, int]
"""How Dask orders tasks: the lowest first."""

PRIORITY_STEP: Final = 2.0**46
"""Distance between two priorities, in milliseconds of virtual time: 2,000 years. With priorities up to 100 the number
stays below 2**53, so a float tells turns apart that differ by a millisecond, and of priority 0 by some microseconds."""

UNKNOWN_SECONDS: Final = 0.5
"""What an attempt counts for whose task type has not been measured yet."""

TOLERANCE: Final = 2.0
"""All that waits is ordered anew when a task type takes so many times as long as it counts for, or as short."""

MIN_SECONDS: Final = 0.0001
"""What any attempt counts for at least."""

MAX_IDLE_ACCOUNTS: Final = 1_000
"""Accounts without a waiting attempt that are remembered for a priority, about: they are cleaned up when there are
this many accounts, or twice as many as were left by the last cleanup."""


class Share(NamedTuple):
    """What the dispatcher tells the scheduler about a Dask task.

    Attributes:
        account: whose share of the workers it uses.
        weight: of the account.
        resumes: it replaces an attempt that had started, and so has waited for its turn already.
    """

    account: str
    weight: float = 1.0
    resumes: bool = False


@dataclass(slots=True)
class _Account:
    """Milliseconds of virtual time: when its next turn may begin, and how much of the time before that is for attempts
    that still wait."""

    next_turn: float = 0.0
    waiting_time: float = 0.0
    waiting: int = 0

    def leave(self, cost: float) -> None:
        """One of its attempts no longer waits."""
        self.waiting -= 1
        # Without what additions and subtractions round.
        self.waiting_time = self.waiting_time - cost if self.waiting else 0.0


class _Queue:
    """The order within one priority."""

    def __init__(self) -> None:
        self.time = 0.0
        self.accounts: dict[str, _Account] = {}
        self.unfinished = 0
        self._clean_at = MAX_IDLE_ACCOUNTS

    def take_turn(self, name: str, cost: float, *, resumes: bool) -> DaskPriority:
        account = self.accounts.get(name)
        if account is None:
            self._clean()
            account = self.accounts[name] = _Account()
        # An account with nothing waiting comes first among equal turns: its task waits for nothing but what runs.
        rank = 1 if account.waiting else 0
        account.waiting += 1
        if resumes:
            return self.time, 0
        turn = max(self.time, account.next_turn)
        account.next_turn = turn + cost
        account.waiting_time += cost
        return turn, rank

    def start(self, name: str, cost: float) -> None:
        """Virtual time becomes the time that the account has used. That is the turn of what starts, unless Dask starts
        an account's attempts in another order than that of their turns."""
        account = self.accounts[name]
        self.time = max(self.time, account.next_turn - account.waiting_time)
        account.leave(cost)

    def cancel(self, name: str, cost: float) -> None:
        """An attempt that waits will not start: its account gets the time back."""
        account = self.accounts[name]
        account.next_turn -= cost
        account.leave(cost)

    def end(self) -> None:
        """One fewer is unfinished. After the last one nobody has used more than another."""
        self.unfinished -= 1
        if not self.unfinished:
            self.time = max([self.time, *(account.next_turn for account in self.accounts.values())])
            self.accounts.clear()
            self._clean_at = MAX_IDLE_ACCOUNTS

    def take_turns_back(self) -> None:
        """All that waits will take turns again; what the accounts have used stays."""
        for account in self.accounts.values():
            account.next_turn -= account.waiting_time
            account.waiting, account.waiting_time = 0, 0.0

    def _clean(self) -> None:
        if len(self.accounts) < self._clean_at:
            return
        # An account that has used no more than virtual time is as a new one. If most have used more, they are
        # forgotten too: callers can make up accounts.
        kept = {name: each for name, each in self.accounts.items() if each.waiting or each.next_turn > self.time}
        if len(kept) > self._clean_at // 2:
            kept = {name: each for name, each in kept.items() if each.waiting}
        self.accounts = kept
        self._clean_at = max(MAX_IDLE_ACCOUNTS, 2 * len(kept))


@dataclass(slots=True)
class _Waiting:
    """A Dask task that waits, and what it counts for."""

    queue: _Queue
    priority: int
    name: str
    attempts: int
    share: Share
    cost: float = 0.0


class FairOrder:
    """The order of the Dask tasks on one scheduler.

    Args:
        durations: seconds that one attempt of each task type takes, as measured so far.
    """

    def __init__(self, durations: Mapping[str, float]) -> None:
        self._durations = durations
        self._queues: dict[int, _Queue] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._started: dict[str, _Queue] = {}
        # How many Dask tasks of each task type wait, and the seconds that one attempt in each of them counts for.
        self._waiting_of: Counter[str] = Counter()
        self._counted: dict[str, float] = {}

    def add(self, key: str, name: str, attempts: int, priority: int, share: Share) -> DaskPriority:
        """Adds a Dask task that waits. Returns what Dask orders it by.

        Args:
            name: of the task type.
            attempts: how many it runs, one after the other.
        """
        if (queue := self._queues.get(priority)) is None:
            queue = self._queues[priority] = _Queue()
        if not self._waiting_of[name]:
            self._counted[name] = self._expected(name)
        self._waiting_of[name] += 1
        queue.unfinished += 1
        self._waiting[key] = waiting = _Waiting(queue, priority, name, attempts, share)
        return self._take_turn(waiting)

    def start(self, key: str) -> None:
        """A Dask task is given to a worker. Has no effect unless it waits."""
        if waiting := self._leave(key):
            waiting.queue.start(waiting.share.account, waiting.cost)
            self._started[key] = waiting.queue

    def remove(self, key: str) -> None:
        """A Dask task has ended. If it still waits, its account gets the time back. Has no effect if it is unknown."""
        if waiting := self._leave(key):
            waiting.queue.cancel(waiting.share.account, waiting.cost)
            waiting.queue.end()
        elif queue := self._started.pop(key, None):
            queue.end()

    def reorder(self) -> dict[str, DaskPriority]:
        """Orders anew all that waits, if a task type takes another time by now than what it counts for. Returns what
        Dask orders each Dask task by; nothing if the order stays."""
        off = [
            name
            for name in self._waiting_of
            if not 1 / TOLERANCE < self._expected(name) / self._counted[name] < TOLERANCE
        ]
        if not off:
            return {}
        for name in off:
            self._counted[name] = self._expected(name)
        for queue in self._queues.values():
            queue.take_turns_back()
        return {key: self._take_turn(waiting) for key, waiting in self._waiting.items()}

    def _expected(self, name: str) -> float:
        return max(self._durations.get(name, UNKNOWN_SECONDS), MIN_SECONDS)

    def _take_turn(self, waiting: _Waiting) -> DaskPriority:
        share = waiting.share
        waiting.cost = 0.0 if share.resumes else self._counted[waiting.name] * waiting.attempts * 1000 / share.weight
        turn, rank = waiting.queue.take_turn(share.account, waiting.cost, resumes=share.resumes)
        return min(turn, PRIORITY_STEP - 1) - waiting.priority * PRIORITY_STEP, rank

    def _leave(self, key: str) -> _Waiting | None:
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            self._waiting_of[waiting.name] -= 1
            if not self._waiting_of[waiting.name]:
                del self._waiting_of[waiting.name], self._counted[waiting.name]
        return waiting
