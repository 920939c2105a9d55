"""One round trip over one connection: many commands out in one write, their answers in.

redis-py's own pipelines take a connection, a retry, a timer and a lock for what is here a write and some reads; both
clients of the store spent more time there than in Redis.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import redis
import redis.asyncio
from redis.exceptions import ResponseError

from cluster.store import redis_internals
from cluster.store.redis_internals import Command
from cluster.store.stall_aware_timeout import stall_aware_timeout


async def send_pipeline(
    pool: redis.asyncio.ConnectionPool,
    commands: Sequence[Command],
    seconds: float,
    heard: Callable[[], None] = lambda: None,
) -> list[Any]:
    """The answers to commands, in their order; a command that Redis refuses has its error as its answer.

    Args:
        seconds: longest wait for each answer: how long all of them take depends on how much they carry.
        heard: called with each answer that came.

    Raises:
        RedisError, OSError: the connection was lost, or nothing came within `seconds`; the commands may be done.
    """
    connection = await redis_internals.borrow(pool)
    try:
        answers = []
        async with stall_aware_timeout(seconds) as deadline:
            await redis_internals.send(connection, commands)
            for _ in commands:
                answers.append(await _answer(connection))
                deadline.restart()
                heard()
        return answers
    except BaseException:
        # Answers that nobody read would be taken for those of whoever comes next.
        await redis_internals.drop(connection)
        raise
    finally:
        await pool.release(connection)


async def _answer(connection: Any) -> Any:
    try:
        return await redis_internals.receive(connection)
    except ResponseError as error:
        return error


class ThreadPipeline:
    """A connection for each thread, kept as long as the thread lives.

    Args:
        pool: tells how to connect.
    """

    def __init__(self, pool: redis.ConnectionPool) -> None:
        self._pool = pool
        self._local = threading.local()

    def send_pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """As `send_pipeline`, in a thread.

        Raises:
            RedisError, OSError: the connection was lost, or nothing came in time; the commands may be done.
        """
        connection = self._connection()
        try:
            redis_internals.send_in_thread(connection, commands)
            return [self._answer(connection) for _ in commands]
        except BaseException:
            connection.disconnect()
            raise

    def disconnect(self) -> None:
        """Closes this thread's connection; the next exchange opens a new one."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.disconnect()

    def _connection(self) -> Any:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = redis_internals.new_connection(self._pool)
        return connection

    def _answer(self, connection: Any) -> Any:
        try:
            return redis_internals.receive_in_thread(connection)
        except ResponseError as error:
            return error
