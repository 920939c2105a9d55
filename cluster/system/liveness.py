"""A file that a node touches as long as it works, for health checks of its container (docker/healthcheck.py).

A health check from outside cannot tell a node that is busy from one that hangs. One that is busy uses the CPU, so the
file names its process.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

from cluster.settings import Settings
from cluster.system.background import BackgroundLoop

BEAT_SECONDS: Final = 1.0


class Liveness:
    """The file of one node.

    Args:
        role: the node's role, as its command.
    """

    def __init__(self, settings: Settings, role: str) -> None:
        # Several containers may share a folder, and each has a host name of its own.
        self.path = Path(settings.data_dir) / f"alive-{role}-{socket.gethostname()}"

    def beat(self) -> None:
        """Says that the node works now.

        Raises:
            OSError: the data folder cannot be written to.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(str(os.getpid()))


def liveness_loop(settings: Settings, role: str) -> BackgroundLoop:
    """Says once a second that this process's event loop runs."""
    liveness = Liveness(settings, role)

    async def beat() -> None:
        liveness.beat()

    return BackgroundLoop("liveness", beat, pause_seconds=BEAT_SECONDS)
