"""The peers: the same short task, a small Fibonacci number, through their own clients, bare.

    python -m benchmarks.peers taskiq|celery|dramatiq|dask|starlette   runs a peer's worker or server

Each peer's class gives `run(n)`, which submits one task and returns when its result is in hand.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import gmpy2

REDIS = os.environ.get("BENCH_REDIS", "redis://127.0.0.1:6379/1")
SCHEDULER = os.environ.get("BENCH_SCHEDULER", "tcp://127.0.0.1:8786")


def fib(n: int) -> str:
    """The work of one task, without anything around it."""
    return str(gmpy2.fib(n).digits())


def taskiq_fib(n: int) -> str:
    """Taskiq rewrites the function that it is given, so it has one of its own."""
    return fib(n)


def _taskiq() -> Any:
    from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

    broker = ListQueueBroker(REDIS).with_result_backend(RedisAsyncResultBackend(REDIS, result_ex_time=600))
    return broker, broker.register_task(taskiq_fib, task_name="fib")


class Taskiq:
    name = "Taskiq, bare"

    async def start(self) -> None:
        self.broker, self.task = _taskiq()
        await self.broker.startup()

    async def run(self, n: int) -> str:
        task = await self.task.kiq(n)
        result = await task.wait_result(check_interval=0.002, timeout=60)
        return str(result.return_value)

    async def close(self) -> None:
        await self.broker.shutdown()


def _celery() -> Any:
    from celery import Celery

    app = Celery("bench", broker=REDIS, backend=REDIS)
    app.conf.update(
        result_expires=600,
        worker_prefetch_multiplier=16,
        task_serializer="json",
        broker_connection_retry_on_startup=True,
    )
    return app, app.task(fib, name="fib")


class Celery:
    """Celery's client blocks, so each task in flight has a thread, as in a web server that calls it."""

    name = "Celery, bare"

    async def start(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self.app, self.task = _celery()
        self.pool = ThreadPoolExecutor(64)

    async def run(self, n: int) -> str:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.pool, lambda: str(self.task.delay(n).get(timeout=60, interval=0.002)))

    async def close(self) -> None:
        self.pool.shutdown()


class Dask:
    """The bare Dask client; two workers of one thread."""

    name = "Dask, bare"

    async def start(self) -> None:
        from distributed import Client

        self.client = await Client(SCHEDULER, asynchronous=True, set_as_default=False)

    async def run(self, n: int) -> str:
        return str(await self.client.submit(fib, n, pure=False))

    async def close(self) -> None:
        await self.client.close()


async def serve_starlette(port: int) -> None:
    """A bare JSON route on the same server, as the measure of what HTTP alone costs."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def answer(request: Request) -> JSONResponse:
        return JSONResponse({"data": {"n": len(await request.body())}})

    app = Starlette(routes=[Route("/", answer, methods=["POST"])])
    await uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", access_log=False)).serve()


def main() -> None:
    kind = sys.argv[1]
    if kind == "taskiq":
        from taskiq.cli.worker.args import WorkerArgs
        from taskiq.cli.worker.run import run_worker

        run_worker(WorkerArgs(broker="benchmarks.peers:taskiq_broker", modules=[], workers=2, log_level="WARNING"))
    elif kind == "celery":
        app, _ = _celery()
        app.worker_main(
            ["worker", "--concurrency", "2", "--loglevel", "WARNING", "--without-gossip", "--without-mingle"]
        )
    elif kind == "starlette":
        asyncio.run(serve_starlette(int(sys.argv[2])))


def __getattr__(name: str) -> Any:
    # What Taskiq's worker imports by name; made late, as the other peers need no Taskiq.
    if name == "taskiq_broker":
        return _taskiq()[0]
    raise AttributeError(name)


if __name__ == "__main__":
    main()
