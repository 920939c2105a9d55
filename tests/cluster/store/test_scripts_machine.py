"""The record as a state machine: random interleavings of everything that can happen to a task, compared with a
model."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from cluster.attempt_errors import error
from cluster.settings import Settings
from cluster.store.deferred_start import DeferredStart
from cluster.store.record import TaskState
from cluster.store.thread_store import ThreadStore
from cluster.task_types.retry_policy import Retries
from tests.redis_cluster import RedisCluster, server_of
from tests.system import RedisServer
from tests.thoroughness import examples

pytestmark = pytest.mark.every_engine

ID = "0" * 32
FINAL = {"SUCCEEDED", "FAILED", "CANCELLED"}
ATTEMPTS = st.integers(-2, 0)
"""Which attempt acts, counted back from the newest: two old ones and the newest."""
DEFERRED = st.sampled_from([None, DeferredStart("w", 0.5)])
"""How it began, if its start was deferred."""


def make_machine(server: RedisServer | RedisCluster) -> type[RuleBasedStateMachine]:
    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.store = ThreadStore(Settings(redis_url=server.url, key_prefix=f"m{uuid.uuid4().hex[:8]}"))
            self.calls = self.store.calls
            self.redis = redis.Redis(port=server_of(server, self.calls.record_key(ID)).port)
            self.state: str | None = None
            self.attempt = 0
            self.dispatched = 0
            self.retries = self.lost = self.seq = 0
            self.result: bytes | None = None
            self.raised = False

        def run(self, call: Any) -> Any:
            return self.store.run_once(call)

        def moved(self, state: str) -> None:
            """Moves to another state. The result is that of the attempt that runs, or that succeeded."""
            self.state = state
            self.raised = False
            self.result = self.result if state == "SUCCEEDED" else None
            self.seq += 1

        def began(self, deferred: DeferredStart | None) -> None:
            """An attempt reports what became of it, and with it its start, if that is not known."""
            if deferred is not None and self.state == "QUEUED":
                self.state = "RUNNING"
                self.seq += 1

        def fence(self, back: int) -> tuple[int, bool]:
            return max(1, self.attempt + back), max(1, self.attempt + back) == self.attempt

        @rule(recompute=st.booleans())
        def submit(self, recompute: bool) -> None:
            answer = self.run(self.calls.submit(ID, "t", "1", b"{}", recompute=recompute))
            if self.state is None or self.state in FINAL - {"SUCCEEDED"} or (self.state == "SUCCEEDED" and recompute):
                assert answer.outcome == ("NEW" if self.state is None else "RECOMPUTED")
                assert answer.dispatch
                self.attempt += 1
                self.dispatched = self.attempt
                self.retries = self.lost = 0
                self.moved("QUEUED")
            else:
                assert answer.outcome == ("CACHED" if self.state == "SUCCEEDED" else "JOINED")
                assert not answer.dispatch

        @precondition(lambda self: self.state)
        @rule(back=ATTEMPTS)
        def start(self, back: int) -> None:
            attempt, right = self.fence(back)
            verdict = self.run(self.calls.start(ID, attempt, "w")).verdict
            if self.state == "QUEUED" and right:
                assert verdict == "RUN"
                self.moved("RUNNING")
            else:
                assert verdict == ("ENDED" if self.state in FINAL else "RUN" if right else "STALE")

        @precondition(lambda self: self.state)
        @rule(back=ATTEMPTS, fraction=st.sampled_from([None, 0.25, 0.5]), partial=st.sampled_from([b"", b"1", b"2"]))
        def progress(self, back: int, fraction: float | None, partial: bytes) -> None:
            attempt, right = self.fence(back)
            before = self.read()
            may_go_on = self.run(self.calls.progress(ID, attempt, fraction, partial))
            assert may_go_on == (self.state == "RUNNING" and right)
            if may_go_on:
                self.seq += bool(partial) or (fraction is not None and before["progress"] != str(fraction))
                self.result = partial or self.result

        @precondition(lambda self: self.state)
        @rule(back=ATTEMPTS, result=st.binary(min_size=1, max_size=4), deferred=DEFERRED)
        def finish(self, back: int, result: bytes, deferred: DeferredStart | None) -> None:
            attempt, right = self.fence(back)
            stored = self.run(self.calls.finish(ID, attempt, result, deferred=deferred))
            repeated = self.state == "SUCCEEDED" and right and self.result == result
            # 2: no earlier run's result was kept.
            begun = self.state == "RUNNING" or (self.state == "QUEUED" and deferred is not None)
            assert bool(stored) == (begun and right) or repeated
            if stored and not repeated:
                self.result = result
                self.began(deferred)
                self.moved("SUCCEEDED")

        @precondition(lambda self: self.state)
        @rule(back=ATTEMPTS, retries=st.integers(0, 2), deferred=DEFERRED)
        def fail(self, back: int, retries: int, deferred: DeferredStart | None) -> None:
            attempt, right = self.fence(back)
            pauses = Retries(retries, delay=0)
            verdict = self.run(self.calls.fail(ID, attempt, error("X", "x"), retries=pauses, deferred=deferred))
            if self.state not in FINAL and right:
                self.began(deferred)
            if self.state in FINAL or not right:
                assert verdict == ("FAILED" if self.raised and right else "REFUSED")
            elif self.retries < retries:
                assert verdict == "RETRY"
                self.retries += 1
                self.attempt += 1
                self.moved("QUEUED")
            else:
                assert verdict == "FAILED"
                self.moved("FAILED")
                self.raised = True

        @precondition(lambda self: self.state)
        @rule(back=ATTEMPTS, loss_reason=st.sampled_from(["worker", "memory", "none"]), deferred=DEFERRED)
        def lose(self, back: int, loss_reason: Any, deferred: DeferredStart | None) -> None:
            attempt, right = self.fence(back)
            lost = self.calls.mark_lost(ID, attempt, loss_reason, error("WORKER_LOST", "x"), deferred=deferred)
            verdict = self.run(lost)
            if self.state in FINAL or not right or self.dispatched < self.attempt:
                assert verdict == "REFUSED"
                return
            self.began(deferred)
            charged = loss_reason in ("worker", "memory") and self.state == "RUNNING"
            self.lost += charged
            if charged and self.lost >= 3:
                assert verdict == "FAILED"
                self.moved("FAILED")
            else:
                assert verdict == "QUEUED"
                self.attempt += 1
                self.moved("QUEUED")

        @precondition(lambda self: self.state)
        @rule()
        def cancel(self) -> None:
            changed, record = self.run(self.calls.cancel(ID))
            assert changed == (self.state not in FINAL)
            if changed:
                self.moved("CANCELLED")
            assert record.state == self.state

        @precondition(lambda self: self.state)
        @rule(back=ATTEMPTS)
        def release(self, back: int) -> None:
            attempt, right = self.fence(back)
            released = self.run(self.calls.release(ID, attempt))
            assert released == (self.state == "QUEUED" and right and self.dispatched == self.attempt)
            if released:
                self.dispatched -= 1

        @precondition(lambda self: self.state)
        @rule()
        def claim_due(self) -> None:
            _, due = self.run(self.calls.claim_due(ID[0], 10))
            waits = self.state == "QUEUED" and self.dispatched < self.attempt
            assert [item.action for item in due] == (["dispatch"] if waits else [])
            if waits:
                assert due[0].attempt == self.attempt
                self.dispatched = self.attempt

        @precondition(lambda self: self.state in FINAL)
        @rule()
        def expire(self) -> None:
            """Its time to live is over, but Redis has not deleted the key yet."""
            self.redis.hset(self.calls.record_key(ID), "expires_at", "1")
            self.state = None
            self.raised = False
            self.attempt = self.dispatched = self.seq = 0

        @precondition(lambda self: self.state)
        @rule()
        def prune(self) -> None:
            """Pruning does not touch a task that has not expired."""
            assert self.run(self.calls.prune(ID[0], 10)) == 0

        @precondition(lambda self: self.state)
        @rule()
        def forget(self) -> None:
            """It leaves nothing of a task that has ended, and does nothing to an open one."""
            reply = self.run(self.calls.forget(ID))
            assert reply.record.state == self.state
            assert reply.done == (self.state in FINAL)
            if reply.done:
                left: Any = self.redis.keys(f"{self.calls.prefix}:*")
                assert all(b":ends:" in key for key in left), "only what the statistics have counted stays"
                self.state = None
                self.raised = False
                self.attempt = self.dispatched = self.seq = 0

        def read(self) -> dict[str, str]:
            raw: Any = self.redis.hgetall(self.calls.record_key(ID))
            return {"progress": "", **{key.decode(): value.decode(errors="replace") for key, value in raw.items()}}

        @invariant()
        def the_record_is_what_the_model_says(self) -> None:
            if self.state is None:
                return
            record = self.read()
            assert (record["state"], int(record["attempt"]), int(record["seq"])) == (self.state, self.attempt, self.seq)
            events = self.run(self.calls.watch(ID, "n", after_seq=0)).events
            assert [event.seq for event in events] == list(range(1, self.seq + 1))
            assert events[-1].state == self.state

        @invariant()
        def the_open_index_holds_exactly_the_open_tasks(self) -> None:
            score = self.redis.zscore(f"{self.calls.shard(ID)}:open", ID)
            assert (score is not None) == (self.state in ("QUEUED", "RUNNING"))

        @invariant()
        def the_lists_agree_with_the_state(self) -> None:
            if self.state is None:
                return  # what has expired keeps its places until it is pruned or submitted again
            for name in (None, "t"):
                for state in TaskState:
                    score = self.redis.zscore(self.calls.index_key(ID[0], state, name), ID)
                    assert (score is not None) == (self.state == state)

        @invariant()
        def a_record_has_what_its_attempt_made_and_a_time_to_live_once_it_ended(self) -> None:
            if self.state is not None:
                assert self.redis.hget(self.calls.record_key(ID), "result") == self.result
            if self.state is not None:
                ttl: Any = self.redis.ttl(self.calls.record_key(ID))
                assert (ttl > 0) == (self.state in FINAL)

        def teardown(self) -> None:
            self.store.close()
            self.redis.close()

    return Machine


@pytest.mark.hypothesis
def test_any_interleaving_keeps_the_record_right(redis_server: RedisServer | RedisCluster) -> None:
    machine = make_machine(redis_server)
    run_state_machine_as_test(
        # A function, not the class itself: CPython 3.11 may fail to parse a class's source at this depth of calls.
        lambda: machine(),  # type: ignore[arg-type]
        settings=settings(
            max_examples=examples(60),
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
