"""The controller's loop: observe, plan, apply, tell."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from typing import Any, Final

import orjson

from cluster.controller.fleets.fleet import Fleet
from cluster.controller.plan import Decision, Memory, Observation, Policy, plan
from cluster.errors import StoreUnavailable
from cluster.link import SchedulerAway, SchedulerLink
from cluster.settings import Settings
from cluster.store.calls import milliseconds
from cluster.store.store import Store

logger = logging.getLogger(__name__)

TURN_SECONDS: Final = 0.5
FLEET_SECONDS: Final = 5.0
"""How long the controller's word about the fleet is believed."""


async def run_controller(settings: Settings, fleet: Fleet, stop: asyncio.Event) -> None:
    """Runs the controller until `stop` is set; then the fleet ends what must not outlive it."""
    controller = Controller(settings, fleet)
    controller.link.start()
    try:
        while not stop.is_set():
            await controller.turn()
            try:
                async with asyncio.timeout(TURN_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue
    finally:
        await fleet.close()
        await controller.link.close()
        await controller.store.close()


class Controller:
    """One controller; `turn` is one round of its loop."""

    def __init__(self, settings: Settings, fleet: Fleet) -> None:
        self.settings = settings
        self.fleet = fleet
        self.link = SchedulerLink(settings)
        self.store = Store(settings)
        self._policy = Policy(settings.min_workers, settings.max_workers)
        self._memory = Memory()
        self._retiring: set[str] = set()
        self._told = ""

    async def turn(self) -> None:
        """Observe, plan, apply, tell."""
        living = await self.fleet.living()
        try:
            load: dict[str, Any] | None = await self.link.ask("dask_graphql_load")
        except SchedulerAway:
            load = None
        if load is None:
            # Without a scheduler a new worker has nothing to serve; those that ran have closed themselves.
            await self._tell(living, None, "the scheduler does not answer: no worker is started or stopped")
            return
        self._retiring &= living
        decision = self._plan(load, living)
        await self._apply(decision)
        await self._tell(living, load, decision.reason, decision)

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
            # A name is never used twice, as Dask refuses a living one and a dead one may still be remembered.
            await self.fleet.start([f"worker-{uuid.uuid4().hex[:12]}" for _ in range(decision.start)])
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
            "reason": reason,
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
