"""One attempt on the worker: what a function may return, how it may fail, and what the fence accepts."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import cluster.store.blob_store
import cluster.worker.outcome_calls
from cluster import attempt_errors
from cluster.attempt_errors import EVENT_MESSAGE_LIMIT, MESSAGE_LIMIT, NAME_LIMIT
from cluster.errors import BadInput, BlobError
from cluster.scheduling import entry_point
from cluster.scheduling.entry_point import run_attempts, use_runner
from cluster.settings import Settings
from cluster.store.folder_blob_store import FolderBlobStore
from cluster.store.record import Record, TaskState
from cluster.store.thread_store import ThreadStore
from cluster.task_types.registry import Registry, _registered, load_registry
from cluster.task_types.retry_policy import Retries
from cluster.task_types.task_type import Bound, TaskType
from cluster.worker.executor import Executor
from cluster.worker.outcome import MAX_TRACEBACK_LENGTH, Failed, Succeeded, call, encode
from cluster.worker.task_context import RunningAttempt, enter, require_attempt, running_attempt
from dask_graphql import (
    BigInt,
    Blob,
    Graph,
    TaskError,
    cancelled,
    checkpoint,
    report_partial,
    report_progress,
    save_blob,
    task,
)
from tests import outside
from tests.system import TASKS


@dataclass
class Out:
    x: int


class Model(BaseModel):
    x: int


def register(function: Callable[..., Any], **limits: Any) -> TaskType:
    """The task type of a function, under a name that no other test uses."""
    name = f"execute_{function.__name__.strip('_')}"
    task(name=name, **limits)(function)
    return _registered[__name__, name]


def returning(annotation: Any) -> TaskType:
    """A task type that declares an output."""

    def returns(n: int) -> Any: ...

    returns.__annotations__["return"] = annotation
    return register(returns)


# The output ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "value", "written"),
    [
        (int, 3, "3"),
        (Out, Out(3), '{"x":3}'),
        (Out, {"x": 3}, '{"x":3}'),
        (Model, Model(x=3), '{"x":3}'),
        (list[Out], [Out(1), {"x": 2}], '[{"x":1},{"x":2}]'),
        (BigInt, 2**53 + 1, '"9007199254740993"'),
        (BigInt, 10**10_000, f'"1{"0" * 10_000}"'),
        (Graph[int], 4, "4"),
    ],
    ids=["int", "dataclass", "dict", "model", "list", "big", "long", "graph"],
)
def test_an_output_is_written_as_its_type_declares(annotation: Any, value: Any, written: str) -> None:
    assert encode(returning(annotation), value, 20_000) == Succeeded(written.encode())


@pytest.mark.parametrize(
    ("annotation", "value", "written"),
    [
        (int, np.int64(3), "3"),
        (float, np.float32(0.5), "0.5"),
        (bool, np.bool_(True), "true"),
        (list[int], np.arange(3), "[0,1,2]"),
        (list[list[float]], np.zeros((1, 2)), "[[0.0,0.0]]"),
        (Out, Out(np.int64(3)), '{"x":3}'),  # type: ignore[arg-type]
    ],
)
def test_the_scalars_and_arrays_of_numpy_are_converted(annotation: Any, value: Any, written: str) -> None:
    kind = replace(returning(annotation), function=lambda: value)
    assert encode(kind, call(kind, {}), 10_000) == Succeeded(written.encode())


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, "no number"),
        (int, None),
        (int, 1.5),
        (Out, Out("z")),  # type: ignore[arg-type]
        (Out, {"y": 1}),
        (Out, Model(x=1)),
        (Model, Model.model_construct(x="z")),  # type: ignore[arg-type]
        (list[Out], [Out("z")]),  # type: ignore[arg-type]
        (str, "\ud800"),
    ],
)
def test_an_output_that_was_not_declared_is_bad_output_and_not_retried(annotation: Any, value: Any) -> None:
    outcome = encode(returning(annotation), value, 10_000)
    assert isinstance(outcome, Failed)
    assert outcome.error["code"] == "BAD_OUTPUT"
    assert outcome.error["message"].startswith("execute_returns did not return what it declares")
    assert not outcome.retries


@pytest.mark.parametrize(
    ("annotation", "value"), [(float, math.nan), (float, math.inf), (int, 10**5_000)], ids=["nan", "inf", "long"]
)
def test_a_result_that_is_stored_can_be_read_again(annotation: Any, value: Any) -> None:
    kind = returning(annotation)
    outcome = encode(kind, value, 10_000)
    if isinstance(outcome, Succeeded):
        assert kind.output.adapter.validate_json(outcome.result) == value
    else:
        assert outcome.error["code"] == "BAD_OUTPUT"


def test_a_result_beyond_the_limit_is_refused_with_its_size_and_the_way_out() -> None:
    kind = returning(str)
    room = 1_000 + 10_000 - len('""')
    assert isinstance(encode(kind, "x" * room, 1_000), Succeeded)
    outcome = encode(kind, "x" * (room + 1), 1_000)
    assert isinstance(outcome, Failed)
    assert (outcome.error["code"], outcome.retries) == ("RESULT_TOO_LARGE", 0)
    assert "11001 bytes" in outcome.error["message"]
    assert "save_blob" in outcome.error["message"]


# The call ------------------------------------------------------------------------------------------------------------


def test_a_plain_and_an_async_function_are_called_alike() -> None:
    registry = load_registry([TASKS])
    assert call(registry["estimate_pi"], {"samples": 4, "seed": 1}).samples == 4
    assert call(registry["add"], {"a": 10**30, "b": 1}) == 10**30 + 1


def test_a_dask_collection_is_computed_in_this_process_if_no_task_runs() -> None:
    assert call(load_registry([TASKS])["total_of_squares"], {"n": 4}) == 0 + 1 + 4 + 9


@pytest.fixture
def dask_client() -> Iterator[Any]:
    from distributed import Client

    # Any port: None would take 8787 (distributed/node.py), and warn where somebody has it.
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as client:
        yield client


def test_a_collection_that_was_persisted_is_computed(dask_client: Any) -> None:
    """It is awaitable, like every Dask collection."""
    import dask.array as da

    def persisted(n: int = 100) -> Any:
        return da.ones((n, n), chunks=10).persist().sum()

    kind = replace(returning(Graph[float]), function=persisted)
    assert encode(kind, call(kind, {}), 1_000) == Succeeded(b"10000.0")


@pytest.mark.parametrize("is_async", [False, True])
def test_a_future_is_waited_for_and_its_value_is_the_result(dask_client: Any, is_async: bool) -> None:
    def future() -> Any:
        return dask_client.submit(sum, [1, 2], pure=False)

    async def later() -> Any:
        return dask_client.submit(sum, [1, 2], pure=False)

    kind = replace(returning(Graph[int]), function=later if is_async else future)
    assert call(kind, {}) == 3


def test_a_dataframe_of_dask_is_a_list_of_its_rows(dask_client: Any) -> None:
    pandas = outside.module("pandas")
    dataframe = outside.module("dask.dataframe")

    def rows() -> Any:
        frame = dataframe.from_pandas(pandas.DataFrame({"x": [1, 2, 3]}), npartitions=2)
        return frame.persist()

    kind = replace(returning(Graph[list[Out]]), function=rows)
    assert encode(kind, call(kind, {}), 1_000) == Succeeded(b'[{"x":1},{"x":2},{"x":3}]')
    kind = replace(returning(Graph[list[int]]), function=lambda: rows()["x"])
    assert encode(kind, call(kind, {}), 1_000) == Succeeded(b"[1,2,3]")


def test_an_error_within_a_generator_is_the_tasks_own(bench: Bench) -> None:
    def halfway(n: int) -> Any:
        yield n
        raise ValueError("no more")

    halfway.__annotations__["return"] = list[int]
    assert bench.run(bench.submit(register(halfway), n=1)).error_fields() == {
        "code": "TASK_FAILED", "message": "no more", "type": "ValueError",
    }  # fmt: skip


def test_an_output_that_holds_itself_is_bad_output(bench: Bench) -> None:
    def endless(n: int) -> Any:
        found: list[Any] = []
        found.append(found)
        return found

    assert code(bench.run(bench.submit(register(endless), n=1))) == "BAD_OUTPUT"


# The attempt ---------------------------------------------------------------------------------------------------------


class Bench:
    """An executor on the real store."""

    def __init__(self, settings: Settings) -> None:
        self.store = ThreadStore(settings, retry_seconds=2)
        self.calls = self.store.calls
        self.blobs = FolderBlobStore(settings.data_dir / "blobs")
        self.executor = Executor(settings, load_registry([TASKS]), self.store, self.blobs, "w1")

    def submit(self, name: str | TaskType, *, recompute: bool = False, **arguments: Any) -> Bound:
        if isinstance(name, TaskType):
            self.executor.registry.add(name)
            name = name.name
        bound = self.executor.registry[name].bind(arguments)
        self.store.run(self.calls.submit(bound.task_id, name, "1", bound.canonical_input, recompute=recompute))
        return bound

    def run(self, bound: Bound, attempt: int = 1) -> Record:
        self.executor.run(bound.task_type.name, [(bound.task_id, attempt, bound.canonical_input)])
        assert self.executor.running == {}
        return self.record(bound.task_id)

    def record(self, task_id: str) -> Record:
        found = self.store.run(self.calls.watch(task_id, "n")).record
        assert found is not None
        return found


@pytest.fixture
def bench(settings: Settings) -> Iterator[Bench]:
    made = Bench(settings)
    yield made
    made.store.close()


def code(record: Record) -> str:
    fields = record.error_fields()
    assert fields is not None
    return str(fields["code"])


def test_an_attempt_starts_runs_and_stores_its_result(bench: Bench) -> None:
    record = bench.run(bench.submit("fibonacci", n=90))
    assert (record.state, record.worker, record.attempt, record.seq) == (TaskState.SUCCEEDED, "w1", 1, 3)
    assert record.result is not None
    assert json.loads(record.result)["text"] == "2880067194370816120"


def test_a_task_that_was_submitted_for_other_code_gets_a_result_that_no_later_submission_reuses(bench: Bench) -> None:
    bound = bench.submit("add", a=1, b=2)
    changed = dataclasses.replace(bound.task_type, version="2")
    bench.executor.registry.replace(Registry())
    bench.executor.registry.add(changed)
    assert bench.run(bound).state is TaskState.SUCCEEDED
    again = bench.store.run(bench.calls.submit(bound.task_id, "add", "1", bound.canonical_input))
    assert again.outcome == "RECOMPUTED"


def test_an_exception_fails_the_task_with_its_type_and_message(bench: Bench) -> None:
    record = bench.run(bench.submit("failing", message="too bad"))
    assert record.state is TaskState.FAILED
    assert record.error_fields() == {"code": "TASK_FAILED", "message": "too bad", "type": "ValueError"}


def test_an_exception_without_a_message_is_reported_by_its_type(bench: Bench) -> None:
    record = bench.run(bench.submit("failing", message=""))
    assert record.error_fields() == {"code": "TASK_FAILED", "message": "ValueError", "type": "ValueError"}


def test_a_long_message_is_cut(bench: Bench) -> None:
    fields = bench.run(bench.submit("failing", message="y" * 50_000)).error_fields()
    assert fields is not None
    assert fields["message"] == "y" * MESSAGE_LIMIT


def test_nothing_that_a_failure_leaves_is_long(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    record = bench.run(bench.submit("refusing", code="N" * 50_000))
    assert code(record) == "N" * NAME_LIMIT
    with caplog.at_level("INFO"):
        bound = bench.submit("failing", message="é" * 50_000)
        bench.run(bound)
    assert all(len(line.getMessage()) < MAX_TRACEBACK_LENGTH + 200 for line in caplog.records)
    events = bench.store.run(bench.calls.watch(bound.task_id, "n", after_seq=0)).events
    assert events[-1].message == "é" * EVENT_MESSAGE_LIMIT


@settings(max_examples=30)
@given(st.text(), st.text(), st.none() | st.text(), st.integers(1, 3_000))
def test_the_error_of_a_record_is_bounded_and_has_a_json_form(
    code: str, message: str, kind: str | None, n: int
) -> None:
    fields = attempt_errors.error(code * n, message * n, kind)
    # The longest escape of a character, `\\U0010ffff`, has ten.
    assert len(orjson.dumps(fields)) < 20 * (MESSAGE_LIMIT + 2 * NAME_LIMIT) + 100
    assert len(attempt_errors.event_message(fields)) <= EVENT_MESSAGE_LIMIT


def test_a_task_error_keeps_its_code(bench: Bench) -> None:
    record = bench.run(bench.submit("refusing", code="NO_MONEY"))
    assert record.error_fields() == {"code": "NO_MONEY", "message": "as it was told", "type": "TaskError"}


def test_wrong_output_fails_the_task(bench: Bench) -> None:
    assert code(bench.run(bench.submit("lying", n=1))) == "BAD_OUTPUT"


@pytest.mark.parametrize(
    ("raised", "declared", "retries"),
    [
        (RuntimeError("x"), 1, True),
        (TaskError("A", "x"), 1, False),
        (BadInput("x"), Retries(1, on=Exception), False),
        (TaskError("A", "x", retry=True), 1, True),
        (ConnectionError("x"), Retries(1, on=OSError), True),
        (RuntimeError("x"), Retries(1, on=OSError), False),
        (TaskError("A", "x", retry=True), Retries(1, on=OSError), True),
    ],
)
def test_only_a_failure_that_another_attempt_may_avoid_is_retried(
    bench: Bench, raised: Exception, declared: int | Retries, retries: bool
) -> None:
    def flaky(n: int) -> int:
        raise raised

    bound = bench.submit(register(flaky, retries=declared), n=1)
    record = bench.run(bound)
    assert record.state is (TaskState.QUEUED if retries else TaskState.FAILED)
    if isinstance(raised, BadInput):
        assert record.error_fields() == {"code": "BAD_INPUT", "message": "x", "type": "BadInput"}
    if retries:
        assert (record.attempt, record.retries) == (2, 1)
        assert bench.run(bound, 2).state is TaskState.FAILED


def saves_a_blob(bench: Bench, **limits: Any) -> Bound:
    def saves(n: int) -> Blob:
        return save_blob("a.txt", b"x")

    return bench.submit(register(saves, **limits), n=1)


def kept(bench: Bench, bound: Bound) -> list[str]:
    """The attempts that have blobs, once nothing deletes any."""
    for thread in threading.enumerate():
        if thread.name.endswith("(_delete_earlier)"):
            thread.join()
    return sorted(path.name for path in (bench.blobs.folder / bound.task_id).iterdir())


def lost(bench: Bench, bound: Bound, attempt: int) -> None:
    """An attempt is lost after it has written a blob."""
    bench.store.run(bench.calls.start(bound.task_id, attempt, "w2"))
    bench.store.run(bench.calls.register_blobs(bound.task_id))
    bench.blobs.write(f"{bound.task_id}/{attempt}/data/result.0.parquet", b"x")
    bench.store.run(bench.calls.mark_lost(bound.task_id, attempt, "none", attempt_errors.worker_lost(None)))


def test_what_a_lost_attempt_wrote_is_deleted_when_another_has_succeeded(bench: Bench) -> None:
    bound = saves_a_blob(bench)
    lost(bench, bound, 1)
    assert kept(bench, bound) == ["1"]
    assert bench.run(bound, 2).state is TaskState.SUCCEEDED
    assert kept(bench, bound) == ["2"]
    # The files of a result that was kept until now may be in use.
    bench.submit(bound.task_type, n=1, recompute=True)
    assert bench.run(bound, 3).state is TaskState.SUCCEEDED
    assert kept(bench, bound) == ["2", "3"]


def test_what_a_lost_attempt_saved_stays_if_the_next_one_returns_it(bench: Bench) -> None:
    def resumes(n: int) -> list[Blob]:
        attempt = require_attempt()
        saved = save_blob("a.txt", b"x")
        return [saved, dataclasses.replace(saved, key=f"{attempt.task_id}/1/data/result.0.parquet")]

    bound = bench.submit(register(resumes), n=1)
    lost(bench, bound, 1)
    assert bench.run(bound, 2).state is TaskState.SUCCEEDED
    assert kept(bench, bound) == ["1", "2"]


def test_a_blob_store_that_is_away_is_the_platforms_fault(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The write is repeated for a while, then the task is retried later without counting its retries, up to a limit."""
    monkeypatch.setattr(cluster.store.blob_store, "WRITE_SECONDS", 0.3)
    monkeypatch.setattr(cluster.worker.outcome_calls, "PLATFORM_RETRIES", Retries(2))
    # A file cannot contain folders.
    bench.blobs.folder.write_bytes(b"")
    bound = saves_a_blob(bench)
    for attempt in (1, 2):
        record = bench.run(bound, attempt)
        assert (record.state, record.retries, record.attempt) == (TaskState.QUEUED, 0, attempt + 1)
    record = bench.run(bound, 3)
    assert (record.state, code(record), record.retries) == (TaskState.FAILED, "BLOB_STORE", 0)
    bench.blobs.folder.unlink()
    # A new run has all its retries again.
    bound = bench.submit(bound.task_type, n=1)
    assert bench.run(bound, 4).state is TaskState.SUCCEEDED


