"""Attempts from events: a pure function, and the events that the scripts write."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cluster.attempt_errors import error
from cluster.store.async_store import Store
from cluster.store.attempts import Attempt, attempts_of
from cluster.store.record import FIELDS, Event, EventKind, Record, TaskState, parse_record
from cluster.task_types.retry_policy import Retries

ID = "a" * 32
FOUND = parse_record(ID, [{"name": b"etl", "version": b"1", "state": b"QUEUED"}.get(field) for field in FIELDS])
assert FOUND is not None
RECORD: Record = FOUND
EVENTS = st.lists(
    st.builds(
        Event, st.integers(1, 99), st.sampled_from(EventKind), st.sampled_from(TaskState), st.integers(1, 6),
        st.integers(0, 99), st.none(), st.none() | st.just("why"), st.none(), st.none() | st.just("w"),
    ),
    max_size=30,
)  # fmt: skip


async def test_each_attempt_has_its_worker_and_why_it_ended(store: Store) -> None:
    calls = store.calls
    await store.run(calls.submit(ID, "etl", "1", b"{}"))
    await store.run(calls.start(ID, 1, "w1"))
    await store.run(calls.progress(ID, 1, 0.5))
    await store.run(calls.fail(ID, 1, error("TASK_FAILED", "no luck"), retries=Retries(1, delay=0)))
    await store.run(calls.claim_due(ID[0], 10))
    await store.run(calls.mark_lost(ID, 2, "undelivered", error("LOST", "nobody has it")))
    await store.run(calls.claim_due(ID[0], 10))
    await store.run(calls.start(ID, 3, "w3"))
    record = await store.read(ID)
    assert record is not None
    first, second, third = attempts_of(record, await store.read_events(ID))
    assert (first.number, first.worker, first.end, first.reason) == (1, "w1", EventKind.RETRY, "no luck")
    assert first.started_at is not None
    assert first.ended_at is not None
    assert first.started_at <= first.ended_at
    assert (second.number, second.worker, second.started_at, second.end) == (2, None, None, EventKind.LOST)
    assert second.reason is not None
    assert (third.number, third.worker, third.end, third.ended_at) == (3, "w3", None, None)
    await store.run(calls.cancel(ID))
    record = await store.read(ID)
    assert record is not None
    assert attempts_of(record, await store.read_events(ID))[-1].end == EventKind.CANCELLED


def test_what_the_events_do_not_tell_any_more_is_in_the_record_for_the_newest_attempt() -> None:
    record = replace(RECORD, attempt=4, started_at=7, worker="w4")
    assert attempts_of(record, []) == [Attempt(4, "w4", 7)]
    # As an earlier release has written it.
    started = Event(9, EventKind.STARTED, TaskState.RUNNING, 4, 7, None, None)
    assert attempts_of(record, [started]) == [Attempt(4, "w4", 7)]
    assert attempts_of(RECORD, []) == []


@given(EVENTS)
def test_whatever_the_events_numbers_are_sorted_and_each_is_there_once(events: list[Event]) -> None:
    numbers = [attempt.number for attempt in attempts_of(RECORD, events)]
    assert numbers == sorted(set(numbers))
