"""Spans of the history add up, and are packed within their bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api_node.history_counts import (
    MAX_CODES,
    MAX_PACKED_BYTES,
    OTHER_CODE,
    REST,
    EndedTasks,
    Gauges,
    Span,
    merge_spans,
    pack_span,
    span_of_counts,
    unpack_span,
)
from cluster.store.end_counts import EndCount, parse_end_counts
from cluster.store.record import TaskState

ENDS = st.builds(
    EndCount,
    state=st.sampled_from([state for state in TaskState if state.final]),
    wait=st.none() | st.integers(0, 60),
    run=st.none() | st.integers(0, 60),
    name=st.sampled_from(["fibonacci", "estimate_pi"]),
    tenant=st.sampled_from(["", "acme"]),
    code=st.sampled_from(["", "TASK_FAILED"]),
    tasks=st.integers(1, 1_000),
)


@given(st.lists(ENDS, max_size=6), st.lists(ENDS, max_size=6))
def test_a_block_is_the_sum_of_its_minutes_packed_or_not(first: list[EndCount], second: list[EndCount]) -> None:
    minutes = [span_of_counts(ends, Gauges(waiting=len(ends))) for ends in (first, second)]
    packed = merge_spans(unpack_span(pack_span(minute)) for minute in minutes)
    together = span_of_counts([*first, *second], packed.gauges)
    assert packed.series.keys() == together.series.keys()
    for key, ended in together.series.items():
        found = packed.series[key]
        assert (found.succeeded, found.failed, found.cancelled) == (ended.succeeded, ended.failed, ended.cancelled)
        assert (found.wait, found.run, found.errors) == (ended.wait, ended.run, ended.errors)
        assert found.busy_seconds == pytest.approx(ended.busy_seconds, abs=0.01)


def test_a_span_of_many_types_keeps_the_busiest_and_the_totals_within_its_bound() -> None:
    series = {("", f"type_{i}"): EndedTasks(succeeded=i, run={b: 1 for b in range(20)}) for i in range(3_000)}  # type: ignore[arg-type]
    packed = pack_span(Span(Gauges(), series))
    assert len(packed) <= MAX_PACKED_BYTES
    found = unpack_span(packed)
    assert found.total().succeeded == sum(range(3_000))
    assert ("", "type_2999") in found.series
    assert ("", "type_0") not in found.series


def test_a_tenant_sees_nothing_of_what_is_counted_together() -> None:
    span = Span(Gauges(), {REST: EndedTasks(failed=3), ("acme", "fibonacci"): EndedTasks(failed=2)})
    assert (span.total().failed, span.total("acme").failed, span.total("other").failed) == (5, 2, 0)


def test_error_codes_of_a_type_are_bounded() -> None:
    ends = [EndCount(TaskState.FAILED, None, 1, "t", "", f"C{i}", 1 + (i < 5)) for i in range(100)]
    [ended] = span_of_counts(ends, Gauges()).series.values()
    assert len(ended.errors) == MAX_CODES + 1
    assert ended.errors[OTHER_CODE] == 100 - MAX_CODES
    assert ended.errors["C0"] == 2


def test_gauges_are_averaged_over_the_samples_that_know_them() -> None:
    spans = [Span(gauges, {}) for gauges in (Gauges(waiting=2, workers=1), Gauges(waiting=4), Gauges())]
    assert merge_spans(spans).gauges == Gauges(waiting=3, workers=1)
    assert merge_spans([]).gauges == Gauges()


def test_a_field_of_a_later_release_is_left_out() -> None:
    fields = {b"S 1 2 fibonacci  ": b"3", b"S 1 2 fibonacci acme  new": b"1", b"X 1 2 t  ": b"1"}
    assert parse_end_counts(fields) == [EndCount(TaskState.SUCCEEDED, 1, 2, "fibonacci", "", "", 3)]
