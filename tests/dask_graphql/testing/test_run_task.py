"""`run_task` ends a task as the system does."""

from __future__ import annotations

import dataclasses
import gc
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from pydantic import Field

from cluster.data.array_reader import ArrayReader
from cluster.data.table_reader import TableReader
from cluster.errors import BadInput, RegistryError
from cluster.store.record import TaskState
from dask_graphql import (
    Array,
    BigInt,
    Blob,
    BlobStore,
    Graph,
    Retries,
    Stream,
    Table,
    TaskCancelled,
    TaskError,
    TaskFailed,
    as_completed,
    cancelled,
    checkpoint,
    report_partial,
    report_progress,
    result_field,
    save_blob,
    task,
)
from dask_graphql.testing import RunOptions, run_task
from tests.task_modules.frames import (
    describe_table,
    double_array,
    make_array,
    make_chunks,
    make_partitions,
    make_table,
    sum_array,
    sum_by_station,
)


@dataclass
class Data:
    rows: Table
    late: Table
    grid: Array
    number: Array


@dataclass
class Text:
    """A text in a file."""

    file: Blob

    @result_field
    async def first(self, store: BlobStore) -> str:
        return (await store.read(self.file.key, 0, 1)).decode()


@task(name="kit_square")
def square(n: Annotated[BigInt, Field(ge=0)], twice: bool = False) -> BigInt:
    return n * n * (2 if twice else 1)


def test_arguments_are_bound_and_the_output_is_read_back_from_its_json() -> None:
    outcome = run_task(square, n="12345678901234567890")
    assert outcome.value == 12345678901234567890**2
    assert outcome.input == b'{"n":"12345678901234567890","twice":false}'
    assert outcome.result == b'"152415787532388367501905199875019052100"'
    assert (outcome.state, len(outcome.attempts), len(outcome.task_id)) == (TaskState.SUCCEEDED, 1, 32)


def test_a_refused_argument_raises_what_a_submission_would() -> None:
    with pytest.raises(BadInput, match="kit_square: n: "):
        run_task(square, n=-1)
    with pytest.raises(BadInput, match="size"):
        run_task(square, n=1, size=2)


def test_a_function_that_is_no_task_is_refused() -> None:
    with pytest.raises(RegistryError, match=r"is no task: put @task on it"):
        run_task(len)


@task(name="kit_story")
def story(length: int) -> list[str]:
    lines: list[str] = []
    for number in range(length):
        if cancelled():
            return ["late"]
        lines.append(f"line {number}")
        report_partial(lambda: lines)
        report_progress((number + 1) / length)
    return lines


def test_every_report_is_recorded_as_clients_would_read_it() -> None:
    outcome = run_task(story, length=4)
    assert outcome.progress == [0.25, 0.5, 0.75, 1.0]
    assert outcome.partials == [[f"line {i}" for i in range(n)] for n in range(1, 5)]


def test_a_task_is_cancelled_at_a_fraction_or_after_a_time() -> None:
    outcome = run_task(story, RunOptions(cancel_at_progress=0.5), length=4)
    assert (outcome.state, outcome.progress, outcome.result) == (TaskState.CANCELLED, [0.25, 0.5], None)
    with pytest.raises(TaskCancelled):
        _ = outcome.value

    @task(name="kit_waits")
    def waits() -> int:
        while not cancelled():
            time.sleep(0.005)
        return 1

    assert run_task(waits, RunOptions(cancel_after_seconds=0.02)).state is TaskState.CANCELLED


def test_retries_follow_their_policy_and_continue_from_the_checkpoint() -> None:
    @task(name="kit_flaky", retries=Retries(3, on=OSError, delay=60))
    def flaky(failures: int, error: str) -> int:
        tried: int = checkpoint.load(default=0)
        checkpoint.save(tried + 1)
        if tried < failures:
            raise {"os": OSError, "value": ValueError}[error]("no")
        return tried

    outcome = run_task(flaky, failures=2, error="os")
    assert outcome.value == 2
    assert [(attempt.number, attempt.retry_allowed) for attempt in outcome.attempts] == [
        (1, True), (2, True), (3, False),
    ]  # fmt: skip
    assert (outcome.attempts[0].error or {})["type"] == "OSError"
    assert run_task(flaky, failures=9, error="os").state is TaskState.FAILED
    assert len(run_task(flaky, failures=9, error="os").attempts) == 4
    assert len(run_task(flaky, failures=9, error="value").attempts) == 1


def test_the_value_of_a_failed_task_raises_its_error_with_the_traceback() -> None:
    @task(name="kit_fails")
    def fails(kind: str) -> int:
        if kind == "plain":
            raise KeyError("there")
        if kind == "output":
            return "no number"  # type: ignore[return-value]
        raise TaskError("TIDE_TOO_LOW", "wait")

    with pytest.raises(TaskFailed, match="TASK_FAILED: KeyError: 'there'") as raised:
        _ = run_task(fails, kind="plain").value
    assert 'raise KeyError("there")' in "".join(raised.value.__notes__)
    assert (run_task(fails, kind="output").error or {})["code"] == "BAD_OUTPUT"
    assert (run_task(fails, kind="tide").error or {})["code"] == "TIDE_TOO_LOW"


