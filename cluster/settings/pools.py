"""Pools: workers of one kind, each scaled by itself. POOLS declares them, beside the pool `default`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from cluster.settings.parsers import InvalidValue

DEFAULT_POOL: Final = "default"
"""The pool of task types that declare none. It always exists; unless POOLS declares it, the other settings are its."""
MAX_POOLS: Final = 20
"""Maximum number of pools: each is planned for by itself in every round of the controller."""
MAX_WORKERS: Final = 10_000
CAPACITIES: Final = ("fargate", "fargate_arm64", "ec2", "managed_instances")
WITH_GPUS: Final = ("ec2", "managed_instances")
"""Capacities that have GPUs; Fargate has none."""
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,29}")
PROVIDER: Final = re.compile(r"[A-Za-z0-9_-]{0,255}")


@dataclass(frozen=True, slots=True)
class Pool:
    """Workers of one kind.

    Attributes:
        cpu: vCPUs of a worker; 0 if that is not known, as on a machine whose workers share it.
        memory_gib: memory of a worker in GiB, its limit; 0 for all memory of the machine or the container.
        gpu: GPUs of a worker.
        min_workers, max_workers: the bounds.
        spot_share: share of the workers that run on Fargate Spot, 0 to 1; with the capacity `ec2`, that of the machines
            that its Auto Scaling group has on Spot.
        capacity: where ECS runs the workers; not used by local workers.
        capacity_provider: with the capacity `ec2` or `managed_instances`, the name of the ECS capacity provider; empty
            for the cluster's default one.
        price_per_hour: with these capacities, what a worker costs in US dollars, such as the price of its machine
            divided by the workers that one takes; 0 if that is not known.
    """

    name: str
    cpu: float = 0.0
    memory_gib: float = 0.0
    gpu: int = 0
    min_workers: int = 0
    max_workers: int = 1
    spot_share: float = 0.0
    capacity: str = "fargate"
    capacity_provider: str = ""
    price_per_hour: float = 0.0

    @property
    def on_fargate(self) -> bool:
        """Whether ECS runs its workers on Fargate, not on machines."""
        return self.capacity not in WITH_GPUS

    @property
    def memory_bytes(self) -> int:
        """The memory limit of a worker; 0 for all there is."""
        return int(self.memory_gib * 2**30)


@dataclass(frozen=True, slots=True)
class Pools:
    """The pools that POOLS declares, in its order. As text, what `pools` parses."""

    declared: tuple[Pool, ...] = ()

    def __iter__(self) -> Iterator[Pool]:
        return iter(self.declared)

    def __bool__(self) -> bool:
        return bool(self.declared)

    def __str__(self) -> str:
        if not self.declared:
            return ""
        values = {pool.name: asdict(pool) for pool in self.declared}
        return json.dumps({name: {k: v for k, v in pool.items() if k != "name"} for name, pool in values.items()})


_KEYS: Final = tuple(item.name for item in fields(Pool) if item.name != "name")


def pools(text: str) -> Pools:
    """A JSON object of pools by name."""
    example = '{"gpu": {"memory_gib": 24, "gpu": 1, "max_workers": 4}}'
    try:
        given = json.loads(text)
    except ValueError as error:
        why = f"; it is no JSON: {error}" if text.startswith("{") else ""
        raise InvalidValue(f"a JSON object of pools by name, such as {example}{why}") from None
    if not isinstance(given, dict) or not all(isinstance(value, dict) for value in given.values()):
        raise InvalidValue(f"a JSON object of pools by name, such as {example}")
    if len(given) > MAX_POOLS:
        raise InvalidValue(f"at most {MAX_POOLS} pools, not {len(given)}")
    return Pools(tuple(_pool(name, values) for name, values in given.items()))


def task_definitions(text: str) -> tuple[str, ...]:
    """Pools and their task definitions, `pool=definition`, separated by commas."""
    pairs = tuple(pair.strip() for pair in text.split(",") if pair.strip())
    for pair in pairs:
        name, _, definition = pair.partition("=")
        if not NAME.fullmatch(name) or not definition:
            raise InvalidValue(f"pool=definition, separated by commas, such as gpu=worker-gpu:3, not {pair!r}")
    return pairs


def _pool(name: str, values: Mapping[str, Any]) -> Pool:
    if not NAME.fullmatch(name):
        raise InvalidValue(f"names of pools of a-z, 0-9 and _ that begin with a letter, up to 30 characters: {name!r}")
    for key in values:
        if key not in _KEYS:
            raise InvalidValue(f"pool {name}: of {', '.join(_KEYS)}, not {key!r}")
    for key, lowest, highest in (
        ("cpu", 0, 1_024),
        ("memory_gib", 0, 65_536),
        ("gpu", 0, 64),
        ("min_workers", 0, MAX_WORKERS),
        ("max_workers", 1, MAX_WORKERS),
        ("spot_share", 0, 1),
        ("price_per_hour", 0, 10_000),
    ):
        whole = key in ("gpu", "min_workers", "max_workers")
        value = values.get(key, lowest)
        number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not number or not lowest <= value <= highest:
            kind = "a whole number" if whole else "a number"
            raise InvalidValue(f"pool {name}: {key} as {kind} from {lowest} to {highest}, not {json.dumps(value)}")
    pool = Pool(name, **values)
    if pool.capacity not in CAPACITIES:
        raise InvalidValue(f"pool {name}: capacity as one of {', '.join(CAPACITIES)}, not {json.dumps(pool.capacity)}")
    if not isinstance(pool.capacity_provider, str) or not PROVIDER.fullmatch(pool.capacity_provider):
        raise InvalidValue(
            f"pool {name}: capacity_provider as the name of one, not {json.dumps(pool.capacity_provider)}"
        )
    if pool.price_per_hour and pool.on_fargate:
        raise InvalidValue(f"pool {name}: price_per_hour with the capacity {' or '.join(WITH_GPUS)} alone")
    if pool.min_workers > pool.max_workers:
        raise InvalidValue(f"pool {name}: min_workers of at most max_workers, {pool.max_workers}")
    return pool
