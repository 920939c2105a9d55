"""Failed tasks by what went wrong."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from cluster.attempt_errors import error
from cluster.store import failure_groups
from cluster.store.async_store import Store
from cluster.store.failure_groups import group_failures, read_failures
from cluster.store.failure_key import Failure, failure_of
from cluster.store.record import FIELDS, Record, TaskState, parse_record
from cluster.store.task_filter import EVERYTHING, TaskFilter


def failed(number: int, message: str, code: str = "TASK_FAILED", kind: str | None = "ValueError") -> Record:
    values = {
        "name": b"etl", "version": b"1", "state": b"FAILED", "finished_at": b"%d" % number,
        "error": orjson.dumps({"code": code, "message": message, "type": kind}),
    }  # fmt: skip
    record = parse_record(f"{number:032x}", [values.get(field) for field in FIELDS])
    assert record is not None
    return record


def test_messages_that_differ_by_numbers_are_one_failure_and_others_are_not() -> None:
    records = [
        failed(9, "row 12 of 0x7f3a is bad\nmore"), failed(8, "row 7 of 0x11 is bad"), failed(7, "row is bad"),
        failed(6, "row is bad", kind="KeyError"), failed(5, "row is bad", code="BAD"), failed(4, "row is bad"),
        *(failed(3, f"task {n:032x} is gone") for n in range(6)), failed(2, "x" * 900), failed(1, ""),
    ]  # fmt: skip
    groups = group_failures(records)
    assert [group.count for group in groups] == [6, 2, 2, 1, 1, 1, 1]
    assert len(groups[0].task_ids) == 5
    rows = groups[1]
    assert (rows.message, rows.task_ids, rows.newest_at) == (
        "row 12 of 0x7f3a is bad", [f"{n:032x}" for n in (9, 8)], 9,
    )  # fmt: skip
    assert {len(group.message) for group in groups[3:]} == {10, 500, 0}
    assert group_failures([]) == []
    for group in groups:
        wanted = TaskFilter(failure_group=group.key)
        assert sum(map(wanted.matches, records)) == group.count


def test_a_key_is_the_same_in_every_release() -> None:
    # Python and the console keep it in commands and links.
    assert Failure("etl", "TASK_FAILED", "ValueError", "row 12 of 0x7f3a is bad").key == "30caa7f696a153fe"
    assert failure_of(replace(failed(1, "row is bad"), state=TaskState.QUEUED)) is None


async def test_only_the_newest_failed_tasks_are_looked_at(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failure_groups, "SCANNED_TASKS", 6)
    monkeypatch.setattr(failure_groups, "CHUNK", 4)
    for number in range(8):
        task_id = f"{number % 16:x}{number:031x}"
        await store.run(store.calls.submit(task_id, "etl", "1", b"{}", tags=[f"t{number % 2}"]))
        if number != 5:
            await store.run(store.calls.fail(task_id, 1, error("TASK_FAILED", f"at {number}")))
    [group] = await read_failures(store, EVERYTHING, EVERYTHING.matches)
    assert group.count == 6
    tagged = TaskFilter(tag="t0")
    [group] = await read_failures(store, tagged, tagged.matches)
    assert 0 < group.count < 6
    none = TaskFilter(names=frozenset({"other"}))
    assert await read_failures(store, none, none.matches) == []
