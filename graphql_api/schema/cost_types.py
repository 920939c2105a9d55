"""What the workers cost, as GraphQL."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

from typing import Self

import strawberry

from cluster.api_node.costs import Costs


@strawberry.type(description="What the tasks of one type have cost.")
class CostByType:
    name: str = strawberry.field(description="The task type.")
    month: float = strawberry.field(
        description="Its part of this month's cost, in US dollars: each day's is split by how long tasks ran, so it "
        "includes a part of the time in which workers were idle."
    )


@strawberry.type(
    description="What the workers cost in US dollars, by the prices in the settings, as added up by the controller. "
    "Days and months are of UTC."
)
class Cost:
    per_hour: float | None = strawberry.field(description="Now; null if it is not known.")
    today: float
    yesterday: float
    this_month: float = strawberry.field(description="This month so far.")
    month_at_this_rate: float | None = strawberry.field(
        description="This month, if its rest costs per hour what the workers cost now; null if that is not known."
    )
    by_type: list[CostByType] = strawberry.field(
        description="The 100 most expensive task types, the first one first; empty for a caller of an isolated tenant."
    )

    @classmethod
    def of(cls, costs: Costs, per_hour: float | None, *, types: bool) -> Self:
        """The costs as their GraphQL type, with those of each task type or without."""
        ranked = sorted(costs.by_type.items(), key=lambda item: -item[1]) if types else []
        return cls(
            per_hour=per_hour,
            today=costs.today,
            yesterday=costs.yesterday,
            this_month=costs.this_month,
            month_at_this_rate=costs.month_at_this_rate,
            by_type=[CostByType(name=name, month=month) for name, month in ranked],
        )
