"""The fleet of an ECS cluster: one task per worker, on Fargate, Fargate Spot or EC2.

The workers are always read from ECS, never only remembered, so the next controller finds every worker of one that was
killed. Fargate's limits are 20 RunTask calls and 20 reads per second (Amazon ECS service quotas); one poll every
POLL_SECONDS stays far below them.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Collection, Mapping
from typing import TYPE_CHECKING, Final

from cluster.controller.fleets.fleet import Fleet, FleetUnavailable
from cluster.controller.launch_journal import Launch, LaunchJournal
from cluster.controller.scaling_policy import Policy
from cluster.errors import StoreUnavailable
from cluster.settings import Settings
from cluster.store.async_store import Store

if TYPE_CHECKING:
    from cluster.controller.fleets.ecs_cluster import WorkerCluster, WorkerTask

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 2.0
"""How often the workers are read from ECS; for 500 workers that is ten calls, 5 per second."""
BACKOFF_SECONDS: Final = 2.0
MAX_BACKOFF_SECONDS: Final = 120.0
"""Pause after a refused start; doubled each time."""
SPOT_PAUSE_SECONDS: Final = 300.0
"""How long no Spot workers are requested after Spot had no capacity."""
PROBLEM_SECONDS: Final = 60.0
"""How long a problem with starts is reported after its pause, if nothing else has to be started."""


class EcsFleet(Fleet):
    """Workers as ECS tasks. They outlive the controller, and the next one takes them over."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = Store(settings)
        self._journal = LaunchJournal(self._store)
        self._cluster: WorkerCluster | None = None
        self._polled_at = float("-inf")
        self._paused_until = 0.0
        self._backoff = BACKOFF_SECONDS
        self._spot_again_at = 0.0
        self._problem = ""
        self._problem_until = 0.0
        self._poll_problem = ""

    def policy(self) -> Policy:
        # From Fargate's properties (20 to 60 s until a worker is ready, billed for at least a minute); the values that
        # did best with them in benchmarks/autoscaling.py.
        return Policy(
            self._settings.min_workers,
            self._settings.max_workers,
            drain_seconds=8.0,
            scale_in_delay_seconds=1.0,
            max_gap_seconds=60.0,
            launch_seconds=40.0,
            minimum_billing_seconds=60.0,
        )

    async def cluster(self) -> WorkerCluster:
        """The cluster object; made at its first use, because its import takes half a second and it needs the loop."""
        if self._cluster is None:
            from cluster.controller.fleets.ecs_cluster import WorkerCluster

            self._cluster = WorkerCluster(self._settings)
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

    async def on_leadership_acquired(self) -> None:
        try:
            await self._journal.read()
        except StoreUnavailable as error:
            raise FleetUnavailable(f"the launches of earlier controllers cannot be read: {error}") from error
        self._polled_at = float("-inf")

    async def list_workers(self) -> Mapping[str, bool]:
        cluster = await self.cluster()
        if time.monotonic() - self._polled_at >= POLL_SECONDS:
            await self._repeat_unconfirmed()
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
                # Waiting work costs more than the difference in price.
                started += await self._launch(left, "FARGATE")
        if started and time.monotonic() >= self._paused_until:
            self._backoff = BACKOFF_SECONDS
            if time.monotonic() >= self._spot_again_at:
                self._problem = ""
        return started

    async def stop(self, names: Collection[str]) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            await (await self.cluster()).stop(names)
        except (ClientError, BotoCoreError) as error:
            # The remaining ones stay in the list, and are stopped again because they do not register.
            self._back_off(f"ECS does not stop a worker (StopTask): {error}")

    async def close(self) -> None:
        """Leaves the workers to the next controller."""
        if self._cluster is not None:
            await self._cluster.close()
        await self._store.close()

    async def _split(self, count: int) -> list[tuple[str, int]]:
        """How many of `count` workers go to each capacity provider; an empty name is the cluster's own default."""
        if self._settings.ecs_capacity == "ec2":
            return [("", count)]
        if time.monotonic() < self._spot_again_at:
            return [("FARGATE", count)]
        workers = (await self.cluster()).workers.values()
        wanted = math.ceil((len(workers) + count) * self._settings.ecs_spot_share) - sum(w.spot for w in workers)
        spots = min(count, max(0, wanted))
        return [(name, number) for name, number in (("FARGATE_SPOT", spots), ("FARGATE", count - spots)) if number]

    async def _launch(self, count: int, provider: str) -> int:
        """Launches workers in batches of ten until ECS has no more capacity. Returns how many are being launched."""
        from cluster.controller.fleets.ecs_cluster import MAX_LAUNCH

        cluster, started = await self.cluster(), 0
        while started < count:
            some = min(MAX_LAUNCH, count - started)
            try:
                launch = await self._journal.begin(cluster.launch_request(some, provider))
            except StoreUnavailable as error:
                self._back_off(f"No worker is started while Redis is unavailable: {error}")
                break
            tasks = await self._run(launch, provider)
            started += tasks
            if tasks < some:
                break
        return started

    async def _run(self, launch: Launch, provider: str) -> int:
        """Sends one launch. Returns how many tasks are starting. A refusal becomes the `problem` and starts a pause."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            tasks, reasons = await (await self.cluster()).launch(launch.request, launch.token)
        except ClientError as error:
            self._back_off(f"ECS does not start workers (RunTask): {error}")
            await self._journal_write(self._journal.remove(launch))
            return 0
        except BotoCoreError as error:
            # It stays in the journal, and is repeated with its token.
            self._back_off(f"ECS does not respond when a worker is to be started (RunTask): {error}")
            return 0
        await self._journal_write(self._journal.complete(launch, tasks))
        if reasons and provider == "FARGATE_SPOT":
            self._spot_again_at = time.monotonic() + SPOT_PAUSE_SECONDS
            problem = (
                f"ECS has no capacity for Spot workers ({'; '.join(reasons)}). For {SPOT_PAUSE_SECONDS / 60:g} min, "
                "on-demand workers are started instead."
            )
            self._set_problem(problem, SPOT_PAUSE_SECONDS)
        elif reasons:
            self._back_off(f"ECS did not start all workers: {'; '.join(reasons)}.")
        return len(tasks)

    async def _repeat_unconfirmed(self) -> None:
        """Repeats launches of this or an earlier controller that may not have reached ECS."""
        for launch in self._journal.unconfirmed:
            strategy = launch.request.get("capacityProviderStrategy")
            await self._run(launch, strategy[0]["capacityProvider"] if strategy else "")

    async def _poll(self, cluster: WorkerCluster) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            ended = await cluster.refresh(self._journal.tasks)
        except (ClientError, BotoCoreError) as error:
            # Starts are not paused: this says nothing about them.
            self._poll_problem = f"ECS cannot list the workers: {error}"
            raise FleetUnavailable(self._poll_problem) from error
        self._polled_at, self._poll_problem = time.monotonic(), ""
        for worker in ended:
            self._ended(worker)

    def _ended(self, worker: WorkerTask) -> None:
        reason = f"{worker.task.get('stopCode', '')} {worker.task.get('stoppedReason', '')}".strip()
        logger.info("the worker %s ended: %s", worker.name, reason or "ECS gives no reason")
        if not worker.task.get("startedAt") and worker.task.get("stopCode") != "UserInitiated":
            # An image that cannot be pulled, a secret that cannot be read: the next one would fail the same way.
            self._back_off(f"Workers stop before they start to run: {reason}")

    async def _journal_write(self, write: Awaitable[None]) -> None:
        try:
            await write
        except StoreUnavailable as error:
            # Nothing is lost: the request would be repeated with its token, and start nothing.
            logger.warning("the launch journal could not be written: %s", error)

    def _back_off(self, problem: str) -> None:
        pause = self._backoff
        self._paused_until = time.monotonic() + pause
        self._backoff = min(MAX_BACKOFF_SECONDS, self._backoff * 2)
        self._set_problem(problem, pause + PROBLEM_SECONDS)

    def _set_problem(self, problem: str, seconds: float) -> None:
        if problem != self._problem:
            logger.warning("%s", problem)
        self._problem, self._problem_until = problem, time.monotonic() + seconds
