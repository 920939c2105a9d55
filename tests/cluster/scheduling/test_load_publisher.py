"""When the load is published."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.scheduling import dask_internals
from cluster.scheduling.load_publisher import DECREASE_DELAY_SECONDS, DELAY_SECONDS, LoadPublisher


@pytest.mark.parametrize(
    ("threads", "unfinished_before", "sent", "ended", "delay"),
    [
        (2, 0, 1, 1, DELAY_SECONDS),
        (2, 0, 2, 1, DECREASE_DELAY_SECONDS),
        (2, 1, 1, 1, DECREASE_DELAY_SECONDS),
        (8, 3, 1, 1, DELAY_SECONDS),
        (8, 3, 2, 1, DECREASE_DELAY_SECONDS),
        (8, 3, 2, 5, DECREASE_DELAY_SECONDS),
        (2, 0, 2, 2, 0.0),
        (1, 0, 1, 1, 0.0),
        (0, 0, 1, 1, 0.0),
    ],
)
async def test_a_decrease_is_published_soon_if_a_dispatcher_may_believe_that_most_threads_are_occupied(
    monkeypatch: pytest.MonkeyPatch, threads: int, unfinished_before: int, sent: int, ended: int, delay: float
) -> None:
    published: list[Any] = []
    scheduler: Any = SimpleNamespace(
        total_nthreads=threads, log_event=lambda topic, message: published.append(message["outstanding"])
    )
    unfinished = unfinished_before
    monkeypatch.setattr(dask_internals, "count_tasks", lambda _: (unfinished,))
    publisher = LoadPublisher(scheduler)
    loop = asyncio.get_running_loop()
    publisher._publish()
    for _ in range(sent):
        publisher.count_sent()
    unfinished = unfinished_before + sent - ended
    begin = loop.time()
    publisher.schedule(decreased=False)
    publisher.schedule(decreased=True)
    assert publisher._timer is not None
    assert begin + delay <= publisher._timer.when() <= loop.time() + delay
    publisher._publish()
    assert published == [unfinished_before, *([unfinished] if unfinished != unfinished_before else [])]
