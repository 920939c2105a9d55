"""dask-cloudprovider's ECS cluster, on existing resources, for a controller that may die at any time.

The library's classes provide the session and its clients, a worker object for each ECS task (with its CloudWatch
log), and the cluster's list of workers. The classes here differ where those fall short (as of 2025.9):

- a cluster knows only the tasks that it started itself: here `refresh` reads the workers from ECS, so a later
  controller has those that an earlier one started;
- each worker is started by its own RunTask, polled without a pause under a lock, and fails for ever: here `launch`
  starts up to ten in one call and returns at once; `refresh` sees what becomes of them;
- names count from 0 in each process and collide: here a worker is named after its task's id
  (cluster/system/ecs_metadata.py);
- the command `dask-worker` in the container's override no longer exists: here the task definition's own command runs;
- closing the cluster ends its workers and its scheduler: here it only closes the clients;
- starting it creates or looks up roles, groups and definitions, and connects to the scheduler: here all are given, and
  the controller has its own connection.
"""

from __future__ import annotations

import logging
import re
import weakref
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError
from dask_cloudprovider.aws import ECSCluster
from dask_cloudprovider.aws.ecs import Worker
from distributed.core import Status
from distributed.deploy.spec import ProcessInterface

from cluster.settings import Settings
from cluster.system.ecs_metadata import aws_region, worker_name

logger = logging.getLogger(__name__)

MAX_LAUNCH: Final = 10
"""Maximum number of tasks in one RunTask (Amazon ECS API Reference)."""
MAX_PAGE: Final = 100
"""Maximum number of tasks in one page of ListTasks and in one DescribeTasks (the same)."""
ENDING: Final = ("DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED", "DELETED")
CONFIG: Final = AioConfig(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "max_attempts": 2})


class WorkerTask(Worker):  # type: ignore[misc]
    """One worker: an ECS task that was started, by this controller or an earlier one."""

    def __init__(self, scheduler: str, *, task: dict[str, Any], **options: Any) -> None:
        super().__init__(scheduler, name=worker_name(task["taskArn"]), **options)
        self.task = task
        self.task_arn = task["taskArn"]
        self.status = Status.running

    @property
    def ends(self) -> bool:
        """Whether it has ended or is about to."""
        return ends(self.task)

    @property
    def runs(self) -> bool:
        return bool(self.task["lastStatus"] == "RUNNING")

    @property
    def spot(self) -> bool:
        return bool(self.task.get("capacityProviderName") == "FARGATE_SPOT")

    async def close(self, **_: Any) -> None:
        """Stops the task, without waiting for its end.

        Raises:
            ClientError, BotoCoreError: ECS refuses or does not respond.
        """
        try:
            async with self._client("ecs") as ecs:
                await ecs.stop_task(cluster=self.cluster_arn, task=self.task_arn, reason="retired by the controller")
        except ClientError as error:
            if "not found" not in str(error):
                raise
            logger.debug("the worker %s has ended already", self.name)
        self.status = Status.closed


