"""The two clients of the store: `Store` for asyncio (api nodes, scheduler, controller), `ThreadStore` for a worker's
threads. Both send the calls of calls.py and nothing else."""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, TypeVar, cast

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.retry import Retry

from cluster.errors import StoreUnavailable
from cluster.observability import metrics
from cluster.settings import Settings
from cluster.store.auto_pipeline import AutoPipeline
from cluster.store.pubsub import PubSubConnection
from cluster.store.raw_pipeline import ThreadPipeline, send_pipeline
from cluster.store.record import FIELDS, Record, TaskState, parse_record
from cluster.store.refusals import is_demoted_primary, refusal_code
from cluster.store.script_calls import SCRIPTS, SHARDS, Call, Calls
from cluster.store.stall_aware_timeout import stall_aware_timeout

R = TypeVar("R")
T = TypeVar("T")

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 1.8
"""Longest wait for one answer, so that a client hears of a missing Redis within 2 s."""

TRIP: Final = 512
"""Most scripts in one round trip."""

TRIES: Final = 3
"""How often a call is tried whose connection is lost under it."""

CLOSE_SECONDS: Final = 2.0
"""Longest wait for connections to close."""

CONNECTIONS: Final = 64
"""Connections of one process; whoever comes when all are taken waits for one."""


@contextmanager
def _round_trip(call: str) -> Iterator[None]:
    """Measures a call and wraps what redis-py raises when the server is away or refuses for now; programming errors
    go through."""
    began = time.perf_counter()
    try:
        yield
        metrics.labelled(metrics.REDIS_SECONDS, call).observe(time.perf_counter() - began)
    except (RedisError, OSError) as error:
        code = refusal_code(error)
        if code is None and isinstance(error, ResponseError):
            raise
        metrics.REDIS_FAILURES.inc()
        what = f"refuses ({code}): " if code else f"does not answer: {type(error).__name__}: "
        raise StoreUnavailable(f"Redis {what}{error}") from error


@contextmanager
def _greeting() -> Iterator[None]:
    """What a server refuses of its first commands, such as a database number that it does not have, is a connection
    that cannot be had, and no mistake in the call that wanted it."""
    try:
        yield
    except ResponseError as error:
        if refusal_code(error) is not None:
            raise
        raise redis.ConnectionError(f"it refuses the connection: {error}") from error


async def _greet(connection: redis.asyncio.Connection) -> None:
    with _greeting():
        await connection.on_connect()


def _greet_in_thread(connection: redis.Connection) -> None:
    with _greeting():
        connection.on_connect()  # type: ignore[no-untyped-call]


def _missing(answers: Sequence[Any]) -> bool:
    return any(isinstance(answer, NoScriptError) for answer in answers)


def _milliseconds(time_answer: Sequence[Any]) -> int:
    """What `TIME` answers, as milliseconds since 1970."""
    seconds, microseconds = time_answer
    return int(seconds) * 1000 + int(microseconds) // 1000


def _first_error(answers: Iterable[Any]) -> Exception | None:
    return next((answer for answer in answers if isinstance(answer, Exception)), None)


def _pairs(shard: Sequence[Any]) -> Iterator[tuple[bytes, float]]:
    """The (member, score) pairs of a range, which redis-py answers as pairs or as a flat list, by its protocol."""
    if shard and not isinstance(shard[0], list | tuple):
        return zip(shard[::2], map(float, shard[1::2]), strict=True)
    return ((member, float(score)) for member, score in shard)


