"""What the controller does is said in a sentence that a person reads once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.controller.decision_words import duration
from cluster.controller.demand_history import DemandHistory
from cluster.controller.scaling_policy import Observation, Policy, plan

LOCAL = Policy(1, 8)
FARGATE = Policy(
    0, 100, drain_seconds=8, scale_in_delay_seconds=1, restart_seconds=60, launch_seconds=40, minimum_billing_seconds=60
)
OLD = (("a", 1e9), ("b", 1e9), ("c", 1e9))


def reason(seen: Observation, policy: Policy = LOCAL, history: DemandHistory | None = None, now: float = 0.0) -> str:
    return plan(seen, policy, history or DemandHistory(), now).reason


@pytest.mark.parametrize(
    ("seen", "policy", "text"),
    [
        (Observation(idle=OLD[:1]), LOCAL, "Idle. Keeping 1 worker, the minimum."),
        (Observation(), FARGATE, "Idle. No worker runs until there is a task."),
        (Observation(launching=1), LOCAL, "Idle. 1 worker is still starting."),
        (
            Observation(idle=(("a", 5.0), ("b", 9.0))),
            FARGATE,
            "Idle. Keeping 2 workers, as the minute that is billed for them is not over.",
        ),
        (Observation(idle=OLD), LOCAL, "Retiring 2 workers: nothing is left to do. Keeping 1, the minimum."),
        (Observation(idle=OLD), FARGATE, "Retiring 3 workers: nothing is left to do."),
        (
            Observation(idle=OLD, busy=(1.0,), tasks=1),
            FARGATE,
            "Retiring 3 workers: the work that is left needs 1 worker.",
        ),
        (Observation(), LOCAL, "Adding 1 worker: 1 worker is the minimum."),
        (Observation(waiting=1), FARGATE, "Adding 1 worker: 1 task waits and nobody runs it."),
        (
            Observation(waiting=2, waiting_seconds=2.0),
            replace(FARGATE, drain_seconds=1),
            "Adding 2 workers: 2 tasks wait and nobody runs them.",
        ),
        (
            Observation(waiting=1, busy=(900.0,), tasks=1),
            FARGATE,
            "Adding 1 worker: 1 task waits and all workers have long tasks.",
        ),
        (
            Observation(waiting=96, waiting_seconds=1_620.0, busy=(4.0, 4.0, 4.0), tasks=3),
            replace(FARGATE, max_workers=6),
            "Adding 3 workers: 96 tasks wait, which would take 9 min with 3 workers; the target is 8 s. 6 is the "
            "maximum.",
        ),
        (
            Observation(waiting=96, waiting_seconds=1_620.0, busy=(4.0,) * 6, tasks=6),
            replace(FARGATE, max_workers=6),
            "96 tasks wait. All 6 workers run that are allowed.",
        ),
        (Observation(waiting=1, launching=1), FARGATE, "1 task waits. 1 worker starts."),
        (
            Observation(waiting=300, waiting_seconds=54.0, busy=(0.2,) * 7, tasks=7),
            FARGATE,
            "All 7 workers are busy, which is enough for now.",
        ),
        (Observation(busy=(1.0,), tasks=1), LOCAL, "The worker is busy, which is enough for now."),
        (
            Observation(busy=(1.0,) * 2, tasks=4, idle=(("a", 1.0),)),
            FARGATE,
            "2 of 3 workers are busy, which is enough for now.",
        ),
    ],
)  # fmt: skip
def test_every_state_has_its_sentence(seen: Observation, policy: Policy, text: str) -> None:
    assert reason(seen, policy) == text


def test_workers_that_are_kept_for_work_to_come_are_explained() -> None:
    busy = Observation(waiting=100, waiting_seconds=500.0)
    history = plan(busy, LOCAL, DemandHistory(), 0.0).history
    later = Observation(idle=tuple((f"w{n}", 1e9) for n in range(8)))
    assert reason(later, LOCAL, history, 10.0) == "Idle. Keeping 8 workers for a while, as work is likely to return."
    fewer = Observation(idle=OLD)
    assert reason(fewer, LOCAL, history, 10.0) == "Adding 5 workers: work for 8 workers is likely to return soon."


@given(
    st.builds(
        Observation,
        waiting=st.integers(0, 10_000),
        waiting_seconds=st.floats(0, 1e6),
        busy=st.lists(st.floats(0, 1e5), max_size=5).map(tuple),
        tasks=st.integers(0, 20),
        idle=st.lists(st.floats(0, 1e5), max_size=3).map(lambda ages: tuple((str(i), a) for i, a in enumerate(ages))),
        launching=st.integers(0, 3),
    ),
    st.sampled_from([LOCAL, FARGATE]),
)
def test_every_reason_is_of_short_sentences_without_the_policys_own_words(seen: Observation, policy: Policy) -> None:
    text = reason(seen, policy)
    assert text[0].isupper() or text[0].isdigit()
    assert text.endswith(".")
    assert len(text) < 160
    assert not any(word in text for word in ("bounds", "drain", "demand", "long-running", "inf", "nan"))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "less than 1 s"), (8, "8 s"), (89, "89 s"), (540, "9 min"), (7_300, "2 h")]
)
def test_durations_are_in_whole_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
