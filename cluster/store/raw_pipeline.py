"""One round trip over one connection: many commands in one write, then their replies.

With redis-py's own pipelines, both clients of the store spent more time there than in Redis; redis_internals.py says
why.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import redis
import redis.asyncio
from redis.exceptions import RedisError, ResponseError

from cluster.store import redis_internals
from cluster.store.redis_internals import Command
from cluster.store.stall_aware_timeout import stall_aware_timeout


async def send_pipeline(
    pool: redis.asyncio.ConnectionPool,
    commands: Sequence[Command],
    seconds: float,
    on_reply: Callable[[], None] = lambda: None,
) -> list[Any]:
    """Returns the replies to commands, in their order; the reply to a command that Redis refuses is its error.

    Args:
        seconds: longest wait for each reply. How long all of them take depends on their size.
        on_reply: called after each reply.

    Raises:
        RedisError, OSError: the connection was lost, or no reply came within `seconds`; the commands may have run.
    """
    connection = await redis_internals.borrow(pool)
    try:
        replies = []
        async with stall_aware_timeout(seconds) as timeout:
            await redis_internals.send(connection, commands)
            for _ in commands:
                replies.append(await _read(connection))
                timeout.restart()
                on_reply()
        return replies
    except BaseException:
        # The next user of the connection would take unread replies for its own.
        await redis_internals.drop(connection)
        raise
    finally:
        await pool.release(connection)


async def _read(connection: Any) -> Any:
    try:
        return await redis_internals.receive(connection)
    except ResponseError as error:
        return error


class Sent:
    """A command that was sent without waiting for its reply.

    Attributes:
        reply: once the thread has read it; the error, if Redis refused the command or the connection was lost.
    """

    __slots__ = ("reply",)

    def __init__(self) -> None:
        self.reply: Any = None


class ThreadPipeline:
    """A connection for each thread, kept as long as the thread lives.

    Args:
        pool: where to connect to.
    """

    def __init__(self, pool: redis.ConnectionPool) -> None:
        self._pool = pool
        self._local = threading.local()

    def send_pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """As the function `send_pipeline`, over the connection of this thread.

        Raises:
            RedisError, OSError: the connection was lost, or no reply came in time; the commands may have run.
        """
        connection = self._connection()
        try:
            redis_internals.send_in_thread(connection, commands)
            self._read_sent(connection)
            return [self._read(connection) for _ in commands]
        except BaseException as error:
            self._drop(connection, error)
            raise

    def send(self, command: Command) -> Sent:
        """Sends a command over the connection of this thread. Its reply is read before those of the thread's next round
        trip, or by `read_sent`."""
        connection, sent = self._connection(), Sent()
        self._sent.append(sent)
        try:
            redis_internals.send_in_thread(connection, [command])
        except BaseException as error:
            self._drop(connection, error)
            if not isinstance(error, RedisError | OSError):
                raise
        return sent

    def read_sent(self) -> None:
        """Reads the replies to all commands that this thread has sent."""
        if not self._sent:
            return
        connection = self._connection()
        try:
            self._read_sent(connection)
        except BaseException as error:
            self._drop(connection, error)
            if not isinstance(error, RedisError | OSError):
                raise

    def disconnect(self) -> None:
        """Closes the connection of this thread; its next call opens a new one."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            self._drop(connection, redis.ConnectionError("the connection was closed"))

    @property
    def _sent(self) -> deque[Sent]:
        """The commands of this thread whose replies were not read yet, in their order."""
        found: deque[Sent] | None = getattr(self._local, "sent", None)
        if found is None:
            found = self._local.sent = deque()
        return found

    def _read_sent(self, connection: Any) -> None:
        sent = self._sent
        while sent:
            sent[0].reply = self._read(connection)
            sent.popleft()

    def _drop(self, connection: Any, error: BaseException) -> None:
        """Closes a connection: the replies that were not read are lost."""
        sent = self._sent
        while sent:
            sent.popleft().reply = error
        connection.disconnect()

    def _connection(self) -> Any:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = redis_internals.new_connection(self._pool)
        return connection

    def _read(self, connection: Any) -> Any:
        try:
            return redis_internals.receive_in_thread(connection)
        except ResponseError as error:
            return error
