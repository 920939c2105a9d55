"""arq beside ours, in an environment of its own (`.venv/arq`): it needs a redis-py that is older than ours.

    python -m benchmarks.peers_arq worker       runs a worker
    python -m benchmarks.peers_arq client       measures: reads `lone COUNT` or `flight COUNT`, prints the figure
    python -m benchmarks.peers_arq http PORT    serves FastAPI, as endpoints.py does

arq's workers poll the queue. They do so as often as clients poll for results here, not twice a second as by default.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any, Final

from benchmarks import peers
from benchmarks.peers import KEPT_SECONDS, POLL_SECONDS, Peer, fib

PYTHON: Final = Path(sys.prefix) / "arq" / "bin" / "python"


def installed() -> bool:
    """Whether `make bench` could install it."""
    return PYTHON.exists()


class Arq(Peer):
    """Its client, in a process of its own."""

    name = "arq, bare"
    lacks = "a task that ran on a lost worker runs again only after its time limit; results are polled"

    async def start(self) -> None:
        self._client = await asyncio.create_subprocess_exec(
            PYTHON, "-m", "benchmarks.peers_arq", "client", stdin=PIPE, stdout=PIPE, env=environment(peers.REDIS)
        )

    async def run(self, n: int) -> str:
        await self._figure("lone", 1)
        return ""

    async def _figure(self, measure: str, count: int) -> float:
        assert self._client.stdin
        assert self._client.stdout
        self._client.stdin.write(f"{measure} {count}\n".encode())
        return float(await self._client.stdout.readline())

    async def lone_ms(self, count: int) -> float:
        return await self._figure("lone", count)

    async def per_second(self, count: int) -> float:
        return await self._figure("flight", count)

    async def close(self) -> None:
        assert self._client.stdin
        self._client.stdin.close()
        await self._client.wait()


def environment(redis: str) -> dict[str, str]:
    """The environment of its processes: they find nothing but this folder and their own packages."""
    return {**os.environ, "BENCH_REDIS": redis, "PYTHONPATH": str(Path(__file__).parent.parent)}


def start_process(redis: str, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [PYTHON, "-m", "benchmarks.peers_arq", *words], env=environment(redis), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


# In arq's environment -------------------------------------------------------------------------------------------------


async def _task(_: dict[str, Any], n: int) -> str:
    return fib(n)


async def _pool() -> Any:
    import arq
    from arq.connections import RedisSettings

    return await arq.create_pool(RedisSettings.from_dsn(peers.REDIS))


def _worker() -> None:
    from arq.connections import RedisSettings
    from arq.worker import Worker, func

    Worker(
        [func(_task, name="fib")], redis_settings=RedisSettings.from_dsn(peers.REDIS), keep_result=KEPT_SECONDS,
        poll_delay=POLL_SECONDS, handle_signals=False,
    ).run()  # fmt: skip


class _Client(Peer):
    async def start(self) -> None:
        self._redis = await _pool()

    async def run(self, n: int) -> str:
        job = await self._redis.enqueue_job("fib", n)
        return str(await job.result(timeout=60, poll_delay=POLL_SECONDS))

    async def close(self) -> None:
        await self._redis.aclose()


async def _measure() -> None:
    client = _Client()
    await client.start()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        measure, count = line.split()
        figure = client.lone_ms(int(count)) if measure == "lone" else client.per_second(int(count))
        print(await figure, flush=True)
    await client.close()


def _serve(port: int) -> None:
    import uvicorn
    from arq.jobs import Job
    from fastapi import FastAPI

    app = FastAPI()
    pools: list[Any] = []

    async def pool() -> Any:
        if not pools:
            pools.append(await _pool())
        return pools[0]

    @app.post("/fibonacci/{n}")
    async def submit(n: int) -> str:
        return str((await (await pool()).enqueue_job("fib", n)).job_id)

    @app.get("/results/{task_id}")
    async def result(task_id: str) -> str:
        return str(await Job(task_id, await pool()).result(timeout=60, poll_delay=POLL_SECONDS))

    uvicorn.run(app, port=port, log_level="warning", access_log=False)


def main() -> None:
    if sys.argv[1] == "worker":
        _worker()
    elif sys.argv[1] == "client":
        asyncio.run(_measure())
    else:
        _serve(int(sys.argv[2]))


if __name__ == "__main__":
    main()
