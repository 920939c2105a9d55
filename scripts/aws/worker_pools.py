"""The pools of workers that a plan declares: how large their workers are, how many there may be, and where they run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

OPTIONAL: Final[Mapping[str, Any]] = {
    "min_workers": 0, "max_workers": 1, "spot_share": 0, "capacity": "fargate", "price_per_hour": 0,
    "instance_types": (),
}  # fmt: skip
"""The defaults in variables.tf: of an object, a plan has only what was given."""


@dataclass(frozen=True)
class WorkerPool:
    """One pool.

    Attributes:
        vcpus, gib: of a worker.
        price_per_hour: of a worker that does not run on Fargate, in US dollars; 0 if unknown.
        family: of its machines, such as `g`; empty on Fargate, or if unknown.
    """

    name: str
    vcpus: float
    gib: float
    min_workers: int
    max_workers: int
    spot_share: float
    on_fargate: bool = True
    price_per_hour: float = 0.0
    family: str = ""


def pools_of(variables: Mapping[str, Any]) -> list[WorkerPool]:
    """Every pool, `default` first.

    Args:
        variables: of the plan, by name (`terraform show -json`: `variables`).
    """
    machines = variables.get("ec2_capacity")
    default = {
        "cpu": variables["worker_cpu"], "memory_mib": variables["worker_memory_mib"],
        "min_workers": variables["min_workers"], "max_workers": variables["max_workers"],
        "spot_share": variables["spot_share"],
        "capacity": "ec2" if machines else "fargate", "instance_types": (machines or {}).get("instance_types"),
    }  # fmt: skip
    declared = {"default": default} | dict(variables.get("pools") or {})
    return [_pool(name, given) for name, given in declared.items()]


def _pool(name: str, given: Mapping[str, Any]) -> WorkerPool:
    """Numbers may be text, as Terraform converts them later than it shows them."""
    values = {**OPTIONAL, **{key: value for key, value in given.items() if value is not None}}
    family = next((match[0] for it in values["instance_types"] if (match := re.match(r"[a-z]+", it))), "")
    return WorkerPool(
        name, float(values["cpu"]) / 1024, float(values["memory_mib"]) / 1024, int(values["min_workers"]),
        int(values["max_workers"]), float(values["spot_share"]), str(values["capacity"]).startswith("fargate"),
        float(values["price_per_hour"]), family,
    )  # fmt: skip
