"""The controller when something goes wrong: workers that end at once, a lost lease, an abandoned round."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import replace
from typing import IO, Any

import orjson
import pytest

from cluster.controller.cost_ceiling import CostCeiling
from cluster.controller.demand_history import DemandHistory
from cluster.controller.demand_store import DemandStore
from cluster.controller.fleets import local
from cluster.controller.fleets.fleet import Fleet, FleetUnavailable
from cluster.controller.fleets.local import LocalFleet
from cluster.controller.reconciler import Controller
from cluster.controller.scaling_policy import REPLACED, Decision, Policy
from cluster.errors import StoreUnavailable
from cluster.scheduling.scheduler_client import SchedulerUnavailable
from cluster.settings import Settings
from cluster.settings.pools import DEFAULT_POOL, Pool
from cluster.store.drains import ask_to_drain, requested_drains
from cluster.system.child_processes import Child, start_child


class Starter:
    """Starts short Python programs in place of workers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
        self.program = program
        self.children: list[Child] = []
        monkeypatch.setattr(local, "start_node", self.start)

    async def start(self, settings: Settings, role: str, *arguments: str, output: IO[bytes] | None) -> Child:
        self.children.append(await start_child(role, [sys.executable, "-c", self.program]))
        return self.children[-1]


async def gone(starter: Starter) -> None:
    async with asyncio.timeout(20):
        await asyncio.gather(*(child.process.wait() for child in starter.children))


async def test_starts_are_delayed_more_and_more_after_local_workers_that_end_at_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    starter = Starter(monkeypatch, "raise SystemExit(3)")
    fleet = LocalFleet(settings, lambda: now[0])
    pauses = []
    for _ in range(8):
        assert await fleet.start(1) == 1
        await gone(starter)
        assert await fleet.list_workers() == {}
        assert "exit code 3" in fleet.problem
        began = now[0]
        while await fleet.start(0) == 0 and now[0] < fleet._paused_until:
            now[0] += 0.5
        pauses.append(now[0] - began)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    # A worker that keeps running shows that the problem is over.
    starter.program = "import time; time.sleep(60)"
    await fleet.start(1)
    now[0] += local.STEADY_SECONDS + 1
    assert len(await fleet.list_workers()) == 1
    assert fleet.problem == ""
    await fleet.close()


