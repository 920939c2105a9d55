"""Attempts of one batch run, fail and are cancelled independently on the worker."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.settings import Settings
from cluster.store.record import TaskState
from cluster.worker.attempt_table import AttemptTable
from tests.cluster.worker.test_executor import Bench, register


@pytest.fixture
def bench(settings: Settings) -> Iterator[Bench]:
    made = Bench(settings)
    yield made
    made.store.close()


def test_an_attempt_that_fails_or_was_cancelled_does_not_affect_its_batch(bench: Bench) -> None:
    def odd(n: int) -> int:
        if n == 1:
            raise ValueError("one")
        return n

    kind = register(odd)
    bounds = [bench.submit(kind, n=n) for n in range(5)]
    bench.store.run(bench.calls.cancel(bounds[0].task_id))
    bench.store.run(bench.calls.cancel(bounds[3].task_id))
    bench.executor.run(kind.name, [(bound.task_id, 1, bound.canonical_input) for bound in bounds])
    states = [bench.record(bound.task_id).state for bound in bounds]
    cancelled, failed, fine = TaskState.CANCELLED, TaskState.FAILED, TaskState.SUCCEEDED
    assert states == [cancelled, failed, fine, cancelled, fine]
    assert bench.executor.running == {}


def test_an_attempt_that_was_requeued_in_the_meantime_is_not_started(bench: Bench) -> None:
    ran = []

    def meanwhile(n: int) -> int:
        ran.append(n)
        if n == 0:
            reason = {"code": "X", "message": "", "type": None}
            assert bench.store.run(bench.calls.mark_lost(bounds[1].task_id, 1, "none", reason)) == "QUEUED"
        return n

    kind = register(meanwhile)
    bounds = [bench.submit(kind, n=n) for n in range(3)]
    bench.executor.run(kind.name, [(bound.task_id, 1, bound.canonical_input) for bound in bounds])
    assert ran == [0, 2]
    requeued = bench.record(bounds[1].task_id)
    assert (requeued.state, requeued.attempt, requeued.lost) == (TaskState.QUEUED, 2, 0)


def test_an_attempt_queued_behind_others_is_in_the_table(tmp_path: Path) -> None:
    table = AttemptTable(tmp_path / "attempts", create=True)
    table.claim()
    first, second = table.add("0" * 32, 1), table.add("1" * 32, 1, queued_behind=True)
    now = time.monotonic() + 5
    (about_to_begin, waiting) = table.entries(os.getpid())
    assert about_to_begin.queued_behind_seconds(now) == 0
    assert waiting.queued_behind_seconds(now) == pytest.approx(5, abs=1)
    table.start(second, "1" * 32, 1, 60)
    assert table.entries(os.getpid())[1].queued_behind_seconds(now) == 0
    table.remove(first)
    table.remove(second)
    assert table.entries(os.getpid()) == []
