"""The workers of one key prefix and one scheduler in an ECS cluster, for a controller that may die at any time.

dask-cloudprovider's ECSCluster describes the cluster and provides the AWS session, but it is never started. Started, it
does not suit workers that outlive their controller (as of 2025.9):

- it knows only the tasks that it started itself: here `refresh` reads the workers from ECS, so a later controller has
  those that an earlier one started;
- it starts each worker by its own RunTask, polls it without a pause under a lock, and fails for ever: here `launch`
  starts up to ten in one call and returns at once; `refresh` sees what becomes of them;
- its names count from 0 in each process and collide: here a worker is named after its task's id
  (cluster/system/ecs_metadata.py);
- it overrides the container's command by `dask-worker`, which no longer exists: here the task definition's own runs;
- closing it ends its workers and its scheduler: here `close` only closes the connections to AWS;
- starting it creates or looks up roles, groups and definitions, and connects to the scheduler: here all are given, and
  the controller has its own connection.

So nothing private of it is used: its constructor, `session`, `cluster_arn`, `worker_task_definition_arn` and `close`
are public.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError
from dask_cloudprovider.aws import ECSCluster

from cluster.settings import Settings, variable_of
from cluster.settings.pools import DEFAULT_POOL, Pool
from cluster.system.ecs_metadata import aws_region, worker_name

logger = logging.getLogger(__name__)

MAX_LAUNCH: Final = 10
"""Maximum number of tasks in one RunTask (Amazon ECS API Reference)."""
MAX_PAGE: Final = 100
"""Maximum number of tasks in one page of ListTasks and in one DescribeTasks (the same)."""
LAG_SECONDS: Final = 60.0
"""How long DescribeTasks and ListTasks may show the cluster as it was before a RunTask or StopTask. Amazon ECS is
eventually consistent, and its API reference asks callers to wait with an exponential backoff of up to minutes."""
WORKER_CONTAINER: Final = "worker"
"""Name of the container in the workers' task definition."""
POOL_VARIABLE: Final = variable_of("pool")
NUMBER_VARIABLE: Final = variable_of("scheduler_number")
ENDING: Final = ("DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED", "DELETED")
CONFIG: Final = AioConfig(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "max_attempts": 2})


@dataclass(slots=True)
class WorkerTask:
    """One worker: an ECS task that was started, by this controller or an earlier one.

    Attributes:
        task: as DescribeTasks has it, or RunTask; its ARN alone while neither is known.
        shown_at: when AWS last showed it, or a journal named it; monotonic, in seconds.
    """

    task: dict[str, Any]
    shown_at: float = field(default_factory=lambda: monotonic())

    @property
    def task_arn(self) -> str:
        return str(self.task["taskArn"])

    @property
    def name(self) -> str:
        return worker_name(self.task_arn)

    @property
    def ends(self) -> bool:
        """Whether it has ended or is about to."""
        return ends(self.task)

    @property
    def runs(self) -> bool:
        return bool(self.task.get("lastStatus") == "RUNNING")

    @property
    def size(self) -> tuple[float, float] | None:
        """Its vCPUs and GiB of memory; None if ECS has not said them yet."""
        cpu, memory = self.task.get("cpu"), self.task.get("memory")
        return (int(cpu) / 1024, int(memory) / 1024) if cpu and memory else None

    @property
    def arm64(self) -> bool:
        """Whether its processor is of the architecture ARM64."""
        attributes = {item.get("name"): item.get("value") for item in self.task.get("attributes", ())}
        return attributes.get("ecs.cpu-architecture") == "arm64"

    @property
    def pool(self) -> str:
        """The pool that its container was given."""
        return pool_in(self.task)

    @property
    def machine(self) -> str:
        """The ARN of the container instance that it runs on; empty on Fargate, and before it has one."""
        return str(self.task.get("containerInstanceArn", ""))

    def waits_seconds(self, now: float) -> float:
        """How long ECS has looked for a machine for it; 0 once it has one, and on Fargate.

        Args:
            now: seconds since 1970.
        """
        if self.machine or self.task.get("lastStatus") != "PROVISIONING" or "createdAt" not in self.task:
            return 0.0
        return float(now - self.task["createdAt"].timestamp())

    @property
    def why_ended(self) -> str:
        """ECS's code and words; empty if it gives none."""
        return f"{self.task.get('stopCode', '')} {self.task.get('stoppedReason', '')}".strip()

    @property
    def ended_before_it_ran(self) -> bool:
        """Whether ECS says that it ended by itself and never ran; of one that ECS does not show, it says nothing."""
        return self.ends and not self.task.get("startedAt") and self.task.get("stopCode") != "UserInitiated"

    @property
    def spot(self) -> bool:
        return bool(self.task.get("capacityProviderName") == "FARGATE_SPOT")


