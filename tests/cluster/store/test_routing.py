"""Where calls go in a cluster, and where after an error: decided without a server."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from redis.exceptions import AskError, ClusterDownError, MovedError, ReadOnlyError, ResponseError, TryAgainError

from cluster.store.redirects import MOVING_SECONDS, PAUSE_SECONDS, REFRESH_SECONDS
from cluster.store.round_trip import TIMEOUT_SECONDS
from cluster.store.routing import Delivery, Failure, Preparation, Route, Routing, is_cluster
from cluster.store.slots import SLOTS, Address, SlotMap, slot_of
from cluster.store.thread_servers import ThreadServers

SEED = ("endpoint", 6379)
ONE, TWO, THREE, REPLICA = ("10.0.0.1", 1), ("10.0.0.2", 2), ("10.0.0.3", 3), ("10.0.0.4", 4)
LOW, HIGH = "b", "a"
"""Keys of the first half of the slots, and of the second."""


def halves(first: Address, second: Address, *replicas: Address) -> SlotMap:
    half = SLOTS // 2
    return SlotMap([first] * half + [second] * half, [first, second, *replicas])


def get(key: str) -> tuple[Any, ...]:
    return ("GET", key)


@pytest.fixture
def routing() -> Routing:
    routing = Routing(SEED)
    routing.adopt(halves(ONE, TWO, REPLICA))
    return routing


def test_the_keys_of_these_tests_are_in_both_halves() -> None:
    assert slot_of(LOW) < SLOTS // 2 <= slot_of(HIGH)


def test_a_single_redis_gets_all_calls_and_none_of_them_twice() -> None:
    routing = Routing(SEED)
    assert routing.first(get(LOW)) == routing.first(("TIME",)) == Route(SEED)
    for error in (redis.ConnectionError("lost"), ReadOnlyError("replica"), ResponseError("a bug")):
        failure = Failure(error, Route(SEED))
        assert routing.preparation([failure]) == Preparation()
        assert routing.after(failure, get(LOW), 0) is None
    assert routing.primaries == (SEED,)
    assert routing.departed([SEED]) == set()


@pytest.mark.parametrize(
    ("error", "asked", "elapsed", "preparation", "then"),
    [
        (MovedError("7 10.0.0.3:3"), ONE, 0, Preparation(refresh=True), Route(THREE)),
        (MovedError("7 :9"), ONE, 0, Preparation(refresh=True), Route((ONE[0], 9))),
        (MovedError("7 10.0.0.3:3"), ONE, TIMEOUT_SECONDS + 0.1, Preparation(refresh=True), None),
        (AskError("7 10.0.0.3:3"), ONE, 0, Preparation(), Route(THREE, asking=True)),
        (AskError("7 10.0.0.3:3"), ONE, MOVING_SECONDS + 0.1, Preparation(), None),
        (TryAgainError("keys"), THREE, 0, Preparation(pause_seconds=PAUSE_SECONDS), Route(ONE)),
        (TryAgainError("keys"), THREE, MOVING_SECONDS + 0.1, Preparation(pause_seconds=PAUSE_SECONDS), None),
        # The slot has another primary by now; or it has not, and the same one is not asked again.
        (redis.ConnectionError("lost"), THREE, 0, Preparation(True, THREE), Route(ONE)),
        (redis.ConnectionError("lost"), ONE, 0, Preparation(True, ONE), None),
        (ReadOnlyError("demoted"), THREE, 0, Preparation(True, THREE), Route(ONE)),
        (ClusterDownError("down"), ONE, 0, Preparation(True, ONE), None),
        # Its caller has waited for as long as it may.
        (redis.TimeoutError("late"), THREE, 0, Preparation(True, THREE, wait=False), None),
        (ResponseError("a bug"), ONE, 0, Preparation(), None),
    ],
)
def test_where_a_failed_call_goes_follows_from_its_error_and_its_time(
    routing: Routing, error: Exception, asked: Address, elapsed: float, preparation: Preparation, then: Route | None
) -> None:
    failure = Failure(error, Route(asked))
    assert routing.preparation([failure]) == preparation
    assert routing.after(failure, get(LOW), elapsed) == then


def test_a_slot_that_moved_is_remembered_and_no_other(routing: Routing) -> None:
    routing.after(Failure(MovedError(f"{slot_of(LOW)} 10.0.0.3:3"), Route(ONE)), get(LOW), 0)
    assert routing.first(get(LOW)) == Route(THREE)
    assert routing.first(get(f"c{{{LOW}}}")) == Route(THREE)
    assert routing.first(("TIME",)) == Route(ONE)


def test_the_servers_are_asked_once_for_all_calls_of_a_moment_and_the_lost_one_last(routing: Routing) -> None:
    assert routing.may_refresh(100)
    routing.asked(100)
    assert not routing.may_refresh(100 + REFRESH_SECONDS / 2)
    assert routing.may_refresh(100 + 2 * REFRESH_SECONDS)
    order = routing.asking_order(TWO)
    assert set(order) == {ONE, TWO, REPLICA, SEED}
    assert order[-2:] == [SEED, TWO]
    assert routing.asking_order(SEED)[-1] == SEED


def test_a_change_of_primaries_is_told_from_one_of_replicas_and_what_left_is_named(routing: Routing) -> None:
    known = [SEED, ONE, TWO, REPLICA]
    assert not routing.adopt(halves(ONE, TWO))
    assert routing.departed(known) == {REPLICA}
    assert not routing.adopt(halves(TWO, ONE))
    assert routing.adopt(halves(ONE, THREE))
    assert routing.departed(known) == {TWO, REPLICA}
    assert routing.primaries == (ONE, THREE)


def test_commands_of_one_batch_go_to_their_primaries_until_each_has_a_reply(routing: Routing) -> None:
    delivery = Delivery(routing, [get(LOW), get(HIGH), ("TIME",), get(LOW)])
    assert delivery.groups == {Route(ONE): [0, 2, 3], Route(TWO): [1]}
    assert delivery.commands(Route(ONE)) == [get(LOW), ("TIME",), get(LOW)]
    assert not delivery.receive(Route(ONE), [b"0", b"2", AskError("7 10.0.0.3:3")])
    assert not delivery.receive(Route(TWO), redis.ConnectionError("lost"))
    assert delivery.preparation() == Preparation(True, TWO)
    routing.adopt(halves(ONE, REPLICA, TWO))
    assert delivery.plan_next(0.1) == []
    assert delivery.groups == {Route(THREE, asking=True): [3], Route(REPLICA): [1]}
    error = ResponseError("a bug")
    assert delivery.receive(Route(THREE, asking=True), [b"3"])
    assert not delivery.receive(Route(REPLICA), [error])
    assert delivery.plan_next(0.2) == [Failure(error, Route(REPLICA), 1)]
    assert not delivery.groups
    assert delivery.replies == [b"0", error, b"2", b"3"]


def test_a_server_that_left_the_cluster_is_kept_by_no_thread() -> None:
    servers = ThreadServers("redis://endpoint:6379/0")
    for address in (ONE, TWO, REPLICA):
        servers._server(address)
    servers._adopt(halves(ONE, TWO, REPLICA))
    assert set(servers._servers) == {SEED, ONE, TWO, REPLICA}
    servers._adopt(halves(ONE, REPLICA))
    assert set(servers._servers) == {SEED, ONE, REPLICA}


@pytest.mark.parametrize(("hello", "expected"), [({b"mode": b"cluster"}, True), ([b"mode", b"standalone"], False)])
def test_a_server_says_whether_it_is_one_of_a_cluster(hello: Any, expected: bool) -> None:
    assert is_cluster(hello) is expected
