"""The filter of tasks: a pure predicate over records."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from cluster.store.failure_key import Failure
from cluster.store.record import FIELDS, Record, TaskState, parse_record
from cluster.store.task_filter import MAX_LISTS, TaskFilter

VALUES = {
    "name": b"estimate_pi", "version": b"1", "input": b'{"city":"K\xc3\xb6ln","samples":7}', "state": b"FAILED",
    "submitted_at": b"1000", "error": orjson.dumps({"code": "NO_MONEY", "message": "The till is Empty", "type": None}),
    "submitted_by": b"key:k1 acme Ada", "tags": b'["nightly","eu"]', "worker": b"w-7",
    "started_at": b"1500", "finished_at": b"4000",
}  # fmt: skip
FOUND = parse_record("ab" * 16, [VALUES.get(field) for field in FIELDS])
assert FOUND is not None
RECORD: Record = FOUND
ENDED = 4000


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (TaskFilter(), True),
        (TaskFilter(states=frozenset({TaskState.FAILED, TaskState.QUEUED})), True),
        (TaskFilter(states=frozenset({TaskState.QUEUED})), False),
        (TaskFilter(states=frozenset()), False),
        (TaskFilter(names=frozenset({"fibonacci", "estimate_pi"})), True),
        (TaskFilter(names=frozenset({"fibonacci"})), False),
        (TaskFilter(names=frozenset()), False),
        (TaskFilter(tag="eu"), True),
        (TaskFilter(tag="e"), False),
        (TaskFilter(error_code="NO_MONEY"), True),
        (TaskFilter(error_code="TIMEOUT"), False),
        (TaskFilter(failure_group=Failure("estimate_pi", "NO_MONEY", None, "The till is Empty").key), True),
        (TaskFilter(failure_group=Failure("estimate_pi", "NO_MONEY", "ValueError", "The till is Empty").key), False),
        (TaskFilter(submitted_by="Ada"), True),
        (TaskFilter(submitted_by="key:k1"), True),
        (TaskFilter(submitted_by="acme"), False),
        (TaskFilter(since=1000, until=1001), True),
        (TaskFilter(since=1001), False),
        (TaskFilter(until=1000), False),
        (TaskFilter(text="KÖLN"), True),
        (TaskFilter(text='"samples":7'), True),
        (TaskFilter(text="NIGHT"), True),
        (TaskFilter(text="till is empty"), True),
        (TaskFilter(text="Estimate"), True),
        (TaskFilter(text="abab"), True),
        (TaskFilter(text="berlin"), False),
        (TaskFilter(ids=frozenset({"ab" * 16, "cd" * 16})), True),
        (TaskFilter(ids=frozenset({"cd" * 16})), False),
        (TaskFilter(ids=frozenset()), False),
        (TaskFilter(tags=frozenset({"eu", "us"})), True),
        (TaskFilter(tags=frozenset({"us"})), False),
        (TaskFilter(tags=frozenset()), False),
        (TaskFilter(tags=frozenset({"eu"}), tag="weekly"), False),
        (TaskFilter(error_codes=frozenset({"NO_MONEY", "TIMEOUT"})), True),
        (TaskFilter(error_codes=frozenset({"TIMEOUT"})), False),
        (TaskFilter(error_codes=frozenset()), False),
        (TaskFilter(min_run_seconds=2.5, max_run_seconds=2.5), True),
        (TaskFilter(min_run_seconds=2.6), False),
        (TaskFilter(max_run_seconds=2.4), False),
        (TaskFilter(worker="w-7"), True),
        (TaskFilter(worker="w"), False),
        (TaskFilter(finished_since=ENDED, finished_until=ENDED + 1), True),
        (TaskFilter(finished_since=ENDED + 1), False),
        (TaskFilter(finished_until=ENDED), False),
        (TaskFilter(tag="eu", text="berlin"), False),
    ],
)
def test_a_task_is_meant_if_it_meets_every_condition(wanted: TaskFilter, matches: bool) -> None:
    assert wanted.matches(RECORD) is matches


def test_who_submitted_a_task_is_no_condition_for_callers_who_may_not_know_it() -> None:
    assert not TaskFilter(submitted_by="Ada").matches(RECORD, lambda actor: actor.account == "other")
    assert TaskFilter(submitted_by="Ada").matches(RECORD, lambda actor: actor.account == "acme")
    assert not TaskFilter(submitted_by="Ada").matches(replace(RECORD, submitted_by=""))


@pytest.mark.parametrize("missing", ["started_at", "finished_at"])
def test_a_task_that_has_not_run_to_its_end_ran_for_no_time(missing: str) -> None:
    record = replace(RECORD, **{missing: None})  # type: ignore[arg-type]
    assert not TaskFilter(min_run_seconds=0).matches(record)
    assert not TaskFilter(max_run_seconds=1e9).matches(record)


def test_a_task_that_has_not_ended_is_not_among_those_that_ended_before_a_time() -> None:
    record = replace(RECORD, finished_at=None)
    assert not TaskFilter(finished_since=0).matches(record)
    assert not TaskFilter(finished_until=2**60).matches(record)


def test_states_task_types_and_times_are_decided_by_the_lists_alone() -> None:
    wanted = TaskFilter(states=frozenset({TaskState.FAILED, TaskState.QUEUED}), names=frozenset({"a", "b"}), since=5)
    assert not wanted.needs_records
    assert sorted(wanted.lists) == [
        (state, name) for state in (TaskState.FAILED, TaskState.QUEUED) for name in ("a", "b")
    ]  # fmt: skip
    assert TaskFilter().lists == TaskFilter(states=frozenset(TaskState)).lists == [(None, None)]
    assert TaskFilter(names=frozenset()).lists == TaskFilter(states=frozenset()).lists == []
    for beyond in set(TaskFilter.__dataclass_fields__) - {"states", "names", "since", "until"}:
        assert TaskFilter(**{beyond: "x"}).needs_records  # type: ignore[arg-type]


def test_many_lists_are_never_read_together() -> None:
    names = frozenset(f"n{i}" for i in range(MAX_LISTS))
    wanted = TaskFilter(names=names, states=frozenset({TaskState.FAILED, TaskState.QUEUED}))
    assert wanted.lists == [(None, name) for name in sorted(names)]
    assert wanted.needs_records
