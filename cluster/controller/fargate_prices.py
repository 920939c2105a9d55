"""What a Fargate worker costs: the prices of the settings, or of the region in fargate_prices.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from cluster.settings import Settings


@dataclass(frozen=True, slots=True)
class FargatePrices:
    """Prices in US dollars.

    Attributes:
        vcpu_hour, gb_hour: on demand, on x86.
        arm64_share: share of them on ARM64, 0 to 1.
        spot_share: share of them on Spot, 0 to 1.
    """

    vcpu_hour: float
    gb_hour: float
    arm64_share: float
    spot_share: float

    def worker_hour(self, vcpus: float, gib: float, *, arm64: bool = False, spot: bool = False) -> float:
        """What a worker of this size costs per hour."""
        price = vcpus * self.vcpu_hour + gib * self.gb_hour
        return price * (self.arm64_share if arm64 else 1) * (self.spot_share if spot else 1)


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(files(__package__).joinpath("fargate_prices.json").read_text("utf-8"))
    return table


def known_regions() -> tuple[str, ...]:
    """The regions of the table."""
    return tuple(_table()["regions"])


def fargate_prices(settings: Settings, region: str | None) -> FargatePrices | None:
    """The prices in a region; None if the table has no such region and the settings do not name both prices.

    Prices of the settings are for the processor that the workers have, so ARM64 is no cheaper than they say.
    """
    own = (settings.ecs_vcpu_hour_price, settings.ecs_gb_hour_price)
    listed = _table()["regions"].get(region, (0.0, 0.0))
    vcpu, gb = (price or of_table for price, of_table in zip(own, listed, strict=True))
    if not vcpu or not gb:
        return None
    return FargatePrices(vcpu, gb, 1.0 if any(own) else _table()["arm64_share"], 1 - settings.ecs_spot_discount)
