"""The GraphQL type of a pool: workers of one kind, scaled by themselves."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

from collections.abc import Mapping
from typing import Any, Self

import strawberry


@strawberry.type(description="Workers of one kind, which the controller scales by themselves.")
class Pool:
    name: str = strawberry.field(description="As in POOLS; `default` always exists.")
    cpu: float | None = strawberry.field(description="vCPUs of a worker; null if that is not configured.")
    memory_gib: float | None = strawberry.field(
        description="Memory limit of a worker, in GiB; null for all memory of the machine or the container."
    )
    gpu: int = strawberry.field(description="GPUs of a worker.")
    capacity: str = strawberry.field(
        description="Where ECS runs its workers: `fargate`, `fargate_arm64`, `ec2` or `managed_instances`."
    )
    spot_share: float = strawberry.field(description="Share of its workers that run on Fargate Spot, 0 to 1.")
    min_workers: int
    max_workers: int
    wanted: int | None = strawberry.field(description="Number of workers wanted; null while the demand is unknown.")
    workers: int = strawberry.field(description="Workers that are registered with the scheduler.")
    launching: int = strawberry.field(description="Workers that were started and have not registered yet.")
    retiring: int = strawberry.field(description="Workers that get no more tasks and are about to stop.")
    waiting: int = strawberry.field(description="Dask tasks that wait for one of its workers.")
    processing: int = strawberry.field(description="Dask tasks that its workers have.")
    cost_per_hour: float | None = strawberry.field(
        description="Current cost of its workers in US dollars per hour; null if it costs nothing or is unknown."
    )

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Self:
        """A pool from the controller's payload in Redis."""
        names = (
            "name", "gpu", "capacity", "spot_share", "min_workers", "max_workers", "wanted", "launching", "retiring",
            "waiting", "processing",
        )  # fmt: skip
        return cls(
            **{name: payload[name] for name in names},
            cpu=payload["cpu"] or None,
            memory_gib=payload["memory_gib"] or None,
            workers=payload["running"],
            cost_per_hour=payload.get("cost_per_hour"),
        )
