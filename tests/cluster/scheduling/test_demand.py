"""Cancelled attempts are not demand, and their keys leave Dask's queue."""

from __future__ import annotations

from cluster.scheduling.attempt_keys import attempt_key
from cluster.scheduling.demand import EARLY_CANCELLATION_SECONDS, Demand

A, B, C = (digit * 32 for digit in "abc")
LONG = {"long": 30.0}


def waiting(demand: Demand, *batches: list[tuple[str, int]]) -> list[str]:
    """Queues Dask tasks of the task type `long`; returns their keys."""
    keys = [attempt_key("long", members) for members in batches]
    for key in keys:
        assert demand.add(key)
        demand.set_state(key, "waiting")
        demand.set_state(key, "queued")
    return keys


def test_work_is_counted_per_attempt_however_many_share_a_dask_task() -> None:
    demand = Demand()
    waiting(demand, [(A, 1), (B, 1)], [(C, 1)])
    # To Dask a key of two attempts is one task.
    assert demand.waiting_seconds(LONG, [("long", 2, 0.001), ("part", 3, 2.0), ("new", 1, -1)]) == 3 * 30 + 6 + 1


def test_cancelled_attempts_are_no_work_and_leave_once_their_whole_batch_is_cancelled() -> None:
    demand = Demand()
    [pair, lone] = waiting(demand, [(A, 1), (B, 1)], [(C, 1)])
    demand.cancel([(A, 1, False), (A, 1, False)])
    assert demand.waiting_seconds(LONG, [("long", 2, 30.0)]) == 2 * 30
    assert demand.cancelled_keys() == []
    demand.cancel([(B, 1, False), (C, 1, False)])
    assert demand.waiting_seconds(LONG, [("long", 2, 30.0)]) == 0
    assert demand.cancelled_keys() == [pair, lone]
    demand.remove(pair)
    assert demand.cancelled_keys() == [lone]
    assert demand.waiting_seconds(LONG, []) == 0


def test_a_dask_task_with_a_started_attempt_stays_until_its_worker_has_finished_it() -> None:
    demand = Demand()
    [key] = waiting(demand, [(A, 1), (B, 1)])
    demand.set_state(key, "processing")
    demand.cancel([(A, 1, True), (B, 1, False)])
    assert demand.cancelled_keys() == []
    assert demand.remove(key) == ("long", [(A, 1), (B, 1)])


def test_a_cancellation_that_overtakes_its_dispatch_is_kept_for_a_while() -> None:
    now = 0.0
    demand = Demand(lambda: now)
    demand.cancel([(A, 1, False), (B, 1, False)])
    now = EARLY_CANCELLATION_SECONDS - 1
    assert demand.cancelled_keys() == []
    [key] = waiting(demand, [(A, 1)])
    assert demand.cancelled_keys() == [key]
    now = EARLY_CANCELLATION_SECONDS + 1
    demand.cancelled_keys()
    waiting(demand, [(B, 1)])
    assert demand.cancelled_keys() == [key]


def test_the_next_attempt_of_a_cancelled_one_is_work() -> None:
    demand = Demand()
    waiting(demand, [(A, 1)])
    demand.cancel([(A, 1, False)])
    [key] = waiting(demand, [(A, 2)])
    assert demand.waiting_seconds(LONG, []) == 30
    assert key not in demand.cancelled_keys()
