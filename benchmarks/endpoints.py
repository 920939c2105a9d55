"""The peers behind HTTP, as usual with FastAPI: POST returns an id, GET waits for the result.

    python -m benchmarks.endpoints taskiq|celery|dramatiq PORT

Each waits as its library does: Taskiq polls Redis every 2 ms in an asyncio task, Celery uses its backend's pub/sub and
Dramatiq a blocking pop, both in a thread of the pool.
"""

from __future__ import annotations

import sys
from typing import Any

import anyio.to_thread
import uvicorn
from fastapi import FastAPI

from benchmarks import peers

THREADS = 64
"""One per task in flight: the pool's default of 40 would be a bottleneck."""


def taskiq_app() -> FastAPI:
    app = FastAPI()
    broker, task = peers.taskiq_parts()
    app.router.add_event_handler("startup", broker.startup)

    @app.post("/fibonacci/{n}")
    async def submit(n: int) -> str:
        return str((await task.kiq(n)).task_id)

    @app.get("/results/{task_id}")
    async def result(task_id: str) -> str:
        from taskiq import AsyncTaskiqTask

        waiting: Any = AsyncTaskiqTask(task_id, broker.result_backend)
        return str((await waiting.wait_result(check_interval=peers.POLL_SECONDS, timeout=60)).return_value)

    return app


def celery_app() -> FastAPI:
    app = FastAPI()
    celery, task = peers.celery_parts()
    app.router.add_event_handler("startup", more_threads)

    @app.post("/fibonacci/{n}")
    def submit(n: int) -> str:
        return str(task.delay(n).id)

    @app.get("/results/{task_id}")
    def result(task_id: str) -> str:
        return str(celery.AsyncResult(task_id).get(timeout=60, interval=peers.POLL_SECONDS))

    return app


def dramatiq_app() -> FastAPI:
    from dramatiq import Message

    app = FastAPI()
    _, actor, results = peers.dramatiq_parts()
    app.router.add_event_handler("startup", more_threads)

    @app.post("/fibonacci/{n}")
    def submit(n: int) -> str:
        return str(actor.send(n).message_id)

    @app.get("/results/{task_id}")
    def result(task_id: str) -> str:
        message: Any = Message(
            queue_name=actor.queue_name, actor_name=actor.actor_name, args=(), kwargs={}, options={}, message_id=task_id
        )
        return str(results.get_result(message, block=True, timeout=60_000))

    return app


async def more_threads() -> None:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS


def main() -> None:
    app = {"taskiq": taskiq_app, "celery": celery_app, "dramatiq": dramatiq_app}[sys.argv[1]]()
    uvicorn.run(app, port=int(sys.argv[2]), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
