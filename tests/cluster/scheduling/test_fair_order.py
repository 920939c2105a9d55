"""The fair order: who comes next, and how the workers' time is shared."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from cluster.scheduling.fair_order import MAX_IDLE_ACCOUNTS, DaskPriority, FairOrder, Share


@dataclass
class Dask:
    """A model of Dask's scheduler and workers: a thread runs one task, and a worker holds others that it runs next."""

    threads: int = 1
    held_by_worker: int = 1
    durations: dict[str, float] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.order = FairOrder(self.durations)
        self._number = count()
        self._queued: list[tuple[DaskPriority, int, str]] = []
        self._given: list[tuple[DaskPriority, int, str]] = []
        self._running: list[tuple[float, str]] = []
        self._seconds: dict[str, float] = {}

    def send(self, account: str, seconds: float = 1.0, weight: float = 1.0) -> str:
        """A task of a type that takes so long."""
        number = next(self._number)
        key = f"{account}-{number}"
        self._seconds[key] = seconds
        self.durations.setdefault(f"type{seconds}", seconds)
        place = self.order.add(key, f"type{seconds}", 1, 0, Share(account, weight))
        heapq.heappush(self._queued, (place, number, key))
        self._fill()
        return key

    def step(self) -> None:
        """Until the next task ends."""
        self.now, key = heapq.heappop(self._running)
        self.order.remove(key)
        self._fill()

    def _fill(self) -> None:
        while True:
            while self._given and len(self._running) < self.threads:
                key = heapq.heappop(self._given)[2]
                self.started.append(key)
                heapq.heappush(self._running, (self.now + self._seconds[key], key))
            if not self._queued or len(self._given) + len(self._running) >= self.threads + self.held_by_worker:
                return
            item = heapq.heappop(self._queued)
            self.order.start(item[2])
            heapq.heappush(self._given, item)

    @property
    def accounts(self) -> list[str]:
        """The accounts of the tasks that have started, in order."""
        return [key.rpartition("-")[0] for key in self.started]


def add(order: FairOrder, key: str, account: str, **options: float) -> float:
    """The turn of a Dask task of 0.1 s."""
    weight, priority = options.get("weight", 1.0), int(options.get("priority", 0))
    return order.add(key, "tenth", 1, priority, Share(account, weight, bool(options.get("resumes"))))[0]


@pytest.fixture
def order() -> FairOrder:
    return FairOrder({"tenth": 0.1})


def test_an_accounts_turns_follow_each_other_and_another_account_begins_now(order: FairOrder) -> None:
    assert [add(order, f"a{n}", "acme") for n in range(3)] == [0, 100, 200]
    order.start("a0")
    order.start("a1")
    # Virtual time is the turn of what started last: bank comes before acme's third.
    assert [add(order, f"b{n}", "bank", weight=4) for n in range(3)] == [100, 125, 150]


def test_an_account_with_nothing_waiting_comes_first_among_equal_turns(order: FairOrder) -> None:
    busy = [order.add(f"{name}{n}", "tenth", 1, 0, Share(name)) for n in range(3) for name in ("acme", "bank")]
    order.start("acme0")
    order.start("bank0")
    order.start("acme1")
    new = order.add("carl", "tenth", 1, 0, Share("carl"))
    waiting = busy[3:]
    assert new < min(waiting)
    assert new[0] == min(waiting)[0]


def test_an_account_that_used_nothing_saves_nothing_up(order: FairOrder) -> None:
    add(order, "b", "bank")
    for n in range(5):
        add(order, f"a{n}", "acme")
    for key in ("b", "a0", "a1", "a2", "a3"):
        order.start(key)
    assert add(order, "b2", "bank") == 300


def test_what_an_account_used_while_nobody_waited_counts_against_nobody(order: FairOrder) -> None:
    for n in range(5):
        add(order, f"a{n}", "acme")
        order.start(f"a{n}")
    assert (add(order, "b", "bank"), add(order, "a", "acme")) == (400, 500)
    for key in ("b", "a", *(f"a{n}" for n in range(5))):
        order.remove(key)
    assert (add(order, "a again", "acme"), add(order, "b again", "bank")) == (500, 500)


def test_each_priority_has_turns_of_its_own_and_a_higher_one_comes_first(order: FairOrder) -> None:
    last = [add(order, f"a{n}", "acme") for n in range(5)][-1]
    high = add(order, "high", "acme", priority=1)
    assert high < add(order, "low", "bank", priority=-100) - last
    assert high + 2.0**46 == 0
    order.start("high")
    assert add(order, "b", "bank") == 0


def test_a_cancelled_attempt_gives_its_time_back_and_a_started_one_does_not(order: FairOrder) -> None:
    for n in range(3):
        add(order, f"a{n}", "acme")
    order.remove("a2")
    assert add(order, "a3", "acme") == 200
    order.start("a0")
    order.remove("a0")
    order.remove("unknown")
    assert add(order, "a4", "acme") == 300


