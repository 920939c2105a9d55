"""Short attempts of one Dask task run after one look at all of them, and are still refused, lost and reported as
others are."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis

from cluster.attempt_errors import error
from cluster.settings import Settings
from cluster.store.folder_blob_store import FolderBlobStore
from cluster.store.lua_scripts import Call
from cluster.store.record import Record, TaskState
from cluster.store.thread_store import ThreadStore
from cluster.task_types.registry import Registry, _registered
from cluster.task_types.task_type import Bound, TaskType
from cluster.worker import deferred_starts
from cluster.worker.attempt_table import AttemptTable
from cluster.worker.executor import Executor
from cluster.worker.heartbeat import HeartbeatThread
from dask_graphql import cancelled, checkpoint, report_progress, task

S = TaskState


def short(function: Callable[..., Any], **limits: Any) -> TaskType:
    """The task type of a function, under a name that no other test uses."""
    name = f"short_{function.__name__}"
    task(name=name, **limits)(function)
    return _registered[__name__, name]


class Bench:
    """An executor with an attempt table, whose calls are recorded."""

    def __init__(self, settings: Settings) -> None:
        self.store = ThreadStore(settings, retry_seconds=2)
        self.calls = self.store.calls
        self.table = AttemptTable(settings.data_dir / "w.attempts", create=True)
        self.table.claim()
        blobs = FolderBlobStore(settings.data_dir / "blobs")
        self.executor = Executor(settings, Registry(), self.store, blobs, "w1", self.table)
        self.round_trips: list[list[str]] = []
        self.sent: Counter[str] = Counter()
        run_many, send = self.store._run_many_once, self.store.send

        def counted(calls: Any) -> list[Any]:
            self.round_trips.append([call.script.name for call in calls])
            return run_many(calls)

        def counted_send(call: Call[Any]) -> Any:
            self.sent[call.script.name] += 1
            return send(call)

        self.store._run_many_once = counted  # type: ignore[method-assign]
        self.store.send = counted_send  # type: ignore[method-assign]

    def submit(self, kind: TaskType, count: int) -> list[Bound]:
        """Tasks of a type that is known to be short."""
        self.executor.registry.add(kind)
        self.executor._run_times.add(kind.name, 0.001)
        bounds = [kind.bind({"n": n}) for n in range(count)]
        for bound in bounds:
            self.store.run(self.calls.submit(bound.task_id, kind.name, "1", bound.canonical_input))
        self.round_trips.clear()
        return bounds

    def run(self, bounds: list[Bound], attempt: int = 1) -> list[float]:
        name = bounds[0].task_type.name
        seconds = self.executor.run(name, [(bound.task_id, attempt, bound.canonical_input) for bound in bounds])
        assert self.executor.running == {}
        assert self.table.entries(self.table.owner) == []
        return seconds

    def record(self, bound: Bound) -> Record:
        found = self.store.run(self.calls.watch(bound.task_id, "n")).record
        assert found is not None
        return found

    def states(self, bounds: list[Bound]) -> list[TaskState]:
        return [self.record(bound).state for bound in bounds]


@pytest.fixture
def bench(settings: Settings) -> Iterator[Bench]:
    made = Bench(settings)
    yield made
    made.store.close()


def test_short_attempts_share_one_look_and_wait_for_no_reply(bench: Bench) -> None:
    def doubled(n: int) -> int:
        return 2 * n

    bounds = bench.submit(short(doubled), 20)
    assert len(bench.run(bounds)) == 20
    assert bench.round_trips == [["read_starts"] * len({bound.task_id[0] for bound in bounds})]
    assert bench.sent == {"finish": 20}
    assert [bench.record(bound).result for bound in bounds] == [str(2 * n).encode() for n in range(20)]
    assert {(bench.record(bound).worker, bench.record(bound).seq) for bound in bounds} == {("w1", 3)}


def test_a_type_that_turns_out_to_be_slow_or_was_never_measured_starts_as_usual(bench: Bench) -> None:
    def slow_now(n: int) -> int:
        return n

    kind = short(slow_now)
    bounds = bench.submit(kind, 3)
    bench.executor._run_times.add(kind.name, 10)
    bench.run(bounds)
    assert bench.round_trips == [["start"], ["finish", "start"], ["finish", "start"], ["finish"]]
    limited = replace(kind, name="short_limited", timeout_seconds=0.5)
    bench.executor._run_times.add(limited.name, 0.001)
    assert not bench.executor._run_times.is_short(limited)
    assert not bench.executor._run_times.is_short(replace(kind, name="short_unmeasured"))


def test_what_was_cancelled_or_superseded_before_does_not_run_and_what_ends_meanwhile_is_refused(bench: Bench) -> None:
    ran: list[int] = []

    def overtaken(n: int) -> int:
        ran.append(n)
        if n == 2:
            bench.store.run(bench.calls.cancel(bounds[2].task_id))
        if n == 3:
            raise ValueError("no")
        return n

    bounds = bench.submit(short(overtaken), 5)
    bench.store.run(bench.calls.cancel(bounds[0].task_id))
    bench.store.run(bench.calls.mark_lost(bounds[1].task_id, 1, "none", error("WORKER_LOST", "gone")))
    assert len(bench.run(bounds)) == 2
    assert ran == [2, 3, 4]
    assert bench.states(bounds) == [S.CANCELLED, S.QUEUED, S.CANCELLED, S.FAILED, S.SUCCEEDED]


def test_attempts_that_have_waited_are_looked_at_again_and_one_that_the_nanny_has_withdrawn_asks_itself(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def withdrawing(n: int) -> int:
        if n == 0:
            [_, *waiting] = sorted(bench.table.entries(bench.table.owner), key=lambda entry: not entry.running)
            behind = [entry for entry in waiting if entry.task_id != bounds[3].task_id]
            bench.table.withdraw(behind)
            lost = bench.calls.mark_lost(bounds[1].task_id, 1, "unbegun", error("WORKER_LOST", "gone"))
            bench.store.run(lost)
        if n == 2:
            monkeypatch.setattr(deferred_starts, "MAX_AGE_SECONDS", 0.0)
        return n

    bounds = bench.submit(short(withdrawing), 4)
    bench.run(bounds)
    assert bench.states(bounds) == [S.SUCCEEDED, S.QUEUED, S.SUCCEEDED, S.SUCCEEDED]
    asked = [names for names in bench.round_trips if names[0] in ("start", "read_starts")]
    digits = [len({bound.task_id[0] for bound in some}) for some in (bounds, bounds[3:])]
    assert asked == [["read_starts"] * digits[0], ["start"], ["start"], ["read_starts"] * digits[1]]
    assert bench.sent == {"finish": 2}


def test_what_only_running_attempts_may_do_records_the_start_first(bench: Bench) -> None:
    heartbeat = HeartbeatThread(bench.executor)

    def reporting(n: int) -> int:
        if n == 0:
            checkpoint.save({"n": n})
            assert bench.states(bounds[:1]) == [S.RUNNING]
        if n == 1:
            heartbeat._round()
            report_progress(0.5)
            heartbeat._round()
            assert bench.record(bounds[1]).progress == 0.5
        assert not cancelled()
        return n

    bounds = bench.submit(short(reporting), 3)
    bench.run(bounds)
    assert bench.states(bounds) == [S.SUCCEEDED] * 3
    assert [bench.record(bound).seq for bound in bounds] == [3, 4, 3]


def test_outcomes_whose_connection_was_lost_or_whose_script_is_unknown_are_stored_again(bench: Bench) -> None:
    def losing(n: int) -> int:
        if n == 2:
            # The replies to the first two are lost with it.
            bench.store.disconnect()
        if n == 4:
            bench.store.redis.script_flush()
        return n

    bounds = bench.submit(short(losing), 6)
    assert len(bench.run(bounds)) == 6
    assert bench.states(bounds) == [S.SUCCEEDED] * 6
    assert ["finish"] * 2 in [names[:2] for names in bench.round_trips]


def test_a_function_that_asks_the_store_itself_gets_its_own_replies(bench: Bench) -> None:
    def asking(n: int) -> int:
        found = bench.store.run_commands([("ECHO", f"{n}")])
        return int(found[0])

    bounds = bench.submit(short(asking), 6)
    bench.run(bounds)
    assert [bench.record(bound).result for bound in bounds] == [str(n).encode() for n in range(6)]


def test_an_outcome_that_is_not_confirmed_is_requeued_only_much_later(bench: Bench) -> None:
    slot = bench.table.add("f" * 32, 1)
    bench.table.start(slot, "f" * 32, 1, None, deferred=True)
    [entry] = bench.table.entries(bench.table.owner)
    assert (entry.running, entry.deferred) == (True, True)
    bench.table.await_reply(slot, "f" * 32, 1)
    [entry] = bench.table.entries(bench.table.owner)
    now = time.monotonic()
    assert (entry.running, entry.queued_behind_seconds(now), entry.queued_behind_seconds(now + 2)) == (False, 0, 0)
    assert entry.queued_behind_seconds(now + 6) > 0.25


def test_a_lost_connection_is_no_reply_of_a_later_call(bench: Bench) -> None:
    call = bench.calls.read("f" * 32)
    bench.store.send(call)
    bench.store.disconnect()
    assert bench.store.run_commands([("ECHO", "a")]) == [b"a"]
    sent = bench.store.send(call)
    assert bench.store.run_commands([("ECHO", "b")]) == [b"b"]
    assert not isinstance(sent.reply, redis.RedisError)
    assert bench.store.replies([(call, sent)]) == [None]
