"""How heartbeats carry partial outputs and reports."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cluster.errors import StoreUnavailable
from cluster.settings import Settings
from cluster.store.folder_blob_store import FolderBlobStore
from cluster.store.lua_scripts import Call
from cluster.store.script_calls import Calls
from cluster.worker.heartbeat import HeartbeatThread
from cluster.worker.progress_note import DATA_BYTES, MESSAGE_LENGTH, progress_note
from cluster.worker.task_context import RunningAttempt, enter, report_progress


class ScriptedStore:
    """Returns `answers` one after the other, and records the partial outputs that were sent."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.calls = Calls(Settings())
        self.shown: list[bytes] = []
        self.reports: list[tuple[Any, ...]] = []
        self._answers = list(answers)

    def run_once(self, call: Call[Any]) -> bool:
        self.shown.append(call.args[6])
        self.reports.append((call.args[3], *call.args[8:]))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def heartbeat_of(attempt: RunningAttempt, store: ScriptedStore) -> HeartbeatThread:
    executor: Any = SimpleNamespace(store=store, running={(attempt.task_id, attempt.attempt): attempt})
    return HeartbeatThread(executor)


def test_a_partial_output_that_did_not_reach_redis_is_sent_again(tmp_path: Any) -> None:
    attempt = RunningAttempt("a" * 32, 1, FolderBlobStore(tmp_path), lambda _: b"")
    attempt.partial = b"[1]"
    store = ScriptedStore(StoreUnavailable("away"), True)
    heartbeat = heartbeat_of(attempt, store)
    with pytest.raises(StoreUnavailable):
        heartbeat._round()
    heartbeat._round()
    assert store.shown == [b"[1]", b"[1]"]
    assert attempt.partial is None


def test_a_report_is_sent_once_and_a_change_of_its_message_is_another(tmp_path: Any) -> None:
    attempt = RunningAttempt("a" * 32, 1, FolderBlobStore(tmp_path), lambda _: b"")
    store = ScriptedStore(True, True)
    heartbeat = heartbeat_of(attempt, store)
    enter(attempt)
    report_progress(0.5, "reading", {"page": 3})
    heartbeat._round()
    heartbeat._round()
    report_progress(0.5, "writing")
    heartbeat._round()
    enter(None)
    assert store.reports == [("0.5", "reading", b'{"page":3}'), ("0.5", "writing", b"")]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"loss": float("nan")}, "is nan"),
        (object(), "JSON form"),
        ("x" * DATA_BYTES, f"may have {DATA_BYTES} bytes of JSON, not {DATA_BYTES + 2}"),
    ],
)
def test_data_that_clients_could_not_read_as_they_are_is_refused(data: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        report_progress(None, data=data)


def test_a_message_is_one_line_of_text_that_a_terminal_shows() -> None:
    note = progress_note("  reading\npage \x1b[31m3 \ud800" + "x" * 9_999, None)
    assert note.message.startswith("reading page ?[31m3 ")
    assert len(note.message) == MESSAGE_LENGTH
    note.message.encode()
