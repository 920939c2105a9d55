"""The controller's loop: observe, plan, apply, tell."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import deque
from dataclasses import replace
from typing import Any, Final

import orjson

from cluster.controller.fleets.fleet import Fleet, FleetUnavailable
from cluster.controller.scaling_policy import Decision, Memory, Observation, plan
from cluster.controller.worker_membership import WorkerMembership
from cluster.errors import StoreUnavailable
from cluster.observability import metrics
from cluster.scheduling.scheduler_client import SchedulerClient, SchedulerUnavailable
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.leader_lease import LeaderLease
from cluster.store.script_calls import milliseconds
from cluster.system.background import BackgroundLoop

logger = logging.getLogger(__name__)

TURN_SECONDS: Final = 0.5
LONGEST_TURN_SECONDS: Final = 60.0
FLEET_SECONDS: Final = 5.0
"""How long the controller's word about the fleet is believed."""
DECISIONS: Final = 20
"""How many of the last decisions are told."""


async def run_controller(settings: Settings, fleet: Fleet, stop: asyncio.Event) -> None:
    """Runs the controller until `stop` is set; then the fleet ends what must not outlive it."""
    controller = Controller(settings, fleet)
    controller.scheduler.start()
    loop = BackgroundLoop("controller", controller.round, pause_seconds=TURN_SECONDS)
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
    """One controller; `turn` is one round of its loop."""

    def __init__(self, settings: Settings, fleet: Fleet) -> None:
        self.settings = settings
        self.fleet = fleet
        self.scheduler = SchedulerClient(settings)
        self.store = Store(settings)
        # Without Redis nobody can take over; but nobody should buy who may not be alone.
        self.lease = LeaderLease(self.store, "controller", self.store.calls.controller_key, uuid.uuid4().hex)
        self._acting = False
        self._membership = WorkerMembership(settings.worker_start_seconds)
        self._policy = fleet.policy()
        self._memory = Memory()
        self._decisions: deque[dict[str, Any]] = deque(maxlen=DECISIONS)
        self._told = ""
        self._unstopped: set[str] = set()

    async def round(self) -> None:
        """One round of the loop: a turn, where this controller is the one that acts."""
        if await self.acts():
            await self.turn()
        elif self.lease.held_elsewhere:
            # Not where Redis is away: then nobody can have taken over.
            await self.fleet.stand_down()

    async def acts(self) -> bool:
        """Whether this controller is the one that acts, as two run during a rolling update."""
        held = self.lease.held
        if held and not self._acting:
            try:
                await self.fleet.take_over()
            except FleetUnavailable as error:
                logger.warning("the controller waits: %s", error)
                return False
            # What it last saw may be long ago.
            self._membership, self._memory = WorkerMembership(self.settings.worker_start_seconds), Memory()
        if held != self._acting:
            logger.info("this controller acts from now on" if held else "another controller acts now")
        self._acting = held
        metrics.CONTROLLER_ACTS.set(held)
        return held

    async def turn(self) -> None:
        """Observe, plan, apply, tell."""
        try:
            async with asyncio.timeout(LONGEST_TURN_SECONDS):
                await self._turn()
        except FleetUnavailable as error:
            logger.warning("no worker is started or stopped: %s", error)
        except TimeoutError:
            logger.warning("a turn was given up after %g s; the next one looks again", LONGEST_TURN_SECONDS)

    async def _turn(self) -> None:
        members = await self.fleet.living()
        await self._stop_retired()
        try:
            load: dict[str, Any] | None = await self.scheduler.call("dask_graphql_load")
        except SchedulerUnavailable:
            load = None
        if load is None:
            # Without a scheduler a new worker has nothing to serve; those that ran close themselves, and are then seen
            # as ended. So a replaced scheduler gets new workers.
            await self._tell(None, "the scheduler does not answer: no worker is started or stopped")
            return
        self._membership.reconcile(members, {str(worker["name"]) for worker in load["workers"]}, time.monotonic())
        if late := self._membership.unregistered(time.monotonic()):
            # They cost, and serve nobody.
            logger.warning("%d workers are stopped, as they do not register: %s", len(late), _some(late))
            self._decide(stopped=len(late), reason=f"they do not register: {_some(late)}")
            await self.fleet.stop(late)
            self._membership.forget(late)
        decision = self._plan(load)
        await self._apply(decision)
        await self._tell(decision, decision.reason)

    def _plan(self, load: dict[str, Any]) -> Decision:
        staying, now = self._membership.staying, time.monotonic()
        here = [worker for worker in load["workers"] if worker["name"] in staying]
        seen = Observation(
            waiting=load["queued"] + load["no_worker"],
            waiting_seconds=load["waiting_seconds"],
            busy=tuple(worker["occupancy_seconds"] for worker in here if worker["processing"]),
            tasks=sum(worker["processing"] for worker in here),
            idle=tuple((w["name"], self._membership.age(w["name"], now)) for w in here if not w["processing"]),
            launching=len(self._membership.launching),
            threads=self.settings.worker_threads,
        )
        policy = self._policy
        if self._membership.launch_seconds is not None:
            policy = replace(policy, launch_seconds=self._membership.launch_seconds)
        decision = plan(seen, policy, self._memory, now)
        self._memory = decision.memory
        return decision

    async def _apply(self, decision: Decision) -> None:
        if decision.start:
            started = await self.fleet.start(decision.start)
            if started:
                logger.info("%d workers are started: %s", started, decision.reason)
                self._decide(wanted=decision.wanted, started=started, reason=decision.reason)
        if decision.retire:
            logger.info("%d workers are retired: %s", len(decision.retire), decision.reason)
            self._decide(wanted=decision.wanted, stopped=len(decision.retire), reason=decision.reason)
            self._membership.retiring |= set(decision.retire)
            # Before the first await: a turn that is given up must not leave one that is retired and never stopped.
            self._unstopped |= set(decision.retire)
            try:
                await self.scheduler.client.retire_workers(names=list(decision.retire), close_workers=True, remove=True)
            except (SchedulerUnavailable, OSError, TimeoutError) as error:
                logger.warning("the workers could not be retired first: %s", error)
            await self._stop_retired()

    async def _stop_retired(self) -> None:
        """Stops what was retired; in a later turn, if this one is given up."""
        if names := set(self._unstopped):
            await self.fleet.stop(names)
            self._unstopped -= names

    def _decide(self, *, reason: str, wanted: int | None = None, started: int = 0, stopped: int = 0) -> None:
        """Notes a decision, to be told."""
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

    async def _tell(self, decision: Decision | None, reason: str) -> None:
        """Writes what is known and decided, for `cluster` in GraphQL."""
        membership = self._membership
        word = {
            "at": milliseconds(time.time()),
            "wanted": decision.wanted if decision else None,
            "launching": len(membership.launching),
            "launch_seconds": membership.launch_seconds,
            "running": len(membership.staying) - len(membership.launching),
            "retiring": len(membership.retiring),
            "min_workers": self.settings.min_workers,
            "max_workers": self.settings.max_workers,
            "reason": reason,
            "problem": self.fleet.problem or self._membership.problem,
            "cost_per_hour": self.fleet.cost_per_hour,
            "decisions": list(self._decisions),
        }
        self._measure(word)
        if decision is None and reason != self._told:
            logger.warning(reason)
        self._told = reason
        try:
            await self.store.command(
                "SET", self.store.calls.fleet_key, orjson.dumps(word), "PX", milliseconds(FLEET_SECONDS)
            )
        except StoreUnavailable as error:
            logger.debug("the fleet's state is not told: %s", error)

    def _measure(self, word: dict[str, Any]) -> None:
        for state in ("wanted", "launching", "running", "retiring"):
            if word[state] is not None:
                metrics.FLEET.labels(state).set(word[state])
        metrics.FLEET_BOUNDS.labels("min").set(word["min_workers"])
        metrics.FLEET_BOUNDS.labels("max").set(word["max_workers"])
        metrics.FLEET_PROBLEM.set(bool(word["problem"]))
        metrics.FLEET_COST.set(word["cost_per_hour"] or 0)
        metrics.SCHEDULER_CONNECTED.set(self.scheduler.connected)


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names)[:5])
