"""What a task that submits others writes into Redis, and what it leaves when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cluster.api_node.account_usage import RECORD_BYTES
from cluster.attempt_errors import error, worker_lost
from cluster.settings import Settings
from cluster.store.actor import Actor
from cluster.store.child_calls import submitter_name
from cluster.store.folder_blob_store import FolderBlobStore
from cluster.store.lua_scripts import Call
from cluster.store.record import Record, TaskState
from cluster.store.thread_store import ThreadStore
from cluster.task_types.registry import load_registry
from cluster.task_types.task_type import Bound
from cluster.worker.executor import Executor

MODULE = "tests.task_modules.families"
SALT = "pepper"
OPEN_TASK = 2**42
"""An open task in the counter of an account; the rest are bytes."""


class Bench:
    """An executor on the real store, which runs tasks in the calling thread."""

    def __init__(self, settings: Settings) -> None:
        self.store = ThreadStore(settings, retry_seconds=2)
        self.calls = self.store.calls
        self.executor = Executor(
            settings, load_registry([MODULE]), self.store, FolderBlobStore(settings.data_dir / "blobs"), "w1"
        )

    def bind(self, name: str, **arguments: Any) -> Bound:
        return self.executor.registry[name].bind(arguments, salt=SALT)

    def submit(self, bound: Bound, **options: Any) -> None:
        name = bound.task_type.name
        self.store.run(self.calls.submit(bound.task_id, name, "1", bound.canonical_input, salt=SALT, **options))

    def run(self, bound: Bound, attempt: int = 1) -> Record:
        self.executor.run(bound.task_type.name, [(bound.task_id, attempt, bound.canonical_input)])
        return self.record(bound)

    def record(self, bound: Bound) -> Record:
        found = self.store.run(self.calls.read(bound.task_id))
        assert found is not None
        return found


@pytest.fixture
def bench(settings: Settings) -> Iterator[Bench]:
    made = Bench(settings)
    yield made
    made.store.close()


def test_a_child_inherits_all_but_its_input(bench: Bench) -> None:
    child = bench.bind("family_part", group="heir", n=3)
    parent = bench.bind("family_leaves", group="heir", n=3)
    actor = Actor("key:1", "acme", "ada")
    bench.submit(parent, priority=-3, tags=["crew 7"], tenant="acme", account="acme", actor=actor, trace="00-a-b-01")
    ended = bench.run(parent)
    assert ended.state is TaskState.SUCCEEDED, ended.error
    found = bench.record(child)
    assert (found.state, found.attempt, found.priority, found.tags) == (TaskState.QUEUED, 1, -3, ("crew 7",))
    assert (found.tenant, found.account, found.trace) == ("acme", "acme", "00-a-b-01")
    name = submitter_name(parent.task_id, ended.submitted_at)
    assert found.submitted_by == f"{name} acme task {parent.task_id}"
    # It counts against the account of its parent, which has ended.
    [used] = bench.store.run_commands([("HGET", bench.calls.usage_key(child.task_id[0]), "acme")])
    in_shard = [it for it in (parent, child) if it.task_id[0] == child.task_id[0]]
    assert divmod(int(used), OPEN_TASK)[0] == 1
    assert divmod(int(used), OPEN_TASK)[1] >= len(in_shard) * RECORD_BYTES
    # Nothing was dispatched: the recoverer does that.
    [due] = bench.store.run(bench.calls.claim_due(child.task_id[0], 10))[1]
    assert (due.task_id, due.action) == (child.task_id, "dispatch")


def test_a_child_must_start_before_its_parents_time_limit_and_its_own(bench: Bench) -> None:
    parent = bench.bind("family_hurried", group="hurried", n=1)
    bench.submit(parent)
    assert bench.run(parent).state is TaskState.SUCCEEDED
    began = bench.record(parent).started_at
    assert began is not None
    for name, seconds in (("family_part", 20), ("family_patient", 20), ("family_prompt", 5)):
        child = bench.bind(name, group="hurried", n=1)
        [found] = bench.store.run_commands([("HGET", bench.calls.record_key(child.task_id), "start_before")])
        assert 0 < int(found) - began <= seconds * 1000 + bench.record(child).submitted_at - began


def test_a_parent_whose_start_redis_lost_runs_again_and_has_not_failed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = bench.bind("family_leaves", group="forgotten", n=1)
    bench.submit(parent)
    run = bench.store.run

    def run_after_a_failover(call: Call[Any]) -> Any:
        if call.script.name == "add_children":
            # The replica that took over had not received the start.
            bench.store.run_commands([("HSET", bench.calls.record_key(parent.task_id), "state", "QUEUED")])
        return run(call)

    with monkeypatch.context() as patch:
        patch.setattr(bench.store, "run", run_after_a_failover)
        interrupted = bench.run(parent)
    assert (interrupted.state, interrupted.attempt, interrupted.error) == (TaskState.QUEUED, 2, None)
    assert bench.run(parent, 2).state is TaskState.SUCCEEDED


@pytest.mark.parametrize("how", ["cancelled", "timed out"])
def test_an_end_without_success_lets_the_children_be_withdrawn_and_a_retry_does_not(bench: Bench, how: str) -> None:
    calls = bench.calls
    parent = bench.bind("family_leaves", group="left", n=1)
    digit = parent.task_id[0]
    for ends in (False, True):
        bench.submit(parent)
        attempt = bench.record(parent).attempt
        bench.store.run(calls.start(parent.task_id, attempt, "w1"))
        bench.store.run(calls.add_children(parent.task_id, attempt, ["f" * 32, "e" * 32], 10))
        if not ends:
            assert bench.store.run(calls.mark_lost(parent.task_id, attempt, "none", worker_lost(None))) == "QUEUED"
            assert bench.store.run(calls.claim_unwanted(digit, 10)) == []
    if how == "cancelled":
        bench.store.run(calls.cancel(parent.task_id))
    else:
        timeout = error("TIMEOUT", "it took too long")
        assert bench.store.run(calls.fail(parent.task_id, attempt, timeout)) == "FAILED"
    [run] = bench.store.run(calls.claim_unwanted(digit, 10))
    assert (run.task_id, run.children) == (parent.task_id, ("f" * 32, "e" * 32))
    assert bench.store.run(calls.claim_unwanted(digit, 10)) == []
    bench.store.run(calls.remove_unwanted(digit, [run]))


def test_a_parent_with_limits_holds_no_slot_while_it_waits(bench: Bench) -> None:
    calls, parent = bench.calls, bench.bind("family_limited", group="slots", depth=1)
    digit = parent.task_id[0]
    bench.submit(parent, limits="t:family_limited=1")
    bench.store.run(calls.become_claimer(digit, 1))
    bench.store.run(calls.claim_held(digit, 1, [("t:family_limited=1", parent.task_id)]))
    bench.store.run(calls.start(parent.task_id, 1, "w1"))

    def used() -> int:
        return int(bench.store.run(calls.check_slots(digit, ["t:family_limited"]))[0])

    assert used() == 1
    assert bench.store.run(calls.wait_for_children(parent.task_id, 1, waits=True))
    assert used() == 0
    assert bench.store.run(calls.wait_for_children(parent.task_id, 1, waits=False))
    assert used() == 1
    bench.store.run(calls.cancel(parent.task_id))
    assert not bench.store.run(calls.wait_for_children(parent.task_id, 1, waits=False))
    assert used() == 0
