"""The controller's loop: observe, plan, apply, publish."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from cluster.controller.cost_ledger import CostLedger
from cluster.controller.decision_words import count
from cluster.controller.fleets.fleet import Fleet, FleetUnavailable
from cluster.controller.scaling_policy import Decision, DemandHistory, Observation, plan
from cluster.controller.worker_membership import WorkerMembership
from cluster.errors import StoreUnavailable
from cluster.observability import metrics
from cluster.scheduling.scheduler_client import SchedulerClient, SchedulerUnavailable
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.call_builder import milliseconds
from cluster.store.drains import drop_drains, requested_drains
from cluster.store.leader_lease import LeaderLease
from cluster.system.background import BackgroundLoop
from cluster.system.tls import certificate_days_left, uses_tls

logger = logging.getLogger(__name__)

ROUND_SECONDS: Final = 0.5
MAX_ROUND_SECONDS: Final = 60.0
STATUS_TTL_SECONDS: Final = 5.0
"""How long a published fleet status is valid."""
REPORT_SECONDS: Final = 60.0
"""How often the leader logs the state of the fleet."""
MAX_DECISIONS: Final = 20
"""Number of recent decisions in the fleet status."""


async def run_controller(settings: Settings, fleet: Fleet, stop: asyncio.Event) -> None:
    """Runs the controller until `stop` is set; then the fleet stops what must not outlive it."""
    controller = Controller(settings, fleet)
    controller.scheduler.start()
    loop = BackgroundLoop("controller", controller.round, pause_seconds=ROUND_SECONDS)
    controller.lease.start()
    loop.start()
    try:
        await stop.wait()
    finally:
        await loop.close()
        await fleet.close()
        await controller.lease.close()
        await controller.scheduler.close()
        await controller.store.close()


class Controller:
    """One controller. Of several, only the leader starts and stops workers."""

    def __init__(self, settings: Settings, fleet: Fleet) -> None:
        self.settings = settings
        self.fleet = fleet
        self.scheduler = SchedulerClient(settings)
        self.store = Store(settings)
        # While Redis is unavailable no controller can prove that it is the only one, so none starts or stops workers.
        self.lease = LeaderLease(self.store, "controller", self.store.calls.controller_key, uuid.uuid4().hex)
        self._leading = False
        self._membership = WorkerMembership(settings.worker_start_seconds)
        self._policy = fleet.policy()
        self._costs = CostLedger(self.store)
        self._history = DemandHistory()
        self._decisions: deque[dict[str, Any]] = deque(maxlen=MAX_DECISIONS)
        self._last_reason = ""
        self._problem_since: float | None = None
        self._next_report = 0.0
        self._unstopped: set[str] = set()
        """Retired workers that still have to be stopped."""

    async def round(self) -> None:
        """One round of the loop: reconciles the fleet if this controller leads."""
        if await self.leads():
            await self.reconcile()
        elif self.lease.held_elsewhere:
            # Not if Redis is unavailable: then no other controller can lead.
            await self.fleet.on_leadership_lost()

    async def leads(self) -> bool:
        """Whether this controller is the leader; two of them run during a rolling update."""
        held = self.lease.held
        if held and not self._leading:
            try:
                await self.fleet.on_leadership_acquired()
            except FleetUnavailable as error:
                logger.warning("the controller cannot lead yet: %s", error)
                return False
            # Its observations may be old.
            self._membership, self._history = WorkerMembership(self.settings.worker_start_seconds), DemandHistory()
        if held != self._leading:
            logger.info("this controller leads from now on" if held else "another controller leads now")
        self._leading = held
        metrics.CONTROLLER_ACTS.set(held)
        return held

    async def reconcile(self) -> None:
        """Observe, plan, apply, publish. An unavailable fleet or a timeout ends the round, and is told."""
        try:
            async with asyncio.timeout(MAX_ROUND_SECONDS):
                await self._reconcile()
        except FleetUnavailable as error:
            await self._publish(None, f"No worker is started or stopped: {error}")
        except TimeoutError:
            logger.warning("a round was abandoned after %g s; the next one starts over", MAX_ROUND_SECONDS)

    async def _reconcile(self) -> None:
        members = await self.fleet.list_workers()
        await self._costs.add(self.fleet.cost_per_hour)
        await self._take_drains(members)
        await self._stop_retired()
        try:
            load: dict[str, Any] | None = await self.scheduler.call("dask_graphql_load")
        except SchedulerUnavailable:
            load = None
        if load is None:
            # Without a scheduler a new worker has nothing to do. Running workers close themselves and are then seen as
            # ended, so a replaced scheduler gets new workers.
            await self._publish(None, "The scheduler does not respond. No worker is started or stopped until it does.")
            return
        self._membership.reconcile(members, {str(worker["name"]) for worker in load["workers"]}, time.monotonic())
        if overdue := self._membership.unregistered(time.monotonic()):
            # They are billed but do no work.
            logger.warning("%d workers are stopped because they did not register: %s", len(overdue), _some(overdue))
            self._record_decision(
                stopped=len(overdue),
                reason=f"Stopped {count(len(overdue), 'worker')} that did not connect to the scheduler in time: "
                f"{_some(overdue)}.",
            )
            await self.fleet.stop(overdue)
            self._membership.forget(overdue)
        decision = self._plan(load)
        await self._apply(decision)
        await self._publish(decision, decision.reason)

    def _plan(self, load: dict[str, Any]) -> Decision:
        staying, now = self._membership.staying, time.monotonic()
        registered = [worker for worker in load["workers"] if worker["name"] in staying]
        seen = Observation(
            waiting=load["queued"] + load["no_worker"],
            waiting_seconds=load["waiting_seconds"],
            busy=tuple(worker["occupancy_seconds"] for worker in registered if worker["processing"]),
            tasks=sum(worker["processing"] for worker in registered),
            idle=tuple((w["name"], self._membership.age(w["name"], now)) for w in registered if not w["processing"]),
            launching=len(self._membership.launching),
            threads=self.settings.worker_threads,
        )
        policy = self._policy
        if self._membership.launch_seconds is not None:
            policy = replace(policy, launch_seconds=self._membership.launch_seconds)
        decision = plan(seen, policy, self._history, now)
        self._history = decision.history
        return decision

    async def _apply(self, decision: Decision) -> None:
        if decision.start:
            started = await self.fleet.start(decision.start)
            if started:
                reason = f"Added {count(started, 'worker')}: {decision.change}"
                logger.info("%s", reason)
                self._record_decision(wanted=decision.wanted, started=started, reason=reason)
        if decision.retire:
            reason = f"Retired {count(len(decision.retire), 'worker')}: {decision.change}"
            logger.info("%s", reason)
            self._record_decision(wanted=decision.wanted, stopped=len(decision.retire), reason=reason)
            self._membership.retiring |= set(decision.retire)
            # Before the first await: an abandoned round must not leave a worker retired but never stopped.
            self._unstopped |= set(decision.retire)
            try:
                await self.scheduler.client.retire_workers(names=list(decision.retire), close_workers=True, remove=True)
            except (SchedulerUnavailable, OSError, TimeoutError) as error:
                logger.warning("the workers could not be retired first: %s", error)
            await self._stop_retired()

    async def _take_drains(self, members: Mapping[str, bool]) -> None:
        """Retires the workers that operators asked to drain. Their nodes let running tasks end."""
        try:
            asked = await requested_drains(self.store)
            for name, actor in asked.items():
                if name not in members:
                    self._record_decision(reason=f"{actor} asked to drain {name}, which is no worker of this fleet.")
                elif name not in self._membership.retiring:
                    logger.info("the worker %s is drained: %s asked for it", name, actor)
                    self._record_decision(stopped=1, reason=f"Retired 1 worker: {actor} asked to drain {name}.")
                    self._membership.retiring.add(name)
                    self._unstopped.add(name)
            if asked:
                await drop_drains(self.store, asked)
        except StoreUnavailable as error:
            logger.debug("requests to drain workers could not be read: %s", error)

    async def _stop_retired(self) -> None:
        """Stops retired workers; if this round is abandoned, the next one does."""
        if names := set(self._unstopped):
            await self.fleet.stop(names)
            self._unstopped -= names

    def _record_decision(self, *, reason: str, wanted: int | None = None, started: int = 0, stopped: int = 0) -> None:
        """Records a decision for the metrics and the fleet status."""
        for number, action, did in ((started, "start", "started"), (stopped, "stop", "stopped")):
            if number:
                metrics.DECISIONS.labels(action).inc()
                metrics.DECIDED_WORKERS.labels(did).inc(number)
        self._decisions.appendleft(
            {
                "at": milliseconds(time.time()),
                "wanted": wanted,
                "started": started,
                "stopped": stopped,
                "reason": reason,
            }
        )

    async def _publish(self, decision: Decision | None, reason: str) -> None:
        """Publishes the fleet status, for `cluster` in GraphQL."""
        membership = self._membership
        problem = self.fleet.problem or membership.problem
        self._problem_since = (self._problem_since or time.time()) if problem else None
        status = {
            "at": milliseconds(time.time()),
            "wanted": decision.wanted if decision else None,
            "launching": len(membership.launching),
            "launch_seconds": membership.launch_seconds,
            "running": len(membership.staying) - len(membership.launching),
            "retiring": len(membership.retiring),
            "min_workers": self.settings.min_workers,
            "max_workers": self.settings.max_workers,
            "reason": reason,
            "problem": problem,
            "problem_since": self._problem_since,
            "cost_per_hour": self.fleet.cost_per_hour,
            "decisions": list(self._decisions),
        }
        self._set_metrics(status)
        if time.monotonic() >= self._next_report:
            self._next_report = time.monotonic() + REPORT_SECONDS
            self._log_status(status)
        if decision is None and reason != self._last_reason:
            logger.warning(reason)
        self._last_reason = reason
        try:
            await self.store.command(
                "SET", self.store.calls.fleet_key, orjson.dumps(status), "PX", milliseconds(STATUS_TTL_SECONDS)
            )
        except StoreUnavailable as error:
            logger.debug("the fleet status could not be published: %s", error)

    def _log_status(self, status: dict[str, Any]) -> None:
        """Logs one line, from which terraform/modules/observability derives metrics; silence is an alarm there."""
        fields: dict[str, float] = {
            "fleetRunning": status["running"],
            "fleetLaunching": status["launching"],
            "fleetCostPerHour": status["cost_per_hour"] or 0,
            "fleetProblem": int(bool(status["problem"])),
        }
        if uses_tls(self.settings):
            fields["tlsDaysLeft"] = round(certificate_days_left(self.settings), 1)
        shown = " ".join(f"{name} {value:g}" for name, value in fields.items())
        logger.info("%s %s", shown, status["problem"], extra={"fields": fields})

    def _set_metrics(self, status: dict[str, Any]) -> None:
        for state in ("wanted", "launching", "running", "retiring"):
            if status[state] is not None:
                metrics.FLEET.labels(state).set(status[state])
        metrics.FLEET_BOUNDS.labels("min").set(status["min_workers"])
        metrics.FLEET_BOUNDS.labels("max").set(status["max_workers"])
        metrics.FLEET_PROBLEM.set(bool(status["problem"]))
        metrics.FLEET_COST.set(status["cost_per_hour"] or 0)
        metrics.SCHEDULER_CONNECTED.set(self.scheduler.connected)


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names)[:5])
