"""The fleet of an ECS cluster: one task per worker, on Fargate, Fargate Spot or EC2.

What lives is always read from ECS, by `startedBy`, and never remembered: a killed controller leaves nothing that the
next one does not find. A worker takes its name from its task's id, so that one RunTask starts ten of them.

Rules of the API that this keeps to: RunTask starts at most 10 tasks, DescribeTasks answers for at most 100, `startedBy`
is the only filter of its ListTasks (Amazon ECS API Reference); Fargate's rates are 20 RunTask calls and 20 reads a
second (Amazon ECS service quotas), which one poll every POLL_SECONDS stays far below.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from cluster.controller.fleets.fleet import Fleet, FleetUnavailable
from cluster.settings import Settings
from cluster.worker_name import worker_name

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 2.0
"""How often ECS is asked what lives; at 500 workers that is ten calls, 5 a second."""
LAUNCH: Final = 10
PAGE: Final = 100
UNSEEN_SECONDS: Final = 60.0
"""How long a task that RunTask answered counts before ListTasks shows it: the list lags behind."""
PAUSE_SECONDS: Final = 2.0
LONGEST_PAUSE_SECONDS: Final = 120.0
"""Pauses after refused starts, doubled each time."""
SPOT_PAUSE_SECONDS: Final = 300.0
"""How long Spot is not asked for after it had no capacity."""
ENDING: Final = ("DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED", "DELETED")


class EcsFleet(Fleet):
    """Workers as ECS tasks. They outlive the controller: the next one goes on with them.

    Args:
        client: a boto3 client of ECS; default: one of this process's region and role.
    """

    def __init__(self, settings: Settings, client: Any = None) -> None:
        self._settings = settings
        if client is None:
            import boto3
            from botocore.config import Config

            retries = {"mode": "standard", "max_attempts": 2}
            config: Any = Config(connect_timeout=5, read_timeout=20, retries=retries)  # type: ignore[arg-type]
            client = boto3.client("ecs", config=config)
        self._ecs = client
        self.started_by = "dask-graphql/" + re.sub(r"[^A-Za-z0-9_-]", "_", settings.key_prefix)
        self._tasks: dict[str, dict[str, Any]] = {}
        self._unseen: dict[str, float] = {}
        self._polled_at = float("-inf")
        self._paused_until = 0.0
        self._pause = PAUSE_SECONDS
        self._spot_again_at = 0.0
        self._problem = ""

    @property
    def problem(self) -> str:
        return self._problem

    async def living(self) -> Mapping[str, bool]:
        if time.monotonic() - self._polled_at >= POLL_SECONDS:
            await self._poll()
        return {worker_name(arn): task["lastStatus"] == "RUNNING" for arn, task in self._tasks.items()}

    async def start(self, count: int) -> int:
        if time.monotonic() < self._paused_until:
            return 0
        started = 0
        for provider, wanted in self._split(count):
            while wanted > 0:
                tasks = await self._run(min(LAUNCH, wanted), provider)
                started += len(tasks)
                wanted -= len(tasks)
                if not tasks:
                    break
            if wanted and provider == "FARGATE_SPOT":
                # Work that waits costs more than the difference in price.
                started += len(await self._run(min(LAUNCH, wanted), "FARGATE"))
        if started:
            self._pause, self._problem = PAUSE_SECONDS, ""
        return started

    async def stop(self, names: Collection[str]) -> None:
        arns = [arn for arn in self._tasks if worker_name(arn) in set(names)]
        for arn in arns:
            await self._call("stop_task", task=arn, reason="retired by the controller")
            del self._tasks[arn]

    async def close(self) -> None:
        """Leaves the workers to the next controller."""

    def _split(self, count: int) -> list[tuple[str, int]]:
        """How many of `count` workers go to which capacity provider; an empty name is the cluster's own default."""
        if self._settings.ecs_capacity == "ec2":
            return [("", count)]
        spot = sum(task.get("capacityProviderName") == "FARGATE_SPOT" for task in self._tasks.values())
        if time.monotonic() < self._spot_again_at:
            return [("FARGATE", count)]
        wanted = math.ceil((len(self._tasks) + count) * self._settings.ecs_spot_share - spot)
        spots = min(count, max(0, wanted))
        return [(name, number) for name, number in (("FARGATE_SPOT", spots), ("FARGATE", count - spots)) if number]

    async def _run(self, count: int, provider: str) -> list[dict[str, Any]]:
        """One RunTask; answers the tasks that are on their way."""
        settings = self._settings
        more = {"capacityProviderStrategy": [{"capacityProvider": provider, "weight": 1}]} if provider else {}
        answer = await self._call(
            "run_task",
            taskDefinition=settings.ecs_task_definition,
            count=count,
            startedBy=self.started_by,
            # A call that is repeated as its answer was lost starts nothing twice.
            clientToken=uuid.uuid4().hex,
            propagateTags="TASK_DEFINITION",
            networkConfiguration={
                "awsvpcConfiguration": {
                    "subnets": list(settings.ecs_subnets),
                    "securityGroups": list(settings.ecs_security_groups),
                    "assignPublicIp": "ENABLED" if settings.ecs_assign_public_ip else "DISABLED",
                }
            },
            **more,
        )
        if answer is None:
            return []
        tasks: list[dict[str, Any]] = answer["tasks"]
        now = time.monotonic()
        for task in tasks:
            self._tasks[task["taskArn"]] = task
            self._unseen[task["taskArn"]] = now
        if failures := answer.get("failures"):
            reason = "; ".join(sorted({str(failure.get("reason")) for failure in failures}))
            if provider == "FARGATE_SPOT":
                self._spot_again_at = now + SPOT_PAUSE_SECONDS
                self._told(f"no Spot workers for {SPOT_PAUSE_SECONDS:g} s, on demand instead: {reason}")
            else:
                self._wait(f"ECS starts no workers: {reason}")
        return tasks

    async def _poll(self) -> None:
        """Reads what lives."""
        arns = [arn async for page in self._pages() for arn in page]
        now = time.monotonic()
        self._unseen = {
            arn: since for arn, since in self._unseen.items() if arn not in set(arns) and now - since < UNSEEN_SECONDS
        }
        tasks: dict[str, dict[str, Any]] = {}
        # What is listed no more is asked for once again: why it ended matters.
        gone = [arn for arn in self._tasks if arn not in set(arns) and arn not in self._unseen]
        for some in _parts([*arns, *self._unseen, *gone]):
            answer = await self._call("describe_tasks", tasks=some)
            if answer is None:
                raise FleetUnavailable(self._problem)
            tasks |= {task["taskArn"]: task for task in answer["tasks"]}
        self._polled_at = now
        for arn, task in tasks.items():
            if arn in self._tasks and _ends(task) and not _ends(self._tasks[arn]):
                self._ended(task)
        self._tasks = {arn: task for arn, task in tasks.items() if not _ends(task)}

    async def _pages(self) -> Any:
        token: dict[str, str] = {}
        while True:
            answer = await self._call("list_tasks", startedBy=self.started_by, maxResults=PAGE, **token)
            if answer is None:
                raise FleetUnavailable(self._problem)
            yield answer["taskArns"]
            if not answer.get("nextToken"):
                return
            token = {"nextToken": answer["nextToken"]}

    def _ended(self, task: dict[str, Any]) -> None:
        reason = f"{task.get('stopCode', '')} {task.get('stoppedReason', '')}".strip()
        logger.info("the worker %s ended: %s", worker_name(task["taskArn"]), reason)
        if not task.get("startedAt"):
            # An image that cannot be pulled, a secret that cannot be read: the next one would end likewise.
            self._wait(f"workers end before they begin: {reason}")

    async def _call(self, operation: str, **arguments: Any) -> dict[str, Any] | None:
        """One call of the ECS API on the cluster; None where it is refused or does not answer, which is told."""
        from botocore.exceptions import BotoCoreError, ClientError

        call = getattr(self._ecs, operation)
        try:
            return dict(await asyncio.to_thread(call, cluster=self._settings.ecs_cluster, **arguments))
        except (ClientError, BotoCoreError) as error:
            if operation == "stop_task" and "not found" in str(error):
                return None  # it has ended meanwhile
            self._wait(f"ECS refuses {operation}: {error}")
            return None

    def _wait(self, problem: str) -> None:
        self._paused_until = time.monotonic() + self._pause
        self._pause = min(LONGEST_PAUSE_SECONDS, self._pause * 2)
        self._told(problem)

    def _told(self, problem: str) -> None:
        if problem != self._problem:
            logger.warning("%s", problem)
        self._problem = problem


def _ends(task: Mapping[str, Any]) -> bool:
    return task.get("desiredStatus") == "STOPPED" or task.get("lastStatus") in ENDING


def _parts(arns: Sequence[str]) -> Iterable[list[str]]:
    return (list(arns[i : i + PAGE]) for i in range(0, len(arns), PAGE))
