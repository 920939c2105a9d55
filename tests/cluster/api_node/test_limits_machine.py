"""Limits: whatever happens to tasks that are subject to them, in any order, the slots in use are those of attempts that
were dispatched or run, no limit is exceeded, and no task is held while its limits have room."""

from __future__ import annotations

import asyncio
import math
import uuid
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from cluster.api_node.dispatcher import Dispatchable
from cluster.api_node.held_tasks import Allocation, limit_names
from cluster.api_node.slot_claimer import SlotClaimer
from cluster.attempt_errors import error
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.keys import SHARDS
from cluster.store.limit_calls import HeldTask
from cluster.store.thread_store import ThreadStore
from cluster.task_types.retry_policy import Retries
from tests.system import RedisServer
from tests.thoroughness import examples

pytestmark = pytest.mark.slow

LISTS: Final = ("t:x=2", "t:y k:y:a=1", "t:y k:y:a=1 a:acme", "t:y a:acme", "t:y k:y:b=1 a:acme", "")
"""The limits of the tasks, by their number modulo six; the last kind has none."""
HELD_LISTS: Final = (*LISTS[:-1], "t:y")
SLOTS: Final = {"t:x": 2, "k:y:a": 1, "k:y:b": 1, "a:acme": 2}
TASKS: Final = 9
FINAL: Final = ("SUCCEEDED", "FAILED", "CANCELLED")
NUMBERS: Final = st.integers(0, TASKS - 1)
BACK: Final = st.integers(-1, 0)


def task_id(number: int) -> str:
    """Two shards, so that limits are shared between shards and queues have several tasks in one."""
    return SHARDS[number % 2] + f"{number:031x}"


class Outside:
    """Fake of the schedulers, the dispatcher and the limits: what is paused, and what was dispatched."""

    connected = frozenset({0})

    def __init__(self) -> None:
        self.paused = False
        self.attempts: list[tuple[str, int]] = []

    def put(self, attempt: Dispatchable) -> None:
        self.attempts.append((attempt.task_id, attempt.attempt))

    async def drained(self) -> None:
        pass

    def number_of(self, digit: str) -> int:
        return 0

    def slots(self, limit: str) -> float:
        name = limit.partition("=")[0]
        return 0 if self.paused and name == "t:y" else SLOTS.get(name, math.inf)


class Claimer(SlotClaimer):
    """One that holds its lease for ever, as a node may believe that was stopped for a while."""

    def __init__(self, store: Store, outside: Outside) -> None:
        super().__init__(store, outside, outside, outside, "n")  # type: ignore[arg-type]
        self.wake()

    @property
    def active(self) -> bool:
        return True

    async def _check_slots(self) -> None:
        """Does nothing, as it would mend what a script left behind."""

    async def round(self) -> None:
        self.wake()
        await self._round()


def everything(held: list[tuple[str, str]]) -> Allocation:
    """A decision to dispatch all held tasks."""
    return Allocation(claims=[(limits, HeldTask(0, member)) for limits, member in held])


