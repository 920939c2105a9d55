"""Streams of messages between two Dask processes that send in the turn of the event loop in which there is something.

Dask's own, `BatchedSend`, collects messages for 10 ms in a client, 5 ms in a scheduler and 2 ms in a worker, which adds
up for a single task, and a coroutine with timeouts sends them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from distributed.batched import BatchedSend
from distributed.comm.core import CommClosedError

from cluster.scheduling.transport.comm import AsyncioComm

logger = logging.getLogger(__name__)


class PromptSend(BatchedSend):  # type: ignore[misc]
    """A `BatchedSend` that was started with an `AsyncioComm`. Its attributes `comm`, `buffer` and `serializers`
    are used."""

    buffer: list[Any]

    def start(self, comm: AsyncioComm) -> None:
        self.comm = comm
        if self.buffer:
            asyncio.get_running_loop().call_soon(self._flush)

    def send(self, *msgs: Any) -> None:
        """Sends messages soon, together with others of this turn of the event loop.

        Raises:
            CommClosedError: the connection is closed.
        """
        if self.comm.closed():
            raise CommClosedError(f"Comm {self.comm!r} already closed.")
        if not self.buffer:
            asyncio.get_running_loop().call_soon(self._flush)
        self.buffer.extend(msgs)

    def _flush(self) -> None:
        messages, self.buffer = self.buffer, []
        if not messages:
            return
        try:
            self.comm.write_now(messages, self.serializers)
        except CommClosedError:
            logger.info("%d messages are not sent, as the connection is closed: %r", len(messages), self.comm)
        except Exception:
            # What was not sent is missing. The peer must not go on as if it had received it.
            logger.exception("messages cannot be sent: the connection is closed")
            self.comm.abort()

    async def close(self, timeout: Any = None) -> None:  # noqa: ASYNC109 - Dask's name
        """Sends what is left, and closes the connection."""
        if not self.comm.closed():
            self._flush()
            await self.comm.close()

    def abort(self) -> None:
        """Closes the connection at once."""
        self.buffer = []
        self.comm.abort()


def use_prompt_streams() -> None:
    """Makes every stream that is started from now on in this process send promptly, if its connection is ours."""
    if BatchedSend.start is not _start:
        _starts.append(BatchedSend.start)
        BatchedSend.start = _start


_starts: list[Callable[[BatchedSend, Any], None]] = []
"""Dask's own."""


def _start(stream: BatchedSend, comm: Any) -> None:
    if isinstance(comm, AsyncioComm):
        stream.__class__ = PromptSend
        PromptSend.start(stream, comm)
    else:
        _starts[0](stream, comm)
