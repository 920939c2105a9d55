"""A subscription, for a thread: `pubsub.py` has the one for an event loop."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import redis
from redis.exceptions import RedisError, ResponseError

from cluster.store import redis_internals
from cluster.store.pubsub import refuse_replica


class ThreadSubscription:
    """One connection that is subscribed to one channel. It does not connect again: whoever opens it anew knows that
    messages were lost.

    Args:
        pool: where to connect to.
    """

    def __init__(self, pool: redis.ConnectionPool, channel: str) -> None:
        # As in PubSubConnection.
        self._connection = redis_internals.new_connection(pool, protocol=2)
        self._channel = channel

    def open(self) -> None:
        """Returns once the channel is subscribed: no message that is published after that is missed.

        Raises:
            RedisError, OSError: the connection failed, is not allowed to subscribe, or leads to a replica.
        """
        redis_internals.send_in_thread(self._connection, [("ROLE",), ("SUBSCRIBE", self._channel)])
        with suppress(ResponseError):  # a proxy, or a list of permissions, without ROLE
            refuse_replica(self._receive())
        self._receive()

    def read(self, seconds: float) -> list[Any] | None:
        """Returns what Redis sends next: `[b"message", channel, payload]`, or the reply to a ping; None if that is
        nothing within so many seconds.

        Raises:
            RedisError, OSError: the connection is lost.
        """
        if not redis_internals.has_reply_in_thread(self._connection, seconds):
            return None
        reply: list[Any] = self._receive()
        return reply

    def ping(self) -> None:
        """Asks for a sign of life, which `read` returns.

        Raises:
            RedisError, OSError: the connection is lost.
        """
        redis_internals.send_in_thread(self._connection, [("PING",)])

    def close(self) -> None:
        with suppress(RedisError, OSError):
            self._connection.disconnect()

    def _receive(self) -> Any:
        return redis_internals.receive_in_thread(self._connection)
