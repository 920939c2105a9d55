"""`@task(pool=...)` and `@task(needs=...)`: the workers that run a task type."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from cluster.errors import RegistryError

MAX_MEMORY_GIB: Final = 65_536
MAX_CPU: Final = 1_024
MAX_GPU: Final = 64


@dataclass(frozen=True, slots=True)
class Needs:
    """What a worker must have to run a task type: its tasks go to the smallest pool that has as much.

    Args:
        memory_gib: memory of the worker, in GiB.
        cpu: vCPUs of the worker.
        gpu: GPUs of the worker.
    """

    memory_gib: float = 0.0
    cpu: float = 0.0
    gpu: int = 0

    def __str__(self) -> str:
        parts = [
            f"{self.memory_gib:g} GiB of memory" if self.memory_gib else "",
            f"{self.cpu:g} vCPU" if self.cpu else "",
        ]
        parts.append(f"{self.gpu} GPU" if self.gpu else "")
        return ", ".join(filter(None, parts)) or "nothing"


class Shape(Protocol):
    """The worker of a pool. A size of 0 GiB or 0 vCPUs is that of the machine, which is not known here."""

    @property
    def memory_gib(self) -> float: ...
    @property
    def cpu(self) -> float: ...
    @property
    def gpu(self) -> int: ...


def check_needs(where: str, needs: Needs | None, pool: str | None, larger_pool: bool | None) -> None:
    """Checks what an author declared.

    Raises:
        RegistryError: a number is out of bounds, or both a pool and needs are given.
    """
    if larger_pool is not None and not isinstance(larger_pool, bool):
        raise RegistryError(f"{where}: larger_pool must be True, False or None, not {larger_pool!r}")
    if needs is None:
        return
    if pool is not None:
        raise RegistryError(f"{where}: declare pool={pool!r} or needs=..., not both")
    if not isinstance(needs, Needs):
        raise RegistryError(f"{where}: needs must be a Needs, such as Needs(memory_gib=24, gpu=1), not {needs!r}")
    for name, value, highest in (
        ("memory_gib", needs.memory_gib, MAX_MEMORY_GIB), ("cpu", needs.cpu, MAX_CPU), ("gpu", needs.gpu, MAX_GPU),
    ):  # fmt: skip
        whole = name == "gpu"
        is_number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not is_number or not 0 <= value <= highest:
            kind = "a whole number" if whole else "a number"
            raise RegistryError(f"{where}: {name} of Needs must be {kind} from 0 to {highest}, not {value!r}")


def fits(needs: Needs, shape: Shape) -> bool:
    """Whether a worker has what a task type needs; of a size that is not known, yes."""
    return needs.gpu <= shape.gpu and needs.memory_gib <= _size(shape.memory_gib) and needs.cpu <= _size(shape.cpu)


def smallest_pool(needs: Needs, pools: Mapping[str, Shape]) -> str | None:
    """The name of the pool with the fewest GPUs, then the least memory, then the fewest vCPUs that has what is needed;
    of equal ones the first. None if none has."""
    fitting = [name for name, shape in pools.items() if fits(needs, shape)]
    return min(fitting, key=lambda name: size_of(pools[name]), default=None)


def size_of(shape: Shape) -> tuple[int, float, float]:
    """What pools are ordered by."""
    return shape.gpu, _size(shape.memory_gib), _size(shape.cpu)


def pool_for(where: str, pool: str | None, needs: Needs | None, pools: Mapping[str, Shape], default: str) -> str:
    """The pool whose workers run a task type.

    Args:
        pool, needs: as its author declared them.
        default: name of the pool of task types that declare neither.

    Raises:
        RegistryError: there is no such pool, or none has what is needed.
    """
    if needs is not None:
        found = smallest_pool(needs, pools)
        if found is None:
            raise RegistryError(
                f"{where}: no pool has workers with {needs}; there are: {_listed(pools)}. Declare a pool in "
                "DASK_GRAPHQL_POOLS, or need less"
            )
        return found
    if pool is not None and pool not in pools:
        raise RegistryError(
            f"{where}: there is no pool {pool!r}; there are: {_listed(pools)}. Declare it in DASK_GRAPHQL_POOLS"
        )
    return pool or default


def next_pool_for(
    pool: str | None, needs: Needs | None, larger_pool: bool | None, pools: Mapping[str, Shape], default: str
) -> str:
    """The pool for the attempt that follows one that ran out of memory; empty for the same one.

    It is the pool with the next more memory that has as many vCPUs as the task type needs (as its own pool has, if it
    declares no needs), and as many GPUs as its own pool: one with more would be too expensive to choose unasked. Of
    equal ones, that with the fewest vCPUs. A pool whose memory is not known is neither left nor chosen.

    Args:
        pool, needs, larger_pool: as the task type's author declared them. Without `larger_pool`, a type that names its
            pool stays there.
        default: name of the pool of task types that declare neither.
    """
    if larger_pool is False or (larger_pool is None and pool is not None):
        return ""
    own = pools.get(pool or (needs and smallest_pool(needs, pools)) or default)
    if own is None:
        return ""
    cpu = own.cpu if needs is None else needs.cpu
    larger = [
        name
        for name, shape in pools.items()
        if 0 < own.memory_gib < shape.memory_gib and shape.gpu == own.gpu and cpu <= _size(shape.cpu)
    ]
    return min(larger, key=lambda name: (pools[name].memory_gib, _size(pools[name].cpu)), default="")


def _size(value: float) -> float:
    return value or math.inf


def _listed(pools: Mapping[str, Shape]) -> str:
    return "; ".join(f"{name} ({_described(shape)})" for name, shape in pools.items())


def _described(shape: Shape) -> str:
    memory = f"{shape.memory_gib:g} GiB" if shape.memory_gib else "memory of the machine"
    return ", ".join(
        [memory, *([f"{shape.cpu:g} vCPU"] if shape.cpu else []), *([f"{shape.gpu} GPU"] if shape.gpu else [])]
    )
