"""What the watchdog does to a worker process and to the attempts in it, on real processes and a real store."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from cluster.errors import StoreUnavailable
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.record import Record, TaskState
from cluster.store.task_calls import LossReason
from cluster.system import memory
from cluster.task_types.retry_policy import Retries
from cluster.worker.attempt_table import AttemptTable
from cluster.worker.descendants import Descendants
from cluster.worker.watchdog import GRACE_SECONDS, Watchdog
from cluster.worker.worker_process import WorkerProcess

IDS: Final = [f"{n:032x}" for n in range(1, 60)]

SECONDS: Final = f"7654.{os.getpid()}"
"""How long the processes sleep; this run recognises its own processes by it."""

CHILD: Final = """
import os, subprocess, sys, time
subprocess.Popen(["sleep", sys.argv[1]])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(float(sys.argv[1]))
    os._exit(0)
os.wait()
print("up", flush=True)
time.sleep(float(sys.argv[1]))
"""
"""A worker process whose task has started a program, and a daemon."""


class Bench:
    """A watchdog over one real process, and the table that the process would write."""

    def __init__(self, settings: Settings, store: Store, folder: Path, **limits: Any) -> None:
        self.store = store
        self.table = AttemptTable(folder / "w.attempts", create=True)
        self.descendants = Descendants()
        self.child = subprocess.Popen([sys.executable, "-c", CHILD, SECONDS], stdout=subprocess.PIPE)
        assert self.child.stdout is not None
        self.child.stdout.readline()
        self.table.claim()
        self._set_owner()
        self.announced: list[bool] = []
        self.watchdog = Watchdog(
            store, self.table, self.descendants, WorkerProcess("w", self.process_id, self.announce_leaving, **limits)
        )

    def _set_owner(self) -> None:
        self.table._map[:8] = self.child.pid.to_bytes(8, "little")

    def process_id(self) -> int | None:
        return self.child.pid if self.child.poll() is None else None

    async def announce_leaving(self, leaving: bool) -> None:
        self.announced.append(leaving)

    @property
    def stopped(self) -> bool:
        return psutil.Process(self.child.pid).status() == psutil.STATUS_STOPPED

    async def begin(
        self,
        task_id: str,
        *,
        queued_behind: bool = False,
        timeout: float | None = None,
        retries: int = 0,
        group: int = 0,
        next_pool: str = "",
    ) -> int:
        """An attempt in the store and in the table."""
        await self.store.run(self.store.calls.submit(task_id, "add", "1", b"{}", next_pool=next_pool))
        slot = self.table.add(task_id, 1, queued_behind=queued_behind)
        assert slot is not None
        if not queued_behind:
            await self.store.run(self.store.calls.start(task_id, 1, "w"))
            self.table.start(slot, task_id, 1, timeout, Retries(retries), group)
        return slot

    async def record(self, task_id: str) -> Record:
        found = await self.store.read(task_id)
        assert found is not None
        return found

    async def cancel(self, task_id: str) -> float:
        """Cancels, and lets the watchdog notice. Returns a time after the grace period."""
        await self.store.run(self.store.calls.cancel(task_id))
        await self.watchdog.check(time.monotonic() + 2)
        return time.monotonic() + 3 + GRACE_SECONDS


@pytest.fixture
async def bench(settings: Settings, store: Store, tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(settings, store, tmp_path, memory_limit_bytes=2**40, memory_share=0.95, stuck_seconds=30.0)
    yield made
    made.descendants.kill(made.child.pid)
    made.child.wait()
    made.descendants.kill_orphans()


def sleepers() -> Iterator[psutil.Process]:
    """The remaining processes that the task started."""
    for process in psutil.process_iter(["cmdline", "status"]):
        if SECONDS in " ".join(process.info["cmdline"] or ()) and process.info["status"] != psutil.STATUS_ZOMBIE:
            yield process


# Ending by force ------------------------------------------------------------------------------------------------------


async def test_processes_that_a_task_started_end_with_its_worker_process(bench: Bench) -> None:
    await bench.begin(IDS[0])
    assert len(list(sleepers())) == 3
    await bench.watchdog.check(await bench.cancel(IDS[0]))
    assert bench.child.wait(5) == -signal.SIGKILL
    bench.watchdog.exits.process_ended(-9, orderly=False)
    async with asyncio.timeout(5):
        while list(sleepers()):
            await asyncio.sleep(0.01)


async def test_other_attempts_are_requeued_only_after_the_scheduler_knows_that_the_process_ends(bench: Bench) -> None:
    await bench.begin(IDS[0])
    await bench.begin(IDS[1])
    seen: list[TaskState] = []

    async def announce_leaving(leaving: bool) -> None:
        seen.append((await bench.record(IDS[1])).state)
        # The signal was sent; the process stops a moment later.
        async with asyncio.timeout(5):
            while not bench.stopped:
                await asyncio.sleep(0.001)

    object.__setattr__(bench.watchdog._process, "announce_leaving", announce_leaving)
    await bench.watchdog.check(await bench.cancel(IDS[0]))
    assert seen == [TaskState.RUNNING]
    other = await bench.record(IDS[1])
    assert (other.state, other.attempt, other.lost) == (TaskState.QUEUED, 2, 0)


async def test_a_call_that_serves_several_attempts_is_ended_only_when_none_of_them_is_wanted(bench: Bench) -> None:
    for task_id in IDS[:2]:
        await bench.begin(task_id, group=1)
    over = await bench.cancel(IDS[0])
    await bench.watchdog.check(over)
    assert bench.process_id()
    assert (await bench.record(IDS[1])).attempt == 1
    await bench.store.run(bench.store.calls.cancel(IDS[1]))
    await bench.watchdog.check(over + 2)
    await bench.watchdog.check(over + 3 + GRACE_SECONDS)
    assert bench.child.wait(5) == -signal.SIGKILL


async def test_an_overdue_attempt_that_returns_at_the_last_moment_saves_its_process(bench: Bench) -> None:
    slot = await bench.begin(IDS[0])
    await bench.begin(IDS[1])
    over = await bench.cancel(IDS[0])
    send_heartbeats = bench.watchdog._send_heartbeats

    async def returns_meanwhile(running: Any, now: float) -> None:
        await send_heartbeats(running, now)
        bench.table.remove(slot)

    bench.watchdog._send_heartbeats = returns_meanwhile  # type: ignore[method-assign]
    await bench.watchdog.check(over)
    assert bench.process_id()
    assert not bench.stopped
    assert (await bench.record(IDS[1])).attempt == 1


async def test_a_process_that_ends_what_it_runs_is_spared_while_another_attempt_runs(bench: Bench) -> None:
    await bench.begin(IDS[0])
    slot = await bench.begin(IDS[1])
    bench.watchdog.spares_process = True
    over = await bench.cancel(IDS[0])
    await bench.watchdog.check(over)
    assert bench.process_id() is not None
    bench.table.remove(slot)
    await bench.watchdog.check(over)
    bench.child.wait(10)


async def test_without_redis_the_process_is_not_killed_until_its_other_attempts_are_requeued(bench: Bench) -> None:
    await bench.begin(IDS[0])
    await bench.begin(IDS[1])
    over = await bench.cancel(IDS[0])
    requeue, away = bench.watchdog.requeue, True

    async def refused(entries: Any, loss_reason: LossReason = "none") -> None:
        if away and entries:
            raise StoreUnavailable("away")
        await requeue(entries, loss_reason)

    bench.watchdog.requeue = refused  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        await bench.watchdog.check(over)
    assert bench.process_id()
    assert not bench.stopped
    assert bench.announced == [True, False]
    away = False
    await bench.watchdog.check(over)
    assert bench.child.wait(5) == -signal.SIGKILL
    assert (await bench.record(IDS[1])).lost == 0


async def test_a_task_past_its_limit_is_retried_as_its_worker_declares(bench: Bench) -> None:
    await bench.begin(IDS[0], timeout=1.0, retries=1)
    await bench.begin(IDS[1], timeout=1.0)
    await bench.watchdog.check(time.monotonic() + 2)
    again, failed = await bench.record(IDS[0]), await bench.record(IDS[1])
    assert (again.state, again.retries) == (TaskState.QUEUED, 1)
    assert failed.state is TaskState.FAILED
    fields = failed.error_fields()
    assert fields is not None
    assert fields["code"] == "TIMEOUT"


async def test_attempts_queued_behind_a_slow_one_are_requeued_once(bench: Bench) -> None:
    await bench.begin(IDS[0])
    for task_id in IDS[1:20]:
        await bench.begin(task_id, queued_behind=True)
    calls: list[int] = []
    run_many = bench.store.run_many

    async def counted(given: Any) -> Any:
        calls.append(len([call for call in given if call.script.name == "mark_lost"]))
        return await run_many(given)

    bench.store.run_many = counted  # type: ignore[method-assign, assignment]
    for n in range(1, 5):
        await bench.watchdog.check(time.monotonic() + n)
    assert sum(calls) == 19
    moved = await bench.record(IDS[5])
    assert (moved.state, moved.attempt, moved.lost) == (TaskState.QUEUED, 2, 0)


async def test_an_attempt_that_begins_just_as_it_is_to_be_requeued_stays_and_is_requeued_with_its_process(
    bench: Bench,
) -> None:
    await bench.begin(IDS[0])
    await bench.begin(IDS[1], queued_behind=True)
    # The store knows it before the table does.
    await bench.store.run(bench.store.calls.start(IDS[1], 1, "w"))
    await bench.watchdog.check(time.monotonic() + 1)
    begun = await bench.record(IDS[1])
    assert (begun.state, begun.attempt) == (TaskState.RUNNING, 1)
    assert await bench.watchdog.end_process()
    moved = await bench.record(IDS[1])
    assert (moved.state, moved.attempt, moved.lost) == (TaskState.QUEUED, 2, 0)


async def test_an_attempt_that_is_not_as_short_as_expected_is_recorded_as_started(bench: Bench) -> None:
    slots = [await bench.begin(task_id, queued_behind=True) for task_id in IDS[:2]]
    for task_id, slot in zip(IDS, slots, strict=False):
        bench.table.start(slot, task_id, 1, None, deferred=True)
    await bench.store.run(bench.store.calls.cancel(IDS[1]))
    await bench.watchdog.check(time.monotonic() + 0.05)
    assert (await bench.record(IDS[0])).state is TaskState.QUEUED
    await bench.watchdog.check(time.monotonic() + 0.2)
    begun = await bench.record(IDS[0])
    assert (begun.state, begun.worker, begun.attempt) == (TaskState.RUNNING, "w", 1)
    assert set(bench.watchdog._revoked) == {(IDS[1], 1)}
    await bench.watchdog.check(time.monotonic() + 0.5)
    assert (await bench.record(IDS[0])).seq == 2


async def test_a_loss_counts_against_the_short_attempt_that_ran_and_not_those_behind_it(bench: Bench) -> None:
    slots = [await bench.begin(task_id, queued_behind=True) for task_id in IDS[:3]]
    bench.table.await_reply(slots[0], IDS[0], 1)
    bench.table.start(slots[1], IDS[1], 1, None, deferred=True)
    bench.watchdog.exits.process_ended(-9, orderly=False)
    await bench.watchdog.exits.report()
    found = [await bench.record(task_id) for task_id in IDS[:3]]
    assert [(record.state, record.attempt, record.lost) for record in found] == [
        (TaskState.QUEUED, 2, 0), (TaskState.QUEUED, 2, 1), (TaskState.QUEUED, 2, 0)
    ]  # fmt: skip


async def test_an_attempt_that_begins_while_it_is_withdrawn_is_not_requeued(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = await bench.begin(IDS[0], queued_behind=True)
    withdraw = bench.table.withdraw

    def begun_meanwhile(entries: Any) -> None:
        assert bench.table.start(slot, IDS[0], 1, None, deferred=True)
        withdraw(entries)

    monkeypatch.setattr(bench.table, "withdraw", begun_meanwhile)
    await bench.watchdog.check(time.monotonic() + 1)
    assert (await bench.record(IDS[0])).attempt == 1
    assert not bench.table.start(slot, IDS[0], 1, None, deferred=True)


# Memory ---------------------------------------------------------------------------------------------------------------


async def test_a_process_that_uses_too_much_memory_is_killed_and_the_error_says_so(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    bench = Bench(settings, store, tmp_path, memory_limit_bytes=1_000_000, memory_share=0.95)
    await bench.begin(IDS[0])
    await bench.begin(IDS[1], queued_behind=True)
    await store.redis.hset(store.calls.record_key(IDS[0]), mapping={"lost": 2})
    await bench.watchdog.health.check_memory()
    assert bench.child.wait(5) == -signal.SIGKILL
    bench.watchdog.exits.process_ended(-9, orderly=False)
    await bench.watchdog.check(time.monotonic())
    fields = (await bench.record(IDS[0])).error_fields()
    assert fields is not None
    assert fields["code"] == "OUT_OF_MEMORY"
    for words in ("worker w took more memory than its limit of 1,000,000 bytes", "95%", "WORKER_MEMORY_BYTES"):
        assert words in fields["message"]
    waiting = await bench.record(IDS[1])
    assert (waiting.state, waiting.lost) == (TaskState.QUEUED, 0)


async def test_a_process_within_its_memory_limit_is_not_killed(bench: Bench) -> None:
    await bench.watchdog.health.check_memory()
    assert bench.process_id()


@pytest.mark.parametrize(
    ("exit_code", "kernel", "code", "words"),
    [
        (-9, 1, "OUT_OF_MEMORY", "killed by the kernel"),
        (-9, 0, "WORKER_LOST", "killed by SIGKILL"),
        (-9, None, "WORKER_LOST", "killed by SIGKILL"),
        (-11, 1, "WORKER_LOST", "killed by SIGSEGV"),
        (3, 0, "WORKER_LOST", "exited with code 3"),
        (0, 0, "WORKER_LOST", "the worker w exited while"),
    ],
)
async def test_attempts_of_a_worker_process_that_ends_by_itself_count_as_lost_and_the_error_says_how_it_ended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, exit_code: int, kernel: int | None, code: str, words: str
) -> None:
    await bench.begin(IDS[0])
    await bench.store.redis.hset(bench.store.calls.record_key(IDS[0]), mapping={"lost": 2})
    await bench.begin(IDS[1], next_pool="big")
    known = bench.watchdog.exits._kernel_kills or 0
    bench.watchdog.exits._kernel_kills = known
    monkeypatch.setattr(memory, "oom_kill_count", lambda: None if kernel is None else known + kernel)
    bench.watchdog.exits.process_ended(exit_code, orderly=False)
    await bench.watchdog.exits.report()
    fields = (await bench.record(IDS[0])).error_fields()
    assert fields is not None
    assert fields["code"] == code
    assert words in fields["message"]
    other = await bench.record(IDS[1])
    assert (other.state, other.attempt, other.lost) == (TaskState.QUEUED, 2, 1)
    assert other.pool == ("big" if code == "OUT_OF_MEMORY" else "")


async def test_attempts_that_ended_with_their_nanny_do_not_count_as_lost(bench: Bench) -> None:
    await bench.begin(IDS[0])
    bench.watchdog.exits.process_ended(-9, orderly=True)
    await bench.watchdog.exits.report()
    given = await bench.record(IDS[0])
    assert (given.state, given.attempt, given.lost) == (TaskState.QUEUED, 2, 0)


def test_the_kernels_count_is_read_where_linux_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group, machine = tmp_path / "memory.events", tmp_path / "vmstat"
    monkeypatch.setattr(memory, "OOM_COUNTERS", (group, machine))
    assert memory.oom_kill_count() is None
    machine.write_text("pgpgin 5\noom_kill 7\n")
    assert memory.oom_kill_count() == 7
    group.write_text("low 0\noom 1\noom_kill 2\n")
    assert memory.oom_kill_count() == 2


# A process that does not respond --------------------------------------------------------------------------------------


def set_heartbeats(bench: Bench, loop: float, thread: float) -> None:
    bench.table._map[8:24] = __import__("struct").pack("<dd", loop, thread)


async def test_a_process_whose_event_loop_is_stuck_is_killed(bench: Bench) -> None:
    await bench.begin(IDS[0])
    now = time.monotonic()
    for later in (10, 30, 39):
        set_heartbeats(bench, now, now + later)
        await bench.watchdog.check(now + later)
        assert bench.process_id(), later
    set_heartbeats(bench, now, now + 41)
    await bench.watchdog.check(now + 41)
    assert bench.child.wait(5) == -signal.SIGKILL
    bench.watchdog.exits.process_ended(-9, orderly=False)
    await bench.watchdog.check(now + 42)
    record = await bench.record(IDS[0])
    assert (record.state, record.lost) == (TaskState.QUEUED, 1)


async def test_a_process_whose_interpreter_is_held_or_that_recovers_is_not_killed(bench: Bench) -> None:
    await bench.begin(IDS[0])
    now = time.monotonic()
    for later in range(0, 600, 10):
        set_heartbeats(bench, now, now)  # neither the loop nor a thread runs
        await bench.watchdog.check(now + later)
    for later in range(600, 1200, 20):
        set_heartbeats(bench, now + later - later % 40, now + later)  # the loop runs, seldom
        await bench.watchdog.check(now + later)
    assert bench.process_id()
    assert (await bench.record(IDS[0])).attempt == 1


async def test_no_heartbeats_are_sent_for_a_stopped_process(bench: Bench) -> None:
    await bench.begin(IDS[0])
    key, field = bench.store.calls.record_key(IDS[0]), "heard_at"
    os.kill(bench.child.pid, signal.SIGSTOP)
    await asyncio.sleep(0.05)
    await bench.watchdog.check(time.monotonic() + 5)
    assert await bench.store.redis.hget(key, field) is None
    os.kill(bench.child.pid, signal.SIGCONT)
    await asyncio.sleep(0.05)
    await bench.watchdog.check(time.monotonic() + 5)
    assert await bench.store.redis.hget(key, field) is not None
