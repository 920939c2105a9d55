"""The log: a line for each message, with its node and its task, without secrets, and bounded."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.observability.logs import (
    MAX_REPEATS,
    LogFormatter,
    RepeatFilter,
    in_container,
    log_context,
    secret_values,
    set_up_logging,
)
from cluster.settings import Settings, load_settings
from tests.system import System

NODE = {"role": "api", "node": "a1"}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """A log of JSON lines; pytest's handlers are restored afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    set_up_logging(load_settings({}, log_format="json", redis_url="redis://:hunter22@redis/0"), "api", "a1", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_a_line_names_its_node_and_its_task(log: io.StringIO) -> None:
    with log_context(taskId="ab" * 16, attempt=2, traceId=""):
        logging.getLogger("cluster.worker.executor").warning("it is %s", "late")
    [line] = lines(log)
    assert line.pop("time").endswith("Z")
    said = {"level": "WARNING", "logger": "cluster.worker.executor", "message": "it is late"}
    assert line == {**said, **NODE, "taskId": "ab" * 16, "attempt": 2}


def test_the_context_of_a_line_does_not_leak_into_other_threads_or_later_lines(log: io.StringIO) -> None:
    logger = logging.getLogger("cluster.test")
    with log_context(taskId="x"):
        other = threading.Thread(target=lambda: logger.info("elsewhere"))
        other.start()
        other.join()
    logger.info("afterwards")
    assert not any("taskId" in line for line in lines(log))


def test_an_error_has_its_traceback_in_the_same_line(log: io.StringIO) -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        logging.getLogger("cluster.test").exception("it broke")
    [line] = lines(log)
    assert line["exception"].endswith("ValueError: first\nsecond")


@pytest.mark.parametrize(
    "secret",
    [
        "redis://user:hunter22@host:1/0",
        "Authorization: Bearer abcdefgh.ijklmnop-hunter22",
        "dgk_0123456789ab_-hunter22aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "-----BEGIN PRIVATE KEY-----\nhunter22\n-----END PRIVATE KEY-----",
        "the password hunter22 by itself",
    ],
)
def test_secrets_are_redacted(log: io.StringIO, secret: str) -> None:
    logging.getLogger("cluster.test").warning("told %s", secret)
    try:
        raise RuntimeError(secret)
    except RuntimeError:
        logging.getLogger("cluster.test").exception("raised")
    assert "hunter22" not in log.getvalue()
    assert "***" in log.getvalue()


def test_secret_settings_are_redacted_unless_they_are_too_short() -> None:
    settings = Settings(redis_url="redis://:abc@redis/0", tls_key="/secrets/key.pem")
    assert secret_values(settings) == {"/secrets/key.pem"}


def test_repeated_messages_are_suppressed_and_counted(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("cluster.observability.logs.time.monotonic", lambda: now)

    def shout(name: str) -> None:
        logging.getLogger(name).warning("a client misbehaves")

    for _ in range(1_000):
        shout("graphql_api.transport")
    shown = lines(log)
    assert len(shown) == MAX_REPEATS
    assert "are suppressed" in shown[-1]["message"]
    now += 11
    shout("graphql_api.transport")
    assert lines(log)[-1]["message"] == f"a client misbehaves ({1_000 - MAX_REPEATS} similar messages were suppressed)"


def test_the_log_of_a_task_function_is_not_limited(log: io.StringIO) -> None:
    for _ in range(100):
        logging.getLogger("my_tasks").info("step")
    assert len(lines(log)) == 100


def test_no_text_can_pass_for_another_line_or_move_the_cursor() -> None:
    record = logging.makeLogRecord(
        {"name": "cluster.x", "levelname": "INFO", "msg": "a\n2026-01-01T00:00:00.000Z ERROR b\x1b[2J"}
    )
    RepeatFilter().filter(record)
    text = LogFormatter(NODE, json=False).format(record)
    assert [line.startswith("  ") for line in text.splitlines()] == [False, True]
    assert "\x1b" not in text


def test_text_begins_with_time_level_and_node() -> None:
    record = logging.makeLogRecord({"name": "cluster.x", "levelname": "INFO", "msg": "served", "created": 0.0})
    with log_context(taskId="ab", attempt=1):
        RepeatFilter().filter(record)
    assert LogFormatter(NODE, json=False).format(record) == (
        "1970-01-01T00:00:00.000Z INFO api/a1 cluster.x taskId=ab attempt=1: served"
    )


@pytest.mark.parametrize(("variable", "found"), [("ECS_CONTAINER_METADATA_URI_V4", True), ("HOME", False)])
def test_a_container_is_known_by_its_environment(variable: str, found: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pathlib.Path.exists", lambda _: False)
    assert in_container({variable: "x"}) == found


@pytest.mark.slow
async def test_every_node_of_a_system_writes_json_dask_included(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with System(tmp_path_factory.mktemp("logs"), log_format="json", max_workers=1) as system:
        mutation = 'mutation { submitFailing(message: "for the log") { taskId } }'
        task_id = (await system.ask(mutation))["submitFailing"]["taskId"]
        await system.result(task_id)
        written: list[dict[str, Any]] = []
        async with asyncio.timeout(10):
            while not any("for the log" in line["message"] for line in written):
                await asyncio.sleep(0.05)
                # The controller's workers write into its own.
                written = [
                    json.loads(line)
                    for path in system.folder.glob("*.log")
                    for line in path.read_text().splitlines()
                    if line
                ]
    assert {line["role"] for line in written} == {"api", "scheduler", "controller", "worker"}
    assert any(line["logger"].startswith("distributed") for line in written)
    [raised] = [line for line in written if "for the log" in line["message"]]
    assert (raised["role"], raised["taskId"], raised["attempt"]) == ("worker", task_id, 1)
    assert raised["node"].startswith("worker-")
