"""`make bench-retry`: what `retryTasks` of 100,000 failed tasks costs, called page after page as a client does.

Redis is filled by the scripts that workers use. Then a client sends the mutation until there is no next page, while
another one asks for a task all the time: how long it waits tells what the pages cost everybody else. The api and the
scheduler are processes of their own, without workers, so every task ends up queued. Processor time is printed beside
the seconds, which mean little on a machine that does other things.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from benchmarks.changes import spent
from cluster.attempt_errors import error
from cluster.settings import Settings, load_settings
from cluster.store.async_store import Store
from cluster.store.record import TaskState
from cluster.system.child_processes import start_node, stop_children
from cluster.task_types.registry import load_registry
from dask_graphql.dev_system import free_port
from tests.system import RedisServer

CHUNK: Final = 1_000
"""Tasks that are filled in together."""
SAMPLE_SECONDS: Final = 0.1
READY_SECONDS: Final = 60.0
RETRY: Final = """mutation($where: TaskFilter!, $after: String) {
  retryTasks(where: $where, after: $after) { matched done refused { code message count } endCursor hasNextPage } }"""
FAILURES: Final = "{ failures(first: 1) { key count } }"
READ: Final = "query($id: ID!) { task(taskId: $id) { state } }"


@dataclass
class Figures:
    """What was seen while the pages were called."""

    pages: list[float] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    done: int = 0


async def fill(store: Store, count: int) -> list[str]:
    """Stores failed tasks; returns their ids."""
    task_type = load_registry(())["fibonacci"]
    ids = []
    for start in range(0, count, CHUNK):
        bound = [task_type.bind({"n": n}) for n in range(start, min(start + CHUNK, count))]
        await store.run_many(
            [
                store.calls.submit(each.task_id, "fibonacci", task_type.version, each.canonical_input, tags=("bulk",))
                for each in bound
            ]
        )
        failed = error("TASK_FAILED", "no connection to 10.0.0.7: timed out", "ConnectionError")
        await store.run_many([store.calls.fail(each.task_id, 1, failed) for each in bound])
        ids += [each.task_id for each in bound]
    return ids


@contextlib.asynccontextmanager
async def nodes(settings: Settings) -> AsyncIterator[tuple[str, psutil.Process]]:
    """A scheduler and an api node in processes of their own: the address of the api, and its process."""
    url = f"http://127.0.0.1:{settings.port}"
    children = [await start_node(settings, "scheduler"), await start_node(settings, "api")]
    try:
        async with httpx.AsyncClient() as client, asyncio.timeout(READY_SECONDS):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(f"{url}/readyz")).is_success:
                        break
                await asyncio.sleep(SAMPLE_SECONDS)
        yield f"{url}/graphql", psutil.Process(children[1].process.pid)
    finally:
        for child in reversed(children):
            await stop_children([child], 20)


async def ask(client: httpx.AsyncClient, url: str, query: str, variables: Mapping[str, Any]) -> Any:
    """The data of an answer without errors."""
    body = (await client.post(url, json={"query": query, "variables": variables}, timeout=120)).json()
    if body.get("errors"):
        raise RuntimeError(f"the api refuses {query.partition('(')[0]}: {body['errors'][0]}")
    return body["data"]


async def watch(figures: Figures, url: str, api: psutil.Process, task_id: str) -> None:
    """Asks for a task all the time, and looks at the memory of the api."""
    async with httpx.AsyncClient() as client:
        while True:
            begun = time.perf_counter()
            await ask(client, url, READ, {"id": task_id})
            figures.reads.append(time.perf_counter() - begun)
            figures.peak_bytes = max(figures.peak_bytes, api.memory_info().rss)
            await asyncio.sleep(SAMPLE_SECONDS)


async def retry_all(figures: Figures, url: str, where: Mapping[str, Any]) -> None:
    """Calls `retryTasks` page after page."""
    after, more = None, True
    async with httpx.AsyncClient() as client:
        while more:
            begun = time.perf_counter()
            page = (await ask(client, url, RETRY, {"where": where, "after": after}))["retryTasks"]
            figures.pages.append(time.perf_counter() - begun)
            figures.done += page["done"]
            if page["refused"]:
                raise RuntimeError(f"refused: {page['refused']}")
            after, more = page["endCursor"], page["hasNextPage"]


async def measure(folder: Path, count: int, by: str) -> None:
    (folder / "redis").mkdir()
    server = RedisServer(folder / "redis")
    server.start(sync="no")
    port, scheduler_port = free_port(), free_port()
    settings = load_settings(
        {}, redis_url=server.url, port=port, scheduler=f"tcp://127.0.0.1:{scheduler_port}", log_level="ERROR",
        data_dir=str(folder / "data"), metrics_port=0, queue_limit=10 * count, queue_limit_per_tenant=10 * count,
        allow_open_scheduler=True,
    )  # fmt: skip
    store = Store(settings)
    try:
        begun = time.monotonic()
        ids = await fill(store, count)
        print(f"{count:,} failed tasks stored in {time.monotonic() - begun:.0f} s", flush=True)
        async with nodes(settings) as (url, api):
            redis, figures = psutil.Process(server.process_id), Figures()
            where: dict[str, Any] = {"states": ["FAILED"]}
            if by == "group":
                async with httpx.AsyncClient() as client:
                    [group] = (await ask(client, url, FAILURES, {}))["failures"]
                where = {"failureGroup": group["key"]}
            before, of_api, of_redis, begun = api.memory_info().rss, spent(api), spent(redis), time.monotonic()
            watching = asyncio.create_task(watch(figures, url, api, ids[0]))
            await retry_all(figures, url, where)
            took = time.monotonic() - begun
            watching.cancel()
            of_api, of_redis = spent(api) - of_api, spent(redis) - of_redis
            assert figures.done == count, f"{figures.done} of {count} tasks were submitted again"
            await store_is_queued(store, count)
            print(
                f"by {by}, load {os.getloadavg()[0]:.1f}: {took:.1f} s, {count / took:,.0f} tasks/s, "
                f"{len(figures.pages)} pages"
            )
            print(f"  a page: median {statistics.median(figures.pages):.2f} s, longest {max(figures.pages):.2f} s")
            print(f"  api: {of_api:.1f} s of processor time, {of_api / count * 1e6:.0f} µs/task; "
                  f"{before / 2**20:.0f} MB before, {figures.peak_bytes / 2**20:.0f} MB at most")  # fmt: skip
            print(f"  Redis: {of_redis:.1f} s of processor time, {of_redis / count * 1e6:.0f} µs/task, "
                  f"{redis.memory_info().rss / 2**20:.0f} MB")  # fmt: skip
            print(f"  another client's read: median {statistics.median(figures.reads) * 1e3:.0f} ms, "
                  f"longest {max(figures.reads) * 1e3:.0f} ms", flush=True)  # fmt: skip
    finally:
        await store.close()
        server.stop()


async def store_is_queued(store: Store, count: int) -> None:
    """Every task waits again."""
    queued = await store.count(TaskState.QUEUED)
    assert queued == count, f"{queued} of {count} tasks are queued"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--by", choices=("state", "group"), default="state", help="what the filter is about")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), options.tasks, options.by))


if __name__ == "__main__":
    main()