class WorkerCluster:
    """The workers of one key prefix in one ECS cluster. Create it in the event loop that uses it.

    Attributes:
        workers: those that live, by name, as of the last `refresh` and `launch`.
        draining: machines that ECS drains, as of the last `read_draining`.
    """

    def __init__(self, settings: Settings) -> None:
        self.started_by = "dask-graphql/" + re.sub(r"[^A-Za-z0-9_-]", "_", settings.key_prefix)
        if settings.scheduler_number:
            # Each scheduler's controller takes over the workers of its own fleet alone.
            self.started_by += f"/{settings.scheduler_number}"
        self.workers: dict[str, WorkerTask] = {}
        self.draining: frozenset[str] = frozenset()
        self._settings = settings
        self._stopped: dict[str, float] = {}
        """ARN -> when StopTask accepted it: for LAG_SECONDS, AWS may show it as one that lives."""
        self._cluster = ECSCluster(
            cluster_arn=settings.ecs_cluster,
            worker_task_definition_arn=settings.ecs_task_definition,
            scheduler_address=settings.scheduler,
            # It would look for resources that the library created in the whole account, and delete them.
            skip_cleanup=True,
            shutdown_on_close=False,
            shutdown_scheduler=False,
            asynchronous=True,
            name="dask-graphql",
        )
        self._open = AsyncExitStack()
        self._client: Any = None

    async def close(self) -> None:
        """Closes the connections to AWS. The workers stay."""
        await self._open.aclose()
        await self._cluster.close()

    async def _ecs(self) -> Any:
        """The client of ECS, which stays open."""
        if self._client is None:
            made = self._cluster.session.create_client("ecs", region_name=aws_region(), config=CONFIG)
            self._client = await self._open.enter_async_context(made)
        return self._client

    def launch_request(self, count: int, provider: str, pool: Pool) -> dict[str, Any]:
        """The arguments of a RunTask for up to MAX_LAUNCH workers of a pool. `provider` names a capacity provider;
        empty for the cluster's own default."""
        return {
            "cluster": self._cluster.cluster_arn,
            "taskDefinition": self._settings.task_definition_of(pool.name),
            "count": count,
            "startedBy": self.started_by,
            "propagateTags": "TASK_DEFINITION",
            "networkConfiguration": {
                "awsvpcConfiguration": {
                    "subnets": list(self._settings.ecs_subnets),
                    "securityGroups": list(self._settings.ecs_security_groups),
                    # ECS refuses a public address for a task on a machine.
                    "assignPublicIp": "ENABLED"
                    if self._settings.ecs_assign_public_ip and pool.on_fargate
                    else "DISABLED",
                }
            },
            **({"capacityProviderStrategy": [{"capacityProvider": provider, "weight": 1}]} if provider else {}),
            # So that machines become empty, which ECS then takes away. Only for an Auto Scaling group it may be said.
            **({"placementStrategy": [{"type": "binpack", "field": "memory"}]} if pool.capacity == "ec2" else {}),
            **_overrides(
                pool,
                sized=self._settings.task_definition_of(pool.name) == self._settings.ecs_task_definition,
                scheduler=self._settings.scheduler_number,
            ),
        }

    async def launch(self, request: Mapping[str, Any], token: str) -> tuple[list[str], list[str]]:
        """Sends a `launch_request`. Returns the ARNs of the starting tasks, and the reasons why others do not start.

        However often it is sent with the same token, the tasks are started once (RunTask's clientToken).

        Raises:
            ClientError: ECS refuses.
            BotoCoreError: it is not known whether the request reached ECS.
        """
        answer = await (await self._ecs()).run_task(**request, clientToken=token)
        self._take(answer["tasks"])
        reasons = {str(failure.get("reason")) for failure in answer.get("failures", ())}
        return [task["taskArn"] for task in answer["tasks"]], sorted(reasons)

    async def refresh(self, also: Mapping[str, Mapping[str, Any]]) -> list[WorkerTask]:
        """Reads the workers from ECS. Returns those that have ended since the last call.

        ECS may not show a task for some time after its start, so one that is not shown counts as a worker for
        LAG_SECONDS: it is neither lost nor replaced.

        Args:
            also: tasks that ECS may not show yet, by ARN, with the `launch_request` of each.

        Raises:
            ClientError, BotoCoreError: ECS cannot list them; the workers are unchanged.
        """
        ecs, arn = await self._ecs(), self._cluster.cluster_arn
        pages = ecs.get_paginator("list_tasks").paginate(
            cluster=arn, startedBy=self.started_by, PaginationConfig={"PageSize": MAX_PAGE}
        )
        listed = [task async for page in pages for task in page["taskArns"]]
        # Workers that are no longer listed are described once more, to learn why they ended.
        known = [worker.task_arn for worker in self.workers.values()]
        tasks: list[dict[str, Any]] = []
        for chunk in _chunks(list(dict.fromkeys([*listed, *also, *known]))):
            tasks += (await ecs.describe_tasks(cluster=arn, tasks=chunk))["tasks"]
        described = {task["taskArn"] for task in tasks}
        unseen = [arn for arn in also if arn not in described and worker_name(arn) not in self.workers]
        self._take([*tasks, *({"taskArn": arn, "overrides": also[arn].get("overrides", {})} for arn in unseen)])
        lost_before = monotonic() - LAG_SECONDS
        gone = [worker for worker in self.workers.values() if worker.ends or worker.shown_at < lost_before]
        for worker in gone:
            del self.workers[worker.name]
        return gone

    async def read_draining(self) -> None:
        """Reads which machines drain. ECS does not stop the tasks on them that are of no service, as workers are.

        Raises:
            ClientError, BotoCoreError: ECS cannot list them; `draining` is unchanged.
        """
        ecs, arn = await self._ecs(), self._cluster.cluster_arn
        pages = ecs.get_paginator("list_container_instances").paginate(cluster=arn, status="DRAINING")
        self.draining = frozenset([machine async for page in pages for machine in page["containerInstanceArns"]])

    @property
    def outdated(self) -> frozenset[str]:
        """Workers of an older revision of the task definition than that of the settings. A definition that is named
        without its revision is the newest one of ECS, which this object does not ask for: then there are none."""
        return frozenset(name for name, worker in self.workers.items() if self._is_outdated(worker))

    def _is_outdated(self, worker: WorkerTask) -> bool:
        wanted = self._settings.task_definition_of(worker.pool).rpartition("/")[2]
        return ":" in wanted and str(worker.task.get("taskDefinitionArn", wanted)).rpartition("/")[2] != wanted

    async def stop(self, names: Collection[str]) -> None:
        """Stops workers; an unknown name is not an error.

        Raises:
            ClientError, BotoCoreError: ECS refuses some of them, which stay.
        """
        for name in names:
            if (worker := self.workers.get(name)) is not None:
                await self._stop(worker)
                self._stopped[worker.task_arn] = monotonic()
                del self.workers[name]

    async def _stop(self, worker: WorkerTask) -> None:
        """Stops a worker, without waiting for its end."""
        ecs, reason = await self._ecs(), "retired by the controller"
        try:
            await ecs.stop_task(cluster=self._cluster.cluster_arn, task=worker.task_arn, reason=reason)
        except ClientError as error:
            if "not found" not in str(error):
                raise
            logger.debug("the worker %s has ended already", worker.name)

    def _take(self, tasks: Iterable[dict[str, Any]]) -> None:
        """Adds tasks as workers, whichever controller started them."""
        now = monotonic()
        self._stopped = {arn: at for arn, at in self._stopped.items() if now - at < LAG_SECONDS}
        for task in tasks:
            name = worker_name(task["taskArn"])
            if name in self.workers:
                self.workers[name].task, self.workers[name].shown_at = task, now
            elif not ends(task) and task["taskArn"] not in self._stopped:
                self.workers[name] = WorkerTask(task)


