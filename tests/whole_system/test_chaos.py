"""A short chaos run; `make chaos` runs longer ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import Report, chaos


def show(report: Report) -> None:
    """Prints the report of a run, and checks that it found no violation in at least twenty tasks."""
    print(report.table())
    assert report.wrong == []
    assert report.accepted >= 20


@pytest.mark.every_engine("oldest")  # almost all other tests of a whole system run on the newest
@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_nothing_accepted_is_lost_under_kills_stops_cuts_refusals_and_failovers(
    engine: Path, tmp_path: Path
) -> None:
    report = await chaos(20, 3, tmp_path, engine=engine)
    show(report)
    assert sum(report.faults.values()) >= 5


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_nothing_accepted_is_lost_under_the_same_faults_with_two_schedulers(tmp_path: Path) -> None:
    show(await chaos(20, 4, tmp_path, schedulers=2))


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_rolling_restart_under_load_costs_a_retrying_client_nothing(engine: Path, tmp_path: Path) -> None:
    report = await chaos(0, 1, tmp_path, engine=engine, rolling=True)
    show(report)
    assert report.faults == {"restart api": 2, "restart worker": 2, "restart scheduler": 1}
    # A client that calls a stopped node gets a transport error, never an error answer.
    assert not [code for code in report.refused if code.isupper()]
