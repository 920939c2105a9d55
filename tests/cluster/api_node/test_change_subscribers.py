"""Which subscribers want a change, and cursors; without Redis."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cluster.api_node import change_subscribers
from cluster.api_node.change_cursor import Place, parse_cursor
from cluster.api_node.change_subscribers import ChangeFilter, ChangeItem, Subscriber, Subscribers
from cluster.errors import BadCursor
from cluster.store.actor import Actor
from cluster.store.change_calls import Change
from cluster.store.record import Event, EventKind, TaskState
from cluster.store.task_filter import TaskFilter

S = TaskState
ACTORS = [Actor("key:1", "acme", "Anna"), Actor("key:2", "bank", "key:2")]
CHANGES = st.builds(
    Change,
    st.integers(1, 100), st.just(0), st.sampled_from(["0" * 32, "f" * 32]), st.none() | st.sampled_from(S),
    st.builds(Event, st.just(1), st.just("X"), st.sampled_from(S), st.just(1), st.just(0), st.none(), st.none()),
    st.sampled_from(["etl", "train"]), st.sampled_from(["", "acme"]), st.integers(0, 3),
    st.lists(st.sampled_from(["a", "b"]), unique=True).map(tuple),
    st.sampled_from(["", *(actor.text for actor in ACTORS)]),
)  # fmt: skip
FILTERS = st.builds(
    TaskFilter,
    st.none() | st.frozensets(st.sampled_from(S), max_size=2),
    st.none() | st.frozensets(st.sampled_from(["etl", "train"]), max_size=2),
    st.none() | st.sampled_from(["a", "b"]),
    st.none() | st.just("TASK_FAILED"),
    st.none() | st.sampled_from(["key:1", "Anna", "key:2"]),
    st.none() | st.integers(0, 3),
    st.none() | st.integers(0, 3),
    st.none() | st.just("x"),
    st.none() | st.frozensets(st.sampled_from(["0" * 32, "f" * 32])),
    st.none() | st.frozensets(st.sampled_from(["a", "b", "c"])),
    st.none() | st.frozensets(st.just("TASK_FAILED")),
    st.none() | st.just(1.0),
    st.none() | st.just(2.0),
    st.none() | st.just("w"),
)
ANCHORS = st.lists(st.tuples(st.integers(1, 2**40), st.integers(0, 2**32 - 1)), min_size=16, max_size=16)


def everyones(wanted: TaskFilter) -> ChangeFilter:
    return ChangeFilter(wanted, lambda record, conditions: conditions.matches(record))


@given(st.lists(FILTERS, max_size=6), CHANGES)
def test_those_who_are_found_are_exactly_those_whose_filter_may_match(wanted: list[TaskFilter], change: Change) -> None:
    subscribers = Subscribers()
    made = [Subscriber(everyones(each), [0] * 16) for each in wanted]
    for each in made:
        subscribers.add(each)
    assert set(subscribers.of(change)) == {each for each in made if each.filter.may_want(change)}
    for each in made:
        subscribers.remove(each)
    assert (len(subscribers), subscribers.of(change), subscribers._by_key) == (0, [], {})


@given(FILTERS, CHANGES)
def test_what_is_wanted_may_be_wanted_and_meets_the_conditions_before_or_after(
    wanted: TaskFilter, change: Change
) -> None:
    asked = everyones(wanted)
    is_wanted, matches = asked.wants(change, change.summary())
    assert asked.may_want(change) or not is_wanted
    assert is_wanted or not matches
    if matches:
        assert wanted.states is None or change.event.state in wanted.states
    elif is_wanted:
        assert change.was is not None
        assert wanted.states is None or change.was in wanted.states
    # A task that is gone meets nothing any more.
    assert asked.wants(change, None) == (asked.may_want(change), False)


def test_a_failed_task_that_begins_anew_leaves_the_list_of_its_error() -> None:
    asked = everyones(TaskFilter(error_code="TASK_FAILED", min_run_seconds=1))
    event = Event(7, EventKind.QUEUED, S.QUEUED, 2, 0, None, None)
    change = Change(1, 0, "0" * 32, S.FAILED, event, "etl", "", 1, (), "")
    assert asked.wants(change, change.summary()) == (True, False)


@given(ANCHORS)
def test_a_cursor_has_the_numbers_and_the_checksum_of_its_place(anchors: list[tuple[int, int]]) -> None:
    place = Place(anchors)
    assert parse_cursor(place.cursor()) == ([number for number, _ in anchors], place.check)


@given(st.text(max_size=40) | st.binary(max_size=40).map(bytes.hex))
@example("A" * 300)
def test_other_text_is_refused_as_a_cursor_or_is_that_of_some_place(text: str) -> None:
    try:
        numbers, _ = parse_cursor(text)
    except BadCursor:
        return
    assert len(numbers) == 16


async def test_a_slow_reader_gets_none_in_place_of_what_was_dropped_and_then_what_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(change_subscribers, "QUEUE_LIMIT", 3)
    subscriber = Subscriber(everyones(TaskFilter()), [0] * 16)
    for number in range(5):
        subscriber.put(ChangeItem(str(number)))
    assert await subscriber.next() is None
    subscriber.put(ChangeItem("5"))
    assert await subscriber.next() == ChangeItem("5")
