"""Which spans of the history are due, and which a window is made of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cluster.api_node.history_schedule import (
    BLOCK_MINUTES,
    COUNTED_MINUTES,
    KEPT_BLOCK_MINUTES,
    KEPT_MINUTES,
    STEPS,
    DueSpans,
    block_field,
    due_spans,
    minute_field,
    parse_fields,
    window,
)

NOW = 29_000_000
"""A minute since 1970 with which a block begins."""


def at(minute: float) -> int:
    return round(minute * 60_000)


def test_a_minute_is_due_two_seconds_after_its_end() -> None:
    assert due_spans({NOW - 1}, set(), at(NOW + 1) + 1_999).minutes == ()
    assert due_spans({NOW - 1}, set(), at(NOW + 1) + 2_000).minutes == (NOW,)


def test_a_keeper_that_takes_over_writes_what_the_shards_still_have() -> None:
    assert due_spans({NOW - 4}, set(), at(NOW + 0.5)).minutes == (NOW - 3, NOW - 2, NOW - 1)
    assert due_spans(set(), set(), at(NOW + 0.5)).minutes == tuple(range(NOW - COUNTED_MINUTES, NOW))
    assert due_spans({NOW - 1_000}, set(), at(NOW + 0.5)).minutes == tuple(range(NOW - COUNTED_MINUTES, NOW))


def test_a_block_is_due_once_its_ten_minutes_are_over() -> None:
    minutes = set(range(NOW, NOW + BLOCK_MINUTES - 1))
    assert due_spans(minutes, set(), at(NOW + BLOCK_MINUTES - 0.5)).blocks == ()
    assert due_spans(minutes, set(), at(NOW + BLOCK_MINUTES + 0.5)).blocks == (NOW,)
    assert due_spans(minutes, {NOW}, at(NOW + BLOCK_MINUTES + 0.5)).blocks == ()


def test_what_is_too_old_expires() -> None:
    minutes, blocks = {NOW - KEPT_MINUTES - 1, NOW - KEPT_MINUTES, NOW - 1}, {NOW - KEPT_BLOCK_MINUTES - 10, NOW - 20}
    due = due_spans(minutes, blocks, at(NOW + 0.5))
    assert due.expired == (minute_field(NOW - KEPT_MINUTES - 1), block_field(NOW - KEPT_BLOCK_MINUTES - 10))


@given(st.sets(st.integers(NOW - 2_000, NOW)), st.integers(1, 3_000))
def test_the_history_stays_bounded_whatever_was_missed(minutes: set[int], later: int) -> None:
    kept, now = set(minutes), max(minutes, default=NOW) + 1
    blocks: set[int] = set()
    for moment in (now, now + later, now + later + 1, now + later + 30):
        due = due_spans(kept, blocks, at(moment) + 3_000)
        kept |= set(due.minutes)
        blocks |= set(due.blocks)
        expired = {name.encode() for name in due.expired}
        kept, blocks = parse_fields({*(f"m{m}".encode() for m in kept), *(f"b{b}".encode() for b in blocks)} - expired)
        assert len(kept) <= KEPT_MINUTES + 1
        assert len(blocks) <= KEPT_BLOCK_MINUTES // BLOCK_MINUTES + 1
    assert due_spans(kept, blocks, at(now + later + 30) + 4_000) == DueSpans((), (), ())


def test_the_buttons_of_a_page_get_points_of_useful_lengths() -> None:
    windows = {seconds: window(seconds, 120, at(NOW + 0.5)) for seconds in (900, 3_600, 86_400)}
    assert {seconds: (each.step, each.count) for seconds, each in windows.items()} == {
        900: (1, 16), 3_600: (1, 61), 86_400: (20, 73),
    }  # fmt: skip
    assert window(86_400, 144, at(NOW)).step == 10


@given(st.integers(60, 86_400), st.integers(1, 1_440), st.integers(0, 10**6))
def test_a_window_covers_what_was_asked_for_in_aligned_points(seconds: int, points: int, late: int) -> None:
    now = at(NOW) + late * 1_000
    part = window(seconds, points, now)
    assert part.step in STEPS
    assert part.first % part.step == 0
    assert part.count <= points + 2
    assert at(part.first) <= now - seconds * 1_000 + 60_000
    assert at(part.first + (part.count - 1) * part.step) <= now < at(part.first + part.count * part.step)
    blocks, minutes = part.spans(now // 60_000)
    covered = {minute for block in blocks for minute in range(block, block + BLOCK_MINUTES)} | set(minutes)
    assert set(range(part.first, now // 60_000 + 1)) <= covered
    assert all(part.by_blocks or minute > now // 60_000 - KEPT_MINUTES for minute in minutes)
    # What may be in no block yet is read by minutes.
    assert not part.by_blocks or set(range(max(part.first, now // 60_000 - BLOCK_MINUTES), now // 60_000)) <= set(
        minutes
    )
