"""The controller's loop: observe, plan, apply, publish."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Collection, Mapping
from typing import Any, Final

import orjson

from cluster.controller.cost_ceiling import CostCeiling, Costs
from cluster.controller.cost_ledger import CostLedger
from cluster.controller.decision_words import count, duration
from cluster.controller.demand_store import DemandStore
from cluster.controller.fleets.fleet import Fleet, FleetUnavailable
from cluster.controller.pool_state import PoolState, set_pool_metrics
from cluster.controller.scaling_policy import Decision
from cluster.controller.worker_membership import WorkerMembership
from cluster.errors import StoreUnavailable
from cluster.observability import metrics
from cluster.scheduling.scheduler_client import SchedulerClient, SchedulerUnavailable
from cluster.settings import Settings
from cluster.settings.pools import DEFAULT_POOL
from cluster.store.async_store import Store
from cluster.store.call_builder import milliseconds
from cluster.store.drains import drop_drains, requested_drains
from cluster.store.leader_lease import LeaderLease
from cluster.system.background import BackgroundLoop
from cluster.system.liveness import Liveness
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
        self.store = Store(settings)
        self.scheduler = SchedulerClient(settings, self.store)
        # While Redis is unavailable no controller can prove that it is the only one, so none starts or stops workers.
        self.lease = LeaderLease(self.store, "controller", self.store.calls.controller_key, uuid.uuid4().hex)
        self._liveness = Liveness(settings, "controller")
        self._leading = False
        self._pools = self._new_pools()
        self._costs = CostLedger(self.store)
        self._demand = DemandStore(self.store)
        self._ceiling = CostCeiling(settings.max_cost_per_hour, settings.max_cost_per_day)
        self._decisions: deque[dict[str, Any]] = deque(maxlen=MAX_DECISIONS)
        self._last_reason = ""
        self._problem_since: float | None = None
        self._next_report = 0.0
        self._unstopped: set[str] = set()
        """Retired workers that still have to be stopped."""
        self._draining: dict[str, float] = {}
        """Busy workers that get no more tasks, and are retired once they have none; since when, in monotonic seconds,
        this controller knows."""
        self._left: set[str] = set()
        """Workers that retire or drain because their machine is taken away."""

    def _new_pools(self, learnt: Mapping[str, float] | None = None) -> dict[str, PoolState]:
        """The pools, of which nothing is known but how long their workers take to register."""
        start_seconds, learnt = self.settings.worker_start_seconds, learnt or {}
        return {
            name: PoolState(pool, self.fleet.policy(pool), WorkerMembership(start_seconds, learnt.get(name, 0.0)))
            for name, pool in self.settings.all_pools.items()
        }

    def _pool_of(self, worker: str) -> PoolState:
        """The pool of a worker of the fleet. One of a pool that is no longer declared is of `default`: it is retired
        once it is idle."""
        return self._pools.get(self.fleet.pool_of(worker)) or self._pools[DEFAULT_POOL]

    async def round(self) -> None:
        """One round of the loop: reconciles the fleet if this controller leads."""
        self._liveness.beat()
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
            self._pools = self._new_pools(await self._learnt_register_seconds())
            await self._load_demand()
        if held != self._leading:
            logger.info("this controller leads from now on" if held else "another controller leads now")
        self._leading = held
        metrics.CONTROLLER_ACTS.set(held)
        return held

    async def _learnt_register_seconds(self) -> dict[str, float]:
        """How long the controller before gave the workers of each pool to register, if it published that until now:
        in a rolling update it did, and its successor stops no worker that is as slow as those before."""
        try:
            text = await self.store.command("GET", self.store.calls.fleet_key)
        except StoreUnavailable:
            return {}
        pools = orjson.loads(text).get("pools", ()) if text else ()
        return {pool["name"]: pool["register_seconds"] for pool in pools if "register_seconds" in pool}

    async def _load_demand(self) -> None:
        """Reads what earlier controllers have recorded of the demand for pools of which it is foreseen."""
        pools = {name: state for name, state in self._pools.items() if state.policy.forecast}
        if pools:
            for name, days in (await self._demand.load(pools)).items():
                pools[name].record.load(days)

    async def reconcile(self) -> None:
        """Observe, plan, apply, publish. An unavailable fleet or a timeout ends the round, and is told."""
        try:
            async with asyncio.timeout(MAX_ROUND_SECONDS):
                await self._reconcile()
        except FleetUnavailable as error:
            await self._publish_no_decision(f"No worker is started or stopped: {error}")
        except TimeoutError:
            logger.warning("a round was abandoned after %g s; the next one starts over", MAX_ROUND_SECONDS)

    async def _reconcile(self) -> None:
        members = await self.fleet.list_workers()
        await self._costs.add(self.fleet.cost_per_hour)
        await self._take_drains(members)
        self._leave_machines(members)
        await self._stop_retired()
        try:
            load: dict[str, Any] | None = await self.scheduler.call("dask_graphql_load")
        except SchedulerUnavailable:
            load = None
        if load is None:
            # Without a scheduler a new worker has nothing to do. Running workers close themselves and are then seen as
            # ended, so a replaced scheduler gets new workers.
            await self._publish_no_decision(
                "The scheduler does not respond. No worker is started or stopped until it does."
            )
            return
        await self._drain(members, load["workers"])
        registered, now = {str(worker["name"]) for worker in load["workers"]}, time.monotonic()
        # Workers of an earlier scheduler that end their tasks and go. A scheduler of an earlier release knows none.
        for name in ({str(worker["name"]) for worker in load.get("finishing", ())} & members.keys()) - registered:
            self._pool_of(name).membership.retiring.add(name)
            registered.add(name)
        for state in self._pools.values():
            own = {name: runs for name, runs in members.items() if self._pool_of(name) is state}
            state.membership.reconcile(own, registered, now)
            await self._stop_overdue(state)
            await self._apply(state.pool.name, self._plan(state, load, now))
        await self._demand.save({name: state.record for name, state in self._pools.items() if state.policy.forecast})
        await self._publish(self._reason())

    def _plan(self, state: PoolState, load: Mapping[str, Any], now: float) -> Decision:
        """The plan of one pool, with what the pools before it in this round have left of the ceiling."""
        worker_cost = self.fleet.worker_cost_per_hour(state.pool)
        costs = Costs(self.fleet.cost_per_hour or 0.0, worker_cost, self._costs.today)
        leaving = sum(len(each.membership.retiring) for each in self._pools.values())
        affordable = self._ceiling.allows(costs, len(state.membership.staying), leaving)
        threads, outdated = self.settings.worker_threads, self.fleet.outdated
        return state.plan(load, threads, now, wall_seconds=time.time(), outdated=outdated, affordable=affordable)

    async def _stop_overdue(self, state: PoolState) -> None:
        if overdue := state.membership.unregistered(time.monotonic()):
            # They are billed but do no work.
            logger.warning("%d workers are stopped because they did not register: %s", len(overdue), _some(overdue))
            self._record_decision(
                stopped=len(overdue),
                reason=f"Stopped {count(len(overdue), 'worker')} that did not connect to the scheduler in time: "
                f"{_some(overdue)}.",
            )
            await self.fleet.stop(overdue)
            state.membership.forget(overdue)

    def _reason(self) -> str:
        """Why each pool has as many workers as it has."""
        reasons = {name: state.decision.reason for name, state in self._pools.items() if state.decision}
        if len(self._pools) == 1:
            return "".join(reasons.values())
        return " ".join(f"{name}: {reason}" for name, reason in reasons.items())

    async def _apply(self, pool: str, decision: Decision) -> None:
        of_pool = f" of {pool}" if len(self._pools) > 1 else ""
        if decision.start:
            started = await self.fleet.start(decision.start, pool)
            if started:
                reason = f"Added {count(started, 'worker')}{of_pool}: {decision.change}"
                logger.info("%s", reason)
                self._record_decision(wanted=decision.wanted, started=started, reason=reason)
        if decision.retire:
            reason = f"Retired {count(len(decision.retire), 'worker')}{of_pool}: {decision.change}"
            logger.info("%s", reason)
            self._record_decision(wanted=decision.wanted, stopped=len(decision.retire), reason=reason)
            self._pools[pool].membership.retiring |= set(decision.retire)
            await self._retire(set(decision.retire))
        if decision.drain:
            reason = f"Draining {count(len(decision.drain), 'worker')}{of_pool}: {decision.drain_reason}"
            logger.info("%s", reason)
            self._record_decision(wanted=decision.wanted, stopped=len(decision.drain), reason=reason)
            self._pools[pool].membership.retiring |= set(decision.drain)
            self._draining |= dict.fromkeys(decision.drain, time.monotonic())

    async def _drain(self, members: Mapping[str, bool], workers: Collection[Mapping[str, Any]]) -> None:
        """Keeps tasks from the workers that are drained, also by an earlier controller; retires those whose tasks have
        ended, and stops those of an older revision whose tasks do not end within UPDATE_DRAIN_SECONDS."""
        now = time.monotonic()
        known = {str(worker["name"]): worker for worker in workers if str(worker["name"]) in members}
        drained = {name for name, worker in known.items() if name in self._draining or worker.get("draining")}
        drained |= self._take_leaving(known, within_minutes=False)
        self._draining = {name: self._draining.get(name, now) for name in drained}
        for name in self._draining:
            self._pool_of(name).membership.retiring.add(name)
        try:
            for name in self._draining:
                if not known[name].get("draining"):
                    await self.scheduler.call("dask_graphql_draining", worker=known[name]["address"])
        except SchedulerUnavailable as error:
            logger.debug("workers are kept from tasks in the next round: %s", error)
        if done := {name for name in self._draining if known[name].get("draining") and not known[name]["processing"]}:
            logger.info("%d workers have ended their tasks and are stopped: %s", len(done), _some(done))
            for name in done:
                del self._draining[name]
            await self._retire(done)
        limit = self.settings.update_drain_seconds
        late = {name for name, since in self._draining.items() if limit and now - since > limit} & self.fleet.outdated
        if late:
            self._record_decision(
                stopped=len(late),
                reason=f"Retired {count(len(late), 'worker')} of an older revision: their tasks did not end within "
                f"{duration(limit)} (UPDATE_DRAIN_SECONDS).",
            )
            for name in late:
                del self._draining[name]
            self._unstopped |= late

    async def _retire(self, names: set[str]) -> None:
        """Retires workers through the scheduler, so that nothing runs on them and their data move, and stops them."""
        # Before the first await: an abandoned round must not leave a worker retired but never stopped.
        self._unstopped |= names
        try:
            await self.scheduler.client.retire_workers(names=list(names), close_workers=True, remove=True)
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
                elif name not in (retiring := self._pool_of(name).membership.retiring):
                    logger.info("the worker %s is drained: %s asked for it", name, actor)
                    self._record_decision(stopped=1, reason=f"Retired 1 worker: {actor} asked to drain {name}.")
                    retiring.add(name)
                    self._unstopped.add(name)
            if asked:
                await drop_drains(self.store, asked)
        except StoreUnavailable as error:
            logger.debug("requests to drain workers could not be read: %s", error)

    def _leave_machines(self, members: Mapping[str, bool]) -> None:
        """Retires the workers whose machines may be gone in minutes. Their nodes let running tasks end, as long as
        there is time, and give the others back."""
        leaving = self._take_leaving(members, within_minutes=True)
        for name in leaving:
            self._pool_of(name).membership.retiring.add(name)
        self._unstopped |= leaving

    def _take_leaving(self, workers: Collection[str], *, within_minutes: bool) -> set[str]:
        """Those of the workers whose machines are about to be taken away, each once. One that is drained for another
        reason has no time for that if its machine goes within minutes."""
        leaving = self.fleet.leaving
        self._left &= leaving.keys()
        found = {
            name
            for name, soon in leaving.items()
            if soon is within_minutes
            and name in workers
            and name not in self._left
            and (soon or name not in self._pool_of(name).membership.retiring)
        }
        self._left |= found
        if found:
            done = "Retired" if within_minutes else "Draining"
            reason = f"{done} {count(len(found), 'worker')}: ECS drains the machines that they run on."
            logger.info("%s %s", reason, _some(found))
            self._record_decision(stopped=len(found), reason=reason)
        return found

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

    async def _publish_no_decision(self, reason: str) -> None:
        for state in self._pools.values():
            state.decision = None
        await self._publish(reason)

    async def _publish(self, reason: str) -> None:
        """Publishes the fleet status, for `cluster` in GraphQL."""
        pools = [
            {
                **state.status(self.fleet.cost_of(name)),
                "worker_cost_per_hour": self.fleet.worker_cost_per_hour(state.pool),
            }
            for name, state in self._pools.items()
        ]
        decisions = [state.decision for state in self._pools.values() if state.decision]
        problems = [state.membership.problem for state in self._pools.values()]
        ceiling = next((decision.problem for decision in decisions if decision.problem), "")
        problem = self.fleet.problem or next(filter(None, problems), ceiling)
        known = all(state.decision for state in self._pools.values())
        self._problem_since = (self._problem_since or time.time()) if problem else None
        status = {
            "at": milliseconds(time.time()),
            "wanted": sum(pool["wanted"] for pool in pools) if known else None,
            "launching": sum(pool["launching"] for pool in pools),
            "launch_seconds": max((pool["launch_seconds"] for pool in pools if pool["launch_seconds"]), default=None),
            "running": sum(pool["running"] for pool in pools),
            "retiring": sum(pool["retiring"] for pool in pools),
            "min_workers": sum(pool["min_workers"] for pool in pools),
            "max_workers": sum(pool["max_workers"] for pool in pools),
            "pools": pools,
            "reason": reason,
            "problem": problem,
            "problem_since": self._problem_since,
            "cost_per_hour": self.fleet.cost_per_hour,
            "ceiling": ceiling,
            "unaffordable": sum(decision.unaffordable for decision in decisions),
            "decisions": list(self._decisions),
        }
        self._set_metrics(status)
        if time.monotonic() >= self._next_report:
            self._next_report = time.monotonic() + REPORT_SECONDS
            self._log_status(status)
        if not known and reason != self._last_reason:
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
            "fleetProblem": int(bool(status["problem"])),
        }
        # What is not known is not 0.
        if status["cost_per_hour"] is not None:
            fields["fleetCostPerHour"] = status["cost_per_hour"]
        if uses_tls(self.settings):
            fields["tlsDaysLeft"] = round(certificate_days_left(self.settings), 1)
        shown = " ".join(f"{name} {value:g}" for name, value in fields.items())
        logger.info("%s %s", shown, status["problem"], extra={"fields": fields})

    def _set_metrics(self, status: dict[str, Any]) -> None:
        for pool in status["pools"]:
            set_pool_metrics(pool)
        for state in ("wanted", "launching", "running", "retiring"):
            if status[state] is not None:
                metrics.FLEET.labels(state).set(status[state])
        metrics.FLEET_BOUNDS.labels("min").set(status["min_workers"])
        metrics.FLEET_BOUNDS.labels("max").set(status["max_workers"])
        metrics.FLEET_PROBLEM.set(bool(status["problem"]))
        metrics.FLEET_COST.set(status["cost_per_hour"] or 0)
        metrics.FLEET_UNAFFORDABLE.set(status["unaffordable"])
        metrics.SCHEDULER_CONNECTED.set(self.scheduler.connected)


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names)[:5])
