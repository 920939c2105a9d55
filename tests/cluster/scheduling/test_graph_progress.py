"""The progress of a task's graphs, as the scheduler's plugin publishes it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Final

import pytest

from cluster.scheduling.attempt_keys import GRAPH_ANNOTATION, attempt_key
from cluster.scheduling.attempt_tracker import AttemptTracker
from cluster.store.async_store import Store

ID: Final = "0" * 32
TAG: Final = f"{ID}:1"


class Bench:
    """The plugin on a scheduler that holds one attempt."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.scheduler: Any = SimpleNamespace(
            tasks={}, task_prefixes={}, workers={}, queued=(), unrunnable=(), total_nthreads=0, allowed_failures=3,
            log_event=lambda *_: None,
        )  # fmt: skip
        self.plugin = AttemptTracker(self.scheduler, store)
        self.key = attempt_key("add", [(ID, 1)])
        self.scheduler.tasks[self.key] = SimpleNamespace(suspicious=0, annotations={}, priority=(0, 1, 0))
        self.plugin.update_graph(self.scheduler, tasks=[self.key], annotations={}, priority={self.key: (0, 1, 0)})

    def graph(self, *keys: str) -> None:
        for key in keys:
            self.scheduler.tasks[key] = SimpleNamespace(suspicious=0, annotations={GRAPH_ANNOTATION: TAG})
        annotated = {GRAPH_ANNOTATION: dict.fromkeys(keys, TAG)}
        priority: dict[Any, tuple[float, ...]] = dict.fromkeys(keys, (0, 1, 0))
        self.plugin.update_graph(self.scheduler, tasks=list(keys), annotations=annotated, priority=priority)

    async def done(self, *keys: str) -> float | None:
        for key in keys:
            self.plugin.transition(key, "processing", "memory")
        await self.plugin.graphs.publish()
        record = await self.store.read(ID)
        assert record is not None
        return record.progress


@pytest.fixture
async def bench(store: Store) -> Bench:
    await store.run(store.calls.submit(ID, "add", "1", b"{}"))
    await store.run(store.calls.start(ID, 1, "w"))
    return Bench(store)


async def test_a_second_graph_does_not_reduce_progress(bench: Bench) -> None:
    bench.graph("a", "b")
    assert await bench.done("a") == 0.5
    assert await bench.done("b") == 1.0
    bench.graph("c", "d")
    assert await bench.done("c") == 1.0


async def test_progress_continues_once_the_fraction_exceeds_what_was_published(bench: Bench) -> None:
    bench.graph("a", "b")
    assert await bench.done("a") == 0.5
    bench.graph("c", "d")
    assert await bench.done("b") == 0.5
    assert await bench.done("c") == 0.75


async def test_a_graph_that_arrives_after_the_end_of_its_task_leaves_nothing(bench: Bench) -> None:
    bench.graph("a")
    bench.plugin.transition(bench.key, "processing", "memory", metadata={"dask_graphql_seconds": [0.1]})
    assert len(bench.plugin.graphs) == 0
    bench.graph("late")
    assert len(bench.plugin.graphs) == 0
