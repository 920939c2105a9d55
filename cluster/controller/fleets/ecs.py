"""The fleet of an ECS cluster: one task per worker, on Fargate, Fargate Spot, EC2 or ECS Managed Instances.

The workers are always read from ECS, never only remembered, so the next controller finds every worker of one that was
killed. Fargate's limits are 20 RunTask calls and 20 reads per second (Amazon ECS service quotas); one poll every
POLL_SECONDS stays far below them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Collection, Mapping
from time import monotonic, time
from typing import TYPE_CHECKING, Final

from cluster.controller.decision_words import count as counted
from cluster.controller.decision_words import duration
from cluster.controller.fleets.ecs_costs import WorkerCosts
from cluster.controller.fleets.fleet import Fleet, FleetUnavailable
from cluster.controller.fleets.start_pauses import ALL_POOLS, PROBLEM_SECONDS, StartPauses
from cluster.controller.launch_journal import Launch, LaunchJournal
from cluster.controller.scaling_policy import Policy
from cluster.errors import StoreUnavailable
from cluster.settings import Settings
from cluster.settings.pools import DEFAULT_POOL, Pool
from cluster.store.async_store import Store

if TYPE_CHECKING:
    from cluster.controller.fleets.ecs_cluster import WorkerCluster

logger = logging.getLogger(__name__)

POLL_SECONDS: Final = 2.0
"""How often the workers are read from ECS; for 500 workers that is ten calls, 5 per second."""
MAX_POLL_SECONDS: Final = 16.0
"""Pause after a poll that failed, as one that was throttled: it begins with POLL_SECONDS and doubles up to this."""
SPOT_PAUSE_SECONDS: Final = 300.0
"""How long no Spot workers are requested after Spot had no capacity."""
SPOT: Final = "FARGATE_SPOT"
SPOT_STOP_CODES: Final = ("SpotInterruption", "TerminationNotice")
"""Stop codes of a task whose capacity AWS took back (Amazon ECS API Reference, Task.stopCode)."""
THROTTLED: Final = ("ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException", "ServerException")
"""Codes of refusals that every call would meet now, whatever it asks for."""
NO_ROOM: Final = "RESOURCE:"
"""How the reasons begin for which no machine takes a task, such as `RESOURCE:GPU` (Amazon ECS Developer Guide, API
failure reasons)."""
MACHINE_SECONDS: Final = 300.0
"""How long a worker may wait for a machine before that is reported; a machine takes one to four minutes to come."""


class EcsFleet(Fleet):
    """Workers as ECS tasks. They outlive the controller, and the next one takes them over."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = Store(settings)
        self._journal = LaunchJournal(self._store)
        self._cluster: WorkerCluster | None = None
        self._poll_at = float("-inf")
        self._poll_pause = POLL_SECONDS
        self._pauses = StartPauses()
        self._spot_again_at = 0.0
        self._poll_problem = ""
        self._unstopped: set[str] = set()
        """Workers that ECS has yet to be told to stop."""
        self._costs = WorkerCosts(settings)
        self._has_machines = not all(pool.on_fargate for pool in settings.all_pools.values())

    def policy(self, pool: Pool) -> Policy:
        if not pool.on_fargate:
            # A machine takes minutes to come, and ECS takes it away when it was not used for 15 minutes (Amazon ECS
            # Developer Guide, cluster auto scaling): a worker that leaves sooner saves nothing. Not measured on AWS.
            return Policy(
                pool.min_workers,
                pool.max_workers,
                drain_seconds=60.0,
                scale_in_delay_seconds=300.0,
                restart_seconds=600.0,
                launch_seconds=180.0,
                minimum_billing_seconds=60.0,
                forecast=self._settings.demand_forecast,
            )
        # From Fargate's properties (20 to 60 s until a worker is ready, billed for at least a minute); the values that
        # did best with them in benchmarks/autoscaling.
        return Policy(
            pool.min_workers,
            pool.max_workers,
            drain_seconds=8.0,
            scale_in_delay_seconds=1.0,
            restart_seconds=60.0,
            launch_seconds=40.0,
            minimum_billing_seconds=60.0,
            forecast=self._settings.demand_forecast,
        )

    async def cluster(self) -> WorkerCluster:
        """The cluster object; made at its first use, because its import takes half a second and it needs the loop."""
        if self._cluster is None:
            from cluster.controller.fleets.ecs_cluster import WorkerCluster

            self._cluster = WorkerCluster(self._settings)
        return self._cluster

    @property
    def problem(self) -> str:
        return self._poll_problem or self._pauses.problem(monotonic())

    @property
    def cost_per_hour(self) -> float | None:
        return None if self._cluster is None else self._costs.of_all(self._cluster.workers.values())

    def cost_of(self, pool: str) -> float | None:
        return None if self._cluster is None else self._costs.of_pool(pool, self._cluster.workers.values())

    def worker_cost_per_hour(self, pool: Pool) -> float | None:
        return self._costs.of_one_more(pool, self._cluster.workers.values() if self._cluster else ())

    @property
    def outdated(self) -> frozenset[str]:
        return frozenset() if self._cluster is None else self._cluster.outdated

    @property
    def leaving(self) -> Mapping[str, bool]:
        if self._cluster is None:
            return {}
        pools = self._settings.all_pools
        # Spot takes a machine two minutes after it drains. On demand, ECS waits up to two days for the tasks on it
        # (Amazon ECS Developer Guide, managed instance draining).
        return {
            worker.name: worker.pool not in pools or pools[worker.pool].spot_share > 0
            for worker in self._cluster.workers.values()
            if worker.machine in self._cluster.draining
        }

    async def on_leadership_acquired(self) -> None:
        try:
            await self._journal.read()
        except StoreUnavailable as error:
            raise FleetUnavailable(f"the launches of earlier controllers cannot be read: {error}") from error
        self._poll_at = float("-inf")

    async def list_workers(self) -> Mapping[str, bool]:
        cluster = await self.cluster()
        if monotonic() >= self._poll_at:
            await self._repeat_unconfirmed()
            await self._poll(cluster)
            await self._stop_rest(cluster)
        elif self._poll_problem:
            raise FleetUnavailable(self._poll_problem)
        return {name: worker.runs for name, worker in cluster.workers.items()}

    def pool_of(self, name: str) -> str:
        worker = self._cluster.workers.get(name) if self._cluster else None
        return worker.pool if worker else DEFAULT_POOL

    async def start(self, count: int, pool: str = DEFAULT_POOL) -> int:
        if self._pauses.is_paused(pool, monotonic()):
            return 0
        started, of_pool = 0, self._settings.all_pools[pool]
        for provider, wanted in await self._split(count, of_pool):
            left = wanted - await self._launch(wanted, provider, of_pool)
            started += wanted - left
            if left and provider == SPOT:
                # Waiting work costs more than the difference in price.
                started += await self._launch(left, "FARGATE", of_pool)
        if started and not self._pauses.is_paused(pool, monotonic()):
            self._pauses.end(pool)
        return started

    async def stop(self, names: Collection[str]) -> None:
        """Stops workers; those that ECS does not stop now are stopped after one of the next polls."""
        cluster = await self.cluster()
        self._unstopped |= cluster.workers.keys() & set(names)
        await self._stop_rest(cluster)

    async def _stop_rest(self, cluster: WorkerCluster) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            await cluster.stop(self._unstopped)
        except (ClientError, BotoCoreError) as error:
            self._report("StopTask", f"ECS does not stop a worker (StopTask): {error}")
        else:
            self._pauses.solve("StopTask")
        finally:
            self._unstopped &= cluster.workers.keys()

    async def close(self) -> None:
        """Leaves the workers to the next controller."""
        if self._cluster is not None:
            await self._cluster.close()
        await self._store.close()

    async def _split(self, count: int, pool: Pool) -> list[tuple[str, int]]:
        """How many of `count` workers go to each capacity provider; an empty name is the cluster's own default."""
        if not pool.on_fargate:
            return [(pool.capacity_provider, count)]
        if monotonic() < self._spot_again_at:
            return [("FARGATE", count)]
        workers = [worker for worker in (await self.cluster()).workers.values() if worker.pool == pool.name]
        wanted = math.ceil((len(workers) + count) * pool.spot_share) - sum(w.spot for w in workers)
        spots = min(count, max(0, wanted))
        return [(name, number) for name, number in ((SPOT, spots), ("FARGATE", count - spots)) if number]

    async def _launch(self, count: int, provider: str, pool: Pool) -> int:
        """Launches workers in batches of ten until ECS has no more capacity or refuses: then one pause follows, however
        many were asked for. Returns how many are being launched."""
        from cluster.controller.fleets.ecs_cluster import MAX_LAUNCH

        cluster, started = await self.cluster(), 0
        while started < count and not self._pauses.is_paused(pool.name, monotonic()):
            some = min(MAX_LAUNCH, count - started)
            try:
                launch = await self._journal.begin(cluster.launch_request(some, provider, pool))
            except StoreUnavailable as error:
                self._back_off(ALL_POOLS, f"No worker is started while Redis is unavailable: {error}")
                break
            tasks = await self._run(launch, provider, pool.name)
            started += tasks
            if tasks < some:
                break
        return started

    async def _run(self, launch: Launch, provider: str, pool: str) -> int:
        """Sends one launch. Returns how many tasks are starting. A refusal becomes the `problem` and starts a pause."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            tasks, reasons = await (await self.cluster()).launch(launch.request, launch.token)
        except ClientError as error:
            throttled = error.response["Error"]["Code"] in THROTTLED
            if provider == SPOT and not throttled:
                # Spot has a quota of its own, and may not be allowed in this cluster.
                self._pause_spot(f"ECS does not start Spot workers (RunTask): {error}")
            else:
                self._back_off(ALL_POOLS if throttled else pool, f"ECS does not start workers (RunTask): {error}")
            await self._journal_write(self._journal.remove(launch))
            return 0
        except BotoCoreError as error:
            # It stays in the journal, and is repeated with its token.
            self._back_off(ALL_POOLS, f"ECS does not respond when a worker is to be started (RunTask): {error}")
            return 0
        await self._journal_write(self._journal.complete(launch, tasks))
        if reasons and provider == SPOT:
            self._pause_spot(f"ECS has no capacity for Spot workers ({'; '.join(reasons)}).")
        elif any(reason.startswith(NO_ROOM) for reason in reasons):
            self._back_off(pool, f"No machine has room for a worker of the pool {pool}: {'; '.join(reasons)}.")
        elif reasons:
            self._back_off(pool, f"ECS did not start all workers: {'; '.join(reasons)}.")
        return len(tasks)

    async def _repeat_unconfirmed(self) -> None:
        """Repeats launches of this or an earlier controller that may not have reached ECS."""
        from cluster.controller.fleets.ecs_cluster import pool_in

        for launch in self._journal.unconfirmed:
            if not self._pauses.is_paused(pool := pool_in(launch.request), monotonic()):
                strategy = launch.request.get("capacityProviderStrategy")
                await self._run(launch, strategy[0]["capacityProvider"] if strategy else "", pool)

    async def _poll(self, cluster: WorkerCluster) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            ended = await cluster.refresh(self._journal.tasks)
        except (ClientError, BotoCoreError) as error:
            # Starts are not paused: this says nothing about them.
            self._poll_problem = f"ECS cannot list the workers: {error}"
            self._poll_at = monotonic() + self._poll_pause
            self._poll_pause = min(MAX_POLL_SECONDS, self._poll_pause * 2)
            raise FleetUnavailable(self._poll_problem) from error
        self._poll_at, self._poll_pause, self._poll_problem = monotonic() + POLL_SECONDS, POLL_SECONDS, ""
        for worker in ended:
            logger.info("the worker %s ended: %s", worker.name, worker.why_ended or "ECS gives no reason")
        # An image that cannot be pulled, a secret that cannot be read: the next one would fail the same way. One pause
        # follows, however many ended; and where Spot takes its workers back, those on demand start.
        early = [worker for worker in ended if worker.ended_before_it_ran]
        taken = [worker for worker in early if worker.spot and worker.task.get("stopCode") in SPOT_STOP_CODES]
        for pool in sorted({worker.pool for worker in early if worker not in taken}):
            failed = [worker for worker in early if worker not in taken and worker.pool == pool]
            self._back_off(pool, f"{counted(len(failed), 'worker')} stopped before running: {failed[0].why_ended}")
        if taken:
            self._pause_spot(f"Spot took back {counted(len(taken), 'worker')} before running: {taken[0].why_ended}")
        if self._has_machines:
            self._look_for_machines(cluster)
            try:
                await cluster.read_draining()
            except (ClientError, BotoCoreError) as error:
                self._report("draining", f"ECS cannot list the machines that drain (ListContainerInstances): {error}")
            else:
                self._pauses.solve("draining")

    def _look_for_machines(self, cluster: WorkerCluster) -> None:
        """Reports workers that ECS has no machine for."""
        now = time()
        late = [worker for worker in cluster.workers.values() if worker.waits_seconds(now) > MACHINE_SECONDS]
        # On Fargate, AWS has none.
        late = [worker for worker in late if not self._is_on_fargate(worker.pool)]
        if not late:
            self._pauses.solve("machines")
            return
        waited = duration(max(worker.waits_seconds(now) for worker in late))
        self._report(
            "machines",
            f"{counted(len(late), 'worker')} of {', '.join(sorted({worker.pool for worker in late}))}: no machine for "
            f"{waited}. The Auto Scaling group may be at its maximum, the account at its quota, or AWS has none of "
            "these instance types now: its activity history says which.",
        )

    def _is_on_fargate(self, pool: str) -> bool:
        declared = self._settings.all_pools.get(pool)
        return declared is None or declared.on_fargate

    async def _journal_write(self, write: Awaitable[None]) -> None:
        try:
            await write
        except StoreUnavailable as error:
            # Nothing is lost: the request would be repeated with its token, and start nothing.
            logger.warning("the launch journal could not be written: %s", error)

    def _back_off(self, pool: str, problem: str) -> None:
        self._pauses.begin(pool, problem, monotonic())

    def _pause_spot(self, problem: str) -> None:
        self._spot_again_at = monotonic() + SPOT_PAUSE_SECONDS
        told = f"{problem} For {SPOT_PAUSE_SECONDS / 60:g} min, on-demand workers are started instead."
        self._pauses.report(SPOT, told, self._spot_again_at)

    def _report(self, cause: str, problem: str) -> None:
        self._pauses.report(cause, problem, monotonic() + PROBLEM_SECONDS)
