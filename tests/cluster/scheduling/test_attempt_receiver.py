"""What the scheduler makes of the messages that api nodes send, with the plugin on a real scheduler without workers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from distributed import Client, Scheduler

from cluster.scheduling import dask_internals
from cluster.scheduling.attempt_keys import attempt_key
from cluster.scheduling.attempt_messages import AttemptBatch, encode
from cluster.scheduling.attempt_tracker import AttemptTracker
from cluster.scheduling.dask_internals import send_to_scheduler
from cluster.scheduling.fair_order import Share
from cluster.settings import Settings
from cluster.store.async_store import Store
from tests.polling import until


@pytest.fixture
async def started(settings: Settings) -> AsyncIterator[tuple[Scheduler, AttemptTracker, Client]]:
    async with Scheduler(host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0") as scheduler:
        tracker = AttemptTracker(scheduler, Store(settings), ("default", "small"))
        scheduler.add_plugin(tracker)
        tracker.activate()
        async with Client(scheduler.address, asynchronous=True, set_as_default=False) as client:
            yield scheduler, tracker, client
        await tracker.close()


def batch(count: int, account: str = "acme", priority: int = 0) -> AttemptBatch:
    return AttemptBatch("long", priority, Share(account), [(uuid4().hex, 1, b"{}") for _ in range(count)])


def key_of(sent: AttemptBatch) -> str:
    return attempt_key(sent.name, [(task_id, number) for task_id, number, _ in sent.attempts])


async def test_batches_wait_in_their_pool_in_a_fair_order_and_a_repeated_message_adds_nothing(
    started: tuple[Scheduler, AttemptTracker, Client],
) -> None:
    scheduler, tracker, client = started
    sent = [batch(1), batch(2), batch(1, priority=5), batch(3, "bank")]
    for _ in range(2):
        send_to_scheduler(client, encode("small", sent))
    send_to_scheduler(client, encode("", last := [batch(1)]))
    await until(lambda: key_of(last[0]) in scheduler.tasks)
    assert scheduler.tasks.keys() == {key_of(item) for item in (*sent, *last)}
    load = await tracker.load()
    assert load["pools"] == {
        "small": {"waiting": 4, "waiting_seconds": 7.0},
        "default": {"waiting": 1, "waiting_seconds": 1.0},
    }
    # This scheduler has Dask's spans, as it is not the node's: a stock worker ends without the span of its task.
    assert all(task.group.span_id for task in scheduler.tasks.values())
    in_order = sorted(scheduler.tasks.values(), key=lambda task: task.priority)
    # The batch of a higher priority; then what is the only one of its account, at the same turn as another's first.
    assert [task.key for task in in_order] == [key_of(item) for item in (sent[2], sent[0], sent[3], sent[1], last[0])]
    attempts = [(task_id, number) for item in sent for task_id, number, _ in item.attempts]
    assert all(await tracker.held(attempts))
    # Cancelled attempts leave, one that may have started stays.
    await tracker.cancelled([(*attempts[0], False), (*attempts[3], True)])
    assert await tracker.held(attempts) == [False, True, True, True, True, True, True]


async def test_an_attempt_that_was_cancelled_before_it_came_leaves_again(
    started: tuple[Scheduler, AttemptTracker, Client],
) -> None:
    scheduler, tracker, client = started
    gone, kept = batch(1), batch(1)
    await tracker.cancelled([(gone.attempts[0][0], 1, False)])
    send_to_scheduler(client, encode("small", [gone, kept]))
    await until(lambda: key_of(kept) in scheduler.tasks)
    await tracker.cancelled([])
    assert scheduler.tasks.keys() == {key_of(kept)}


@pytest.mark.parametrize("fields", [{}, {"pool": None}, {"batches": [None]}, {"batches": [["long", 0]]}])
async def test_a_message_that_is_refused_costs_no_connection(
    started: tuple[Scheduler, AttemptTracker, Client], fields: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    scheduler, _, client = started
    good = batch(1)
    message = encode("small", [good])
    with caplog.at_level(logging.ERROR):
        send_to_scheduler(client, message | fields if fields else {"op": message["op"], "pool": 1, "batches": 2})
        send_to_scheduler(client, message)
        await until(lambda: key_of(good) in scheduler.tasks)
    assert len(scheduler.tasks) == 1
    [record] = [record for record in caplog.records if record.name.endswith("attempt_receiver")]
    assert client.id in record.getMessage()
    assert "expected" in record.getMessage()


async def test_an_attempt_that_could_not_be_added_is_added_when_it_comes_again(
    started: tuple[Scheduler, AttemptTracker, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler, tracker, client = started
    sent, after, tried = batch(1), batch(1), asyncio.Event()

    def create_task(*_: Any) -> None:
        tried.set()
        raise RuntimeError("Dask has changed")

    with monkeypatch.context() as patch:
        patch.setattr(dask_internals, "create_task", create_task)
        send_to_scheduler(client, encode("small", [sent]))
        await tried.wait()
    assert not any(await tracker.held([attempt[:2] for attempt in sent.attempts]))
    send_to_scheduler(client, encode("small", [sent, after]))
    await until(lambda: key_of(after) in scheduler.tasks)
    assert key_of(sent) in scheduler.tasks
