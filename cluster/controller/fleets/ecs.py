"""The fleet of an ECS cluster: one task per worker, on Fargate, Fargate Spot or EC2.

What lives is read from ECS and never only remembered: a killed controller leaves nothing that the next one does not
find. Fargate's rates are 20 RunTask calls and 20 reads a second (Amazon ECS service quotas), which one poll every
POLL_SECONDS stays far below.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Collection, Mapping
from typing import TYPE_CHECKING, Final

from cluster.controller.fleets.fleet import Fleet, FleetUnavailable
from cluster.controller.launch_journal import Launch, Launches
from cluster.controller.scaling_policy import Policy
from cluster.errors import StoreUnavailable
from cluster.settings import Settings
from cluster.store.async_store import Store

if TYPE_CHECKING:
    from cluster.controller.fleets.ecs_cluster import WorkerCluster, WorkerTask

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 2.0
"""How often ECS is asked what lives; at 500 workers that is ten calls, 5 a second."""
PAUSE_SECONDS: Final = 2.0
LONGEST_PAUSE_SECONDS: Final = 120.0
"""Pauses after refused starts, doubled each time."""
SPOT_PAUSE_SECONDS: Final = 300.0
"""How long Spot is not asked for after it had no capacity."""
PROBLEM_SECONDS: Final = 60.0
"""How long after its pause a problem with starts is told, where nothing more has to be started."""


class EcsFleet(Fleet):
    """Workers as ECS tasks. They outlive the controller: the next one goes on with them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = Store(settings)
        self._launches = Launches(self._store)
        self._cluster: WorkerCluster | None = None
        self._polled_at = float("-inf")
        self._paused_until = 0.0
        self._pause = PAUSE_SECONDS
        self._spot_again_at = 0.0
        self._problem = ""
        self._problem_until = 0.0
        self._poll_problem = ""

    def policy(self) -> Policy:
        # Fargate's facts (20 to 60 s until a worker serves, a minute is paid at least), and what did best with them in
        # benchmarks/autoscaling.py.
        return Policy(
            self._settings.min_workers,
            self._settings.max_workers,
            drain_seconds=8.0,
            patience_seconds=1.0,
            keep_seconds=60.0,
            launch_seconds=40.0,
            paid_seconds=60.0,
        )

    async def cluster(self) -> WorkerCluster:
        """The cluster object; made at its first use, as importing it takes half a second and needs the loop."""
        if self._cluster is None:
            from cluster.controller.fleets.ecs_cluster import WorkerCluster

            self._cluster = await WorkerCluster(self._settings)
        return self._cluster

    @property
    def problem(self) -> str:
        starts = self._problem if time.monotonic() < self._problem_until else ""
        return self._poll_problem or starts

    @property
    def cost_per_hour(self) -> float | None:
        settings = self._settings
        if self._cluster is None or settings.ecs_capacity == "ec2":
            return None
        total = 0.0
        for worker in self._cluster.workers.values():
            cpu, memory = int(worker.task.get("cpu") or 0) / 1024, int(worker.task.get("memory") or 0) / 1024
            price = cpu * settings.ecs_vcpu_hour_price + memory * settings.ecs_gb_hour_price
            total += price * (1 - settings.ecs_spot_discount if worker.spot else 1)
        return total

    async def take_over(self) -> None:
        try:
            await self._launches.read()
        except StoreUnavailable as error:
            raise FleetUnavailable(f"what an earlier controller launched is not known: {error}") from error
        self._polled_at = float("-inf")

    async def living(self) -> Mapping[str, bool]:
        cluster = await self.cluster()
        if time.monotonic() - self._polled_at >= POLL_SECONDS:
            await self._settle()
            await self._poll(cluster)
        return {name: worker.runs for name, worker in cluster.workers.items()}

    async def start(self, count: int) -> int:
        if time.monotonic() < self._paused_until:
            return 0
        started = 0
        for provider, wanted in await self._split(count):
            left = wanted - await self._launch(wanted, provider)
            started += wanted - left
            if left and provider == "FARGATE_SPOT":
                # Work that waits costs more than the difference in price.
                started += await self._launch(left, "FARGATE")
        if started and time.monotonic() >= self._paused_until:
            self._pause = PAUSE_SECONDS
            if time.monotonic() >= self._spot_again_at:
                self._problem = ""
        return started

    async def stop(self, names: Collection[str]) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            await (await self.cluster()).stop(names)
        except (ClientError, BotoCoreError) as error:
            # Those that are left are seen again, and stopped again, as they do not register.
            self._wait(f"ECS refuses StopTask: {error}")

    async def close(self) -> None:
        """Leaves the workers to the next controller."""
        if self._cluster is not None:
            await self._cluster.close()
        await self._store.close()

    async def _split(self, count: int) -> list[tuple[str, int]]:
        """How many of `count` workers go to which capacity provider; an empty name is the cluster's own default."""
        if self._settings.ecs_capacity == "ec2":
            return [("", count)]
        if time.monotonic() < self._spot_again_at:
            return [("FARGATE", count)]
        workers = (await self.cluster()).workers.values()
        wanted = math.ceil((len(workers) + count) * self._settings.ecs_spot_share) - sum(w.spot for w in workers)
        spots = min(count, max(0, wanted))
        return [(name, number) for name, number in (("FARGATE_SPOT", spots), ("FARGATE", count - spots)) if number]

    async def _launch(self, count: int, provider: str) -> int:
        """Launches by ten until ECS has no more; answers how many are on their way."""
        from cluster.controller.fleets.ecs_cluster import LAUNCH

        cluster, started = await self.cluster(), 0
        while started < count:
            some = min(LAUNCH, count - started)
            try:
                launch = await self._launches.begin(cluster.launch_request(some, provider))
            except StoreUnavailable as error:
                self._wait(f"no worker is started while Redis is away: {error}")
                break
            tasks = await self._run(launch, provider)
            started += tasks
            if tasks < some:
                break
        return started

    async def _run(self, launch: Launch, provider: str) -> int:
        """Sends one launch; answers how many tasks are on their way. What is refused is told and paused."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            tasks, reasons = await (await self.cluster()).launch(launch.request, launch.token)
        except ClientError as error:
            self._wait(f"ECS refuses RunTask: {error}")
            await self._written(self._launches.forget(launch))
            return 0
        except BotoCoreError as error:
            # It stays in the journal, and is sent again under its token.
            self._wait(f"ECS does not answer RunTask: {error}")
            return 0
        await self._written(self._launches.answered(launch, tasks))
        if reasons and provider == "FARGATE_SPOT":
            self._spot_again_at = time.monotonic() + SPOT_PAUSE_SECONDS
            text = f"no Spot workers for {SPOT_PAUSE_SECONDS:g} s, on demand instead: {'; '.join(reasons)}"
            self._tell(text, SPOT_PAUSE_SECONDS)
        elif reasons:
            self._wait(f"ECS starts no workers: {'; '.join(reasons)}")
        return len(tasks)

    async def _settle(self) -> None:
        """Sends again what may not have reached ECS, by this controller or an earlier one."""
        for launch in self._launches.unanswered:
            strategy = launch.request.get("capacityProviderStrategy")
            await self._run(launch, strategy[0]["capacityProvider"] if strategy else "")

    async def _poll(self, cluster: WorkerCluster) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            gone = await cluster.refresh(self._launches.tasks)
        except (ClientError, BotoCoreError) as error:
            # It says nothing of starts: they are not paused for it.
            self._poll_problem = f"ECS does not tell which workers live: {error}"
            raise FleetUnavailable(self._poll_problem) from error
        self._polled_at, self._poll_problem = time.monotonic(), ""
        for worker in gone:
            self._ended(worker)

    def _ended(self, worker: WorkerTask) -> None:
        reason = f"{worker.task.get('stopCode', '')} {worker.task.get('stoppedReason', '')}".strip()
        logger.info("the worker %s ended: %s", worker.name, reason or "ECS does not say why")
        if not worker.task.get("startedAt") and worker.task.get("stopCode") != "UserInitiated":
            # An image that cannot be pulled, a secret that cannot be read: the next one would end likewise.
            self._wait(f"workers end before they begin: {reason}")

    async def _written(self, write: Awaitable[None]) -> None:
        try:
            await write
        except StoreUnavailable as error:
            # Nothing is lost: the request would be sent again under its token, and start nothing.
            logger.warning("the journal of launches is not written: %s", error)

    def _wait(self, problem: str) -> None:
        pause = self._pause
        self._paused_until = time.monotonic() + pause
        self._pause = min(LONGEST_PAUSE_SECONDS, self._pause * 2)
        self._tell(problem, pause + PROBLEM_SECONDS)

    def _tell(self, problem: str, seconds: float) -> None:
        if problem != self._problem:
            logger.warning("%s", problem)
        self._problem, self._problem_until = problem, time.monotonic() + seconds