def test_a_blob_store_that_is_away_for_a_moment_is_waited_for(bench: Bench) -> None:
    bench.blobs.folder.write_bytes(b"")
    repair = threading.Timer(0.5, bench.blobs.folder.unlink)
    repair.start()
    record = bench.run(saves_a_blob(bench))
    repair.join()
    assert (record.state, record.attempt) == (TaskState.SUCCEEDED, 1)


def test_a_cancelled_task_does_not_wait_for_the_blob_store(bench: Bench) -> None:
    bench.blobs.folder.write_bytes(b"")
    bound = saves_a_blob(bench)
    cancel = threading.Timer(0.5, lambda: next(iter(bench.executor.running.values())).stop.set())
    cancel.start()
    began = time.monotonic()
    bench.run(bound)
    assert time.monotonic() - began < cluster.store.blob_store.WRITE_SECONDS / 2


def test_a_blob_that_no_store_would_accept_is_a_failure_of_the_task(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(key: str) -> None:
        raise BlobError("longer than an object may be", temporary=False)

    monkeypatch.setattr(bench.blobs, "open_write", refuse)
    bound = saves_a_blob(bench, retries=1)
    record = bench.run(bound)
    assert (record.state, record.retries) == (TaskState.QUEUED, 1)
    assert code(bench.run(bound, 2)) == "BLOB_STORE"


def test_a_saved_blob_is_stored_under_its_task_and_attempt(bench: Bench) -> None:
    bound = bench.submit("report", size=7)
    record = bench.run(bound)
    assert record.result is not None
    key = json.loads(record.result)["text"]["key"]
    assert key == f"{bound.task_id}/1/report.txt"
    assert bench.blobs.read_sync(key, 0, 100) == b"r" * 7


def test_two_different_blobs_cannot_have_one_name(bench: Bench) -> None:
    def plots(n: int) -> list[Blob]:
        return [save_blob("plot.png", f"plot {i}".encode()) for i in range(n)]

    kind = register(plots)
    fields = bench.run(bench.submit(kind, n=2)).error_fields()
    assert fields is not None
    assert fields["code"] == "TASK_FAILED"
    assert "has already saved other bytes as 'plot.png'" in fields["message"]
    assert bench.run(bench.submit(kind, n=1)).state is TaskState.SUCCEEDED


def test_the_same_bytes_under_one_name_are_one_blob(bench: Bench) -> None:
    def twice(n: int) -> list[Blob]:
        return [save_blob("a.txt", b"same", media_type="text/plain") for _ in range(2)]

    assert bench.run(bench.submit(register(twice), n=1)).state is TaskState.SUCCEEDED


def test_a_file_is_saved_from_its_path_or_from_an_open_file(bench: Bench, tmp_path: Path) -> None:
    content = bytes(range(256)) * 9_000
    (tmp_path / "large").write_bytes(content)

    def saves(n: int) -> list[Blob]:
        with (tmp_path / "large").open("rb") as file:
            file.seek(1)
            opened = save_blob("b.bin", file)
            assert save_blob("b.bin", content[1:]) == opened
            file.seek(1)
            assert save_blob("b.bin", file) == opened
        return [save_blob("a.bin", tmp_path / "large"), opened, save_blob("c.bin", memoryview(content))]

    record = bench.run(bench.submit(register(saves), n=1))
    assert record.result is not None
    blobs = json.loads(record.result)
    assert [blob["size_bytes"] for blob in blobs] == [len(content), len(content) - 1, len(content)]
    assert [blob["sha256"] for blob in blobs] == [hashlib.sha256(content[skip:]).hexdigest() for skip in (0, 1, 0)]
    assert [bench.blobs.read_to(blob["key"], tmp_path / "copy").sha256 for blob in blobs] == [
        blob["sha256"] for blob in blobs
    ]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: "text", "encode a text"),
        (lambda: io.StringIO("text"), "mode 'rb'"),
        (lambda: Path("/nowhere/file"), "No such file"),
    ],
)
def test_what_cannot_be_saved_is_refused_with_what_to_do(bench: Bench, make: Callable[[], Any], words: str) -> None:
    def saves(n: int) -> Blob:
        return save_blob("a.txt", make())

    fields = bench.run(bench.submit(register(saves), n=1)).error_fields()
    assert fields is not None
    assert words in fields["message"]


