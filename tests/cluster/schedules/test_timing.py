"""When schedules are due, also where clocks change."""

from __future__ import annotations

import datetime
import re
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import BadInput
from cluster.schedules.timing import Timing, check_timing
from tests.places import ROOT

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Casablanca", "UTC")
YEARS = st.integers(0, 10 * 365 * 86_400).map(lambda seconds: (1_735_689_600 + seconds) * 1000)
"""Times from 2025 on, milliseconds since 1970."""


def at(text: str) -> int:
    return round(datetime.datetime.fromisoformat(text).timestamp() * 1000)


def texts(timing: Timing, after: str, count: int) -> list[str]:
    zone = ZoneInfo(timing.time_zone)
    ticks = islice(timing.ticks(at(after)), count)
    return [datetime.datetime.fromtimestamp(tick / 1000, zone).isoformat() for tick in ticks]


@pytest.mark.parametrize(
    ("cron", "after", "ticks"),
    [
        # Clocks go from 02:00 to 03:00 on 29 March 2026, and from 03:00 back to 02:00 on 25 October.
        ("30 2 * * *", "2026-03-28T01:00+01:00", ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00",
                                                  "2026-03-30T02:30:00+02:00"]),
        ("0,30 2 * * *", "2026-03-29T01:00+01:00", ["2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"]),
        ("30 2 * * *", "2026-10-24T03:00+02:00", ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]),
        ("0 * * * *", "2026-03-29T00:30+01:00", ["2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"]),
        ("0 * * * *", "2026-10-25T01:30+02:00", ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00",
                                                 "2026-10-25T03:00:00+01:00"]),
        ("0 9 * * MON-FRI", "2026-10-23T09:00+02:00", ["2026-10-26T09:00:00+01:00"]),
    ],
)  # fmt: skip
def test_a_nightly_schedule_over_a_change_of_clocks(cron: str, after: str, ticks: list[str]) -> None:
    assert texts(Timing(cron=cron, time_zone="Europe/Berlin"), after, len(ticks)) == ticks


def test_the_table_of_the_documents_is_what_the_code_does() -> None:
    page = (ROOT / "docs" / "tasks.md").read_text()
    table = page.partition("| `cron`, Europe/Berlin |")[2].partition("```")[0]
    rows = re.findall(r"^  \| `(.+)` \| (.+) \| (.+) \|$", table, re.MULTILINE)
    assert len(rows) == 4
    zone = ZoneInfo("Europe/Berlin")
    for cron, *cells in rows:
        timing = Timing(cron=cron, time_zone="Europe/Berlin")
        for date, cell in zip((datetime.date(2027, 3, 28), datetime.date(2027, 10, 31)), cells, strict=True):
            ticks = timing.ticks(at(f"{date}T00:00:00+02:00") - 2 * 3_600_000)
            moments = (datetime.datetime.fromtimestamp(tick / 1000, zone) for tick in ticks)
            # Each expression has at most four ticks a day.
            on_the_day = [
                f"{moment:%H:%M}{moment.isoformat()[-6:]}" for moment in islice(moments, 12) if moment.date() == date
            ]
            assert cell == (", ".join(on_the_day) or "none")


@settings(deadline=None, max_examples=60)
@given(
    zone=st.sampled_from(ZONES),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    begin=YEARS,
    days=st.integers(2, 12),
)
def test_a_fixed_time_runs_once_on_every_day_at_its_time_or_right_after_the_gap(
    zone: str, hour: int, minute: int, begin: int, days: int
) -> None:
    timing, tz = Timing(cron=f"{minute} {hour} * * *", time_zone=zone), ZoneInfo(zone)
    ticks = [datetime.datetime.fromtimestamp(tick / 1000, tz) for tick in islice(timing.ticks(begin), days)]
    assert ticks[0].timestamp() * 1000 > begin
    for tick in ticks:
        asked = tick.replace(hour=hour, minute=minute, fold=0)
        if tick.replace(tzinfo=None) != asked.replace(tzinfo=None):
            # The time that was asked for does not exist, and the moment before the tick belongs to before the gap.
            assert asked.astimezone(datetime.UTC).astimezone(tz) != asked
            before = (tick.astimezone(datetime.UTC) - datetime.timedelta(minutes=1)).astimezone(tz)
            assert before.utcoffset() != tick.utcoffset()
        assert tick.fold == 0
    dates = [tick.date() for tick in ticks]
    # A gap around midnight moves a tick to the next day at most.
    assert [later - earlier for earlier, later in pairwise(dates)] == [datetime.timedelta(days=1)] * (days - 1)


@settings(deadline=None, max_examples=60)
@given(zone=st.sampled_from(ZONES), begin=YEARS, cron=st.sampled_from(["*/15 * * * *", "0 * * * *", "7 3 * * *"]))
def test_ticks_do_not_depend_on_where_one_begins_to_count(zone: str, begin: int, cron: str) -> None:
    timing = Timing(cron=cron, time_zone=zone)
    ticks = list(islice(timing.ticks(begin), 12))
    one_by_one = [begin]
    for _ in ticks:
        one_by_one.append(timing.next_tick(one_by_one[-1]) or 0)
    assert one_by_one[1:] == ticks == sorted(set(ticks))
    if cron.startswith("*"):
        assert {later - earlier for earlier, later in pairwise(ticks)} == {900_000}


@given(every=st.integers(10, 10_000), begin=YEARS)
def test_an_interval_counts_from_1970_whenever_it_is_set(every: int, begin: int) -> None:
    first, second = islice(Timing(every_seconds=every).ticks(begin), 2)
    assert first % (every * 1000) == 0
    assert 0 < first - begin <= every * 1000 == second - first


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ((None, None, "UTC"), "either `cron` or `everySeconds`"),
        (("* * * * *", 60, "UTC"), "either `cron` or `everySeconds`"),
        ((None, 9, "UTC"), "from 10 to"),
        ((None, 10.5, "UTC"), "whole number"),
        ((None, float("nan"), "UTC"), "whole number"),
        (("* * * *", None, "UTC"), "cron is five fields"),
        (("0 0 2 * * *", None, "UTC"), "cron is five fields"),
        (("61 * * * *", None, "UTC"), "Bad minute"),
        (("1" * 201 + " * * * *", None, "UTC"), "at most 200"),
        (("0 0 31 2 *", None, "UTC"), "Bad day-of-month"),
        (("0 0 */30 2 1#5", None, "UTC"), "no day of the next fifty years"),
        (("0 2 * * *", None, "Europe/Nowhere"), "no time zone 'Europe/Nowhere'"),
        (("0 2 * * *", None, "../../etc/passwd"), "no time zone"),
        (("0 2 * * *", None, "Europe"), "no time zone"),
    ],
)
def test_what_is_wrong_is_refused_with_what_was_expected(wanted: tuple[str, float, str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        check_timing(*wanted, now=at("2026-01-01T00:00Z"))
