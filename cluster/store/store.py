"""The two clients of the store: `Store` for asyncio (api nodes, scheduler, controller), `ThreadStore` for a worker's
threads. Both send the calls of calls.py and nothing else."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.retry import Retry

from cluster.errors import StoreUnavailable
from cluster.settings import Settings
from cluster.store.calls import LANES, SCRIPTS, Call, Calls
from cluster.store.record import FIELDS, Record, TaskState, parse_record

R = TypeVar("R")

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 1.8
"""Longest wait for one answer, so that a client hears of a missing Redis within 2 s."""

CONNECTIONS: Final = 64
"""Connections of one process; whoever comes when all are taken waits for one."""


@contextmanager
def _as_unavailable() -> Iterator[None]:
    """Wraps what redis-py raises when the server is away, busy loading or read-only; programming errors go through."""
    try:
        yield
    except ResponseError as error:
        text = str(error)
        if text.startswith(("LOADING", "READONLY", "OOM", "MASTERDOWN", "MISCONF", "CLUSTERDOWN", "TRYAGAIN")):
            raise StoreUnavailable(f"Redis refuses: {text}") from error
        raise
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"Redis does not answer: {type(error).__name__}: {error}") from error


def _missing(answers: Sequence[Any]) -> bool:
    return any(isinstance(answer, NoScriptError) for answer in answers)


def _first_error(answers: Iterable[Any]) -> Exception | None:
    return next((answer for answer in answers if isinstance(answer, Exception)), None)


class Store:
    """The store for asyncio code.

    Raises, in every method:
        StoreUnavailable: Redis does not answer within TIMEOUT_SECONDS.
    """

    def __init__(self, settings: Settings) -> None:
        self.calls = Calls(settings)
        self.redis = redis.asyncio.Redis(
            connection_pool=redis.asyncio.BlockingConnectionPool.from_url(
                settings.redis_url,
                max_connections=CONNECTIONS,
                timeout=TIMEOUT_SECONDS,
                socket_timeout=TIMEOUT_SECONDS,
                socket_connect_timeout=TIMEOUT_SECONDS,
                retry=Retry(NoBackoff(), 1),
            )
        )

    async def run(self, call: Call[R]) -> R:
        """Runs one script."""
        with _as_unavailable():
            async with asyncio.timeout(TIMEOUT_SECONDS):
                answer = await self._execute(call)
        return call.parse(answer)

    async def _execute(self, call: Call[Any]) -> Any:
        try:
            return await self.redis.execute_command(*call.command)  # type: ignore[no-untyped-call]
        except NoScriptError:
            await self._load_scripts()
            return await self.redis.execute_command(*call.command)  # type: ignore[no-untyped-call]

    async def run_many(self, calls: Sequence[Call[R]]) -> list[R]:
        """Runs scripts in one round trip, each a step of its own."""
        if not calls:
            return []
        with _as_unavailable():
            async with asyncio.timeout(TIMEOUT_SECONDS):
                answers = await self._pipeline(calls)
                if _missing(answers):
                    # A restarted Redis has no scripts. None of the missing ones ran; those that ran must not run again.
                    await self._load_scripts()
                    todo = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
                    for i, answer in zip(todo, await self._pipeline([calls[i] for i in todo]), strict=True):
                        answers[i] = answer
            if error := _first_error(answers):
                raise error
        return [call.parse(answer) for call, answer in zip(calls, answers, strict=True)]

    async def _pipeline(self, calls: Sequence[Call[Any]]) -> list[Any]:
        async with self.redis.pipeline(transaction=False) as pipeline:
            for call in calls:
                pipeline.execute_command(*call.command)
            return list(await pipeline.execute(raise_on_error=False))

    async def _load_scripts(self) -> None:
        for script in SCRIPTS.values():
            await self.redis.script_load(script.source)

    async def read(self, task_id: str) -> Record | None:
        """The record of a task, or None."""
        [record] = await self.read_many([task_id])
        return record

    async def read_many(self, task_ids: Sequence[str], *, results: bool = True) -> list[Record | None]:
        """The records of tasks, in their order; without their results where those are not wanted."""
        names = FIELDS if results else FIELDS[:-1]
        with _as_unavailable():
            async with asyncio.timeout(TIMEOUT_SECONDS), self.redis.pipeline(transaction=False) as pipeline:
                for task_id in task_ids:
                    pipeline.hmget(self.calls.record_key(task_id), list(names))
                answers = await pipeline.execute()
        records = []
        for task_id, values in zip(task_ids, answers, strict=True):
            record = parse_record(task_id, values if results else [*values, None])
            now = time.time() * 1000
            # Redis may still answer a key for a moment after its time; nobody may see it then.
            records.append(None if record and record.expires_at and record.expires_at + 1_000 <= now else record)
        return records

    async def newest(
        self,
        first: int,
        *,
        before: tuple[int, str] | None = None,
        state: TaskState | None = None,
        name: str | None = None,
    ) -> list[tuple[int, str]]:
        """Tasks, newest first, as (submitted_at, task id).

        Args:
            first: how many at the most.
            before: where to go on: the last pair of the page before.
            state, name: only these.
        """
        highest: str | int = "+inf" if before is None else before[0]
        with _as_unavailable():
            async with asyncio.timeout(TIMEOUT_SECONDS), self.redis.pipeline(transaction=False) as pipeline:
                for digit in LANES:
                    pipeline.zrevrangebyscore(
                        self.calls.index_key(digit, state, name), highest, "-inf", start=0,
                        num=first if before is None else first + 64, withscores=True,
                    )  # fmt: skip
                lanes = await pipeline.execute()
        pairs = sorted(((int(score), member.decode()) for lane in lanes for member, score in lane), reverse=True)
        if before is not None:
            pairs = [pair for pair in pairs if pair < before]
        return pairs[:first]

    async def count(self, state: TaskState, name: str | None = None) -> int:
        """How many records there are in a state, of one task type or of all."""
        with _as_unavailable():
            async with asyncio.timeout(TIMEOUT_SECONDS), self.redis.pipeline(transaction=False) as pipeline:
                for digit in LANES:
                    pipeline.zcard(self.calls.index_key(digit, state, name))
                return sum(await pipeline.execute())

    async def counts(self) -> dict[TaskState, int]:
        """How many records there are in each state."""
        with _as_unavailable():
            async with asyncio.timeout(TIMEOUT_SECONDS), self.redis.pipeline(transaction=False) as pipeline:
                for state in TaskState:
                    for digit in LANES:
                        pipeline.zcard(self.calls.index_key(digit, state, None))
                answers = await pipeline.execute()
        width = len(LANES)
        return {state: sum(answers[i * width : (i + 1) * width]) for i, state in enumerate(TaskState)}

    async def ping(self) -> None:
        """Returns when Redis answers."""
        with _as_unavailable():
            await self.redis.ping()

    async def close(self) -> None:
        # A half-open link can make aclose wait for ever (redis-py issue 3941).
        async with asyncio.timeout(2):
            await self.redis.aclose()


class ThreadStore:
    """The store for a worker's threads. It waits a while for a Redis that is away: a finished run is worth it."""

    def __init__(self, settings: Settings, *, patience_seconds: float = 120.0) -> None:
        self.calls = Calls(settings)
        self._patience_seconds = patience_seconds
        self.redis = redis.Redis(
            connection_pool=redis.BlockingConnectionPool.from_url(
                settings.redis_url,
                max_connections=CONNECTIONS,
                timeout=TIMEOUT_SECONDS,
                socket_timeout=5.0,
                socket_connect_timeout=TIMEOUT_SECONDS,
                retry=Retry(NoBackoff(), 1),
            )
        )

    def run(self, call: Call[R]) -> R:
        """Runs one script, again and again until Redis answers; every script may be repeated without harm.

        Raises:
            StoreUnavailable: Redis stayed away for `patience_seconds`.
        """
        deadline = time.monotonic() + self._patience_seconds
        pause = 0.05
        while True:
            try:
                return self.run_once(call)
            except StoreUnavailable as error:
                if time.monotonic() + pause > deadline:
                    raise
                logger.warning("%s; trying again", error)
                time.sleep(pause)
                pause = min(1.0, pause * 2)

    def run_once(self, call: Call[R]) -> R:
        """Runs one script.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        with _as_unavailable():
            try:
                answer = self.redis.execute_command(*call.command)  # type: ignore[no-untyped-call]
            except NoScriptError:
                for script in SCRIPTS.values():
                    self.redis.script_load(script.source)
                answer = self.redis.execute_command(*call.command)  # type: ignore[no-untyped-call]
        return call.parse(answer)

    def close(self) -> None:
        self.redis.close()
