"""Handles as futures, functions in place of names, results of the declared class, and what notebooks show."""

from __future__ import annotations

import asyncio
import concurrent.futures
import enum
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from dask_graphql import AsyncClient, BadArguments, Client, Hidden, Refused, TaskCancelled, TaskFailed
from dask_graphql.client import progress_bar
from dask_graphql.client.task_function import rebuild
from tests.system import System
from tests.task_modules import samples
from tests.task_modules.samples import Colour, Estimate, Point, Report


@pytest.fixture
def client(system: System) -> Iterator[Client]:
    with Client(system.url) as opened:
        yield opened


# Futures --------------------------------------------------------------------------------------------------------------


def test_wait_and_as_completed_of_the_standard_library_take_handles(client: Client, tmp_path: Path) -> None:
    quick = client.submit_many("add", [{"a": number, "b": 7_001} for number in range(5)])
    slow = client.submit("gated", folder=str(tmp_path), n=1)
    done, waiting = concurrent.futures.wait([*quick, slow], timeout=20, return_when=concurrent.futures.FIRST_COMPLETED)
    assert done
    assert slow in waiting
    ended = list(concurrent.futures.as_completed(quick, timeout=20))
    assert sorted(handle.result(timeout=0) for handle in ended) == [7_001 + number for number in range(5)]
    assert slow.cancel()
    done, waiting = concurrent.futures.wait([*quick, slow], timeout=20)
    assert slow in done
    assert not waiting


def test_a_handle_says_whether_it_is_done_running_or_cancelled(client: Client, tmp_path: Path) -> None:
    handle = client.submit("gated", folder=str(tmp_path), n=2)
    assert not handle.done()
    assert handle.arguments == {"folder": str(tmp_path), "n": 2}
    while not handle.running():
        threading.Event().wait(0.05)
    assert not handle.cancelled()
    assert handle.cancel()
    assert (handle.done(), handle.cancelled(), handle.running()) == (True, True, False)
    with pytest.raises(concurrent.futures.CancelledError):
        handle.exception(timeout=10)
    again = client.task(handle.task_id)
    assert again.done()  # one request
    assert not client.task("0" * 32).done()


def test_the_exception_of_a_handle_is_that_of_the_task(client: Client) -> None:
    error = client.submit("failing", message="for its exception").exception(timeout=20)
    assert isinstance(error, TaskFailed)
    assert (error.type, error.message) == ("ValueError", "for its exception")
    assert client.submit("add", a=1, b=7_002).exception(timeout=20) is None