class WorkerCluster(ECSCluster):  # type: ignore[misc]
    """The workers of one key prefix in one ECS cluster. Create it in the event loop that uses it."""

    def __init__(self, settings: Settings) -> None:
        self.started_by = "dask-graphql/" + re.sub(r"[^A-Za-z0-9_-]", "_", settings.key_prefix)
        self._assign_public_ip = settings.ecs_assign_public_ip
        self._clients = AsyncExitStack()
        self._open: dict[str, Any] = {}
        self.workers: dict[str, WorkerTask]
        self.worker_spec: dict[str, Any]
        self.new_spec: dict[str, Any]
        super().__init__(
            cluster_arn=settings.ecs_cluster,
            worker_task_definition_arn=settings.ecs_task_definition,
            scheduler_address=settings.scheduler,
            subnets=list(settings.ecs_subnets),
            security_groups=list(settings.ecs_security_groups),
            fargate_workers=settings.ecs_capacity == "fargate",
            fargate_use_private_ip=not settings.ecs_assign_public_ip,
            worker_nthreads=settings.worker_threads,
            # It would look for resources that the library created in the whole account, and delete them.
            skip_cleanup=True,
            shutdown_on_close=False,
            shutdown_scheduler=False,
            asynchronous=True,
            name="dask-graphql",
        )

    async def _start(self) -> None:
        # Not running: the controller retires workers itself.
        self.scheduler = ProcessInterface()
        self.scheduler.address = self._scheduler_address
        self.new_spec = {
            "cls": WorkerTask,
            "options": {
                "client": self._client,
                "cluster_arn": self.cluster_arn,
                "task_definition_arn": self.worker_task_definition_arn,
                "vpc_subnets": self._vpc_subnets,
                "security_groups": self._security_groups,
                "fargate": self._fargate_workers,
                "fargate_use_private_ip": self._fargate_use_private_ip,
                "environment": {},
                "tags": {},
                "cpu": 0,
                "mem": 0,
                "gpu": 0,
                "nthreads": self._worker_nthreads,
                "extra_args": [],
            },
        }
        self.status = Status.running

    async def _close(self) -> None:
        self.status = Status.closed
        await self._clients.aclose()

    @asynccontextmanager
    async def _client(self, name: str) -> AsyncIterator[Any]:
        """One client per service, which stays open: the library creates a new one for every call."""
        if name not in self._open:
            made = self.session.create_client(name, region_name=aws_region(), config=CONFIG)
            self._open[name] = await self._clients.enter_async_context(made)
        yield self._open[name]

    def launch_request(self, count: int, provider: str) -> dict[str, Any]:
        """The arguments of a RunTask for up to MAX_LAUNCH workers. `provider` names a capacity provider; empty for the
        cluster's own default."""
        return {
            "cluster": self.cluster_arn,
            "taskDefinition": self.worker_task_definition_arn,
            "count": count,
            "startedBy": self.started_by,
            "propagateTags": "TASK_DEFINITION",
            "networkConfiguration": {
                "awsvpcConfiguration": {
                    "subnets": self._vpc_subnets,
                    "securityGroups": self._security_groups,
                    "assignPublicIp": "ENABLED" if self._assign_public_ip else "DISABLED",
                }
            },
            **({"capacityProviderStrategy": [{"capacityProvider": provider, "weight": 1}]} if provider else {}),
        }

    async def launch(self, request: Mapping[str, Any], token: str) -> tuple[list[str], list[str]]:
        """Sends a `launch_request`. Returns the ARNs of the starting tasks, and the reasons why others do not start.

        However often it is sent with the same token, the tasks are started once (RunTask's clientToken).

        Raises:
            ClientError: ECS refuses.
            BotoCoreError: it is not known whether the request reached ECS.
        """
        async with self._client("ecs") as ecs:
            answer = await ecs.run_task(**request, clientToken=token)
        self._take(answer["tasks"])
        reasons = {str(failure.get("reason")) for failure in answer.get("failures", ())}
        return [task["taskArn"] for task in answer["tasks"]], sorted(reasons)

    async def refresh(self, also: Collection[str]) -> list[WorkerTask]:
        """Reads the workers from ECS. Returns those that have ended since the last call.

        Args:
            also: ARNs that ECS may not list yet.

        Raises:
            ClientError, BotoCoreError: ECS cannot list them; the workers are unchanged.
        """
        async with self._client("ecs") as ecs:
            pages = ecs.get_paginator("list_tasks").paginate(
                cluster=self.cluster_arn, startedBy=self.started_by, PaginationConfig={"PageSize": MAX_PAGE}
            )
            listed = [arn async for page in pages for arn in page["taskArns"]]
            # Workers that are no longer listed are described once more, to learn why they ended.
            known = [worker.task_arn for worker in self.workers.values()]
            tasks: list[dict[str, Any]] = []
            for chunk in _chunks(list(dict.fromkeys([*listed, *also, *known]))):
                tasks += (await ecs.describe_tasks(cluster=self.cluster_arn, tasks=chunk))["tasks"]
        self._take(tasks)
        described = {task["taskArn"] for task in tasks}
        gone = [worker for worker in self.workers.values() if worker.ends or worker.task_arn not in described]
        for worker in gone:
            self._drop(worker.name)
        return gone

    async def stop(self, names: Collection[str]) -> None:
        """Stops workers; an unknown name is not an error.

        Raises:
            ClientError, BotoCoreError: ECS refuses some of them, which stay.
        """
        for name in names:
            if (worker := self.workers.get(name)) is not None:
                await worker.close()
                self._drop(name)

    def _take(self, tasks: Iterable[dict[str, Any]]) -> None:
        """Adds tasks as workers, whichever controller started them."""
        for task in tasks:
            name = worker_name(task["taskArn"])
            if name in self.workers:
                self.workers[name].task = task
            elif not ends(task):
                worker = WorkerTask(self._scheduler_address, task=task, **self.new_spec["options"])
                worker._cluster = weakref.ref(self)
                self.worker_spec[name], self.workers[name] = self.new_spec, worker

    def _drop(self, name: str) -> None:
        del self.worker_spec[name], self.workers[name]


def ends(task: Mapping[str, Any]) -> bool:
    """Whether an ECS task has ended or is about to."""
    return task.get("desiredStatus") == "STOPPED" or task.get("lastStatus") in ENDING


def _chunks(arns: Sequence[str]) -> Iterable[list[str]]:
    return (list(arns[i : i + MAX_PAGE]) for i in range(0, len(arns), MAX_PAGE))
