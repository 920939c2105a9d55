"""The controller's loop: observe, plan, apply, tell."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Mapping
from typing import Any, Final

import orjson

from cluster.controller.fleets.fleet import Fleet, FleetUnavailable
from cluster.controller.plan import Decision, Memory, Observation, Policy, plan
from cluster.errors import StoreUnavailable
from cluster.link import SchedulerAway, SchedulerLink
from cluster.settings import Settings
from cluster.store.calls import milliseconds
from cluster.store.lease import Lease
from cluster.store.store import Store

logger = logging.getLogger(__name__)

TURN_SECONDS: Final = 0.5
LEASE_SECONDS: Final = 6.0
"""How long a silent controller keeps another from acting."""
REGISTER_SECONDS: Final = 60.0
"""How long a worker that runs may stay away from the scheduler."""
LAUNCH_SECONDS: Final = 600.0
"""How long a worker may take until it runs."""
FLEET_SECONDS: Final = 5.0
"""How long the controller's word about the fleet is believed."""


async def run_controller(settings: Settings, fleet: Fleet, stop: asyncio.Event) -> None:
    """Runs the controller until `stop` is set; then the fleet ends what must not outlive it."""
    controller = Controller(settings, fleet)
    controller.link.start()
    try:
        while not stop.is_set():
            if await controller.acts():
                await controller.turn()
            try:
                async with asyncio.timeout(TURN_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue
    finally:
        await fleet.close()
        await controller.lease.release()
        await controller.link.close()
        await controller.store.close()


class Controller:
    """One controller; `turn` is one round of its loop."""

    def __init__(self, settings: Settings, fleet: Fleet) -> None:
        self.settings = settings
        self.fleet = fleet
        self.link = SchedulerLink(settings)
        self.store = Store(settings)
        self.lease = Lease(self.store, self.store.calls.controller_key, uuid.uuid4().hex, LEASE_SECONDS)
        self._acting = False
        self._strangers: dict[str, float] = {}
        self._policy = Policy(settings.min_workers, settings.max_workers)
        self._memory = Memory()
        self._retiring: set[str] = set()
        self._told = ""

    async def acts(self) -> bool:
        """Whether this controller is the one that acts, as two run during a rolling update."""
        try:
            held = await self.lease.hold()
        except StoreUnavailable as error:
            # Without Redis nobody can take over either; but nobody should buy who may not be alone.
            logger.warning("the controller waits: %s", error)
            return False
        if held != self._acting:
            logger.info("this controller acts from now on" if held else "another controller acts now")
        self._acting = held
        return held

    async def turn(self) -> None:
        """Observe, plan, apply, tell."""
        try:
            members = await self.fleet.living()
        except FleetUnavailable as error:
            logger.warning("no worker is started or stopped: %s", error)
            return
        living = set(members)
        try:
            load: dict[str, Any] | None = await self.link.ask("dask_graphql_load")
        except SchedulerAway:
            load = None
        if load is None:
            # Without a scheduler a new worker has nothing to serve; those that ran have closed themselves.
            await self._tell(living, None, "the scheduler does not answer: no worker is started or stopped")
            return
        self._retiring &= living
        living -= await self._reap(members, {str(worker["name"]) for worker in load["workers"]})
        decision = self._plan(load, living)
        await self._apply(decision)
        await self._tell(living, load, decision.reason, decision)

    async def _reap(self, members: Mapping[str, bool], registered: set[str]) -> set[str]:
        """Stops the workers that do not come to the scheduler, or lost it: they cost, and serve nobody."""
        now = time.monotonic()
        self._strangers = {name: self._strangers.get(name, now) for name in members if name not in registered}
        late = {
            name
            for name, since in self._strangers.items()
            if now - since > (REGISTER_SECONDS if members[name] else LAUNCH_SECONDS)
        }
        if late:
            logger.warning(
                "%d workers are stopped, as they do not register: %s", len(late), ", ".join(sorted(late)[:5])
            )
            await self.fleet.stop(late)
            self._retiring -= late
        return late

    def _plan(self, load: dict[str, Any], living: set[str]) -> Decision:
        idle = [worker["name"] for worker in load["workers"] if not worker["processing"]]
        seen = Observation(
            waiting=load["queued"] + load["no_worker"],
            processing=load["processing"],
            occupancy_seconds=load["occupancy_seconds"],
            threads=self.settings.worker_threads,
            living=len(living - self._retiring),
            idle=tuple(name for name in idle if name in living and name not in self._retiring),
        )
        decision = plan(seen, self._policy, self._memory, time.monotonic())
        self._memory = decision.memory
        return decision

    async def _apply(self, decision: Decision) -> None:
        if decision.start:
            logger.info("%d workers are started: %s", decision.start, decision.reason)
            await self.fleet.start(decision.start)
        if decision.retire:
            logger.info("%d workers are retired: %s", len(decision.retire), decision.reason)
            self._retiring |= set(decision.retire)
            try:
                await self.link.client.retire_workers(names=list(decision.retire), close_workers=True, remove=True)
            except (SchedulerAway, OSError, TimeoutError) as error:
                logger.warning("the workers could not be retired first: %s", error)
            await self.fleet.stop(decision.retire)

    async def _tell(
        self, living: set[str], load: dict[str, Any] | None, reason: str, decision: Decision | None = None
    ) -> None:
        """Writes what is known and decided, for `cluster` in GraphQL."""
        running = {worker["name"] for worker in load["workers"]} if load else set()
        word = {
            "at": milliseconds(time.time()),
            "wanted": decision.wanted if decision else None,
            "launching": len(living - running - self._retiring),
            "running": len((living & running) - self._retiring),
            "retiring": len(self._retiring),
            "min_workers": self.settings.min_workers,
            "max_workers": self.settings.max_workers,
            "reason": "; ".join(part for part in (reason, self.fleet.problem) if part),
        }
        if decision is None and reason != self._told:
            logger.warning(reason)
        self._told = reason
        try:
            await self.store.command(
                "SET", self.store.calls.fleet_key, orjson.dumps(word), "PX", milliseconds(FLEET_SECONDS)
            )
        except StoreUnavailable as error:
            logger.debug("the fleet's state is not told: %s", error)
