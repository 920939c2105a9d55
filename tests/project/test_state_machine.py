"""Compares docs/state-machine.md with the scripts: runs each in each state and looks at its effect on the task."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from cluster.attempt_errors import error
from cluster.settings import Settings
from cluster.store import task_calls
from cluster.store.actor import Actor
from cluster.store.async_store import Store
from cluster.store.child_calls import Unwanted
from cluster.store.deferred_start import DeferredStart
from cluster.store.file_calls import FileUser
from cluster.store.lua_scripts import SCRIPTS, Call
from cluster.store.record import TaskState
from cluster.store.script_calls import Calls
from cluster.store.task_calls import CancelMode, LossReason
from cluster.store.webhook_calls import DeliveryOutcome, DueDelivery
from cluster.task_types.retry_policy import Retries
from tests.places import DOCS

PAGE: Final = DOCS / "state-machine.md"
NONE: Final = "[*]"
"""How Mermaid writes that there is no record."""
STATES: Final = (NONE, *TaskState)
LOSS_REASONS: Final[tuple[LossReason, ...]] = ("worker", "memory", "undelivered", "none", "unbegun", "silent")
CANCEL_MODES: Final[tuple[CancelMode, ...]] = ("force", "cancel", "cancel_any", "withdraw")
WITHOUT_A_TASK: Final = {"take_tokens", "write_time", "replace_field", "add_cost"}
"""Scripts that do not concern tasks."""

Edge = tuple[str, str, str]
"""State before, script, state after."""


def drawn(page: Path) -> set[Edge]:
    """The edges of the diagram."""
    lines = re.findall(r"^  (\S+) --> (\S+): (.+)$", page.read_text(), re.MULTILINE)
    return {(before, script, after) for before, after, scripts in lines for script in scripts.split(", ")}


def listed(page: Path) -> set[Edge]:
    """The rows of the table."""
    rows = re.findall(r"^\| (.+) \| (`\w+`|none) \| (`\w+`|none) \| .* \| .* \| .* \|$", page.read_text(), re.MULTILINE)
    return {
        (before.strip("`").replace("none", NONE), script.strip("`").replace("none", "expiry"),
         after.strip("`").replace("none", NONE))
        for befores, after, script in rows
        for before in befores.split(", ")
    }  # fmt: skip


def tries(calls: Calls, task_id: str) -> Iterator[Call[Any]]:
    """Every script that concerns tasks, with each set of arguments that may lead to another state."""
    failure = error("TASK_FAILED", "it failed")
    for recompute in (False, True):
        yield calls.submit(task_id, "fibonacci", "1", b'{"n":90}', recompute=recompute)
    yield calls.submit(task_id, "fibonacci", "1", b'{"n":90}', priority=1)
    yield calls.start(task_id, 1, "worker-2")
    yield calls.read_starts([(task_id, 1)])
    yield calls.progress(task_id, 1, 0.5)
    yield calls.append_items(task_id, 1, 0, [b"1"])
    yield calls.read_items(task_id, None, 0, node="node")
    yield calls.read_log(task_id, 0, node="node")
    began = DeferredStart("worker-2", 0.01)
    for deferred in (None, began):
        yield calls.finish(task_id, 1, b"{}", deferred=deferred)
    for retries in (0, 1):
        yield calls.fail(task_id, 1, failure, retries=Retries(retries))
        yield calls.fail(task_id, 1, failure, retries=Retries(retries), deferred=began)
    for reason in LOSS_REASONS:
        yield calls.mark_lost(task_id, 1, reason, failure)
        yield calls.mark_lost(task_id, 1, reason, failure, deferred=began)
    yield calls.release(task_id, 1)
    for mode in CANCEL_MODES:
        yield calls.cancel(task_id, Actor("key:other", "other", "other"), mode)
        if mode != "withdraw":
            yield calls.forget(task_id, Actor("key:other", "other", "other"), mode)
            yield calls.set_priority(task_id, 7, Actor("key:other", "other", "other"), mode)
    yield calls.read(task_id)
    yield calls.read_wait(task_id)
    yield calls.watch(task_id, "node")
    yield calls.unwatch(task_id, "node")
    digit, future = task_id[0], 1 << 45
    yield calls.claim_due(digit, 100, future)
    yield calls.become_claimer(digit, 1)
    yield calls.peek_held(digit, ["t:fibonacci"], ["t:fibonacci"], 1)
    yield calls.claim_held(digit, 1, [("t:fibonacci", task_id)])
    yield calls.check_slots(digit, ["t:fibonacci"])
    yield calls.recall(digit, "fibonacci", 0, 100)
    yield calls.read_changes(digit, None, listen=True)
    sha256 = digit * 64
    yield calls.register_place("uploads/a", sha256, offered_to="")
    yield calls.register_file("", sha256, "uploads/a", 1, "", "", "")
    yield calls.use_file("", sha256, task_id)
    yield calls.borrow_file("", sha256, f"{task_id}/1/a", task_id, 1, "", "a")
    yield calls.claim_files(digit, 100)
    yield calls.check_file("", sha256, [(FileUser(task_id, "1"), None)])
    yield calls.claim_deliveries(digit, 100)
    delivery_id = f"msg_{digit}{'0' * 40}"
    claimed = DueDelivery(delivery_id, task_id, 1, "acme", "https://app.example.com/", "fibonacci", "SUCCEEDED", 1, 0)
    yield calls.end_delivery(claimed, DeliveryOutcome.DELIVERED)
    yield calls.redeliver(delivery_id, "acme")
    yield calls.claim_places(digit, 100)
    yield calls.unregister_places(digit, ["uploads/a"])
    yield calls.prune(digit, 100)
    yield calls.count_buckets(digit, 0, 1, 1, [(None, None)], [], None)
    yield calls.register_blobs(task_id)
    yield calls.record_checkpoint(task_id, 1, f"{task_id}/1/.checkpoint")
    yield calls.expire_unstarted(digit, 100)
    yield calls.add_children(task_id, 1, ["f" * 32], 10)
    yield calls.wait_for_children(task_id, 1, waits=True)
    yield calls.wait_for_children(task_id, 1, waits=False)
    yield calls.claim_unwanted(digit, 100)
    yield calls.remove_unwanted(digit, [Unwanted(task_id, 1, ())])
    yield calls.claim_blobs(digit, 100)
    yield calls.unregister_blobs(digit, [task_id])


async def prepare(store: Store, task_id: str, state: str, start_before: int | None = None) -> None:
    """Brings a task into a state, with attempt 1 as its newest."""
    calls = store.calls
    steps: dict[str, list[Call[Any]]] = {
        NONE: [],
        "QUEUED": [],
        "RUNNING": [calls.start(task_id, 1, "worker-1")],
        "SUCCEEDED": [calls.start(task_id, 1, "worker-1"), calls.finish(task_id, 1, b"{}")],
        "FAILED": [calls.fail(task_id, 1, error("TASK_FAILED", "it failed"))],
        "CANCELLED": [calls.cancel(task_id)],
    }
    if state != NONE:
        await store.run(calls.submit(task_id, "fibonacci", "1", b'{"n":90}', start_before=start_before))
    for step in steps[state]:
        await store.run(step)


async def look(store: Store, task_id: str) -> tuple[str, int]:
    """The state and the newest attempt."""
    record = await store.read(task_id)
    return (record.state.value, record.attempt) if record else (NONE, 0)


async def observed(store: Store, numbers: Iterator[int]) -> set[Edge]:
    """The transitions that the scripts make: each change of the state or of the newest attempt."""
    edges = set()
    tried = set()
    for state, start_before in [*((state, None) for state in STATES), ("QUEUED", 1)]:
        for place in range(len(list(tries(store.calls, "0" * 32)))):
            task_id = f"{next(numbers):032x}"
            await prepare(store, task_id, state, start_before)
            before = await look(store, task_id)
            assert before[0] == state
            call = list(tries(store.calls, task_id))[place]
            await store.run(call)
            after = await look(store, task_id)
            tried.add(call.script.name)
            if before != after:
                edges.add((before[0], call.script.name, after[0]))
    assert tried == set(SCRIPTS) - WITHOUT_A_TASK
    return edges


async def test_the_diagram_shows_what_the_scripts_do(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(range(1, 10_000))
    edges = set()
    for limit in (1, 100):
        monkeypatch.setattr(task_calls, "UNDELIVERED_LIMIT", limit)
        monkeypatch.setattr(task_calls, "UNCHARGED_LIMIT", limit)
        store = Store(replace(settings, lost_worker_limit=limit))
        try:
            edges |= await observed(store, numbers)
        finally:
            await store.close()
    ends = {(state.value, "expiry", NONE) for state in TaskState if state.final}
    assert edges | ends == drawn(PAGE)


def test_the_table_lists_what_the_diagram_shows() -> None:
    assert listed(PAGE) == drawn(PAGE)
