"""Attempts that one call of a function serves: each keeps its own record, fence and error."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cluster import attempt_errors
from cluster.errors import RegistryError
from cluster.settings import Settings
from cluster.store.folder_blob_store import FolderBlobStore
from cluster.store.record import Record, TaskState
from cluster.store.thread_store import ThreadStore
from cluster.task_types.registry import load_registry, task_type_of
from cluster.task_types.task_type import Bound
from cluster.worker.attempt_table import AttemptTable
from cluster.worker.executor import Executor
from dask_graphql import Batch, Retries, Table, save_blob, task
from dask_graphql.testing import run_task

calls: list[list[int]] = []


@task(name="together_halves", batch=Batch(max_size=8), retries=Retries(1, on=OSError, delay=0))
def halves(n: list[int], by: list[int]) -> list[float]:
    calls.append(n)
    if 0 in by:
        raise ZeroDivisionError("by is 0")
    return [_half(number, divisor) for number, divisor in zip(n, by, strict=True)]


def _half(number: int, divisor: int) -> Any:
    if number == 7:
        return ValueError("not 7")
    if number == 8:
        return OSError("try again")
    return "text" if number == 9 else number / divisor


@task(name="together_short", batch=Batch())
def short(n: list[int]) -> list[int]:
    return n[1:]


@task(name="together_no_list", batch=Batch())
def anything_else(n: list[int]) -> list[int]:
    return [None, "abc", {1: 2, 3: 4, 5: 6}, {1, 2, 3}, np.array(n)][n[0]]  # type: ignore[return-value]


@task(name="together_blob", batch=Batch())
def blobs(n: list[int]) -> list[int]:
    save_blob("a", b"")
    return n


class Bench:
    """An executor on the real store, with an attempt table."""

    def __init__(self, settings: Settings) -> None:
        self.store = ThreadStore(settings, retry_seconds=2)
        self.table = AttemptTable(settings.data_dir / "table", create=True)
        self.table.claim()
        self.registry = load_registry()
        for function in (halves, short, anything_else, blobs):
            self.registry.add(task_type_of(function))
        blob_store = FolderBlobStore(settings.data_dir / "blobs")
        self.executor = Executor(settings, self.registry, self.store, blob_store, "w1", self.table)

    def submit(self, name: str, **arguments: Any) -> Bound:
        bound = self.registry[name].bind(arguments)
        self.store.run(self.store.calls.submit(bound.task_id, name, "1", bound.canonical_input))
        return bound

    def run(self, bound: Sequence[Bound], attempt: int = 1) -> tuple[list[float], list[Record]]:
        members = [(item.task_id, attempt, item.canonical_input) for item in bound]
        durations = self.executor.run(bound[0].task_type.name, members)
        assert self.executor.running == {}
        records = [self.store.run(self.store.calls.watch(item.task_id, "n")).record for item in bound]
        return durations, [record for record in records if record]


@pytest.fixture
def bench(settings: Settings) -> Iterator[Bench]:
    calls.clear()
    made = Bench(settings)
    yield made
    made.store.close()


def code(record: Record) -> str:
    return str((record.error_fields() or {}).get("code"))


def test_one_call_serves_all_and_each_gets_its_own_result(bench: Bench) -> None:
    durations, records = bench.run([bench.submit("together_halves", n=n, by=2) for n in range(5)])
    assert [record.result for record in records] == [b"0.0", b"0.5", b"1.0", b"1.5", b"2.0"]
    assert calls == [[0, 1, 2, 3, 4]]
    assert len(durations) == 5
    assert len(set(durations)) == 1


def test_an_exception_or_a_wrong_output_of_one_is_its_own(bench: Bench) -> None:
    bound = [bench.submit("together_halves", n=n, by=1) for n in (6, 7, 8, 9)]
    _, records = bench.run(bound)
    assert [record.state for record in records] == [
        TaskState.SUCCEEDED, TaskState.FAILED, TaskState.QUEUED, TaskState.FAILED,
    ]  # fmt: skip
    assert (records[1].error_fields() or {})["message"] == "not 7"
    assert records[2].attempt == 2
    assert code(records[3]) == "BAD_OUTPUT"


def test_if_the_call_raises_each_input_gets_one_of_its_own(bench: Bench) -> None:
    bound = [bench.submit("together_halves", n=4, by=by) for by in (2, 0, 1)]
    _, records = bench.run(bound)
    assert [record.state.value for record in records] == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert (records[1].error_fields() or {})["type"] == "ZeroDivisionError"
    assert calls == [[4, 4, 4], [4], [4], [4]]


def test_another_number_of_outputs_is_bad_output_for_all(bench: Bench) -> None:
    _, records = bench.run([bench.submit("together_short", n=n) for n in range(3)])
    assert {code(record) for record in records} == {"BAD_OUTPUT"}
    assert "2 outputs for a batch of 3" in (records[0].error_fields() or {})["message"]


def test_a_batch_that_returns_no_list_is_bad_output_for_all(bench: Bench) -> None:
    for first, kind in enumerate(("NoneType", "str", "dict", "set")):
        _, records = bench.run([bench.submit("together_no_list", n=first)])
        assert code(records[0]) == "BAD_OUTPUT"
        assert f"returned a {kind} for a batch of 1: return a list" in (records[0].error_fields() or {})["message"]
    _, records = bench.run([bench.submit("together_no_list", n=n) for n in (4, 5)])
    assert [record.result for record in records] == [b"4", b"5"]


def test_a_superseded_or_cancelled_attempt_is_left_out_and_a_late_one_is_refused(bench: Bench) -> None:
    bound = [bench.submit("together_halves", n=n, by=2) for n in range(3)]
    bench.store.run(bench.store.calls.cancel(bound[1].task_id))
    durations, records = bench.run(bound)
    assert calls == [[0, 2]]
    assert [record.state.value for record in records] == ["SUCCEEDED", "CANCELLED", "SUCCEEDED"]
    assert len(durations) == 2


def test_what_runs_together_is_one_group_in_the_attempt_table(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def look(n: list[int], by: list[int]) -> list[float]:
        seen.extend(bench.table.entries(bench.table.owner))
        time.sleep(0.01)
        return [float(number) for number in n]

    kind = replace(bench.registry["together_halves"], function=look)
    monkeypatch.setitem(bench.registry._types, "together_halves", kind)
    bench.run([bench.submit("together_halves", n=n, by=2) for n in range(3)])
    assert len(seen) == 3
    [group] = {entry.group for entry in seen}
    assert group > 0
    assert all(entry.running for entry in seen)
    assert bench.table.entries(bench.table.owner) == []


def test_an_attempt_whose_worker_is_gone_is_requeued_and_the_others_run(bench: Bench) -> None:
    bound = [bench.submit("together_halves", n=n, by=2) for n in range(2)]
    bench.store.run(bench.store.calls.start(bound[0].task_id, 1, "w0"))
    shard = bench.store.calls.record_key(bound[0].task_id)
    bench.store.redis.hset(shard, mapping={"started_at": 1, "heard_at": 1})
    _, records = bench.run(bound)
    assert [record.state.value for record in records] == ["QUEUED", "SUCCEEDED"]
    assert attempt_errors.worker_lost(None)["code"] == "WORKER_LOST"


def test_a_unit_test_runs_a_batch_of_one_without_a_context() -> None:
    assert run_task(halves, n=4, by=2).value == 2.0
    assert (run_task(halves, n=7, by=2).error or {})["message"] == "not 7"
    assert len(run_task(halves, n=8, by=2).attempts) == 2
    assert "no task is running here" in (run_task(blobs, n=1).error or {})["message"]


def no_list(n: int) -> list[int]:
    return [n]


def no_list_returned(n: list[int]) -> int:
    return len(n)


def with_default(n: list[int] = [1]) -> list[int]:  # noqa: B006
    return n


def a_table(n: list[int]) -> list[Table]:
    raise NotImplementedError


def fits(n: list[int]) -> list[int]:
    return n


@pytest.mark.parametrize(
    ("function", "batch", "message"),
    [
        (no_list, Batch(), r"takes as 'n' an item for each task: declare list\[...\]"),
        (no_list_returned, Batch(), r"returns an item for each task: declare list\[...\]"),
        (with_default, Batch(), "has no default: 'n'"),
        (a_table, Batch(), "cannot return tables"),
        (fits, Batch(max_size=0), "max_size of Batch must be from 1 to 128"),
        (fits, Batch(wait_ms=-1), "wait_ms of Batch must be from 0 to 10000"),
    ],
)
def test_a_function_or_a_batch_that_does_not_fit_is_refused(function: Any, batch: Batch, message: str) -> None:
    with pytest.raises(RegistryError, match=message):
        task(batch=batch)(function)
