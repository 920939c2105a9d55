"""Which server of a cluster serves a key, and what is done about its errors."""

from __future__ import annotations

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot
from redis.exceptions import AskError, BusyLoadingError, ClusterDownError, MovedError, ResponseError, TryAgainError

from cluster.redis_url import address_of, with_address
from cluster.store.redirects import Step, step_after, target_of
from cluster.store.slots import parse_slots, slot_of, slot_of_command


@given(st.text(alphabet="{}ab:0", max_size=12))
def test_a_key_has_the_slot_that_its_specification_says(key: str) -> None:
    assert slot_of(key) == key_slot(key.encode())


def test_a_command_goes_by_its_first_key() -> None:
    assert slot_of_command(("EVALSHA", "sha", 2, "{dg:1}:a", "{dg:1}:b", "x")) == slot_of("{dg:1}")
    assert slot_of_command(("HGET", "dg:keys", "x")) == slot_of("dg:keys")
    assert {
        slot_of_command(command) for command in [("TIME",), ("ROLE",), ("PUBLISH", "c", "x"), ("EVAL", "x", 0)]
    } == {None}


def test_the_map_has_primaries_and_knows_replicas_and_hosts_that_are_left_out() -> None:
    reply = [
        [0, 99, [b"10.0.0.1", 1, b"id"], [b"10.0.0.2", 2, b"id", [b"hostname", b"h"]]],
        [100, 16_383, [None, 3, b"id"], [b"?", 4, b"id"]],
    ]
    slots = parse_slots(reply, ("seed", 6379))
    assert slots.primaries == (("10.0.0.1", 1), ("seed", 3))
    assert slots.nodes == (("10.0.0.1", 1), ("10.0.0.2", 2), ("seed", 3))
    assert (slots.owner(99), slots.owner(100), slots.owner(None)) == (("10.0.0.1", 1), ("seed", 3), ("10.0.0.1", 1))
    slots.move(99, ("new", 5))
    assert (slots.owner(99), slots.owner(98)) == (("new", 5), ("10.0.0.1", 1))


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (MovedError("7 10.0.0.9:6380"), Step.MOVED),
        (AskError("7 10.0.0.9:6380"), Step.ASK),
        (TryAgainError("Multiple keys"), Step.PAUSE),
        (ClusterDownError("The cluster is down"), Step.REFRESH),
        (redis.ConnectionError("lost"), Step.REFRESH),
        (redis.TimeoutError("late"), Step.REFRESH),
        (TimeoutError("late"), Step.REFRESH),
        (BusyLoadingError("loading"), Step.REFRESH),
        (ResponseError("a bug"), Step.GIVE_UP),
    ],
)
def test_what_is_done_about_an_error_follows_from_its_class(error: Exception, step: Step) -> None:
    assert step_after(error) is step


def test_a_redirection_without_a_host_leads_to_another_port_of_the_same_one() -> None:
    assert target_of(MovedError("7 10.0.0.9:6380"), ("seed", 1)) == ("10.0.0.9", 6380)
    assert target_of(MovedError("7 :6380"), ("seed", 1)) == ("seed", 6380)


def test_the_other_servers_are_reached_with_the_same_user_and_options() -> None:
    url = "rediss://user:p%40ss@first:7000/0?ssl_cert_reqs=none"
    assert address_of(url) == ("first", 7000)
    assert with_address(url, ("second", 7001)) == "rediss://user:p%40ss@second:7001/0?ssl_cert_reqs=none"
    assert with_address("redis://first", ("::1", 7001)) == "redis://[::1]:7001"
    assert (address_of("redis://first"), address_of("unix:///run/r.sock")) == (("first", 6379), ("/run/r.sock", 0))
    with pytest.raises(ConnectionError, match="redis://"):
        with_address("unix:///run/r.sock", ("second", 7001))
