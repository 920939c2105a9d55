"""The waits for children outlive whatever Redis answers, and leave nothing behind."""

from __future__ import annotations

from threading import Event
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from cluster.settings import Settings
from cluster.store.record import Record
from cluster.store.thread_store import ThreadStore
from cluster.worker import child_waits
from cluster.worker.child_waits import ChildWaits, Wait

TASK = "0" * 32


def wait_for(on_end: Any = lambda task_id, record: None, on_stop: Any = lambda: None) -> Wait:
    return Wait({TASK: 0}, on_end, on_stop, Event())


def test_waits_go_on_after_redis_refused_to_subscribe_and_to_watch(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ThreadStore(settings, retry_seconds=2)
    waits = ChildWaits(store, "w1")
    watched, run_many = Event(), store.run_many
    # What becomes of each call, the first of which is that of `add`.
    steps = iter([None, ResponseError("NOPERM"), ResponseError("NOPERM"), watched.set])

    def watch(calls: Any) -> Any:
        step = next(steps, None)
        if isinstance(step, ResponseError):
            raise step
        if step is not None:
            step()
        return run_many(calls)

    def refused(channel: str) -> Any:
        raise RedisConnectionError("no connection")

    store.run(store.calls.submit(TASK, "fibonacci", "1", b'{"n":1}'))
    monkeypatch.setattr(child_waits, "REOPEN_SECONDS", 0.01)
    monkeypatch.setattr(child_waits, "MAX_REOPEN_SECONDS", 0.01)
    monkeypatch.setattr(store, "subscription", refused)
    monkeypatch.setattr(store, "run_many", watch)
    wait = wait_for()
    waits.add(wait)
    assert watched.wait(10), "the thread goes on after two refusals"
    waits.remove(wait)
    store.close()


def test_a_wait_that_is_added_again_is_told_once_and_leaves_nothing(settings: Settings) -> None:
    store = ThreadStore(settings, retry_seconds=2)
    waits = ChildWaits(store, "w1")
    told: list[Record | None] = []
    wait = wait_for(lambda task_id, record: told.append(record))
    waits._by_task[TASK] = [wait]
    waits.add(wait)
    assert told == [None]
    waits.remove(wait)
    assert waits._tasks() == []
    store.close()
