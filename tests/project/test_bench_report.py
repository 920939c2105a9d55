"""What `make bench` writes follows from the figures, and from nothing else."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from benchmarks import report
from benchmarks.picture import picture
from benchmarks.report import GOALS, Conditions, Goal, Row

IN_FLIGHT = [
    Row(report.IN_FLIGHT, report.OURS, [900.0, 1000.0, 1100.0]),
    Row(report.IN_FLIGHT, report.TASKIQ, [1900.0, 2000.0, 2500.0]),
]


def line(goal: Goal, rows: list[Row]) -> str | None:
    return goal.text({(row.measure, row.system): row for row in rows})


def test_a_row_shows_the_median_and_the_spread() -> None:
    assert IN_FLIGHT[0].text() == f"| {report.IN_FLIGHT} | {report.OURS} | 1,000 | 900 to 1,100 |"
    assert Row(report.IMPORT, report.OURS, [0.5, 0.52]).text().endswith("| 0.51 | 0.50 to 0.52 |")


@pytest.mark.parametrize(("theirs", "word"), [(2000.0, "**not reached**"), (625.0, "reached")])
def test_a_goal_relative_to_another_system_is_a_ratio_of_medians(theirs: float, word: str) -> None:
    text = line(GOALS[0], [IN_FLIGHT[0], Row(report.IN_FLIGHT, report.TASKIQ, [theirs])])
    assert text is not None
    assert text.endswith(f"| {1000 / theirs:,.3g} | {word} |")


@pytest.mark.parametrize(("figure", "word"), [(20.0, "reached"), (20.1, "**not reached**")])
def test_a_goal_may_be_a_maximum(figure: float, word: str) -> None:
    goal = next(goal for goal in GOALS if goal.measure == report.IDLE)
    assert line(goal, [Row(report.IDLE, report.OURS, [figure])]) == (
        f"| {report.IDLE} | at most 20 | {figure:.3g} | {word} |"
    )


def test_a_goal_that_was_not_measured_has_no_line() -> None:
    assert [line(goal, IN_FLIGHT[1:]) for goal in GOALS] == [None] * len(GOALS)


def test_the_picture_has_a_bar_for_each_system_in_proportion() -> None:
    bars = [
        (bar.get("class"), int(bar.get("width") or 0))
        for bar in ET.fromstring(picture(IN_FLIGHT)).iter("{http://www.w3.org/2000/svg}rect")
        if bar.get("class") != "page"
    ]
    assert [kind for kind, _ in bars] == ["peer", "ours"]
    assert bars[0][1] == 2 * bars[1][1]


def test_a_limit_that_is_far_above_the_systems_is_cut_off_and_does_not_shrink_their_bars() -> None:
    without = ET.fromstring(picture(IN_FLIGHT))
    with_limit = ET.fromstring(picture([*IN_FLIGHT, Row(report.IN_FLIGHT, report.BARE_C, [50_000.0])]))
    widths = {bar.get("class"): bar.get("width") for bar in with_limit.iter("{http://www.w3.org/2000/svg}rect")}
    assert widths["limit"] == widths["peer"]
    assert widths["ours"] in {bar.get("width") for bar in without.iter("{http://www.w3.org/2000/svg}rect")}
    assert "→ 50,000" in picture([*IN_FLIGHT, Row(report.IN_FLIGHT, report.BARE_C, [50_000.0])])


def test_the_document_has_the_table_and_the_goals() -> None:
    conditions = Conditions(rounds=3, load="a client", load_average=1.0, seconds=600)
    text = report.document(IN_FLIGHT, conditions, {"Taskiq, bare": "keeps no record"})
    assert "3 rounds in 10 minutes" in text
    assert IN_FLIGHT[0].text() in text
    assert "**not reached**" in text.partition("## Goals")[2]
    assert "| Taskiq, bare | keeps no record |" in text
