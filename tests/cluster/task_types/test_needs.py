"""`@task(pool=)` and `@task(needs=)`: which pool runs a task type, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.errors import RegistryError
from cluster.settings import load_settings
from cluster.settings.pools import DEFAULT_POOL, Pool
from cluster.task_types.declaration import declare
from cluster.task_types.needs import Needs, next_pool_for, pool_for
from cluster.task_types.registry import Registry

POOLS = {
    "default": Pool("default", memory_gib=2, cpu=1),
    "big": Pool("big", memory_gib=30, cpu=4),
    "huge": Pool("huge", memory_gib=120, cpu=16),
    "gpu": Pool("gpu", memory_gib=24, cpu=4, gpu=1),
}


@pytest.mark.parametrize(
    ("pool", "needs", "chosen"),
    [
        (None, None, "default"),
        ("huge", None, "huge"),
        (None, Needs(), "default"),
        (None, Needs(memory_gib=2), "default"),
        (None, Needs(memory_gib=2.5), "big"),
        (None, Needs(cpu=8), "huge"),
        # A worker with a GPU is the last choice, however little memory it has.
        (None, Needs(memory_gib=20), "big"),
        (None, Needs(gpu=1), "gpu"),
    ],
)
def test_a_task_type_runs_in_its_pool_or_in_the_smallest_that_has_what_it_needs(
    pool: str | None, needs: Needs | None, chosen: str
) -> None:
    assert pool_for("tasks.train", pool, needs, POOLS, DEFAULT_POOL) == chosen


def test_a_worker_of_unknown_size_has_what_is_needed_except_gpus() -> None:
    pools = load_settings({}).all_pools
    assert pool_for("tasks.train", None, Needs(memory_gib=500), pools, DEFAULT_POOL) == "default"
    with pytest.raises(RegistryError, match=r"no pool has workers with 1 GPU; there are: default \(memory of the mach"):
        pool_for("tasks.train", None, Needs(gpu=1), pools, DEFAULT_POOL)


@pytest.mark.parametrize(
    ("pool", "needs", "message"),
    [
        (
            "cpu",
            None,
            r"there is no pool 'cpu'; there are: default \(2 GiB, 1 vCPU\); big .* Declare it in DASK_GRAPHQL_",
        ),
        (None, Needs(memory_gib=500), r"no pool has workers with 500 GiB of memory; there are: default \(2 GiB"),
        (None, Needs(memory_gib=30, gpu=1), r"no pool has workers with 30 GiB of memory, 1 GPU"),
    ],
)
def test_a_pool_that_does_not_exist_is_refused_with_those_that_do(
    pool: str | None, needs: Needs | None, message: str
) -> None:
    def train(n: int) -> int:
        return n

    registry = Registry()
    registry.add(declare(train, pool=pool, needs=needs))
    with pytest.raises(RegistryError, match=rf"train: {message}"):
        registry.choose_pools(POOLS, DEFAULT_POOL)


LADDER = {
    "default": Pool("default", memory_gib=2, cpu=1),
    "broad": Pool("broad", memory_gib=4, cpu=4),
    "thin": Pool("thin", memory_gib=8, cpu=1),
    "big": Pool("big", memory_gib=30, cpu=4),
    "wide": Pool("wide", memory_gib=30, cpu=16),
    "machine": Pool("machine"),
    "gpu": Pool("gpu", memory_gib=24, cpu=4, gpu=1),
    "large_gpu": Pool("large_gpu", memory_gib=96, cpu=8, gpu=1),
    "gpus": Pool("gpus", memory_gib=60, cpu=16, gpu=4),
}


@pytest.mark.parametrize(
    ("pool", "needs", "larger_pool", "chosen"),
    [
        (None, None, None, "broad"),
        (None, None, False, ""),
        # A pool that was named is kept, unless the author allows another one.
        ("default", None, None, ""),
        ("default", None, True, "broad"),
        # As many vCPUs as it needs, or as its own pool has.
        (None, Needs(memory_gib=3), None, "thin"),
        (None, Needs(memory_gib=3, cpu=2), None, "big"),
        ("broad", None, True, "big"),
        ("thin", None, True, "big"),
        (None, Needs(cpu=8), None, ""),
        # No pool with more GPUs is chosen unasked, and none whose memory is not known.
        (None, Needs(gpu=1), None, "large_gpu"),
        ("large_gpu", None, True, ""),
        ("big", None, True, ""),
        ("machine", None, True, ""),
        ("gone", None, True, ""),
    ],
)
def test_after_it_ran_out_of_memory_a_task_goes_on_in_the_pool_with_the_next_more_memory(
    pool: str | None, needs: Needs | None, larger_pool: bool | None, chosen: str
) -> None:
    assert next_pool_for(pool, needs, larger_pool, LADDER, DEFAULT_POOL) == chosen


def test_task_types_get_their_pool_and_the_larger_one_unless_the_operator_forbids_that() -> None:
    def train(n: int) -> int:
        return n

    for larger, found in ((True, ("big", "huge")), (False, ("big", ""))):
        registry = Registry()
        registry.add(declare(train, needs=Needs(memory_gib=20)))
        registry.choose_pools(POOLS, DEFAULT_POOL, larger=larger)
        assert (registry["train"].pool, registry["train"].next_pool) == found


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"pool": "big", "needs": Needs()}, "declare pool='big' or needs=..., not both"),
        ({"needs": 24}, "needs must be a Needs, such as"),
        ({"needs": Needs(memory_gib=-1)}, "memory_gib of Needs must be a number from 0 to 65536, not -1"),
        ({"needs": Needs(memory_gib=float("nan"))}, "memory_gib of Needs must be a number from 0 to 65536, not nan"),
        ({"needs": Needs(gpu=True)}, "gpu of Needs must be a whole number from 0 to 64, not True"),
        ({"larger_pool": "big"}, "larger_pool must be True, False or None, not 'big'"),
    ],
)
def test_wrong_needs_are_refused_where_they_are_declared(declared: dict[str, Any], message: str) -> None:
    def train(n: int) -> int:
        return n

    with pytest.raises(RegistryError) as refused:
        declare(train, **declared)
    assert message in str(refused.value)
