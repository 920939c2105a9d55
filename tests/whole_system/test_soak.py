"""A short soak; `make soak` runs longer ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak import Report, soak


def report(growth: float) -> Report:
    """A run of an hour in which the scheduler's memory grows by this many MB an hour, with noise."""
    made = Report(3_600)
    for turn in range(360):
        made.add("scheduler 1", "MB", turn * 10.0, 80 + growth * turn / 360 + turn % 3)
    return made


def test_growth_is_told_from_noise() -> None:
    steady, growing = report(0.0), report(60.0)
    steady.judge()
    growing.judge()
    assert steady.wrong == []
    [wrong] = growing.wrong
    assert wrong.startswith("MB of scheduler 1 grow by 60.")


def test_what_was_taken_while_it_warmed_up_is_no_growth() -> None:
    made = Report(3_600)
    for turn in range(360):
        made.add("api 1", "MB", turn * 10.0, min(200.0, 100.0 + turn * 2))
    made.judge()
    assert made.wrong == []


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_short_soak_sees_the_right_ends_and_leaves_nothing(tmp_path: Path) -> None:
    found = await soak(10, 10, tmp_path, ttl_seconds=5)
    print(found.table())
    assert found.wrong == []
    assert len(found.ends) == 9