async def test_a_local_worker_that_was_stopped_or_killed_is_not_a_problem(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    starter = Starter(monkeypatch, "import time; print('up', flush=True); time.sleep(60)")
    fleet = LocalFleet(settings)
    await fleet.start(2)
    starter.children[0].process.kill()
    await fleet.stop(await fleet.list_workers())
    await gone(starter)
    assert await fleet.list_workers() == {}
    assert fleet.problem == ""
    assert await fleet.start(1) == 1
    await fleet.close()


async def test_stopping_a_local_worker_does_not_wait_and_one_that_does_not_stop_is_killed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    now = [1_000.0]
    mark = tmp_path / "up"
    program = "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    starter = Starter(monkeypatch, f"{program} pathlib.Path({str(mark)!r}).touch(); time.sleep(60)")
    fleet = LocalFleet(replace(settings, drain_seconds=30), lambda: now[0])
    await fleet.start(1)
    async with asyncio.timeout(20):
        while not mark.exists():
            await asyncio.sleep(0.01)
    began = time.monotonic()
    await fleet.stop(await fleet.list_workers())
    assert time.monotonic() - began < 2
    now[0] += 34
    assert await fleet.list_workers() == {}, "it is no longer a member"
    assert starter.children[0].process.returncode is None
    now[0] += 2
    await fleet.list_workers()
    await gone(starter)


class Recorder(Fleet):
    """A fleet that records the calls."""

    def __init__(self) -> None:
        self.stopped: list[set[str]] = []
        self.leadership_losses = 0

    def policy(self, pool: Pool) -> Policy:
        return Policy(0, 5)

    async def list_workers(self) -> Mapping[str, bool]:
        return {"a": True, "b": True}

    async def start(self, count: int, pool: str = DEFAULT_POOL) -> int:
        return count

    async def stop(self, names: Collection[str]) -> None:
        self.stopped.append(set(names))

    async def on_leadership_lost(self) -> None:
        self.leadership_losses += 1

    async def close(self) -> None: ...


Make = Callable[[], tuple[Controller, Recorder]]


@pytest.fixture
async def make(settings: Settings) -> AsyncIterator[Make]:
    made: list[Controller] = []

    def one() -> tuple[Controller, Recorder]:
        fleet = Recorder()
        made.append(Controller(settings, fleet))
        return made[-1], fleet

    yield one
    for controller in made:
        await controller.lease.close()
        await controller.store.close()


async def test_a_controller_that_lost_its_lease_to_another_stops_its_own_workers(make: Make) -> None:
    (first, fleet), (second, other) = make(), make()
    await first.lease.renew()
    await first.round()
    assert fleet.leadership_losses == 0
    # It is suspended for longer than its lease lasts.
    await first.lease.lease.release()
    await second.lease.renew()
    await first.lease.renew()
    await first.round()
    await second.round()
    assert (fleet.leadership_losses, other.leadership_losses) == (1, 0)


async def test_a_controller_that_takes_over_gives_workers_as_long_as_the_one_before(make: Make) -> None:
    (first, _), (second, _) = make(), make()
    (state,) = first._pools.values()
    state.membership.register_seconds = 300.0
    await first._publish("nothing to do")
    await second.lease.renew()
    assert await second.leads()
    (state,) = second._pools.values()
    assert state.membership.register_seconds == 300.0


async def test_a_controller_that_takes_over_knows_the_demand_that_the_one_before_has_seen(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorder, "policy", lambda self, pool: Policy(0, 5, forecast=True))
    (first, _), (second, _) = make(), make()
    load = {"queued": 9, "no_worker": 0, "waiting_seconds": 0.0, "workers": []}

    async def respond(*_: Any, **__: Any) -> dict[str, Any]:
        return load

    monkeypatch.setattr(first.scheduler, "call", respond)
    await first._reconcile()
    load["waiting_seconds"] = 200.0
    first._demand = DemandStore(first.store)
    await first._reconcile()
    await second.lease.renew()
    assert await second.leads()
    (seen,), (known,) = (each._pools.values() for each in (first, second))
    assert known.record.days == seen.record.days
    assert sum(map(sum, known.record.days.values())) > 0


async def test_a_redis_that_is_away_stops_no_workers(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    controller, fleet = make()
    await controller.lease.renew()
    await controller.round()

    async def away() -> bool:
        raise StoreUnavailable("away")

    monkeypatch.setattr(controller.lease.lease, "hold", away)
    with pytest.raises(StoreUnavailable):
        await controller.lease.renew()
    controller.lease._held_until = time.monotonic()
    await controller.round()
    assert fleet.leadership_losses == 0


async def test_an_operator_drains_a_worker_and_one_of_another_fleet_stays(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller, fleet = make()
    await ask_to_drain(controller.store, "a", "anna")
    await ask_to_drain(controller.store, "z", "anna")
    await controller._reconcile()
    assert fleet.stopped == [{"a"}]
    assert controller._pools[DEFAULT_POOL].membership.retiring == {"a"}
    assert {(each["stopped"], each["reason"]) for each in controller._decisions} == {
        (1, "Retired 1 worker: anna asked to drain a."),
        (0, "anna asked to drain z, which is no worker of this fleet."),
    }  # fmt: skip
    assert await requested_drains(controller.store) == {}
    await ask_to_drain(controller.store, "a", "ben")
    await controller._reconcile()
    assert fleet.stopped == [{"a"}], "it is on its way"

    async def away(*_: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(controller.store, "command", away)
    await controller._reconcile()


async def test_a_worker_that_an_abandoned_round_retired_is_stopped_in_the_next_one(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller, fleet = make()

    class Client:
        async def retire_workers(self, **_: Any) -> None:
            await asyncio.sleep(3600)

    def away(_: Any) -> Client:
        raise SchedulerUnavailable

    monkeypatch.setattr(type(controller.scheduler), "client", property(lambda _: Client()))
    decision = Decision(
        wanted=0, start=0, retire=("a",), reason="", change="nothing is left to do.", history=DemandHistory()
    )
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await controller._apply(DEFAULT_POOL, decision)
    assert fleet.stopped == []
    monkeypatch.setattr(type(controller.scheduler), "client", property(away))
    await controller._reconcile()
    assert fleet.stopped == [{"a"}]
    await controller._reconcile()
    assert fleet.stopped == [{"a"}]


async def test_a_platform_that_does_not_answer_is_told_once_and_the_state_stays_published(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    controller, _ = make()

    async def away(_: object) -> Mapping[str, bool]:
        raise FleetUnavailable("ECS cannot list the workers: Rate exceeded")

    monkeypatch.setattr(Recorder, "list_workers", away)
    for _ in range(3):
        await controller.reconcile()
    told = orjson.loads(await controller.store.command("GET", controller.store.calls.fleet_key))
    assert "Rate exceeded" in told["reason"]
    assert len([record for record in caplog.records if "Rate exceeded" in record.message]) == 1


async def test_a_ceiling_in_dollars_that_binds_is_published_as_the_problem_with_what_the_day_has_cost(
    settings: Settings, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller, _ = make()
    monkeypatch.setattr(Recorder, "cost_per_hour", 2.0)
    monkeypatch.setattr(Recorder, "worker_cost_per_hour", lambda *_: 1.0)
    controller._ceiling = CostCeiling(per_day=10.0)
    today = await controller.store.server_milliseconds() // 86_400_000
    await controller.store.command("HSET", controller.store.calls.costs_key, today, 9.95)
    load = {"workers": [], "queued": 50, "no_worker": 0, "waiting_seconds": 500.0}

    async def call(*_: object) -> dict[str, Any]:
        return load

    monkeypatch.setattr(controller.scheduler, "call", call)
    await controller.reconcile()
    told = orjson.loads(await controller.store.command("GET", controller.store.calls.fleet_key))
    # Two are launching already; two minutes of each are left for them.
    assert told["problem"] == "Today's ceiling of $10.00 allows 1 worker, 4 fewer than are wanted."
    assert (told["wanted"], told["unaffordable"], told["ceiling"]) == (1, 4, told["problem"])


async def test_a_worker_that_is_drained_gets_no_more_tasks_and_is_stopped_after_its_last_one(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller, fleet = make()
    monkeypatch.setattr(Recorder, "cost_per_hour", 2.0)
    monkeypatch.setattr(Recorder, "worker_cost_per_hour", lambda *_: 1.0)
    controller._ceiling = CostCeiling(per_hour=1.0)
    load: dict[str, Any] = {
        "queued": 50, "no_worker": 0, "waiting_seconds": 50.0,
        "workers": [
            {"name": name, "address": f"tcp://{name}", "processing": 1, "occupancy_seconds": seconds, "draining": False}
            for name, seconds in (("a", 5.0), ("b", 900.0))
        ],
    }  # fmt: skip
    asked = []

    async def call(operation: str, **arguments: str) -> Any:
        if operation == "dask_graphql_load":
            return load
        asked.append((operation, arguments))
        load["workers"][0]["draining"] = True
        return None

    monkeypatch.setattr(controller.scheduler, "call", call)
    for _ in range(3):
        await controller.reconcile()
    assert asked == [("dask_graphql_draining", {"worker": "tcp://a"})]
    assert fleet.stopped == []
    assert controller._decisions[0]["reason"].startswith("Draining 1 worker: The ceiling of $1.00 an hour allows")
    # A controller that takes over goes on with it.
    later, other = make()
    monkeypatch.setattr(later.scheduler, "call", call)
    await later.reconcile()
    load["workers"][0]["processing"] = 0
    await later.reconcile()
    assert other.stopped == [{"a"}]


async def test_a_worker_of_an_earlier_scheduler_that_ends_its_tasks_is_neither_stopped_nor_taken_for_one_that_starts(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller, fleet = make()
    load = {
        "queued": 0, "no_worker": 0, "waiting_seconds": 0.0, "finishing": [{"name": "a"}, {"name": "of another fleet"}],
        "workers": [{"name": "b", "address": "tcp://b", "processing": 1, "occupancy_seconds": 9.0, "draining": False}],
    }  # fmt: skip

    async def call(*_: object) -> dict[str, Any]:
        return load

    monkeypatch.setattr(controller.scheduler, "call", call)
    (state,) = controller._pools.values()
    await controller.reconcile()
    assert (state.membership.retiring, state.membership.launching) == ({"a"}, set())
    assert state.membership.unregistered(time.monotonic() + 7_200.0) == set()
    assert fleet.stopped == []


async def test_a_worker_of_an_older_revision_that_does_not_end_its_tasks_is_stopped_after_the_bound(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller, fleet = make()
    monkeypatch.setattr(Recorder, "outdated", frozenset("a"))
    monkeypatch.setattr(Recorder, "policy", lambda *_: Policy(0, 2))
    workers = [
        {"name": name, "address": f"tcp://{name}", "processing": 1, "occupancy_seconds": 9e4, "draining": False}
        for name in "ab"
    ]

    async def call(operation: str, worker: str = "") -> Any:
        if operation == "dask_graphql_load":
            return {"queued": 0, "no_worker": 0, "waiting_seconds": 0.0, "workers": workers}
        next(each for each in workers if each["address"] == worker)["draining"] = True
        return None

    monkeypatch.setattr(controller.scheduler, "call", call)
    for _ in range(3):
        await controller.reconcile()
    assert [worker["draining"] for worker in workers] == [True, False]
    assert fleet.stopped == []
    reasons = [decision["reason"] for decision in controller._decisions]
    assert f"Draining 1 worker: {REPLACED}" in reasons
    controller._draining["a"] -= controller.settings.update_drain_seconds
    await controller.reconcile()
    await controller.reconcile()
    assert fleet.stopped == [{"a"}]
    reasons = [decision["reason"] for decision in controller._decisions]
    assert any("their tasks did not end within 24 h (UPDATE_DRAIN_SECONDS)" in reason for reason in reasons)


async def test_workers_whose_machine_goes_within_minutes_are_stopped_and_others_end_their_tasks_first(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller, fleet = make()
    load: dict[str, Any] = {
        "queued": 0, "no_worker": 0, "waiting_seconds": 0.0,
        "workers": [
            {"name": name, "address": f"tcp://{name}", "processing": 1, "occupancy_seconds": 900.0, "draining": False}
            for name in ("a", "b")
        ],
    }  # fmt: skip

    async def call(operation: str, **arguments: str) -> Any:
        if operation == "dask_graphql_load":
            return load
        next(each for each in load["workers"] if each["address"] == arguments["worker"])["draining"] = True
        return None

    monkeypatch.setattr(controller.scheduler, "call", call)
    # A worker that is drained already has no time to end its tasks.
    controller._draining["a"] = time.monotonic()
    monkeypatch.setattr(Recorder, "leaving", {"a": True, "b": False, "one that has ended": True})
    for _ in range(2):
        await controller.reconcile()
    assert fleet.stopped == [{"a"}]
    assert load["workers"][1]["draining"]
    reasons = [decision["reason"] for decision in controller._decisions]
    assert "Retired 1 worker: ECS drains the machines that they run on." in reasons
    assert reasons.count("Draining 1 worker: ECS drains the machines that they run on.") == 1
    load["workers"] = [load["workers"][1] | {"processing": 0}]
    await controller.reconcile()
    assert fleet.stopped == [{"a"}, {"b"}]


async def test_the_leader_logs_the_state_of_the_fleet_each_minute_for_the_alarms(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    controller, _ = make()
    controller._pools[DEFAULT_POOL].membership.problem = "no capacity"
    with caplog.at_level("INFO", logger="cluster.controller.reconciler"):
        for _ in range(3):
            await controller._publish("nothing to do")
    (fields,) = [record.__dict__["fields"] for record in caplog.records if "fields" in record.__dict__]
    assert fields == {"fleetRunning": 0, "fleetLaunching": 0, "fleetProblem": 1}, "an unknown cost is not 0"