def test_a_blob_of_an_earlier_release_has_no_hash() -> None:
    kind = returning(Blob)
    assert kind.output.read(b'{"key":"a/1/b","size_bytes":3,"media_type":"text/plain"}') == Blob(
        "a/1/b", 3, "text/plain"
    )


@pytest.mark.parametrize(
    ("name", "media_type", "words"),
    [
        ("年報.csv", "text/csv; charset=utf-8", None),
        ("a.png", "image/png", None),
        ("a.txt", 'multipart/mixed; boundary="a b"', None),
        ("a.txt", "täxt/☃", "a media type is ASCII"),
        ("a.txt", "text/plain\r\nX-More: 1", "a media type is ASCII"),
        ("a.txt", "text", "a media type is ASCII"),
        ("a.txt", "", "a media type is ASCII"),
        ("報" * 100, "text/plain", "at most 200 bytes, not 300"),
        ("a b", "text/plain", "letters, digits"),
    ],
)
def test_a_blob_has_a_name_and_a_media_type_that_http_allows(
    bench: Bench, name: str, media_type: str, words: str | None
) -> None:
    def saves(n: int) -> Blob:
        return save_blob(name, b"x", media_type=media_type)

    record = bench.run(bench.submit(register(saves), n=1))
    fields = record.error_fields()
    assert (fields is None) == (words is None), fields
    assert words is None or words in str((fields or {})["message"])


