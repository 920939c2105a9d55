"""Plays ECS's agents: the tasks of an emulated cluster become worker processes on this machine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from cluster.settings import Settings
from cluster.system.child_processes import Child, start_node
from cluster.system.ecs_metadata import worker_name

TURN_SECONDS = 0.2


class Launcher:
    """Args:
    ecs: a boto3 client of the emulation.
    started_by: only the tasks of this fleet are played.
    settings: of the workers.
    delay_seconds: from RunTask to the start of the process.
    """

    def __init__(self, ecs: Any, cluster: str, started_by: str, settings: Settings, delay_seconds: float = 0.5) -> None:
        self._ecs = ecs
        self._cluster = cluster
        self._started_by = started_by
        self._settings = settings
        self._delay = delay_seconds
        self._seen: dict[str, float] = {}
        self.children: dict[str, Child] = {}

    async def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return dict(await asyncio.to_thread(getattr(self._ecs, operation), cluster=self._cluster, **arguments))

    async def tasks(self) -> list[dict[str, Any]]:
        """All tasks of the cluster that have not ended."""
        # A task that was asked to stop is no longer listed, and keeps running until it ends.
        listed = (await self._call("list_tasks", startedBy=self._started_by))["taskArns"]
        arns = list(dict.fromkeys([*listed, *self.children]))
        found = (await self._call("describe_tasks", tasks=arns))["tasks"] if arns else []
        return [task for task in found if task["lastStatus"] != "STOPPED"]

    async def run(self) -> None:
        """Runs until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            for task in await self.tasks():
                arn = task["taskArn"]
                child = self.children.get(arn)
                begun = self._seen.setdefault(arn, loop.time())
                if child is None and task["desiredStatus"] == "RUNNING" and loop.time() - begun >= self._delay:
                    self.children[arn] = await start_node(self._settings, "worker", "--name", worker_name(arn))
                    await self._call("submit_task_state_change", task=arn, status="RUNNING")
                elif child is not None and child.process.returncode is not None:
                    await self._call(
                        "submit_task_state_change", task=arn, status="STOPPED", reason="Essential container exited"
                    )
                elif child is not None and task["desiredStatus"] == "STOPPED":
                    with contextlib.suppress(ProcessLookupError):
                        child.process.terminate()
            await asyncio.sleep(TURN_SECONDS)


@contextlib.asynccontextmanager
async def launched(launcher: Launcher) -> AsyncIterator[Launcher]:
    """A running launcher; ends all its processes at the end."""
    playing = asyncio.create_task(launcher.run())
    try:
        yield launcher
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        for child in launcher.children.values():
            if child.process.returncode is None:
                child.process.kill()
                await child.process.wait()