def test_callbacks_run_at_the_end_of_a_task_and_may_use_the_client(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    called = threading.Event()
    results: list[int] = []

    def submit_next(ended: concurrent.futures.Future[Any]) -> None:
        results.append(client.submit("add", a=ended.result(), b=7_003).result(timeout=20))
        called.set()

    handle = client.submit("add", a=1, b=7_003)
    handle.add_done_callback(lambda _: 1 / 0)
    handle.add_done_callback(submit_next)
    assert called.wait(20)
    assert results == [14_007]
    assert "ZeroDivisionError" in caplog.text


async def test_handles_are_awaited_and_a_cancelled_wait_does_not_cancel_the_task(
    system: System, tmp_path: Path
) -> None:
    with Client(system.url) as client:
        assert await client.submit("add", a=1, b=7_004) == 7_005
        assert await asyncio.gather(*client.submit_many("add", [{"a": n, "b": 7_005} for n in (1, 2)])) == [
            7_006,
            7_007,
        ]
        handle = await asyncio.to_thread(client.submit, "gated", folder=str(tmp_path), n=3)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(handle, 0.3)
        assert await asyncio.to_thread(handle.state) in ("QUEUED", "RUNNING")
        await asyncio.to_thread(handle.cancel)
    async with AsyncClient(system.url) as other:
        awaited = await other.submit("add", a=1, b=7_006)
        assert await awaited == 7_007
        assert awaited.done()
        assert not awaited.cancelled()


def test_a_map_returns_exceptions_in_the_place_of_results_if_asked(client: Client) -> None:
    inputs = [{"message": "in a map 1"}, {"message": "in a map 2"}]
    for progress in (False, True):
        found = list(client.map("failing", inputs, return_exceptions=True, progress=progress))
        assert [(type(error), error.message) for error in found] == [
            (TaskFailed, "in a map 1"), (TaskFailed, "in a map 2"),
        ]  # fmt: skip
    with pytest.raises(TaskFailed, match="in a map 1"):
        list(client.map("failing", inputs))


# Functions and classes ------------------------------------------------------------------------------------------------


def test_a_function_stands_for_its_task_type_and_its_results_are_of_the_declared_class(client: Client) -> None:
    handle = client.submit(samples.estimate_pi, 1000, seed=7)
    estimate = handle.result(timeout=20)
    assert isinstance(estimate, Estimate)
    assert estimate.samples == 1000
    assert client.task_id(samples.estimate_pi, 1000, 7) == handle.task_id
    assert client.submit("estimate_pi", samples=1000, seed=7).result() == {"pi": estimate.pi, "samples": 1000}
    assert client.task(handle.task_id, samples.estimate_pi).result() == estimate
    assert list(client.map(samples.estimate_pi, [{"samples": 1000, "seed": 7}])) == [estimate]
    report = client.submit(samples.report, 2, colour=Colour.BLUE, points=[Point(x=1)]).result(timeout=20)
    assert type(report) is Report
    assert (report.colour, report.points) == (Colour.BLUE, [Point(x=1, y=3)])
    blob: Any = report.text
    assert len(client.read(blob)) == blob.size_bytes


def test_a_function_that_is_no_task_and_arguments_that_do_not_fit_are_refused(client: Client) -> None:
    with pytest.raises(BadArguments, match="is not a task function: decorate it with @task"):
        client.submit(len, [1])
    with pytest.raises(BadArguments, match="estimate_pi: pass its arguments by name"):
        client.submit("estimate_pi", 1000)
    with pytest.raises(BadArguments, match="too many positional arguments"):
        client.submit(samples.estimate_pi, 1, 2, 3)


class Size(enum.Enum):
    SMALL = "s"


class Model(BaseModel):
    x: int = 0


@dataclass
class Inner:
    size: Size
    model: Model | None = None


@dataclass
class Outer:
    inner: list[Inner]
    pair: tuple[int, Size]
    names: set[str] = field(default_factory=set)


@dataclass
class Secret:
    shown: int
    kept: Annotated[int, Hidden]


@pytest.mark.parametrize(
    ("annotation", "value", "made"),
    [
        (int, 3, 3),
        (list[int] | None, [1], [1]),
        (Annotated[Model | None, "mark"], {"x": 2}, Model(x=2)),
        (Outer, {"inner": [{"size": "s", "model": {"x": 1}}], "pair": [1, "s"], "names": ["a"]},
         Outer([Inner(Size.SMALL, Model(x=1))], (1, Size.SMALL), {"a"})),
        (tuple[Model, ...], [{"x": 1}], (Model(x=1),)),
        (Inner | Outer, {"size": "s"}, {"size": "s"}),
        (Secret, {"shown": 1}, {"shown": 1}),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (Inner, None, None),
    ],
)  # fmt: skip
def test_a_result_is_rebuilt_as_its_function_declares_it(annotation: Any, value: Any, made: Any) -> None:
    found = rebuild(annotation, value)
    assert found == made
    assert type(found) is type(made)


# Lists, lines and retries ---------------------------------------------------------------------------------------------


def test_tasks_are_listed_and_a_failed_one_is_submitted_again(client: Client, tmp_path: Path) -> None:
    handle = client.submit("failing", message="listed")
    assert handle.exception(timeout=20) is not None
    [newest, *_] = client.tasks(3, name="failing", state="FAILED")
    assert newest.task_id == handle.task_id
    assert newest.error == {"code": "TASK_FAILED", "type": "ValueError", "message": "listed"}
    assert len(client.tasks(2)) == 2
    assert handle.retry() == handle.outcome == "RECOMPUTED"
    assert handle.exception(timeout=20) is not None
    assert handle.final()["attempt"] == 2
    ended = client.submit("add", a=1, b=7_007)
    ended.result(timeout=20)
    assert ended.retry() == "CACHED"
    with pytest.raises(Refused) as refused:
        client.task("0" * 32).retry()
    assert refused.value.code == "TASK_NOT_FOUND"


def test_what_a_task_has_printed_is_read(client: Client, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    handle = client.submit("talking", folder=str(tmp_path), n=9)
    handle.result(timeout=20)
    assert [line.text for line in handle.logs()] == ["prints 9", "logs 9", "the end"]
    assert [line.text for line in handle.logs(after=2)] == ["the end"]
    with pytest.raises(Refused, match="was never submitted"):
        client.task("0" * 32).logs()


# Notebooks ------------------------------------------------------------------------------------------------------------


def test_notebooks_show_handles_lists_and_clients_as_tables_without_a_request(client: Client) -> None:
    handle = client.submit("failing", message="<b>&")
    handle.exception(timeout=20)
    shown = handle._repr_html_()
    assert handle.task_id in shown
    assert "ValueError: &lt;b&gt;&amp;" in shown
    handles = client.submit_many("add", [{"a": n, "b": 7_008} for n in range(60)])
    assert "and 10 more" in handles._repr_html_()
    assert "failing" in client.tasks(5, name="failing")._repr_html_()
    assert "samples: Int!" in client._repr_html_()
    assert client.url in client._repr_html_()
    assert repr(client) == f"<Client of {client.url}>"


def test_a_progress_bar_in_a_notebook_needs_no_extension(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    display = SimpleNamespace(
        HTML=lambda text: text, display=lambda html, display_id: SimpleNamespace(update=drawn.append)
    )
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object())))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    handles = client.submit_many("add", [{"a": n, "b": 7_009} for n in range(3)])
    client.progress(handles)
    assert drawn[0].endswith("0% (0 of 3)")
    assert drawn[-1].endswith("100% (3 of 3)")
    drawn.clear()
    client.progress(client.submit("failing", message="with a bar"))
    assert drawn[-1].endswith("100% (1 of 1, 1 not succeeded)")
    drawn.clear()
    client.progress(client.submit("stepping", steps=3))
    assert [text.split("> ")[-1] for text in drawn][-2:] == ["100% (0 of 1)", "100% (1 of 1)"]


def test_a_progress_bar_is_drawn_on_a_terminal_only(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar.ProgressBar(2) as bar:
        bar.ended("SUCCEEDED")
    assert capsys.readouterr().err == ""


def test_a_progress_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress_bar.ProgressBar(2) as bar:
        bar.ended("SUCCEEDED")
        bar.ended("FAILED")
    assert "2 of 2, 1 not succeeded" in capsys.readouterr().err


def test_a_cancelled_task_is_a_cancelled_future() -> None:
    assert issubclass(TaskCancelled, concurrent.futures.CancelledError)


def test_the_traceback_of_a_failed_task_is_shown_with_the_error() -> None:
    error = TaskFailed("TASK_FAILED", "no", "ValueError", "Traceback ...\nValueError: no\n")
    assert error.traceback is not None
    assert error.__notes__ == ["\nOn the worker:\nTraceback ...\nValueError: no\n"]
    assert not hasattr(TaskFailed("TASK_FAILED", "no"), "__notes__")
