"""The upper bound of Redis's clock: never before its time, and close to it after fast replies."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from cluster.store.clock import STEP_MILLISECONDS, RedisClock


def test_nothing_is_known_before_a_reply() -> None:
    assert RedisClock().latest(5.0) == math.inf


@given(st.lists(st.tuples(st.floats(0.0, 2.0), st.floats(0.0, 0.5)), min_size=1, max_size=30), st.floats(-1e5, 1e12))
def test_the_latest_time_is_never_before_the_real_one(answers: list[tuple[float, float]], offset: float) -> None:
    clock, now = RedisClock(), 100.0
    for pause, way in answers:
        now += pause
        clock.observe(now, math.floor((now + way) * 1000 + offset))
        real = now * 1000 + offset
        assert real - 0.001 <= clock.latest(now) <= real + 501


def test_the_fastest_reply_sets_the_bound_until_drift_outgrows_it() -> None:
    clock = RedisClock()
    clock.observe(10.0, 10_000)
    clock.observe(10.0, 10_400)
    assert clock.latest(10.0) == 10_001
    assert clock.latest(20.0) == 20_001 + 5
    clock.observe(20.0, 20_003)
    assert clock.latest(20.0) == 20_004


def test_a_clock_that_was_set_is_believed() -> None:
    clock = RedisClock()
    clock.observe(10.0, 10_000)
    clock.observe(10.5, 10_500 + 2 * int(STEP_MILLISECONDS))
    assert clock.latest(10.5) == 12_501
    clock.observe(11.0, 3_000)
    assert clock.latest(11.0) == 3_001
