"""The client of the store for the threads of a worker process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import redis

from cluster.errors import StoreUnavailable
from cluster.settings import Settings
from cluster.store.lua_scripts import Call
from cluster.store.raw_pipeline import Sent
from cluster.store.refusals import is_demoted_primary
from cluster.store.round_trip import measured_round_trip, raise_first_error
from cluster.store.script_calls import Calls
from cluster.store.thread_servers import ThreadServers
from cluster.store.thread_subscription import ThreadSubscription

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
        self._servers = ThreadServers(settings.redis_url)
        self.redis = redis.Redis(connection_pool=self._servers.seed.pool)
        """A client of the server that the settings name."""

    def run(self, call: Call[R]) -> R:
        """Runs one script, and retries until Redis answers: every script may be repeated without harm.

        Raises:
            StoreUnavailable: Redis was unavailable for `retry_seconds`.
        """
        return self._with_retries(lambda: self.run_once(call))

    def run_many(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """As `run`, for several scripts in one round trip; each is an atomic step of its own."""
        return self._with_retries(lambda: self._run_many_once(calls))

    def send(self, call: Call[Any]) -> Sent:
        """Sends one script without waiting for its reply, which `replies` reads. It may be lost until then."""
        return self._servers.send_only(call.command)

    def replies(self, sent: Sequence[tuple[Call[Any], Sent]]) -> list[Any]:
        """Returns the replies to scripts that this thread has sent. Those that were lost or refused are run again.

        Raises:
            StoreUnavailable: Redis was unavailable for `retry_seconds`.
        """
        self._servers.read_sent()
        again = [call for call, it in sent if isinstance(it.reply, BaseException)]
        repeated = iter(self.run_many(again) if again else ())
        return [next(repeated) if isinstance(it.reply, BaseException) else call.parse(it.reply) for call, it in sent]

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
                replies = self._servers.send(commands)
                raise_first_error(replies)
            return replies

        return self._with_retries(run)

    @property
    def is_cluster(self) -> bool:
        """Whether the servers that were called are a cluster."""
        return self._servers.is_cluster

    def subscription(self, channel: str) -> ThreadSubscription:
        """A subscription that is not open yet; of a cluster, on one of its primaries, to which all others pass their
        messages on.

        Raises:
            RedisError, OSError: no server answers.
        """
        return ThreadSubscription(self._servers.any_primary().pool, channel)

    def disconnect(self) -> None:
        """Closes the connections of the calling thread, which will not need it for a while."""
        self._servers.disconnect()

    def close(self) -> None:
        self._servers.close()

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
            replies = self._servers.send([call.command for call in calls])
            try:
                raise_first_error(replies)
            except Exception as error:
                if is_demoted_primary(error):
                    self._servers.disconnect()
                raise
        return [call.parse(reply) for call, reply in zip(calls, replies, strict=True)]