@task(retries=1)
def run_task_stream(upto: int, fails_at: int | None = None) -> Stream[int]:
    for n in range(upto):
        if n == fails_at and checkpoint.load() is None:
            checkpoint.save(n)
            raise ConnectionError("lost on the way")
        yield n


def test_the_items_of_a_stream_are_its_value_and_an_attempt_begins_anew() -> None:
    assert run_task(run_task_stream, upto=2000).value == list(range(2000))
    ended = run_task(run_task_stream, upto=3, fails_at=2)
    assert [attempt.items for attempt in ended.attempts][-1] == ended.value == [0, 1, 2]
    assert len(ended.attempts) == 2


def test_a_task_beyond_its_time_ends_with_timeout_and_sees_it_before() -> None:
    @task(name="kit_slow", timeout_seconds=0.02)
    def slow() -> int:
        while not cancelled():
            time.sleep(0.005)
        time.sleep(0.005)
        return 1

    assert (run_task(slow).error or {})["code"] == "TIMEOUT"


@task(name="kit_texts")
def write(text: str) -> Text:
    return Text(save_blob("a.txt", text.encode()))


async def test_blobs_are_read_by_the_test_and_by_methods_of_the_output_and_gone_with_the_outcome() -> None:
    outcome = run_task(write, text="tide")
    assert outcome.read(outcome.value.file) == b"tide"
    assert list(outcome.blobs) == ["a.txt"]
    assert await outcome.value.first(outcome.blob_store) == "t"
    folder = outcome.blob_store.folder
    assert folder.exists()
    del outcome
    gc.collect()
    assert not folder.exists()


async def test_an_async_task_runs_in_an_async_test_too() -> None:
    @task(name="kit_async")
    async def later(n: int) -> int:
        report_progress(0.5)
        return n

    outcome = run_task(later, n=3)
    assert (outcome.value, outcome.progress) == (3, [0.5])


def test_a_graph_runs_in_this_process_and_its_parts_have_blobs_of_their_own() -> None:
    @dask.delayed  # type: ignore[untyped-decorator]
    def part(n: int) -> Blob:
        assert not cancelled()
        return save_blob("part.txt", str(n).encode())

    @task(name="kit_graph")
    def graph(n: int) -> Graph[list[Blob]]:
        return dask.delayed(list)([part(i) for i in range(n)])  # type: ignore[no-any-return]

    outcome = run_task(graph, n=3)
    assert sorted(outcome.read(blob) for blob in outcome.value) == [b"0", b"1", b"2"]
    assert len(outcome.attempts[-1].blobs) == 3

    @task(name="kit_parts")
    def parts(n: int) -> list[int]:
        found = []
        for index, value in as_completed([dask.delayed(pow)(i, 2) for i in range(n)]):
            found.append(index + value)
            report_progress((index + 1) / n)
        return found

    assert run_task(parts, n=3).value == [0, 2, 6]
    assert run_task(parts, RunOptions(cancel_at_progress=0.3), n=3).state is TaskState.CANCELLED


def test_tables_and_arrays_of_dask_are_in_the_store_of_the_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    @task(name="kit_data")
    def data(n: int) -> Data:
        rows = dd.from_pandas(pd.DataFrame({"n": range(n)}), npartitions=2)
        late = dask.delayed(pd.DataFrame)({"n": [n]})
        return Data(rows, late, da.arange(n, chunks=2), dask.delayed(np.ones)(n))

    outcome = run_task(data, n=5)
    value = outcome.value
    tables, arrays = TableReader(outcome.blob_store, 10_000), ArrayReader(outcome.blob_store)
    assert tables.page(value.rows, 0, 9).column("n").to_pylist() == [0, 1, 2, 3, 4]
    assert tables.page(value.late, 0, 9).column("n").to_pylist() == [5]
    assert arrays.read(value.grid, [slice(None)]).tolist() == [0, 1, 2, 3, 4]
    assert arrays.read(value.number, [slice(None)]).tolist() == [1] * 5
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_a_run_is_left_in_the_thread() -> None:
    run_task(story, length=1)
    with pytest.raises(RuntimeError, match="no task is running here"):
        save_blob("a.txt", b"")


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a Redis nor a scheduler is looked for."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr("redis.Redis.__init__", refuse)
    monkeypatch.setattr("distributed.Client.__init__", refuse)


def test_tables_and_arrays_are_read_as_a_client_reads_them_and_passed_on() -> None:
    several = run_task(make_partitions, rows=20, partitions=3).value
    for table in (run_task(make_table, rows=20).value, several):
        assert table.to_pandas()["number"].tolist() == list(range(20))
        assert table.to_arrow(["station"]).num_rows == len(table.to_polars()) == len(table.to_dask()) == 20
        sums = run_task(sum_by_station, table=table).value.to_pandas()
        assert sums["value"].sum() == table.to_pandas()["value"].sum()
    for array in (
        run_task(make_array, rows=4, columns=6).value,
        run_task(make_chunks, rows=4, columns=6, chunk=3).value,
    ):
        assert array.to_numpy().tolist() == array.to_dask().compute().tolist() == array.to_xarray().values.tolist()
        assert run_task(sum_array, array=run_task(double_array, array=array).value).value == 2 * sum(range(24))
    with pytest.raises(RuntimeError, match="clients read them"):
        dataclasses.replace(several).to_pandas()
    folder = run_task(describe_table, table=several)
    assert folder.error is not None
    assert "has no folder" in folder.error["message"]