def test_the_replacement_of_an_attempt_that_had_started_comes_next_and_costs_nothing_more(order: FairOrder) -> None:
    for n in range(9):
        add(order, f"a{n}", "acme")
    for n in range(4):
        order.start(f"a{n}")
    assert add(order, "a0 again", "acme", resumes=True) == 300
    order.start("a0 again")
    assert add(order, "b", "bank") == 400
    assert add(order, "a9", "acme") == 900


def test_attempts_that_dask_starts_out_of_their_order_do_not_advance_virtual_time_beyond_what_they_take(
    order: FairOrder,
) -> None:
    for n in range(1_000):
        add(order, f"a{n}", "acme")
    order.start("a0")
    # Dask gives the first tasks of a rare type to a worker at once.
    assert add(order, "rare", "acme") == 100_000
    order.start("rare")
    assert add(order, "b", "bank") == 100


def test_a_batch_counts_as_its_attempts_and_an_unknown_type_half_a_second() -> None:
    order = FairOrder({"short": 0.01, "instant": 0.0})

    def turn(name: str, attempts: int = 1) -> float:
        return order.add(name, name, attempts, 0, Share("acme"))[0]

    assert [turn("short", 64), turn("unknown"), turn("instant"), turn("next")] == [0, 640, 1_140, 1_140.1]


def test_what_waits_is_ordered_anew_when_its_type_is_measured_and_what_was_used_stays() -> None:
    durations: dict[str, float] = {}
    order = FairOrder(durations)
    for n in range(4):
        order.add(f"a{n}", "long", 1, 0, Share("acme"))
    order.start("a0")
    order.start("a1")
    assert order.reorder() == {}
    durations["long"] = 0.9
    assert order.reorder() == {}
    durations["long"] = 10.0
    # All that wait count the same until then.
    assert order.add("a4", "long", 1, 0, Share("acme")) == (2_000, 1)
    assert order.add("b0", "long", 1, 0, Share("bank")) == (500, 0)
    assert order.reorder() == {"a2": (1_000, 0), "a3": (11_000, 1), "a4": (21_000, 1), "b0": (500, 0)}
    assert order.reorder() == {}
    order.start("b0")
    order.start("a2")
    assert order.add("b1", "long", 1, 0, Share("bank")) == (10_500, 0)
    for key in ("a3", "a4", "b1"):
        order.remove(key)
    assert order.add("a5", "long", 1, 0, Share("acme")) == (11_000, 0)


def test_made_up_accounts_are_not_remembered_for_ever(order: FairOrder) -> None:
    for n in range(10 * MAX_IDLE_ACCOUNTS):
        add(order, "long" if not n else f"{n}", f"made-up-{n}")
        if n:
            order.start(f"{n}")
            order.remove(f"{n}")
    [queue] = order._queues.values()
    assert len(queue.accounts) <= MAX_IDLE_ACCOUNTS
    assert "made-up-0" in queue.accounts
    order.start("long")
    order.remove("long")
    assert not queue.accounts
    assert not order._waiting
    assert not order._started


# The whole ------------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=20),
    st.integers(0, 300),
    st.integers(1, 4),
    st.integers(0, 4),
    st.integers(1, 4),
)
@examples(deadline=None)
def test_only_what_the_workers_have_already_starts_before_the_only_task_of_another_account(
    messages: list[int], ended: int, threads: int, held_by_worker: int, busy_accounts: int
) -> None:
    """However the other accounts' submissions arrive, and with any of their tasks done."""
    dask = Dask(threads, held_by_worker)
    ended = min(ended, sum(messages) - 1)
    for number, length in enumerate(messages):
        for _ in range(length):
            dask.send(f"busy{number % busy_accounts}", 0.3)
        if number % 3 == 2 and ended:
            dask.step()
            ended -= 1
    for _ in range(ended):
        dask.step()
    before = len(dask.started)
    only = dask.send("lone", 0.3)
    while only not in dask.started:
        dask.step()
    # Of each other account one task may have come to an empty queue as this one does, and before it.
    assert dask.started.index(only) - before <= held_by_worker + busy_accounts - 1


@given(
    st.dictionaries(st.sampled_from("abcde"), st.tuples(st.floats(0.25, 8), st.floats(0.01, 2)), min_size=2),
    st.integers(1, 4),
    st.integers(0, 4),
)
@examples(deadline=None, max_examples=50)
def test_workers_time_is_shared_by_weight_and_nobody_lags_by_more_than_what_is_on_the_workers(
    accounts: dict[str, tuple[float, float]], threads: int, held_by_worker: int
) -> None:
    dask = Dask(threads, held_by_worker)
    for name, (weight, seconds) in accounts.items():
        for _ in range(100):
            dask.send(name, seconds, weight)
    served: Counter[str] = Counter()
    longest = max(seconds / weight for weight, seconds in accounts.values())
    # While all of them wait.
    while max(served.values(), default=0) < 95:
        dask.step()
        served = Counter(dask.accounts)
        shares = [served[name] * seconds / weight for name, (weight, seconds) in accounts.items()]
        # What the workers got before the second account came is a head start of the first.
        assert max(shares) - min(shares) <= longest * (2 + threads + held_by_worker)
