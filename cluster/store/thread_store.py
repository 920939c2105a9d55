"""The client of the store for the threads of a worker process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cluster.errors import StoreUnavailable
from cluster.settings import Settings
from cluster.store.lua_scripts import SCRIPTS, Call
from cluster.store.raw_pipeline import ThreadPipeline
from cluster.store.refusals import is_demoted_primary
from cluster.store.round_trip import (
    MAX_CONNECTIONS,
    TIMEOUT_SECONDS,
    handshake,
    measured_round_trip,
    missing_scripts,
    raise_first_error,
)
from cluster.store.script_calls import Calls

R = TypeVar("R")
T = TypeVar("T")

logger = logging.getLogger(__name__)


class ThreadStore:
    """The store for a worker's threads.

    Args:
        retry_seconds: how long a call is retried while Redis is unavailable, so that a finished run is not wasted.
    """

    def __init__(self, settings: Settings, *, retry_seconds: float = 120.0) -> None:
        self.calls = Calls(settings)
        self._retry_seconds = retry_seconds
        self.redis = redis.Redis(
            connection_pool=redis.BlockingConnectionPool.from_url(
                settings.redis_url,
                max_connections=MAX_CONNECTIONS,
                timeout=TIMEOUT_SECONDS,
                socket_timeout=5.0,
                socket_connect_timeout=TIMEOUT_SECONDS,
                retry=Retry(NoBackoff(), 1),
                redis_connect_func=_connect,
            )
        )
        self._pipeline = ThreadPipeline(self.redis.connection_pool)

    def run(self, call: Call[R]) -> R:
        """Runs one script, and retries until Redis answers: every script may be repeated without harm.

        Raises:
            StoreUnavailable: Redis was unavailable for `retry_seconds`.
        """
        return self._with_retries(lambda: self.run_once(call))

    def run_many(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """As `run`, for several scripts in one round trip; each is an atomic step of its own."""
        return self._with_retries(lambda: self._run_many_once(calls))

    def run_once(self, call: Call[R]) -> R:
        """Runs one script.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        [reply] = self._run_many_once([call])
        return cast(R, reply)

    def read_fields(self, key: str, *names: str) -> list[bytes | None]:
        """Reads fields of a hash; None for an absent one. Raises as `run`."""
        [found] = self.run_commands([("HMGET", key, *names)])
        return list(found)

    def run_commands(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Runs plain commands that only read, in one round trip. Raises as `run`."""

        def run() -> list[Any]:
            with measured_round_trip("command"):
                replies = self._send_commands(commands)
                raise_first_error(replies)
            return replies

        return self._with_retries(run)

    def disconnect(self) -> None:
        """Closes the connection of the calling thread, which will not need it for a while."""
        self._pipeline.disconnect()

    def close(self) -> None:
        self.redis.close()

    def _with_retries(self, work: Callable[[], T]) -> T:
        deadline = time.monotonic() + self._retry_seconds
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

    def _run_many_once(self, calls: Sequence[Call[Any]]) -> list[Any]:
        with measured_round_trip(calls[0].script.name if len(calls) == 1 else "batch"):
            replies = self._send(calls)
            if missing := missing_scripts(replies):
                self._load_scripts()
                for i, reply in zip(missing, self._send([calls[i] for i in missing]), strict=True):
                    replies[i] = reply
            try:
                raise_first_error(replies)
            except Exception as error:
                if is_demoted_primary(error):
                    self._pipeline.disconnect()
                    self.redis.connection_pool.disconnect(inuse_connections=False)
                raise
        return [call.parse(reply) for call, reply in zip(calls, replies, strict=True)]

    def _send(self, calls: Sequence[Call[Any]]) -> list[Any]:
        return self._send_commands([call.command for call in calls])

    def _send_commands(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        with suppress(redis.ConnectionError):
            return self._pipeline.send_pipeline(commands)
        # The idle connection was lost, as all are when Redis restarts.
        return self._pipeline.send_pipeline(commands)

    def _load_scripts(self) -> None:
        for script in SCRIPTS.values():
            self.redis.script_load(script.source)


def _connect(connection: redis.Connection) -> None:
    with handshake():
        connection.on_connect()  # type: ignore[no-untyped-call]
