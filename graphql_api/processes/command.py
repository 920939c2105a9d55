"""`dask-graphql api --processes N`: the parent's process, from its settings to its exit code."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from cluster.observability import metrics
from cluster.observability.exposition import forget_gauges
from cluster.observability.logs import set_up_logging
from cluster.settings import Settings, check_public
from cluster.system.background import BackgroundLoop
from cluster.system.cloudwatch_metrics import publish_metrics
from cluster.system.liveness import BEAT_SECONDS, Liveness
from graphql_api.processes.supervisor import Supervisor


def run_processes(settings: Settings, folder: Path) -> None:
    """Serves with `api_processes` processes until SIGTERM or Ctrl-C. Exits with the code of a process if none can be
    started.

    Args:
        folder: of the metrics of all processes, for what else they share.

    Raises:
        SettingError: the api cannot listen on its port.
    """
    check_public(settings)
    set_up_logging(settings, "api")

    def command(number: int, channel: int) -> list[str]:
        place = [f"--{name}={value}" for name, value in (("process", number), ("channel", channel), ("folder", folder))]
        # As in `start_node`.
        return [sys.executable, "-P", "-m", "dask_graphql", "api", *place]

    async def body() -> int:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        supervisor = Supervisor(settings, folder, command)
        if settings.reload_task_modules:
            loop.add_signal_handler(signal.SIGHUP, supervisor.reload)
        # The gauges of this process say nothing about the api, but those of its processes do.
        forget_gauges("api-parent", folder)
        metrics.PROCESSES.labels("wanted").set(settings.api_processes)
        liveness = Liveness(settings, "api")

        async def beat() -> None:
            if supervisor.serves():
                liveness.beat()

        liveness_loop = BackgroundLoop("liveness", beat, pause_seconds=BEAT_SECONDS)
        liveness_loop.start()
        try:
            async with publish_metrics(settings, "api"):
                return await supervisor.run(stop)
        finally:
            await liveness_loop.close()

    if code := asyncio.run(body()):
        sys.exit(code)
