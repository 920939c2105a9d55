"""Speculative watches: which are kept, which subscriber uses them, and when none are registered."""

from __future__ import annotations

import pytest

from cluster.api_node.speculative_watch import MAX_AGE_SECONDS, MAX_WATCHES, PROBE_INTERVAL, SpeculativeWatches

RUN = (1_000, 1)


class Clock:
    """Time that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watches(clock: Clock) -> SpeculativeWatches:
    return SpeculativeWatches(clock)


def test_the_first_subscriber_to_a_task_takes_its_watch(watches: SpeculativeWatches) -> None:
    assert watches.prepare(["a", "b"])
    watches.commit("a", RUN)
    watches.commit("b", None)
    assert watches.take("b") is None
    assert watches.take("a") == RUN
    assert watches.take("a") is None


def test_a_task_that_ends_before_the_reply_to_its_submission_leaves_no_watch(watches: SpeculativeWatches) -> None:
    """The submission joined a run that was about to end."""
    watches.prepare(["a"])
    watches.invalidate("a")
    watches.commit("a", RUN)
    assert watches.take("a") is None
    watches.prepare(["a"])
    watches.commit("a", RUN)
    assert watches.take("a") == RUN, "the next submission is not affected"


def test_of_two_submissions_of_one_task_neither_leaves_a_watch_that_was_invalidated_during_the_other(
    watches: SpeculativeWatches,
) -> None:
    watches.prepare(["a"])
    watches.prepare(["a"])
    watches.commit("a", RUN)
    watches.invalidate("a")
    watches.commit("a", RUN)
    assert watches.take("a") is None


def test_a_lost_connection_invalidates_watches_and_pending_submissions(watches: SpeculativeWatches) -> None:
    watches.prepare(["a", "b"])
    watches.commit("a", RUN)
    watches.invalidate_all()
    watches.commit("b", RUN)
    assert watches.take("a") is None
    assert watches.take("b") is None


def test_an_old_watch_is_not_used(watches: SpeculativeWatches, clock: Clock) -> None:
    watches.prepare(["a"])
    watches.commit("a", RUN)
    clock.now = MAX_AGE_SECONDS + 0.001
    assert watches.take("a") is None


def test_old_watches_and_those_beyond_the_limit_are_dropped_when_new_ones_are_added(
    watches: SpeculativeWatches, clock: Clock
) -> None:
    ids = [str(n) for n in range(MAX_WATCHES + 5)]
    watches.prepare(ids)
    for task_id in ids:
        watches.commit(task_id, RUN)
    assert len(watches) == MAX_WATCHES
    assert watches.take("4") is None
    assert watches.take("5") == RUN
    clock.now = MAX_AGE_SECONDS + 0.001
    watches.prepare(["a"]) or watches.prepare(["a"])
    watches.commit("a", RUN)
    assert len(watches) == 1


def test_unused_watches_are_registered_only_as_a_probe_until_they_are_used_again(
    watches: SpeculativeWatches,
) -> None:
    def submit(*, used: bool) -> bool:
        registered = watches.prepare(["a"])
        if registered:
            watches.commit("a", RUN)
            if used:
                assert watches.take("a") == RUN
            watches.invalidate("a")
        return registered

    assert all(submit(used=True) for _ in range(100))
    assert sum(submit(used=False) for _ in range(1_000)) < 100
    assert sum(submit(used=False) for _ in range(PROBE_INTERVAL * 10)) == 10
    assert any(submit(used=True) for _ in range(PROBE_INTERVAL))
    while sum(submit(used=True) for _ in range(PROBE_INTERVAL)) < PROBE_INTERVAL:
        pass
