"""Background loops and threads never end by themselves, and report their health."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from cluster.errors import StoreUnavailable
from cluster.observability import metrics
from cluster.system import background
from cluster.system.background import BackgroundLoop, BackgroundThread, Health


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "FIRST_BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr(background, "UNAVAILABLE_BACKOFF_SECONDS", 0.001)


def counted(name: str) -> float:
    return float(metrics.BACKGROUND_FAILURES.labels(name)._value.get())


class Rounds:
    """Work whose rounds raise the given errors, one after the other, and then succeed."""

    def __init__(self, *errors: BaseException) -> None:
        self._errors = list(errors)
        self.done = asyncio.Event()

    async def __call__(self) -> None:
        if self._errors:
            raise self._errors.pop(0)
        self.done.set()
        await asyncio.sleep(0)


async def ended(loop: BackgroundLoop, rounds: Rounds) -> None:
    loop.start()
    async with asyncio.timeout(5):
        await rounds.done.wait()


async def test_a_loop_goes_on_after_any_error_logs_its_stack_and_counts_it(caplog: pytest.LogCaptureFixture) -> None:
    rounds = Rounds(ValueError("odd"), KeyError("odder"))
    loop = BackgroundLoop("odd loop", rounds, pause_seconds=0.001)
    before = counted("odd loop")
    await ended(loop, rounds)
    await loop.close()
    assert counted("odd loop") == before + 2
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [str(record.exc_info[1]) for record in errors if record.exc_info] == ["odd", "'odder'"]


async def test_an_unavailable_redis_is_waited_for_and_counts_as_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    rounds = Rounds(StoreUnavailable("gone"), StoreUnavailable("gone still"))
    loop = BackgroundLoop("waiting loop", rounds, pause_seconds=0.001)
    await ended(loop, rounds)
    await loop.close()
    assert counted("waiting loop") == 0
    assert not [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "waiting loop waits: gone" in caplog.text


async def test_a_cancellation_that_a_library_lets_through_does_not_end_the_loop() -> None:
    rounds = Rounds(asyncio.CancelledError())
    loop = BackgroundLoop("cancelled loop", rounds, pause_seconds=0.001)
    await ended(loop, rounds)
    await loop.close()
    assert counted("cancelled loop") == 1


async def test_a_closed_loop_has_ended_even_if_its_work_swallows_the_first_cancellation() -> None:
    began = asyncio.Event()

    async def work() -> None:
        try:
            began.set()
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(60)

    loop = BackgroundLoop("deaf loop", work)
    loop.start()
    await began.wait()
    async with asyncio.timeout(2):
        await loop.close()


async def test_the_end_of_the_event_loop_ends_every_loop() -> None:
    def run() -> None:
        async def main() -> None:
            loop = BackgroundLoop("left loop", lambda: asyncio.sleep(60))
            loop.start()
            await asyncio.sleep(0)

        asyncio.run(main())

    thread = threading.Thread(target=run)
    thread.start()
    await asyncio.to_thread(thread.join, 5)
    assert not thread.is_alive()


def test_a_loop_counts_as_failing_after_several_failures_and_until_a_round_completes() -> None:
    health = Health("watched loop", clock=lambda: 0.0)
    for _ in range(background.REPORTED_FAILURES - 1):
        health.fail(ValueError("odd"))
        assert health.failing_since is None
    health.fail(ValueError("odd"))
    assert health.failing_since is not None
    assert health.last_error == "ValueError: odd"
    health.complete()
    assert health.failing_since is None
    assert health.last_error is None


def test_pauses_grow_up_to_a_limit_and_are_reset_by_a_long_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "FIRST_BACKOFF_SECONDS", 1.0)
    now = 0.0
    health = Health("pausing loop", clock=lambda: now)
    assert [health.fail(ValueError()) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    health.begin()
    now += background.STEADY_SECONDS + 1
    assert health.failing_since is None
    assert health.fail(ValueError()) == 1


def test_a_thread_goes_on_after_any_error() -> None:
    done = threading.Event()
    rounds: list[Callable[[], Any]] = []

    def work() -> None:
        rounds.append(work)
        if len(rounds) == 1:
            raise ValueError("odd")
        if len(rounds) == 2:
            raise StoreUnavailable("gone")
        done.set()

    thread = BackgroundThread("odd thread", work, pause_seconds=0.001)
    thread.start()
    assert done.wait(5)
    thread.stop()
    assert counted("odd thread") == 1