def pool_in(task: Mapping[str, Any]) -> str:
    """The pool in the overrides of a task, or of a `launch_request`."""
    for override in task.get("overrides", {}).get("containerOverrides", ()):
        for item in override.get("environment", ()):
            if item["name"] == POOL_VARIABLE:
                return str(item["value"])
    return DEFAULT_POOL


def _overrides(pool: Pool, *, sized: bool, scheduler: int = 0) -> dict[str, Any]:
    """What of the task definition differs for a pool (Amazon ECS API Reference, TaskOverride): a worker of `default` is
    as the definition says, unless POOLS gives it a size. Fargate takes the sizes that a definition may have.

    Args:
        sized: whether the pool's size and GPUs have to be said, because the definition is that of all pools.
        scheduler: number of the scheduler that the worker belongs to; the definition is that of all schedulers.
    """
    container: dict[str, Any] = {"name": WORKER_CONTAINER}
    size = {}
    environment = {POOL_VARIABLE: pool.name} if pool.name != DEFAULT_POOL else {}
    if scheduler:
        environment[NUMBER_VARIABLE] = str(scheduler)
    if environment:
        container["environment"] = [{"name": name, "value": value} for name, value in environment.items()]
    # Without `cpu`, the memory of the default pool is WORKER_MEMORY_BYTES, which is not the size of its task.
    if sized and pool.cpu and pool.memory_gib:
        size = {"cpu": str(round(pool.cpu * 1024)), "memory": str(round(pool.memory_gib * 1024))}
    if sized and pool.gpu:
        container["resourceRequirements"] = [{"type": "GPU", "value": str(pool.gpu)}]
    containers = [container] if len(container) > 1 else []
    return {"overrides": {**size, "containerOverrides": containers}} if size or containers else {}


def ends(task: Mapping[str, Any]) -> bool:
    """Whether an ECS task has ended or is about to."""
    return task.get("desiredStatus") == "STOPPED" or task.get("lastStatus") in ENDING


def _chunks(arns: Sequence[str]) -> Iterable[list[str]]:
    return (list(arns[i : i + MAX_PAGE]) for i in range(0, len(arns), MAX_PAGE))
