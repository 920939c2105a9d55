"""What a running task prints and logs: which lines its record keeps, and what the worker's log shows."""

from __future__ import annotations

import io
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path

import orjson
import pytest

from cluster.observability.logs import log_context, set_up_logging
from cluster.settings import Settings
from cluster.store.folder_blob_store import FolderBlobStore
from cluster.worker.output_capture import LOGGED_PER_SECOND, capture_output, finish_lines
from cluster.worker.task_context import RunningAttempt, enter
from cluster.worker.task_log import MAX_BYTES, MAX_LINE_LENGTH, MAX_LINES, TaskLog

TOKEN = "dgk_0123abcd_SecretSecretSecret"


def texts(log: TaskLog) -> list[str]:
    """The lines that the next heartbeat would carry, with their levels."""
    _, packed = log.pending()
    return [line.split(" ", 1)[1] for line in packed.decode().split("\n")[1:]]


@contextmanager
def captured() -> Iterator[io.StringIO]:
    """Captures output as in a worker process, and yields that worker's log."""
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level, streams = root.handlers[:], root.level, (sys.stdout, sys.stderr)
    set_up_logging(Settings(log_format="json"), "worker", "w1", stream)
    capture_output(tracebacks=False)
    try:
        yield stream
    finally:
        logging.captureWarnings(False)
        root.handlers[:], root.level = handlers, level
        sys.stdout, sys.stderr = streams


@pytest.fixture
def attempt(tmp_path: Path) -> Iterator[RunningAttempt]:
    attempt = RunningAttempt("a" * 32, 1, FolderBlobStore(tmp_path), lambda _: b"")
    enter(attempt)
    with log_context(taskId=attempt.task_id, attempt=1):
        yield attempt
    enter(None)


def test_printed_lines_are_kept_and_are_in_the_workers_log_with_the_tasks_id(attempt: RunningAttempt) -> None:
    with captured() as worker_log:
        print("one", 2)
        print("to stderr", file=sys.stderr)
        print("unfinished ", end="")
        print("line")
        print("the last", end="")
        finish_lines(attempt)
        assert texts(attempt.log) == ["INFO one 2", "INFO to stderr", "INFO unfinished line", "INFO the last"]
        lines = [orjson.loads(line) for line in worker_log.getvalue().splitlines()]
        assert [(line["logger"], line["message"], line["taskId"]) for line in lines] == [
            ("stdout", "one 2", "a" * 32), ("stderr", "to stderr", "a" * 32), ("stdout", "unfinished line", "a" * 32),
            ("stdout", "the last", "a" * 32),
        ]  # fmt: skip


def test_messages_of_the_tasks_own_loggers_are_kept_and_those_of_the_platform_are_not(attempt: RunningAttempt) -> None:
    with captured() as worker_log:
        logging.getLogger("my.module").warning("%d rows\nwith two lines", 3)
        logging.getLogger("cluster.worker.executor").warning("of the platform")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("a warning of numpy", stacklevel=1)
        try:
            raise ValueError(f"bad {TOKEN}")
        except ValueError as error:
            logging.getLogger("my.module").exception("failed: %s", error)
        found = texts(attempt.log)
        assert found[:2] == ["WARNING 3 rows", "WARNING with two lines"]
        assert "a warning of numpy" in found[2]
        assert found[-1] == "ERROR failed: bad dgk_0123abcd_***"
        assert "of the platform" in worker_log.getvalue()


def test_a_task_that_prints_in_a_loop_fills_its_own_log_and_not_the_workers(attempt: RunningAttempt) -> None:
    with captured() as worker_log:
        for number in range(3 * LOGGED_PER_SECOND):
            print(number)
        finish_lines(attempt)
    logged = [orjson.loads(line)["message"] for line in worker_log.getvalue().splitlines()]
    assert logged[:LOGGED_PER_SECOND] == [str(number) for number in range(LOGGED_PER_SECOND)]
    counts = [int(line[1:].split(" ")[0]) for line in logged if line.endswith("more lines were printed)")]
    assert len(logged) - len(counts) + sum(counts) == 3 * LOGGED_PER_SECOND
    assert texts(attempt.log)[-1] == f"INFO {3 * LOGGED_PER_SECOND - 1}"


def test_a_progress_bar_is_kept_as_its_last_state(attempt: RunningAttempt) -> None:
    with captured():
        for percent in range(101):
            sys.stderr.write(f"\r{percent}%|####|")
        sys.stderr.write("\n")
        assert texts(attempt.log) == ["INFO 100%|####|"]


def test_what_is_printed_while_no_task_runs_in_the_thread_goes_to_the_stream_itself(attempt: RunningAttempt) -> None:
    with captured():
        other = threading.Thread(target=lambda: print("of another thread"))
        same = threading.Thread(target=copy_context().run, args=(print, "of the task's own thread"))
        for thread in (other, same):
            thread.start()
            thread.join()
        assert texts(attempt.log) == ["INFO of the task's own thread"]


def test_a_handler_of_the_log_that_fails_does_not_log_its_failure_for_ever(attempt: RunningAttempt) -> None:
    with captured() as worker_log:
        worker_log.close()
        print("the log is broken")
        assert texts(attempt.log) == ["INFO the log is broken"]


def test_lines_wait_for_a_heartbeat_within_bounds() -> None:
    log = TaskLog()
    for number in range(3 * MAX_LINES):
        log.add("INFO", f"line {number}")
    last, packed = log.pending()
    assert last == 3 * MAX_LINES
    assert packed.split(b"\n")[0] == b"%d" % (2 * MAX_LINES + 1)
    assert len(texts(log)) == MAX_LINES
    log.add("INFO", "between the heartbeat and its reply")
    log.sent(last)
    assert texts(log) == ["INFO between the heartbeat and its reply"]
    log.add("INFO", "\n".join(["x" * 2 * MAX_LINE_LENGTH] * 100))
    assert MAX_BYTES - MAX_LINE_LENGTH - 10 < sum(len(text) for text in texts(log)) <= MAX_BYTES
    assert max(len(text) for text in texts(log)) == len("INFO ") + MAX_LINE_LENGTH
    assert not log.due()  # the last lines were sent just now


def test_lines_are_one_line_each_in_utf_8() -> None:
    log = TaskLog()
    log.add("INFO", "bell\a and \x1b[31mred \ud800 ü\r\nnext")
    assert texts(log) == ["INFO bell? and ?[31mred \\ud800 ü", "INFO next"]