def test_a_partial_output_that_is_too_long_is_not_shown_and_fails_nothing(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    lines: list[str] = []

    def long_log(n: int) -> list[str]:
        for _ in range(n):
            lines.append("x" * 2 * bench.executor.settings.inline_limit_bytes)
            [running] = bench.executor.running.values()
            running.partial_due = 0
            report_partial(lambda: lines)
            lines.append(str(running.partial is None))
        return [lines[1], lines[3]]

    record = bench.run(bench.submit(register(long_log), n=2))
    assert record.result == b'["True","True"]'
    assert [item.levelname for item in caplog.records if "a partial output is not shown" in item.message] == ["WARNING"]


def test_a_task_that_the_worker_does_not_know_names_the_setting(bench: Bench) -> None:
    bound = bench.submit("add", a=1)
    bench.executor.registry = load_registry()
    fields = bench.run(bound).error_fields()
    assert fields is not None
    assert fields["code"] == "NOT_INSTALLED"
    for words in ("w1", "'add'", "DASK_GRAPHQL_TASK_MODULES"):
        assert words in fields["message"]


def test_an_input_that_the_workers_version_refuses_fails_the_task(bench: Bench) -> None:
    bound = replace(bench.submit("fibonacci", n=1), canonical_input=b'{"n":-1}')
    assert code(bench.run(bound)) == "TASK_FAILED"


def test_progress_and_cancellation_belong_to_the_attempt_that_runs(bench: Bench) -> None:
    seen: list[Any] = []

    def watches(n: int) -> int:
        [(key, running)] = bench.executor.running.items()
        report_progress(0.25)
        seen.extend([key, running.progress, cancelled()])
        running.stop.set()
        seen.append(cancelled())
        return n

    bound = bench.submit(register(watches), n=1)
    bench.run(bound)
    assert seen == [(bound.task_id, 1), 0.25, False, True]
    assert not cancelled()


def test_the_context_of_a_function_that_raised_is_cleared(bench: Bench) -> None:
    bench.run(bench.submit("failing", message="x"))
    with pytest.raises(RuntimeError, match="no task is running here"):
        save_blob("a.txt", b"x")


# The fence -----------------------------------------------------------------------------------------------------------


def test_a_result_of_a_late_attempt_is_refused(bench: Bench) -> None:
    def overtaken(n: int) -> int:
        [(task_id, attempt)] = bench.executor.running
        reason = {"code": "WORKER_LOST", "message": "x", "type": None}
        assert bench.store.run(bench.calls.mark_lost(task_id, attempt, "none", reason)) == "QUEUED"
        return n

    record = bench.run(bench.submit(register(overtaken), n=1))
    assert (record.state, record.attempt, record.result) == (TaskState.QUEUED, 2, None)


def test_an_error_of_a_cancelled_attempt_changes_nothing(bench: Bench) -> None:
    def cancelled_meanwhile(n: int) -> int:
        [(task_id, _)] = bench.executor.running
        bench.store.run(bench.calls.cancel(task_id))
        raise RuntimeError("late")

    record = bench.run(bench.submit(register(cancelled_meanwhile), n=1))
    assert (record.state, code(record)) == (TaskState.CANCELLED, "CANCELLED")


@pytest.mark.parametrize("verdict", ["GONE", "STALE", "ENDED", "ALIVE"])
def test_an_attempt_that_must_not_run_is_not_run(bench: Bench, verdict: str) -> None:
    runs: list[int] = []

    def traced(n: int) -> int:
        runs.append(n)
        return n

    kind = register(traced)
    bound = bench.submit(kind, n=1)
    attempt = 1
    if verdict == "GONE":
        bench.store.redis.delete(bench.calls.record_key(bound.task_id))
    elif verdict == "STALE":
        attempt = 2
    elif verdict == "ENDED":
        bench.store.run(bench.calls.cancel(bound.task_id))
    else:
        assert bench.store.run(bench.calls.start(bound.task_id, 1, "w0")).verdict == "RUN"
    bench.executor.run(kind.name, [(bound.task_id, attempt, bound.canonical_input)])
    assert runs == []


def test_an_attempt_of_a_worker_without_heartbeats_is_lost(bench: Bench) -> None:
    bound = bench.submit("add", a=1)
    bench.store.run(bench.calls.start(bound.task_id, 1, "w0"))
    begun_at = int(time.time() * 1000) - 10_000
    bench.store.redis.hset(bench.calls.record_key(bound.task_id), "started_at", begun_at)
    record = bench.run(bound)
    assert (record.state, record.attempt, record.lost) == (TaskState.QUEUED, 2, 0)
    assert bench.run(bound, 2).state is TaskState.SUCCEEDED


# What Dask calls -----------------------------------------------------------------------------------------------------


def test_dask_finds_the_executor_of_its_process_and_learns_how_long_the_attempt_ran(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[list[float]] = []
    monkeypatch.setattr(entry_point, "report_seconds", reported.append)
    bound = bench.submit("add", a=1)
    with pytest.raises(RuntimeError, match="dask-graphql worker"):
        run_attempts("add", [(bound.task_id, 1, bound.canonical_input)])
    use_runner(bench.executor.run)
    try:
        run_attempts("add", [(bound.task_id, 1, bound.canonical_input)])
    finally:
        use_runner(None)
    assert bench.record(bound.task_id).result == b"6"
    [[seconds]] = reported
    assert 0 < seconds < 60


def test_an_attempt_that_was_cancelled_or_superseded_has_no_duration(bench: Bench) -> None:
    def stopped(n: int) -> int:
        if n == 1:
            bench.store.run(bench.calls.cancel(bounds[1].task_id))
        return n

    kind = register(stopped)
    bounds = [bench.submit(kind, n=n) for n in range(4)]
    bench.store.run(bench.calls.cancel(bounds[0].task_id))
    members = [(bound.task_id, 1, bound.canonical_input) for bound in bounds]
    assert len(bench.executor.run(kind.name, members)) == 2


# Earlier faults ------------------------------------------------------------------------------------------------------


def test_an_exception_whose_message_is_not_utf8_fails_the_task(bench: Bench) -> None:
    """For example a message that quotes a file name that is not UTF-8."""

    def names_a_file(n: int) -> int:
        raise ValueError("no such file: " + b"\xff.txt".decode("utf-8", "surrogateescape"))

    assert code(bench.run(bench.submit(register(names_a_file), n=1))) == "TASK_FAILED"


def test_a_function_that_calls_sys_exit_fails_its_task(bench: Bench) -> None:
    def leaves(n: int) -> int:
        sys.exit(3)

    assert code(bench.run(bench.submit(register(leaves), n=1))) == "TASK_FAILED"


def test_the_first_retry_of_a_recomputed_task_has_the_usual_delay(bench: Bench) -> None:
    wrong: list[Exception] = []

    def once_wrong(n: int) -> int:
        if wrong:
            raise wrong[0]
        return n

    kind = register(once_wrong, retries=1)
    for attempt in range(1, 6):
        bound = bench.submit(kind, recompute=True, n=1)
        assert bench.run(bound, attempt).state is TaskState.SUCCEEDED
    wrong.append(RuntimeError("x"))
    bound = bench.submit(kind, recompute=True, n=1)
    assert bench.run(bound, 6).retries == 1
    due_at: Any = bench.store.redis.zscore(f"{bench.calls.shard(bound.task_id)}:open", bound.task_id)
    assert due_at / 1000 - time.time() <= 1.5


# Checkpoints ---------------------------------------------------------------------------------------------------------


def counts_to_ten(bench: Bench) -> TaskType:
    """Fails once at 5, and continues where it was."""

    def counts(n: int) -> list[int]:
        done: list[int] = checkpoint.load(default=[])
        for number in range(len(done), n):
            if number == 5 and not failed:
                failed.append(True)
                raise OSError("the disk")
            done.append(number)
            checkpoint.save(done)
        return [*done, running_attempt().attempt]  # type: ignore[union-attr]

    failed: list[bool] = []
    return register(counts, retries=1)


def test_a_retry_continues_from_the_checkpoint_and_a_new_run_begins_without_one(bench: Bench) -> None:
    kind = counts_to_ten(bench)
    bound = bench.submit(kind, n=10)
    assert bench.run(bound).state is TaskState.QUEUED
    usage = bench.calls.usage_key(bound.task_id[0])
    assert bench.run(bound, 2).result == b"[0,1,2,3,4,5,6,7,8,9,2]"
    assert bench.store.redis.exists(usage) == 0  # the run has no account
    written = {path.name for path in (bench.blobs.folder / bound.task_id).rglob("*") if path.is_file()}
    assert written == {".checkpoint"}
    bench.submit(kind, recompute=True, n=10)
    assert bench.store.redis.hget(bench.calls.record_key(bound.task_id), "checkpoint") is None


def test_the_successor_of_a_lost_attempt_continues_and_its_predecessor_overwrites_nothing(bench: Bench) -> None:
    def saves(n: int) -> str:
        before = checkpoint.load()
        checkpoint.save(b"one")
        number = running_attempt().attempt  # type: ignore[union-attr]
        bench.store.run(bench.calls.mark_lost(bound.task_id, number, "none", attempt_errors.worker_lost(None)))
        bench.store.run(bench.calls.start(bound.task_id, number + 1, "w2"))
        try:
            checkpoint.save(b"two")  # its own blob, which nobody has replaced yet
            running_attempt().checkpoint = ""  # type: ignore[union-attr]
            checkpoint.save(b"three")
        except TaskError as error:
            seen.append((before, error.code))
        return "late"

    seen: list[Any] = []
    bound = bench.submit(register(saves), n=1)
    bench.executor.store.run(bench.calls.claim_due(bound.task_id[0], 100))
    assert bench.run(bound).attempt == 2
    assert seen == [(None, "CANCELLED")]
    key: Any = bench.store.redis.hget(bench.calls.record_key(bound.task_id), "checkpoint")
    assert key.decode() == f"{bound.task_id}/1/.checkpoint"


def test_an_attempt_after_a_lost_one_begins_where_that_was(bench: Bench) -> None:
    def adds(n: int) -> int:
        attempt = running_attempt()
        assert attempt is not None
        total = int(checkpoint.load(default=0)) + n
        checkpoint.save(total)
        if attempt.attempt == 1:
            bench.store.run(bench.calls.mark_lost(attempt.task_id, 1, "none", attempt_errors.worker_lost(None)))
        return total

    bound = bench.submit(register(adds), n=5)
    assert bench.run(bound).state is TaskState.QUEUED
    assert bench.run(bound, 2).result == b"10"


@pytest.mark.parametrize("value", [b"", b"\x00\xff", None, True, 2**63, -1.5, "ä", [1, [2]], {"a": [None]}])
def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path: Path, value: Any) -> None:
    enter(RunningAttempt("0" * 32, 1, FolderBlobStore(tmp_path), lambda value: None))
    try:
        checkpoint.save(value)
        assert checkpoint.load("none") == value
    finally:
        enter(None)


@pytest.mark.parametrize(
    ("value", "message"),
    [({1: 2}, "JSON"), (object(), "JSON"), (date(2026, 1, 1), "JSON"), (b"x" * 64 * 2**20, "at most 67108864")],
)
def test_what_a_checkpoint_cannot_hold_is_refused(tmp_path: Path, value: Any, message: str) -> None:
    enter(RunningAttempt("0" * 32, 1, FolderBlobStore(tmp_path), lambda value: None))
    try:
        with pytest.raises(ValueError, match=message):
            checkpoint.save(value)
        assert checkpoint.load("none") == "none"
    finally:
        enter(None)


def test_outside_a_task_there_is_no_checkpoint() -> None:
    with pytest.raises(RuntimeError, match="no task is running here"):
        checkpoint.load()


# Any exception of a function -----------------------------------------------------------------------------------------


class Stop(BaseException):
    """Not an Exception, like those of some libraries that stop a program."""


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("mute")


class Textless(Exception):
    def __str__(self) -> str:
        return None  # type: ignore[return-value]


class Fatal(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


class Codeless(TaskError):
    def __init__(self) -> None: ...


class Unpicklable(Exception):
    def __reduce__(self) -> Any:
        raise TypeError("not to be pickled")


ANY_EXCEPTION: list[tuple[BaseException, str]] = [
    (Stop("enough"), "enough"),
    (Mute(), "Mute, whose text cannot be read: its __str__ raised RuntimeError"),
    (Textless(), "Textless, whose text cannot be read: its __str__ raised TypeError"),
    (Fatal(), "Fatal, whose text cannot be read: its __str__ raised KeyboardInterrupt"),
    (GeneratorExit(), "GeneratorExit"),
    (KeyboardInterrupt(), "KeyboardInterrupt"),
    (SystemExit(3), "3"),
    (BaseExceptionGroup("several", [Stop("a"), ValueError("b")]), "several (2 sub-exceptions)"),
    (Unpicklable("held"), "held"),
    (Codeless(), "Codeless"),
]


def named(pair: object) -> str:
    return type(pair).__name__ if isinstance(pair, BaseException) else ""


@pytest.mark.parametrize(("raised", "message"), ANY_EXCEPTION, ids=named)
@pytest.mark.parametrize("how", ["plain", "async"])
def test_any_exception_of_a_function_fails_its_task_with_type_and_message(
    bench: Bench, raised: BaseException, message: str, how: str
) -> None:
    def plain(n: int) -> list[int]:
        raise raised

    async def asynchronous(n: int) -> list[int]:
        raise raised

    record = bench.run(bench.submit(register({"plain": plain, "async": asynchronous}[how]), n=1))
    assert record.state is TaskState.FAILED
    assert record.error_fields() == {"code": "TASK_FAILED", "message": message, "type": type(raised).__name__}


@pytest.mark.parametrize(("raised", "message"), ANY_EXCEPTION, ids=named)
def test_any_exception_of_an_output_that_is_computed_while_it_is_read_fails_its_task(
    bench: Bench, raised: BaseException, message: str
) -> None:
    def made_as_it_is_read(n: int) -> list[int]:
        def generator() -> Iterator[int]:
            yield n
            raise raised

        return generator()  # type: ignore[return-value]

    record = bench.run(bench.submit(register(made_as_it_is_read), n=1))
    assert (record.state, record.attempt) == (TaskState.FAILED, 1)


def test_any_exception_of_a_function_may_be_retried(bench: Bench) -> None:
    def stops(n: int) -> int:
        raise Stop

    assert bench.run(bench.submit(register(stops, retries=1), n=1)).state is TaskState.QUEUED


@pytest.mark.parametrize("how", ["returns", "raises", "exits"])
def test_a_forked_child_that_returns_does_not_become_a_second_worker(bench: Bench, how: str) -> None:
    def forks(n: int) -> str:
        if child := os.fork():
            return f"parent {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}"
        if how == "raises":
            raise ValueError("the child's")
        if how == "exits":
            sys.exit(7)
        return "child"

    record = bench.run(bench.submit(register(forks), n=1))
    assert record.result == {"returns": b'"parent 0"', "raises": b'"parent 1"', "exits": b'"parent 7"'}[how]


def test_a_part_of_a_graph_that_killed_its_workers_is_a_lost_worker(bench: Bench) -> None:
    from distributed.scheduler import KilledWorker

    def loses_parts(n: int) -> int:
        worker = SimpleNamespace(address="tcp://127.0.0.1:1")
        raise KilledWorker("part-3", worker, 3)

    fields = bench.run(bench.submit(register(loses_parts), n=1)).error_fields()
    assert fields is not None
    assert (fields["code"], fields["type"]) == ("WORKER_LOST", "KilledWorker")
    assert "part-3" in fields["message"]
