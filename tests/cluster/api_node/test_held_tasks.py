"""The decision which held tasks get slots, compared with a plain one that looks at every task each time."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from cluster.api_node.held_tasks import HeldTasks, Queue, allocate, limit_names
from cluster.store.limit_calls import HeldTask

LISTS = ["a", "b", "a b", "a c", "b c", "c"]
ROOM = st.fixed_dictionaries({name: st.integers(0, 3) for name in "abc"})


def task(order: int) -> HeldTask:
    return HeldTask(order, f"{order:032x}")


def plain(tasks: list[tuple[int, str]], room: dict[str, int]) -> list[tuple[int, str]]:
    """In their order, every task whose limits have room. Tasks that follow a blocked one with the same limits are
    blocked too."""
    room, given = dict(room), []
    for order, limits in sorted(tasks):
        if all(room[name] > 0 for name in limit_names(limits)):
            given.append((order, limits))
            for name in limit_names(limits):
                room[name] -= 1
    return given


class Store:
    """The held tasks and the slots in use, as Redis has them, and a claimer that looks at one page at a time."""

    def __init__(self, slots: dict[str, int]) -> None:
        self.slots = dict(slots)
        self.tasks: dict[str, list[int]] = {}
        self.held = HeldTasks()
        self.looked_at = 0

    def hold(self, order: int, limits: str) -> None:
        queue = self.tasks.setdefault(limits, [])
        queue.append(order)
        queue.sort()
        if queue[0] == order:
            self.held.add(limits)

    def free(self, name: str) -> None:
        self.slots[name] += 1
        self.held.on_room(name)

    def claim(self, page: int, first: int) -> list[tuple[int, str]]:
        claims = []
        while lists := self.held.next_queues(page):
            self.looked_at += len(lists)
            queues = [
                Queue(limits, [task(n) for n in self.tasks[limits][:first]], len(self.tasks[limits]) < first)
                for limits in lists
            ]
            room = {name: float(self.slots[name]) for limits in lists for name in limit_names(limits)}
            decided = allocate(queues, room, {name: self.held.best_order(name) for name in room})
            self.held.record(decided, room)
            for limits, claimed in decided.claims:
                self.tasks[limits].remove(claimed.order)
                for name in limit_names(limits):
                    self.slots[name] -= 1
                claims.append((claimed.order, limits))
        return claims


@given(st.lists(st.sampled_from(LISTS), max_size=30), ROOM, st.integers(1, 4))
def test_one_look_at_all_queues_gives_slots_in_the_order_of_the_tasks(
    lists: list[str], room: dict[str, int], first: int
) -> None:
    tasks = list(enumerate(lists))
    queues = [Queue(limits, [task(n) for n, found in tasks if found == limits], complete=True) for limits in set(lists)]
    decided = allocate(queues, room, {})
    assert [(claim.order, limits) for limits, claim in decided.claims] == plain(tasks, room)
    assert {limits for limits, _, _ in decided.waiting} == {
        limits for n, limits in tasks if (n, limits) not in plain(tasks, room)
    }


@given(
    st.lists(st.one_of(st.tuples(st.integers(0, 999), st.sampled_from(LISTS)), st.sampled_from("abc")), max_size=60),
    ROOM,
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_page_by_page_no_task_with_room_is_left_and_none_is_passed_by_a_worse_one_of_its_limits(
    events: list[tuple[int, str] | str], slots: dict[str, int], page: int, first: int
) -> None:
    store = Store(slots)
    for event in events:
        if isinstance(event, str):
            store.free(event)
        else:
            store.hold(*event)
        claims = store.claim(page, first)
        assert min(store.slots.values()) >= 0
        for limits, orders in store.tasks.items():
            assert not orders or any(store.slots[name] == 0 for name in limit_names(limits))
            for order, claimed in claims:
                if claimed == limits and orders:
                    assert order <= orders[0]


def test_a_freed_slot_costs_the_same_however_many_queues_wait() -> None:
    """Each key has a limit of its own that is full; all share the limit of an account."""
    store = Store({"a": 1, **{f"k{n}": 0 for n in range(10_000)}, "k-1": 1})
    for number in range(10_000):
        store.hold(number, f"k{number} a")
    store.claim(64, 1)
    store.looked_at = 0
    store.free("a")
    assert store.claim(64, 1) == []
    assert store.looked_at == 0
    store.free("k7")
    assert store.claim(64, 1) == [(7, "k7 a")]
    assert store.looked_at <= 2


def test_a_shared_limit_is_given_in_order_without_looking_at_every_queue() -> None:
    store = Store({"a": 0, **{f"k{n}": 1 for n in range(10_000)}})
    for number in range(10_000):
        store.hold(number, f"k{number} a")
    store.claim(64, 1)
    store.looked_at = 0
    for number in range(20):
        store.free("a")
        assert store.claim(64, 1) == [(number, f"k{number} a")]
    assert store.looked_at <= 20 * 8


def test_no_room_is_infinite_room_less_one() -> None:
    queue = Queue("t:x", [task(n) for n in range(50)], complete=False)
    decided = allocate([queue], {"t:x": math.inf}, {})
    assert (len(decided.claims), decided.unfinished) == (50, ["t:x"])


def test_a_queue_whose_first_task_changes_at_a_full_limit_leaves_nothing_behind() -> None:
    store = Store({"a": 0, "b": 0, "c": 0})
    for order in range(2_000, 0, -1):
        store.hold(order, "a")
        assert store.claim(page=10, first=10) == []
    assert sum(map(len, store.held._waiting.values())) < 50
    store.free("a")
    assert store.claim(page=10, first=10) == [(1, "a")]
