"""The peers: the same short task, a small Fibonacci number, through their own clients, bare.

    python -m benchmarks.peers taskiq|celery|dramatiq|dask|starlette   runs a peer's worker or server

Each peer's class has `run(n)`, which submits one task and returns its result.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import gmpy2

from benchmarks.wire import HttpPool

REDIS = os.environ.get("BENCH_REDIS", "redis://127.0.0.1:6379/1")
SCHEDULER = os.environ.get("BENCH_SCHEDULER", "tcp://127.0.0.1:8786")


POLL_SECONDS = 0.002
"""How often a peer polls for a result if its library has no notification."""


def fib(n: int) -> str:
    """The work of one task alone."""
    return str(gmpy2.fib(n).digits())


def taskiq_fib(n: int) -> str:
    """Taskiq modifies the function that it is given, so it gets its own."""
    return fib(n)


def taskiq_parts() -> Any:
    """The broker and its task."""
    from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

    broker = ListQueueBroker(REDIS).with_result_backend(RedisAsyncResultBackend(REDIS, result_ex_time=600))
    return broker, broker.register_task(taskiq_fib, task_name="fib")


class Taskiq:
    name = "Taskiq, bare"

    async def start(self) -> None:
        self.broker, self.task = taskiq_parts()
        await self.broker.startup()

    async def run(self, n: int) -> str:
        task = await self.task.kiq(n)
        result = await task.wait_result(check_interval=POLL_SECONDS, timeout=60)
        return str(result.return_value)

    async def close(self) -> None:
        await self.broker.shutdown()


def celery_parts() -> Any:
    """The application and its task."""
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
    """Celery's client blocks, so each task in flight needs a thread, as in a web server."""

    name = "Celery, bare"

    async def start(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self.app, self.task = celery_parts()
        self.pool = ThreadPoolExecutor(64)

    async def run(self, n: int) -> str:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self.pool, lambda: str(self.task.delay(n).get(timeout=60, interval=POLL_SECONDS))
        )

    async def close(self) -> None:
        self.pool.shutdown()


def dramatiq_parts() -> Any:
    """The broker, the actor and the backend of its results."""
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker
    from dramatiq.results import Results
    from dramatiq.results.backends import RedisBackend

    broker, results = RedisBroker(url=REDIS), RedisBackend(url=REDIS)
    broker.add_middleware(Results(backend=results))
    return broker, dramatiq.actor(fib, broker=broker, actor_name="fib", store_results=True, result_ttl=600_000), results


class Dramatiq:
    """Its client blocks too, like Celery's."""

    name = "Dramatiq, bare"

    async def start(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        _, self.actor, self.results = dramatiq_parts()
        self.pool = ThreadPoolExecutor(64)

    async def run(self, n: int) -> str:
        def work() -> str:
            return str(self.actor.send(n).get_result(backend=self.results, block=True, timeout=60_000))

        return await asyncio.get_running_loop().run_in_executor(self.pool, work)

    async def close(self) -> None:
        self.pool.shutdown()


class Endpoint:
    """A peer behind HTTP (endpoints.py): two requests per task over keep-alive connections."""

    def __init__(self, kind: str, port: int) -> None:
        self.name = f"{kind.capitalize()}, FastAPI"
        self._url = f"http://127.0.0.1:{port}/"

    async def start(self) -> None:
        self._http = HttpPool(self._url, 64)

    async def run(self, n: int) -> str:
        task_id = json.loads(await self._http.ask(b"POST", b"/fibonacci/%d" % n))
        return str(json.loads(await self._http.ask(b"GET", b"/results/%b" % str(task_id).encode())))

    async def close(self) -> None:
        self._http.close()


class Dask:
    """The bare Dask client, with two workers of one thread each."""

    name = "Dask, bare"

    async def start(self) -> None:
        from distributed import Client

        self.client = await Client(SCHEDULER, asynchronous=True, set_as_default=False)

    async def run(self, n: int) -> str:
        return str(await self.client.submit(fib, n, pure=False))

    async def close(self) -> None:
        await self.client.close()


async def serve_starlette(port: int) -> None:
    """A bare JSON route on the same server, to show the cost of HTTP alone."""
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
        app, _ = celery_parts()
        app.worker_main(
            ["worker", "--concurrency", "2", "--loglevel", "WARNING", "--without-gossip", "--without-mingle"]
        )
    elif kind == "dramatiq":
        from dramatiq.cli import main as dramatiq_main
        from dramatiq.cli import make_argument_parser

        dramatiq_main(
            make_argument_parser().parse_args(
                ["benchmarks.peers:dramatiq_broker", "--processes", "2", "--threads", "1"]
            )
        )
    elif kind == "starlette":
        asyncio.run(serve_starlette(int(sys.argv[2])))


def __getattr__(name: str) -> Any:
    # Imported by workers by name; created lazily, because other peers do not need it.
    if name == "taskiq_broker":
        return taskiq_parts()[0]
    if name == "dramatiq_broker":
        return dramatiq_parts()[0]
    raise AttributeError(name)


if __name__ == "__main__":
    main()
