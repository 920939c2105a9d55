"""Notes made ahead: which are kept, for whom, and when none are made."""

from __future__ import annotations

import pytest

from cluster.api_node.speculative_watch import KEPT_SECONDS, MOST, PROBE, SpeculativeWatches

RUN = (1_000, 1)


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ahead(clock: Clock) -> SpeculativeWatches:
    return SpeculativeWatches(clock)


def test_a_note_is_for_its_task_and_for_the_first_who_asks(ahead: SpeculativeWatches) -> None:
    assert ahead.begin(["a", "b"])
    ahead.end("a", RUN)
    ahead.end("b", None)
    assert ahead.take("b") is None
    assert ahead.take("a") == RUN
    assert ahead.take("a") is None


def test_a_task_that_ends_before_its_submission_is_answered_leaves_no_note(ahead: SpeculativeWatches) -> None:
    """It ran already: the submission joined it at its last moment."""
    ahead.begin(["a"])
    ahead.undone("a")
    ahead.end("a", RUN)
    assert ahead.take("a") is None
    ahead.begin(["a"])
    ahead.end("a", RUN)
    assert ahead.take("a") == RUN, "the next one is not concerned"


def test_of_two_submissions_of_one_task_neither_leaves_a_note_that_the_other_saw_undone(
    ahead: SpeculativeWatches,
) -> None:
    ahead.begin(["a"])
    ahead.begin(["a"])
    ahead.end("a", RUN)
    ahead.undone("a")
    ahead.end("a", RUN)
    assert ahead.take("a") is None


def test_a_lost_channel_spoils_what_is_noted_and_what_is_under_way(ahead: SpeculativeWatches) -> None:
    ahead.begin(["a", "b"])
    ahead.end("a", RUN)
    ahead.clear()
    ahead.end("b", RUN)
    assert ahead.take("a") is None
    assert ahead.take("b") is None


def test_an_old_note_is_not_given(ahead: SpeculativeWatches, clock: Clock) -> None:
    ahead.begin(["a"])
    ahead.end("a", RUN)
    clock.now = KEPT_SECONDS + 0.001
    assert ahead.take("a") is None


def test_old_notes_and_those_beyond_the_bound_go_as_new_ones_come(ahead: SpeculativeWatches, clock: Clock) -> None:
    ids = [str(n) for n in range(MOST + 5)]
    ahead.begin(ids)
    for task_id in ids:
        ahead.end(task_id, RUN)
    assert len(ahead) == MOST
    assert ahead.take("4") is None
    assert ahead.take("5") == RUN
    clock.now = KEPT_SECONDS + 0.001
    ahead.begin(["a"]) or ahead.begin(["a"])
    ahead.end("a", RUN)
    assert len(ahead) == 1


def test_where_nobody_asks_notes_are_made_only_as_a_probe_until_somebody_asks_again(ahead: SpeculativeWatches) -> None:
    def submit(*, asked: bool) -> bool:
        noted = ahead.begin(["a"])
        if noted:
            ahead.end("a", RUN)
            if asked:
                assert ahead.take("a") == RUN
            ahead.undone("a")
        return noted

    assert all(submit(asked=True) for _ in range(100))
    assert sum(submit(asked=False) for _ in range(1_000)) < 100
    assert sum(submit(asked=False) for _ in range(PROBE * 10)) == 10
    assert any(submit(asked=True) for _ in range(PROBE))
    while sum(submit(asked=True) for _ in range(PROBE)) < PROBE:
        pass
