"""What the parent of several api processes decides."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from cluster.system.process_table import Phase, ProcessState
from graphql_api.processes.decisions import Chooser, History, Limits, Verdict, gives_up, judge

NOW = 1_000.0
LIMITS = Limits()


def state(number: int = 0, phase: Phase = Phase.SERVING, **changes: float) -> ProcessState:
    made = ProcessState(number, phase, NOW - 50, 0, 100 + number, NOW - 0.5, 0, 0, True)
    return replace(made, **changes)  # type: ignore[arg-type]


def spread(states: list[ProcessState], connections: int) -> Counter[int]:
    """How many of so many new connections each process gets before it has said anything of them."""
    chooser, handed = Chooser(LIMITS), Counter[int]()
    for _ in range(connections):
        chosen = chooser.choose(states, handed, NOW)
        assert chosen is not None
        handed[chosen] += 1
    return handed


def test_new_connections_are_spread_evenly() -> None:
    assert spread([state(0), state(1), state(2)], 300) == {0: 100, 1: 100, 2: 100}


def test_a_restarted_process_fills_up_while_the_others_get_some_too() -> None:
    # By the fewest alone it would get all; by turns alone it would stay empty.
    got = spread([state(0, connections=1_000), state(1, connections=1_000), state(2)], 300)
    assert got == {0: 50, 1: 50, 2: 200}


def test_what_was_handed_and_not_received_counts() -> None:
    states = [state(0, connections=10, received=100), state(1, connections=11, received=50)]
    chooser = Chooser(LIMITS)
    # In turn first, then the one with the fewest: 15 and 11.
    assert [chooser.choose(states, {0: 105, 1: 50}, NOW) for _ in range(2)] == [0, 1]


@pytest.mark.parametrize(
    "unable",
    [
        state(0, Phase.STARTING),
        state(0, Phase.ENDED),
        state(0, Phase.FROZEN),
        state(0, beat_at=NOW - 3.5),
        state(0, ready=False),
    ],
)
def test_a_process_that_cannot_serve_now_gets_no_connections(unable: ProcessState) -> None:
    assert spread([unable, state(1)], 10) == {1: 10}


def test_processes_that_have_lost_redis_get_connections_if_there_is_no_other() -> None:
    assert spread([state(0, ready=False), state(1, ready=False)], 10) == {0: 5, 1: 5}


def test_connections_wait_while_no_process_serves() -> None:
    assert Chooser(LIMITS).choose([state(0, Phase.ENDED), state(1, Phase.STARTING)], Counter(), NOW) is None


def test_a_process_serves_from_its_first_sign_of_life_on() -> None:
    starting = state(phase=Phase.STARTING, beat_at=0.0)
    assert judge(starting, NOW, LIMITS) == Verdict(Phase.STARTING)
    assert judge(replace(starting, beat_at=NOW), NOW, LIMITS) == Verdict(Phase.SERVING)


def test_a_process_that_does_not_start_or_hangs_is_killed() -> None:
    slow = state(phase=Phase.STARTING, beat_at=0.0, phase_since=NOW - 121)
    assert judge(slow, NOW, LIMITS) == Verdict(Phase.FROZEN, "it has not started within 120 s")
    assert judge(state(beat_at=NOW - 29), NOW, LIMITS) == Verdict(Phase.SERVING)
    assert judge(state(beat_at=NOW - 31), NOW, LIMITS) == Verdict(Phase.FROZEN, "its event loop has not run for 30 s")
    # Once is enough.
    assert judge(state(phase=Phase.FROZEN, beat_at=NOW - 31), NOW, LIMITS) == Verdict(Phase.FROZEN)


def test_pauses_double_until_a_process_was_steady() -> None:
    history = History(LIMITS)
    assert [history.pause_after(served=True, ran_seconds=5) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert history.pause_after(served=True, ran_seconds=61) == 0.5
    assert history.pause_after(served=True, ran_seconds=5) == 1


def test_the_command_ends_only_if_no_process_serves_and_none_starts() -> None:
    histories = [History(LIMITS), History(LIMITS)]
    ended = [state(0, Phase.ENDED), state(1, Phase.ENDED)]
    for history in histories:
        assert not gives_up(histories, ended)
        for _ in range(3):
            history.pause_after(served=False, ran_seconds=1)
    assert gives_up(histories, ended)
    assert not gives_up(histories, [ended[0], state(1)])
    histories[0].pause_after(served=True, ran_seconds=1)
    assert not gives_up(histories, ended)
