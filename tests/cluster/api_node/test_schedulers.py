"""Several schedulers: what belongs to which, and what is shown of all together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cluster.api_node.cancellation import Cancellations
from cluster.api_node.dispatcher import Dispatchable
from cluster.api_node.limits import Limits
from cluster.api_node.merged_state import SchedulerState, merge_fleets, merge_loads
from cluster.api_node.problems import ClusterState, ProblemCode, find_problems
from cluster.api_node.scheduler_dispatchers import SchedulerDispatchers
from cluster.api_node.schedulers import Schedulers
from cluster.api_node.slot_claimer import SlotClaimer
from cluster.scheduling.scheduler_client import SchedulerUnavailable
from cluster.store.async_store import Store
from cluster.store.keys import SHARDS, Keys, scheduler_of, shards_of
from cluster.task_types.registry import Registry

LOAD = {
    "epoch": "e", "dashboard": None, "queued": 1, "no_worker": 2, "processing": 3, "waiting_seconds": 0.5,
    "running_threads": 1, "workers": [{"name": "w"}], "starting": [], "finishing": [],
}  # fmt: skip
POOL = {
    "name": "default", "capacity": "fargate", "wanted": 1, "launching": 0, "launch_seconds": None, "running": 1,
    "retiring": 0, "min_workers": 0, "max_workers": 4, "waiting": 5, "processing": 1, "cost_per_hour": 0.25,
}  # fmt: skip
FLEET = {
    "at": 1_000, "wanted": 1, "launching": 0, "launch_seconds": 20.0, "running": 1, "retiring": 0, "min_workers": 0,
    "max_workers": 4, "pools": [POOL], "reason": "1 worker is enough.", "problem": "", "problem_since": None,
    "cost_per_hour": 0.25, "ceiling": "", "unaffordable": 0, "decisions": [{"at": 900, "reason": "Added 1 worker."}],
}  # fmt: skip


@pytest.mark.parametrize("count", range(1, 17))
def test_each_shard_belongs_to_one_scheduler(count: int) -> None:
    owned = [shards_of(number, count) for number in range(count)]
    assert sorted("".join(map("".join, owned))) == list(SHARDS)
    assert all(scheduler_of(digit + "0" * 31, count) == number for number in range(count) for digit in owned[number])


def test_the_keys_of_the_first_scheduler_have_no_number() -> None:
    keys = Keys("dg")
    assert (keys.scheduler_key, keys.of_scheduler(0).fleet_key) == ("dg:scheduler", "dg:fleet")
    assert (keys.of_scheduler(3).scheduler_key, keys.of_scheduler(3).fleet_key) == ("dg:scheduler:3", "dg:fleet:3")
    assert keys.of_scheduler(3).record_key("b9") == keys.record_key("b9"), "the tasks' own keys know no scheduler"


def test_an_attempt_and_its_cancellation_go_to_the_scheduler_of_its_task() -> None:
    sent: list[list[str]] = [[], []]
    dispatchers = SchedulerDispatchers(
        [SimpleNamespace(put=lambda attempt, to=to: to.append(attempt.task_id)) for to in sent]  # type: ignore[misc]
    )
    cancellations = Cancellations(SimpleNamespace(), SimpleNamespace())  # type: ignore[arg-type]
    for task_id in ("0a", "1a", "ea", "fa"):
        dispatchers.put(Dispatchable(task_id, 1, "t", b"{}"))
        cancellations.put_superseded(task_id, 1)
    assert sent == [["0a", "ea"], ["1a", "fa"]]
    assert [list(outbox.waiting) for outbox in cancellations.outboxes] == [
        [("0a", 1), ("ea", 1)],
        [("1a", 1), ("fa", 1)],
    ]


def test_a_single_scheduler_and_controller_are_shown_as_they_are() -> None:
    assert merge_loads([SchedulerState(0, LOAD)]) is LOAD
    assert merge_loads([SchedulerState(0, {})]) == {}
    assert merge_fleets([FLEET]) is FLEET
    assert merge_fleets([None]) is None


def test_what_several_schedulers_have_is_added_up_and_one_that_is_away_adds_nothing() -> None:
    load = merge_loads([SchedulerState(0, LOAD), SchedulerState(1), SchedulerState(2, {**LOAD, "epoch": "f"})])
    assert (load["queued"], load["processing"], load["waiting_seconds"], load["epoch"]) == (2, 6, 1.0, "e f")
    assert load["workers"] == [{"name": "w", "scheduler": 0}, {"name": "w", "scheduler": 2}]
    assert merge_loads([SchedulerState(0), SchedulerState(1)]) == {}


def test_several_fleets_are_shown_as_one_and_each_reason_names_its_scheduler() -> None:
    other = FLEET | {"wanted": None, "problem": "no room", "problem_since": 7.0, "cost_per_hour": None, "at": 2_000}
    fleet = merge_fleets([FLEET, other, None])
    assert fleet is not None
    assert (fleet["running"], fleet["max_workers"], fleet["wanted"], fleet["cost_per_hour"]) == (2, 8, None, 0.25)
    assert fleet["pools"] == [
        POOL | {"wanted": 2, "running": 2, "max_workers": 8, "waiting": 10, "processing": 2, "cost_per_hour": 0.5}
    ]
    assert fleet["reason"] == (
        "Scheduler 0: 1 worker is enough. Scheduler 1: 1 worker is enough. Scheduler 2: no controller runs."
    )
    assert (fleet["problem"], fleet["problem_since"]) == ("Scheduler 1: no room", 7.0)
    assert [decision["reason"] for decision in fleet["decisions"]] == [
        "Scheduler 0: Added 1 worker.", "Scheduler 1: Added 1 worker.",
    ]  # fmt: skip


def test_a_ceiling_of_one_fleet_stays_a_ceiling() -> None:
    full = FLEET | {"problem": "costs too much", "ceiling": "costs too much"}
    fleet = merge_fleets([FLEET, full])
    assert fleet is not None
    assert fleet["problem"] == fleet["ceiling"] == "Scheduler 1: costs too much"
    worse = merge_fleets([full, FLEET | {"problem": "no room"}])
    assert worse is not None
    assert (worse["problem"], worse["ceiling"]) == ("Scheduler 1: no room", "")


def test_of_several_schedulers_the_problems_name_the_one_that_is_away_or_has_no_workers() -> None:
    states = [SchedulerState(0, LOAD), SchedulerState(1), SchedulerState(2, {**LOAD, "workers": []})]
    seen = ClusterState(now=1_000.0, load=merge_loads(states), fleet=FLEET, waiting=3, schedulers=states)
    away, empty = find_problems(seen)
    assert (away.code, "scheduler 1" in away.message) == (ProblemCode.SCHEDULER_UNAVAILABLE, True)
    assert (empty.code, "scheduler 2" in empty.message) == (ProblemCode.NO_WORKERS, True)


class Client:
    """The connection to a scheduler, which may be frozen."""

    connected = True

    def __init__(self) -> None:
        self.frozen, self.asked = False, 0

    async def call(self, operation: str) -> dict[str, Any]:
        self.asked += 1
        if self.frozen:
            raise SchedulerUnavailable("it does not answer in time")
        return LOAD


async def test_a_frozen_scheduler_does_not_hold_up_each_look_at_the_others(store: Store) -> None:
    clients = [Client(), Client()]
    schedulers = Schedulers(clients, [store.calls, store.calls.of_scheduler(1)])  # type: ignore[arg-type]
    clients[1].frozen = True
    for _ in range(3):
        assert [bool(state.load) for state in await schedulers.states()] == [True, False]
    assert [client.asked for client in clients] == [3, 1]


class Dispatched:
    """A dispatcher that keeps the ids."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def put(self, attempt: Dispatchable) -> None:
        self.ids.append(attempt.task_id)

    async def drained(self) -> None: ...


class Claimer(SlotClaimer):
    """One that holds its lease."""

    active: Any = True

    async def round(self) -> None:
        self.wake()
        await self._round()


async def test_a_held_task_whose_scheduler_is_away_takes_no_slot_from_those_that_could_run(store: Store) -> None:
    clients, dispatched = [Client(), Client()], Dispatched()
    schedulers = Schedulers(clients, [store.calls, store.calls.of_scheduler(1)])  # type: ignore[arg-type]
    claimer = Claimer(store, schedulers, dispatched, Limits(Registry(), tuple, lambda account: None), "n")
    first, second = "1" + "0" * 31, "2" + "0" * 31
    for task_id in (first, second):
        await store.run(store.calls.submit(task_id, "gone", "1", b"{}", limits="t:gone=1"))
    clients[1].connected = False
    await claimer.round()
    assert dispatched.ids == [second], "`first` is older, but waits for scheduler 1"
    clients[1].connected = True
    await store.run(store.calls.cancel(second))
    await claimer.round()
    assert dispatched.ids == [second, first]
