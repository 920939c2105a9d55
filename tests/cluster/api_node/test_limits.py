"""Which limits a submission is subject to, and how many slots each has now."""

from __future__ import annotations

import pytest

from cluster.api_node.limits import UNLIMITED, Limits
from cluster.errors import RegistryError
from cluster.task_types.declaration import declare
from cluster.task_types.registry import Registry
from dask_graphql import Limit


def free(n: int) -> int:
    return n


def at_most_two(n: int) -> int:
    return n


def by_account(account: dict[str, int], n: int = 0) -> int:
    return n


REGISTRY = Registry()
for made in (
    declare(free),
    declare(at_most_two, concurrency=2),
    declare(by_account, concurrency=Limit(3, key="account")),
):
    REGISTRY.add(made)


def limits(*paused: str) -> Limits:
    return Limits(REGISTRY, lambda: paused, lambda account: 5 if account == "acme" else None)


def limits_of(name: str, caller: str = "", *paused: str, **arguments: object) -> str:
    return limits(*paused).limits_of(REGISTRY[name].bind(arguments), caller)


def test_most_submissions_have_no_limits() -> None:
    assert limits_of("free", "other", "at_most_two", n=1) == ""


def test_a_task_with_any_limit_is_subject_to_that_of_its_type_too() -> None:
    assert limits_of("free", "acme", n=1) == "t:free a:acme"
    assert limits_of("free", "", "free", n=1) == "t:free"
    assert limits_of("at_most_two", "acme", n=1) == "t:at_most_two=2 a:acme"


def test_equal_values_of_a_key_share_a_limit_whatever_the_other_arguments_are() -> None:
    one = limits_of("by_account", account={"a": 1, "b": 2}, n=1)
    assert one == limits_of("by_account", account={"b": 2, "a": 1}, n=2)
    assert one != limits_of("by_account", account={"b": 2, "a": 2}, n=1)
    assert one.startswith("t:by_account k:by_account:")
    assert one.endswith("=3")


@pytest.mark.parametrize(
    ("limit", "slots"),
    [
        ("t:free", UNLIMITED),
        ("t:at_most_two=7", 2),
        ("t:by_account", UNLIMITED),
        ("k:by_account:1f=7", 3),
        ("k:free:1f=7", UNLIMITED),
        ("t:unknown", UNLIMITED),
        ("t:unknown=7", 7),
        ("k:unknown:1f=7", 7),
        ("a:acme", 5),
        ("a:other", UNLIMITED),
        ("a:address:::1", UNLIMITED),
    ],
)
def test_the_registry_and_the_policies_of_now_decide_and_the_declared_number_only_for_unknown_types(
    limit: str, slots: float
) -> None:
    assert limits("other").slots(limit) == slots


def test_a_paused_type_has_no_slots() -> None:
    assert limits("free").slots("t:free") == 0
    assert limits("at_most_two").slots("t:at_most_two=2") == 0
    assert limits("by_account").slots("k:by_account:1f=3") == 3


@pytest.mark.parametrize("concurrency", [0, -1, True, Limit(0), Limit(2, key="nobody"), Limit(2, key="N")])
def test_a_limit_that_cannot_hold_is_refused_at_registration(concurrency: int | Limit) -> None:
    with pytest.raises(RegistryError, match="concurrency"):
        declare(free, concurrency=concurrency)
