"""The stream of an attempt: items are sent as they come, in order, each once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import StreamLost, TaskError
from cluster.worker import stream_writer
from cluster.worker.stream_writer import StreamWriter


class Sink:
    """Takes what a writer sends, as Redis would."""

    def __init__(self) -> None:
        self.items: list[bytes] = []
        self.calls = 0
        self.reply = 1

    def append(self, before: int, items: Sequence[bytes]) -> int:
        assert before == len(self.items)
        self.items += items
        self.calls += 1
        return self.reply


@given(st.lists(st.sampled_from(["add", "overdue", "later"]), max_size=60))
def test_every_item_arrives_once_and_in_order(steps: list[str]) -> None:
    sink, now = Sink(), [100.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: now[0])
        writer = StreamWriter(sink.append, Event(), 1_000_000)
        writer.begin()
        added = 0
        for step in steps:
            if step == "add":
                added += 1
                writer.add(b"%d" % added)
            elif step == "overdue":
                writer.send_overdue(sink.append)
            else:
                now[0] += 2 * stream_writer.MIN_SEND_SECONDS
            assert sink.items == [b"%d" % n for n in range(1, len(sink.items) + 1)]
        now[0] += 2 * stream_writer.MIN_SEND_SECONDS
        writer.send_overdue(sink.append)
        assert len(sink.items) == added, "the heartbeat sends what is overdue"
        writer.flush()
    assert len(sink.items) == writer.count == added


def test_many_quick_items_are_few_calls_and_never_too_many_at_once() -> None:
    sink = Sink()
    writer = StreamWriter(sink.append, Event(), 10_000_000)
    writer._sent_at = float("inf")  # nothing is due by time
    for _ in range(2_500):
        writer.add(b"1")
    assert (sink.calls, len(sink.items)) == (2, 2_000)
    writer.flush()
    assert (sink.calls, len(sink.items)) == (3, 2_500)


def test_a_stream_that_becomes_too_long_fails_and_says_what_to_do() -> None:
    writer = StreamWriter(Sink().append, Event(), 5)
    writer.add(b"12345")
    with pytest.raises(TaskError, match="at most 5 bytes of JSON, and 1 items have 5: store large items") as raised:
        writer.add(b"6")
    assert raised.value.code == "STREAM_TOO_LARGE"


def test_the_fence_stops_the_attempt() -> None:
    sink, stop = Sink(), Event()
    sink.reply = 0
    StreamWriter(sink.append, stop, 100).add(b"1")
    assert stop.is_set()


def test_items_lost_by_redis_end_the_attempt() -> None:
    sink = Sink()
    sink.reply = -1
    with pytest.raises(StreamLost, match="begins anew"):
        StreamWriter(sink.append, Event(), 100).add(b"1")
