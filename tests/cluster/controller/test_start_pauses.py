"""Pauses after refused starts."""

from __future__ import annotations

from cluster.controller.fleets.start_pauses import ALL_POOLS, StartPauses


def test_a_refusal_pauses_its_pool_longer_and_longer_until_a_start_succeeds() -> None:
    pauses, now, waited = StartPauses(), 100.0, []
    for _ in range(8):
        pauses.begin("gpu", "no machine", now)
        assert pauses.problem(now) == "no machine"
        assert not pauses.is_paused("default", now)
        began = now
        while pauses.is_paused("gpu", now):
            now += 1
        waited.append(now - began)
    assert waited == [2, 4, 8, 16, 32, 64, 120, 120]
    pauses.end("gpu")
    assert pauses.problem(now) == ""
    pauses.begin("gpu", "no machine", now)
    assert pauses.is_paused("gpu", now + 1.9)
    assert not pauses.is_paused("gpu", now + 2.0)


def test_a_refusal_of_every_call_pauses_all_pools() -> None:
    pauses = StartPauses()
    pauses.begin(ALL_POOLS, "throttled", 100.0)
    pauses.begin("gpu", "no machine", 100.0)
    assert pauses.is_paused("default", 101.0)
    assert pauses.problem(101.0) == "throttled no machine"
    # One that starts again shows that the call is not throttled any more; what the other lacks is still missing.
    pauses.end("default")
    assert pauses.problem(101.0) == "no machine"
    assert (pauses.is_paused("default", 101.0), pauses.is_paused("gpu", 101.0)) == (False, True)
    assert pauses.problem(100.0 + 2 + 60) == ""
