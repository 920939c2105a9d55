"""The peers: the same short task, a small Fibonacci number, through their own clients, bare, and behind HTTP.

    python -m benchmarks.peers taskiq|taskiq-streams|celery|dramatiq|starlette PORT    runs a peer's worker or server

All of them use one Redis with its append-only file, written every second like that of our system, and keep results for
ten minutes. peers_arq.py has arq, whose redis-py is older than ours.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import gmpy2

from benchmarks import load, timing
from benchmarks.timing import Numbers
from benchmarks.wire import HttpPool

REDIS = os.environ.get("BENCH_REDIS", "redis://127.0.0.1:6379/1")
POLL_SECONDS: Final = 0.002
"""How often a peer polls for a result if its library has no notification."""
KEPT_SECONDS: Final = 600
NUMBERS: Final = Numbers()
"""The peers compute a repeated number again."""


def fib(n: int) -> str:
    """The work of one task alone."""
    return str(gmpy2.fib(n).digits())


def taskiq_fib(n: int) -> str:
    """Taskiq modifies the function that it is given, so it gets its own."""
    return fib(n)


class Peer:
    """One system beside ours.

    Attributes:
        name: its name in the table.
        lacks: what it does not do and ours does, for the report.
    """

    name: str
    lacks: str

    async def start(self) -> None:
        raise NotImplementedError

    async def run(self, n: int) -> str:
        """Submits one task and returns its result."""
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError

    async def lone_ms(self, count: int) -> float:
        """One task at a time: median, in milliseconds."""
        return await timing.lone_ms(self.run, NUMBERS.take(count))

    async def per_second(self, count: int) -> float:
        """64 in flight, in tasks per second."""
        return await timing.per_second(self.run, NUMBERS.take(count))


def taskiq_parts(*, streams: bool = False) -> Any:
    """The broker and its task."""
    from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend, RedisStreamBroker

    made = RedisStreamBroker(REDIS, queue_name="taskiq-streams") if streams else ListQueueBroker(REDIS)
    broker = made.with_result_backend(RedisAsyncResultBackend(REDIS, result_ex_time=KEPT_SECONDS))
    return broker, broker.register_task(taskiq_fib, task_name="fib")


class Taskiq(Peer):
    """With lists a worker takes a task off the queue before it runs; with streams it acknowledges the task after."""

    def __init__(self, *, streams: bool = False) -> None:
        self._streams = streams
        self.name = "Taskiq with streams, bare" if streams else "Taskiq, bare"
        self.lacks = (
            "no record of a task until its result; results are polled" if streams
            else "a task is lost with the worker that took it; no record of a task until its result; results are polled"
        )  # fmt: skip

    async def start(self) -> None:
        self.broker, self.task = taskiq_parts(streams=self._streams)
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
        result_expires=KEPT_SECONDS,
        worker_prefetch_multiplier=16,
        task_serializer="json",
        broker_connection_retry_on_startup=True,
    )
    return app, app.task(fib, name="fib")


class Blocking(Peer):
    """A client that blocks, so each task in flight needs a thread, as in a web server."""

    async def start(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self._call = self.connect()
        self._pool = ThreadPoolExecutor(timing.IN_FLIGHT)

    def connect(self) -> Callable[[int], object]:
        """Returns the function that submits one task and returns its result."""
        raise NotImplementedError

    async def run(self, n: int) -> str:
        return str(await asyncio.get_running_loop().run_in_executor(self._pool, self._call, n))

    async def close(self) -> None:
        self._pool.shutdown()


class Celery(Blocking):
    name = "Celery, bare"
    lacks = (
        "a task is lost with the worker that took it, unless it acknowledges late; no record of a task until its result"
    )

    def connect(self) -> Callable[[int], object]:
        _, task = celery_parts()
        return lambda n: task.delay(n).get(timeout=60, interval=POLL_SECONDS)


def dramatiq_parts() -> Any:
    """The broker, the actor and the backend of its results."""
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker
    from dramatiq.results import Results
    from dramatiq.results.backends import RedisBackend

    broker, results = RedisBroker(url=REDIS), RedisBackend(url=REDIS)
    broker.add_middleware(Results(backend=results))
    actor = dramatiq.actor(
        fib, broker=broker, actor_name="fib", store_results=True, result_ttl=KEPT_SECONDS * 1000
    )  # fmt: skip
    return broker, actor, results


class Dramatiq(Blocking):
    name = "Dramatiq, bare"
    lacks = "no record of a task until its result"

    def connect(self) -> Callable[[int], object]:
        _, actor, results = dramatiq_parts()
        return lambda n: actor.send(n).get_result(backend=results, block=True, timeout=60_000)


class Endpoint(Peer):
    """A peer behind HTTP (endpoints.py): two requests per task over keep-alive connections."""

    def __init__(self, kind: str, port: int) -> None:
        self.name = f"{kind if kind == 'arq' else kind.capitalize()}, FastAPI"
        self.lacks = "as bare; a result is one long request"
        self._url = f"http://127.0.0.1:{port}/"

    async def start(self) -> None:
        self._http = HttpPool(self._url, timing.IN_FLIGHT)

    async def run(self, n: int) -> str:
        task_id = json.loads(await self._http.ask(b"POST", b"/fibonacci/%d" % n))
        return str(json.loads(await self._http.ask(b"GET", b"/results/%b" % str(task_id).encode())))

    async def close(self) -> None:
        self._http.close()

    async def _from_c(self, count: int, in_flight: int) -> load.Spent:
        return await load.run_tasks(
            urlsplit(self._url).port or 80, count, in_flight=in_flight, first=NUMBERS.take(count).start,
            request="POST /fibonacci/@", id_after='"', follow="GET /results/@",
        )  # fmt: skip

    async def lone_ms(self, count: int) -> float:
        return (await self._from_c(count, 1)).p50_ms if load.programs() else await super().lone_ms(count)

    async def per_second(self, count: int) -> float:
        if load.programs():
            return (await self._from_c(count, timing.IN_FLIGHT)).per_second
        return await super().per_second(count)


class Dask(Peer):
    """The bare Dask client on our system's scheduler, with two workers of one thread each."""

    name = "Dask, bare"
    lacks = "nothing is stored: tasks and results are lost with the scheduler or the client"

    def __init__(self, scheduler: str) -> None:
        self._scheduler = scheduler

    async def start(self) -> None:
        from distributed import Client

        self.client = await Client(self._scheduler, asynchronous=True, set_as_default=False)

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
    if kind in ("taskiq", "taskiq-streams"):
        from taskiq.cli.worker.args import WorkerArgs
        from taskiq.cli.worker.run import run_worker

        broker = f"benchmarks.peers:{kind.replace('-', '_')}_broker"
        run_worker(WorkerArgs(broker=broker, modules=[], workers=2, log_level="WARNING"))
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
    if name in ("taskiq_broker", "taskiq_streams_broker"):
        return taskiq_parts(streams="streams" in name)[0]
    if name == "dramatiq_broker":
        return dramatiq_parts()[0]
    raise AttributeError(name)


if __name__ == "__main__":
    main()