async def _again(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Does the work, at once again where its connection turns out to be dead, as all are after a restart of Redis."""
    for _ in range(TRIES - 1):
        with suppress(redis.ConnectionError):
            return await work()
    return await work()


def _seen(task: asyncio.Future[Any]) -> None:
    """Looks at how a task ended whose caller may be gone, so that asyncio does not complain of it."""
    if not task.cancelled():
        task.exception()


class Store:
    """The store for asyncio code.

    Raises, in every method:
        StoreUnavailable: Redis does not answer within TIMEOUT_SECONDS.
    """

    def __init__(self, settings: Settings) -> None:
        self.calls = Calls(settings)
        self.unavailable_since: float | None = None
        """When Redis stopped to answer, seconds since 1970; None while it answers."""
        self._listeners: weakref.WeakSet[PubSubConnection] = weakref.WeakSet()
        self._auto_pipeline = AutoPipeline(lambda calls: _again(lambda: self._execute(calls)), TIMEOUT_SECONDS)
        self.redis = redis.asyncio.Redis(
            connection_pool=redis.asyncio.BlockingConnectionPool.from_url(
                settings.redis_url,
                max_connections=CONNECTIONS,
                timeout=TIMEOUT_SECONDS,
                # Every call has a Deadline of its own, which knows of a process that stood still.
                socket_timeout=2 * TIMEOUT_SECONDS,
                socket_connect_timeout=TIMEOUT_SECONDS,
                # One place repeats, `_again`: redis-py would reopen a lost channel without a word.
                retry=AsyncRetry(NoBackoff(), 0),
                redis_connect_func=_greet,
            )
        )

    async def run(self, call: Call[R]) -> R:
        """Runs one script, in one round trip with those of other requests."""
        try:
            with _round_trip(call.script.name):
                answer = await self._auto_pipeline.run(call)
        except StoreUnavailable as error:
            await self._unavailable(error)
            raise
        self.unavailable_since = None
        return call.parse(answer)

    async def run_many(self, calls: Sequence[Call[R]]) -> list[R]:
        """Runs scripts in one round trip, or few where they are many, each a step of its own. TIMEOUT_SECONDS is the
        longest wait for each answer: what many of them carry takes its time."""
        if not calls:
            return []

        async def work(heard: Callable[[], None]) -> list[Any]:
            answers = []
            for i in range(0, len(calls), TRIP):
                answers += await self._execute(calls[i : i + TRIP], heard)
            if error := _first_error(answers):
                raise error
            return answers

        answers = await self._ask("batch", work)
        return [call.parse(answer) for call, answer in zip(calls, answers, strict=True)]

    async def command(self, *parts: Any) -> Any:
        """Runs one plain Redis command, for the few keys that no script owns."""

        async def work(_: Callable[[], None]) -> Any:
            return await self.redis.execute_command(*parts)  # type: ignore[no-untyped-call]

        return await self._ask("command", work)

    def pubsub(self, channels: list[str], ping_seconds: float) -> PubSubConnection:
        """Hears channels, on a connection of its own, until it is closed or the server turns out to be no primary."""
        pubsub = PubSubConnection(self.redis.connection_pool, channels, ping_seconds)
        self._listeners.add(pubsub)
        return pubsub

    async def _unavailable(self, error: StoreUnavailable) -> None:
        """Notes that Redis does not serve. Connections to a server that is no primary any more are closed, those that
        listen too: they would lead there for as long as it lives. New ones are opened by name."""
        if self.unavailable_since is None:
            self.unavailable_since = time.time()
            logger.warning("%s", error)
        if error.__cause__ is not None and is_demoted_primary(error.__cause__):
            await self.redis.connection_pool.disconnect(inuse_connections=False)
            for pubsub in list(self._listeners):
                await pubsub.disconnect()

    async def _ask(self, call: str, work: Callable[[Callable[[], None]], Coroutine[Any, Any, T]]) -> T:
        """Does `work` within TIMEOUT_SECONDS of its beginning, and of each answer that it says it heard; again where a
        connection was lost: every script may be repeated.

        The caller may be cancelled at any moment, while redis-py 8 now and then swallows a cancellation and goes on: so
        the work is a task of its own, which is left to end by itself.
        """
        try:
            with _round_trip(call):
                async with stall_aware_timeout(TIMEOUT_SECONDS) as deadline:
                    task = asyncio.ensure_future(_again(partial(work, deadline.restart)))
                    task.add_done_callback(_seen)
                    answer = await asyncio.shield(task)
        except StoreUnavailable as error:
            await self._unavailable(error)
            raise
        self.unavailable_since = None
        return answer

    async def _execute(self, calls: Sequence[Call[Any]], heard: Callable[[], None] = lambda: None) -> list[Any]:
        """Sends calls in one round trip; a call that fails has its exception as its answer."""
        answers = await self._pipeline(calls, heard)
        if _missing(answers):
            # A restarted Redis has no scripts. None of the missing ones ran; those that ran must not run again.
            await self._load_scripts()
            todo = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            for i, answer in zip(todo, await self._pipeline([calls[i] for i in todo], heard), strict=True):
                answers[i] = answer
        return answers

    async def _pipeline(self, calls: Sequence[Call[Any]], heard: Callable[[], None]) -> list[Any]:
        return await send_pipeline(self.redis.connection_pool, [call.command for call in calls], TIMEOUT_SECONDS, heard)

    async def _load_scripts(self) -> None:
        for script in SCRIPTS.values():
            await self.redis.script_load(script.source)

    async def read(self, task_id: str) -> Record | None:
        """The record of a task, or None."""
        [record] = await self.read_many([task_id])
        return record

    async def read_many(self, task_ids: Sequence[str], *, results: bool = True) -> list[Record | None]:
        """The records of tasks, in their order; without their results where those are not wanted."""
        if not task_ids:
            return []
        names = FIELDS if results else FIELDS[:-1]
        # Redis may still answer a key for a moment after its time; nobody may see it then. By its own clock: this
        # node's may be wrong by hours.
        clock, *answers = await self.commands(
            [("TIME",), *(("HMGET", self.calls.record_key(task_id), *names) for task_id in task_ids)]
        )
        now, records = _milliseconds(clock), []
        for task_id, values in zip(task_ids, answers, strict=True):
            record = parse_record(task_id, values if results else [*values, None])
            records.append(None if record and record.expires_at and record.expires_at <= now else record)
        return records

    async def newest(
        self,
        first: int,
        *,
        before: tuple[int, str] | None = None,
        state: TaskState | None = None,
        name: str | None = None,
        tenant: str | None = None,
        since: int | None = None,
        until: int | None = None,
    ) -> list[tuple[int, str]]:
        """Tasks, newest first, as (submitted_at, task id).

        Args:
            first: how many at the most.
            before: where to go on: the last pair of the page before.
            state, name, tenant: only these.
            since, until: only those submitted from `since` on and before `until`, milliseconds since 1970.
        """
        if before is not None and until is not None and before[0] >= until:
            before = None
        highest: str | int = "+inf" if before is None else before[0]
        if before is None and until is not None:
            highest = f"({until}"
        lowest: str | int = "-inf" if since is None else since
        if before is not None and since is not None and before[0] < since:
            return []
        commands: list[tuple[Any, ...]] = []
        for digit in SHARDS:
            key = self.calls.index_key(digit, state, name, tenant)
            if before is not None:
                # As many ids of the cursor's own millisecond as there are may stand before the cursor.
                commands.append(("ZREVRANGEBYSCORE", key, before[0], before[0], "WITHSCORES"))
                highest = f"({before[0]}"
            commands.append(("ZREVRANGEBYSCORE", key, highest, lowest, "WITHSCORES", "LIMIT", 0, first))
        shards = await self.commands(commands)
        pairs = sorted(
            ((int(score), member.decode()) for shard in shards for member, score in _pairs(shard)), reverse=True
        )
        if before is not None:
            pairs = [pair for pair in pairs if pair < before]
        return pairs[:first]

    async def count(self, state: TaskState, name: str | None = None) -> int:
        """How many records there are in a state, of one task type or of all."""
        return sum(await self.commands([("ZCARD", self.calls.index_key(digit, state, name)) for digit in SHARDS]))

    async def counts(self) -> dict[TaskState, int]:
        """How many records there are in each state."""
        answers = await self.commands(
            [("ZCARD", self.calls.index_key(digit, state, None)) for state in TaskState for digit in SHARDS]
        )
        width = len(SHARDS)
        return {state: sum(answers[i * width : (i + 1) * width]) for i, state in enumerate(TaskState)}

    async def count_queued(self, names: Sequence[str]) -> list[int]:
        """How many records of each of these task types are QUEUED."""
        answers = await self.commands(
            [("ZCARD", self.calls.index_key(digit, TaskState.QUEUED, name)) for name in names for digit in SHARDS]
        )
        width = len(SHARDS)
        return [sum(answers[i * width : (i + 1) * width]) for i in range(len(names))]

    async def queue_age(self) -> float:
        """Seconds since the oldest QUEUED task was submitted; 0 where none waits."""
        oldest = await self.oldest_queued_at()
        return 0.0 if oldest is None else max(0.0, await self.server_milliseconds() / 1000 - oldest)

    async def oldest_queued_at(self) -> float | None:
        """When the oldest QUEUED task was submitted, seconds since 1970; None where none waits."""
        answers = await self.commands(
            [("ZRANGE", self.calls.index_key(digit, TaskState.QUEUED, None), 0, 0, "WITHSCORES") for digit in SHARDS]
        )
        # A list of pairs, or by an older protocol one flat list.
        scores = [float(found[0][1] if isinstance(found[0], (list, tuple)) else found[1]) for found in answers if found]
        return min(scores) / 1_000 if scores else None

    async def server_milliseconds(self) -> int:
        """The time by Redis's clock, milliseconds since 1970."""
        return _milliseconds(await self.command("TIME"))

    async def ping(self) -> None:
        """Returns when Redis answers."""
        await self.command("PING")

    async def commands(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Runs plain Redis commands in one round trip."""

        async def work(heard: Callable[[], None]) -> list[Any]:
            answers = await send_pipeline(self.redis.connection_pool, commands, TIMEOUT_SECONDS, heard)
            if error := _first_error(answers):
                raise error
            return answers

        return await self._ask("batch", work) if commands else []

    async def close(self) -> None:
        """Closes the connections. Raises nothing: a node that stops has more to close."""
        try:
            # A half-open link can make aclose wait for ever (redis-py issue 3941).
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.redis.aclose()
        except (RedisError, OSError, TimeoutError) as error:
            logger.debug("the connections to Redis were left to the end of the process: %s", error)


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
                redis_connect_func=_greet_in_thread,
            )
        )
        self._channel = ThreadPipeline(self.redis.connection_pool)

    def run(self, call: Call[R]) -> R:
        """Runs one script, again and again until Redis answers; every script may be repeated without harm.

        Raises:
            StoreUnavailable: Redis stayed away for `patience_seconds`.
        """
        return self._patiently(lambda: self.run_once(call))

    def _patiently(self, work: Callable[[], T]) -> T:
        deadline = time.monotonic() + self._patience_seconds
        pause = 0.05
        while True:
            try:
                return work()
            except StoreUnavailable as error:
                if time.monotonic() + pause > deadline:
                    raise
                logger.warning("%s; trying again", error)
                time.sleep(pause)
                pause = min(1.0, pause * 2)

    def run_many(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """As `run`, with several scripts in one round trip, each a step of its own."""
        return self._patiently(lambda: self._many_once(calls))

    def run_once(self, call: Call[R]) -> R:
        """Runs one script.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        [answer] = self._many_once([call])
        return cast(R, answer)

    def _many_once(self, calls: Sequence[Call[Any]]) -> list[Any]:
        with _round_trip(calls[0].script.name if len(calls) == 1 else "batch"):
            answers = self._exchange(calls)
            if _missing(answers):
                # A restarted Redis has no scripts. None of the missing ones ran; those that ran must not run again.
                self._load_scripts()
                todo = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
                for i, answer in zip(todo, self._exchange([calls[i] for i in todo]), strict=True):
                    answers[i] = answer
            if error := _first_error(answers):
                if is_demoted_primary(error):
                    self._channel.disconnect()
                    self.redis.connection_pool.disconnect(inuse_connections=False)
                raise error
        return [call.parse(answer) for call, answer in zip(calls, answers, strict=True)]

    def _exchange(self, calls: Sequence[Call[Any]]) -> list[Any]:
        commands = [call.command for call in calls]
        with suppress(redis.ConnectionError):
            return self._channel.send_pipeline(commands)
        # It was lost while nobody used it, as all are when Redis is started again.
        return self._channel.send_pipeline(commands)

    def _load_scripts(self) -> None:
        for script in SCRIPTS.values():
            self.redis.script_load(script.source)

    def close(self) -> None:
        self.redis.close()
