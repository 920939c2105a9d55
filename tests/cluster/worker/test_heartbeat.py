"""How heartbeats carry partial outputs."""

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
from cluster.worker.task_context import RunningAttempt


class ScriptedStore:
    """Returns `answers` one after the other, and records the partial outputs that were sent."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.calls = Calls(Settings())
        self.shown: list[bytes] = []
        self._answers = list(answers)

    def run_once(self, call: Call[Any]) -> bool:
        self.shown.append(call.args[6])
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
