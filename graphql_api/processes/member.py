"""One of several api processes on one port: receives connections from the parent, and writes its row once a second."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cluster.system.counts import CountTable
from cluster.system.process_table import ProcessState, ProcessTable
from graphql_api.processes.listener import FAMILIES

logger = logging.getLogger(__name__)

COUNTS_FILE: Final = "counts"
TABLE_FILE: Final = "processes"
"""The names of the files that the processes share, in the folder of the command."""
RECEIVED_AT_ONCE: Final = 64


def create_shared_files(folder: Path, processes: int) -> None:
    """Makes the files that the processes of a command share."""
    CountTable.create(folder / COUNTS_FILE, processes)
    ProcessTable.create(folder / TABLE_FILE, processes)


class Member:
    """This process, as one of a command's.

    Args:
        folder: of the command, with the shared files.
        number: of this process, from 0.
        channel: file descriptor of the socket on which connections arrive. It ends with the parent.

    Attributes:
        counts: what all processes count together.
        process_id: of this process.
        received: number of connections received so far.
    """

    def __init__(self, folder: Path, number: int, channel: int) -> None:
        self.number = number
        self.counts = CountTable(folder / COUNTS_FILE, number)
        self.process_id = os.getpid()
        self.received = 0
        self._table = ProcessTable(folder / TABLE_FILE)
        self._channel = socket.socket(fileno=channel)
        self._channel.setblocking(False)
        # The channel is not for the processes that this one starts.
        os.set_inheritable(channel, False)

    def beat(self, *, connections: int, ready: bool) -> None:
        """Tells the parent and the other processes that this one works.

        Args:
            connections: number of open connections.
            ready: whether it can accept tasks and deliver results.
        """
        self._table.beat(self.number, received=self.received, connections=connections, ready=ready)

    def states(self) -> list[ProcessState]:
        """All processes of the command, this one too."""
        return self._table.states()

    def receive(self, make_protocol: Callable[[], asyncio.Protocol], on_parent_lost: Callable[[], None]) -> None:
        """Serves every connection that arrives, until `stop_receiving`.

        Args:
            make_protocol: makes the protocol of one connection.
            on_parent_lost: called when the parent has ended.
        """
        loop = asyncio.get_running_loop()
        serving = set[asyncio.Task[object]]()

        def serve(connection: socket.socket) -> None:
            task = loop.create_task(loop.connect_accepted_socket(make_protocol, connection))
            serving.add(task)
            task.add_done_callback(done)

        def done(task: asyncio.Task[object]) -> None:
            serving.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                logger.debug("a connection ended before it was served: %s", error)

        def take() -> None:
            for _ in range(RECEIVED_AT_ONCE):
                try:
                    family, fds, _, _ = socket.recv_fds(self._channel, 1, 1)
                except (BlockingIOError, InterruptedError):
                    return
                except OSError:
                    family = b""
                if not family:
                    loop.remove_reader(self._channel)
                    on_parent_lost()
                    return
                self.received += 1
                for fd in fds:
                    os.set_inheritable(fd, False)
                    connection = socket.socket(FAMILIES[family], socket.SOCK_STREAM, 0, fileno=fd)
                    connection.setblocking(False)
                    serve(connection)

        loop.add_reader(self._channel, take)

    def stop_receiving(self) -> None:
        """Serves no further connections."""
        asyncio.get_running_loop().remove_reader(self._channel)
        self._channel.close()