def make_machine(server: RedisServer) -> type[RuleBasedStateMachine]:
    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            config = Settings(redis_url=server.url, key_prefix=f"m{uuid.uuid4().hex[:8]}")
            self.redis = ThreadStore(config)
            self.calls = self.redis.calls
            self.outside = Outside()
            self.runner = asyncio.Runner()
            self.store = self.runner.run(self.make_store(config))
            self.records: list[dict[str, str]] = [{} for _ in range(TASKS)]
            self.claimers: list[Claimer] = []
            self.take_over()

        async def make_store(self, config: Settings) -> Store:
            return Store(config)

        def run(self, call: Any) -> Any:
            return self.redis.run_once(call)

        def record(self, number: int) -> dict[str, str]:
            """The record before this step."""
            return self.records[number]

        def attempt(self, number: int, back: int = 0) -> int:
            return max(1, int(self.record(number).get("attempt", 1)) + back)

        @rule(
            first=NUMBERS,
            count=st.integers(1, TASKS),
            priority=st.integers(-1, 1),
            recompute=st.booleans(),
            delayed=st.booleans(),
        )
        def submit(self, first: int, count: int, priority: int, recompute: bool, delayed: bool) -> None:
            """Several tasks at once, or there would rarely be more than a limit allows."""
            not_before = 1 << 45 if delayed else None
            for number in (n % TASKS for n in range(first, first + count)):
                limits = LISTS[number % len(LISTS)]
                record = self.record(number)
                before = record.get("state")
                reply = self.run(
                    self.calls.submit(
                        task_id(number), limits[2:3] or "y", "1", b"{}", priority=priority, recompute=recompute,
                        not_before=not_before, limits=limits,
                    )
                )  # fmt: skip
                begins = before not in ("QUEUED", "RUNNING") and (before != "SUCCEEDED" or recompute)
                if begins:
                    assert reply.dispatch == (not limits and not delayed)
                elif reply.dispatch and "limits" in record:
                    # A join with a higher priority replaces the attempt, which has its slots.
                    assert record["dispatched"] == record["attempt"]

        @rule(number=NUMBERS)
        def become_due(self, number: int) -> None:
            """The time of a delayed task or of a retry has come."""
            key = f"{self.calls.shard(task_id(number))}:open"
            record = self.record(number)
            if record.get("state") == "QUEUED" and record["dispatched"] < record["attempt"]:
                self.redis.redis.zadd(key, {task_id(number): 1}, xx=True)

        @rule(number=NUMBERS, back=BACK)
        def start(self, number: int, back: int) -> None:
            record = self.record(number)
            # A worker starts only what was dispatched.
            if record and int(record["dispatched"]) >= self.attempt(number, back):
                self.run(self.calls.start(task_id(number), self.attempt(number, back), "w"))

        @rule(number=NUMBERS, back=BACK)
        def finish(self, number: int, back: int) -> None:
            self.run(self.calls.finish(task_id(number), self.attempt(number, back), b"1"))

        @rule(number=NUMBERS, back=BACK, retries=st.integers(0, 2))
        def fail(self, number: int, back: int, retries: int) -> None:
            record = self.record(number)
            if record and int(record["dispatched"]) >= self.attempt(number, back):
                self.run(
                    self.calls.fail(
                        task_id(number), self.attempt(number, back), error("X", "x"), retries=Retries(retries, delay=0)
                    )
                )

        @rule(number=NUMBERS, back=BACK, reason=st.sampled_from(["worker", "none", "undelivered"]))
        def lose(self, number: int, back: int, reason: Any) -> None:
            self.run(self.calls.mark_lost(task_id(number), self.attempt(number, back), reason, error("X", "x")))

        @rule(number=NUMBERS)
        def replace(self, number: int) -> None:
            """The scheduler does not know the attempt."""
            verdict, due = self.run(
                self.calls.replace_lost(
                    task_id(number), self.attempt(number), "none", error("X", "x"), claim=not self.outside.paused
                )
            )
            assert due is None or (verdict == "QUEUED" and "limits" not in self.record(number))

        @rule(number=NUMBERS)
        def release(self, number: int) -> None:
            self.run(self.calls.release(task_id(number), self.attempt(number)))

        @rule(pick=NUMBERS, how=st.sampled_from(["finish", "retry", "lose", "release", "cancel"]))
        def a_slot_is_freed(self, pick: int, how: str) -> None:
            """One of the tasks that hold a slot leaves it; the other rules mostly hit tasks that hold none."""
            holders = sorted(set[str]().union(*self.slots.values()))
            if not holders:
                return
            member = holders[pick % len(holders)]
            attempt = self.attempt(int(member[1:], 16))
            if how in ("finish", "retry"):
                self.run(self.calls.start(member, attempt, "w"))
            call = {
                "finish": self.calls.finish(member, attempt, b"1"),
                "retry": self.calls.fail(member, attempt, error("X", "x"), retries=Retries(9, delay=0)),
                "lose": self.calls.mark_lost(member, attempt, "none", error("X", "x")),
                "release": self.calls.release(member, attempt),
                "cancel": self.calls.cancel(member),
            }[how]
            self.run(call)

        @rule(number=NUMBERS)
        def cancel(self, number: int) -> None:
            self.run(self.calls.cancel(task_id(number)))

        @rule(paused=st.booleans())
        def pause(self, paused: bool) -> None:
            """All attempts that have not started are recalled; nothing else of the type is dispatched."""
            self.outside.paused = paused
            self.claimers[-1].on_limits_changed()
            if paused:
                for digit in SHARDS[:2]:
                    self.run(self.calls.recall(digit, "y", 0, TASKS))
                self.look()
                for number in range(TASKS):
                    record = self.record(number)
                    if record.get("state") == "QUEUED" and record["name"] == "y":
                        assert record["dispatched"] < record["attempt"]

        @rule()
        def take_over(self) -> None:
            self.claimers = [*self.claimers[-1:], Claimer(self.store, self.outside)]
            self.runner.run(self.claimers[-1].round())

        @rule()
        def claim_again(self) -> None:
            """The same: claims are as frequent as everything else together."""
            self.claim()

        @rule()
        def claim(self) -> None:
            """The recoverer claims what is due, then the slot claimer. An older claimer tries first."""
            dispatched: list[str] = []
            for digit in SHARDS[:2]:
                paused = ["y"] if self.outside.paused else []
                _, due = self.run(self.calls.claim_due(digit, 100, paused=paused))
                dispatched += [item.task_id for item in due if item.action == "dispatch"]
            self.runner.run(self.claimers[-1].round())
            self.look()
            assert not any("limits" in self.record(int(member[1:], 16)) for member in dispatched)
            room = {name: slots - self.used(name) for name, slots in SLOTS.items()}
            for limits, _ in self.held:
                blocked = any(room.get(name, math.inf) < 1 for name in limit_names(limits))
                assert blocked or (self.outside.paused and limits.startswith("t:y"))

        @rule()
        def an_older_claimer_tries(self) -> None:
            before = self.held
            if len(self.claimers) > 1:
                old = self.claimers.pop(0)
                self.runner.run(old._claim(everything(before)))
                self.look()
                assert self.held == before

        def used(self, limit: str) -> int:
            return len(self.slots[limit])

        def look(self) -> None:
            """Reads everything in one round trip."""
            names = (*SLOTS, "t:y")
            with self.redis.redis.pipeline(transaction=False) as pipe:
                for number in range(TASKS):
                    pipe.hgetall(self.calls.record_key(task_id(number)))
                for digit in SHARDS[:2]:
                    pipe.zrange(f"{self.calls.shard_prefix(digit)}:open", 0, -1)
                    pipe.smembers(self.calls.held_key(digit))
                    for limits in HELD_LISTS:
                        pipe.zrange(f"{self.calls.held_key(digit)}:{limits}", 0, -1)
                    for name in names:
                        pipe.smembers(f"{self.calls.shard_prefix(digit)}:slots:{name}")
                replies = iter(pipe.execute())
            self.records = [
                {key.decode(): value.decode() for key, value in next(replies).items()} for _ in range(TASKS)
            ]
            self.open: list[str] = []
            self.held: list[tuple[str, str]] = []
            self.slots: dict[str, set[str]] = {name: set() for name in names}
            for _ in SHARDS[:2]:
                self.open += [member.decode() for member in next(replies)]
                lists = {limits.decode() for limits in next(replies)}
                for limits in HELD_LISTS:
                    members = next(replies)
                    assert bool(members) == (limits in lists)
                    self.held += [(limits, member.decode()) for member in members]
                for name in names:
                    self.slots[name] |= {member.decode() for member in next(replies)}

        @invariant()
        def everything_agrees(self) -> None:
            self.look()
            self.slots_are_those_of_dispatched_and_running_attempts_and_never_too_many()
            self.an_open_task_is_either_held_or_due_at_some_time()

        def slots_are_those_of_dispatched_and_running_attempts_and_never_too_many(self) -> None:
            expected: dict[str, set[str]] = {name: set() for name in self.slots}
            for number, record in enumerate(self.records):
                waits_at_scheduler = record.get("state") == "QUEUED" and record["dispatched"] == record["attempt"]
                if "limits" in record and (record["state"] == "RUNNING" or waits_at_scheduler):
                    for name in limit_names(record["limits"]):
                        expected[name].add(task_id(number))
            assert self.slots == expected
            for name, slots in SLOTS.items():
                assert self.used(name) <= slots

        def an_open_task_is_either_held_or_due_at_some_time(self) -> None:
            found = sorted(self.open + [member for _, member in self.held])
            assert found == sorted(
                task_id(number)
                for number, record in enumerate(self.records)
                if record.get("state") in ("QUEUED", "RUNNING")
            )

        def teardown(self) -> None:
            self.runner.run(self.store.close())
            self.runner.close()
            self.redis.close()

    return Machine


@pytest.mark.hypothesis
def test_any_interleaving_keeps_the_limits(redis_server: RedisServer) -> None:
    machine = make_machine(redis_server)
    run_state_machine_as_test(
        lambda: machine(),  # type: ignore[arg-type]
        settings=settings(
            max_examples=examples(100),
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
