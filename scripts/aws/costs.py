"""What a plan will cost, before it is applied: list prices of us-east-1 times what it has (docs/aws.md, Costs)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from worker_pools import WorkerPool, pools_of

HOURS: Final = 730
"""Of a month, as AWS's own calculator counts."""
VCPU: Final = {"X86_64": 0.04048, "ARM64": 0.03238}
GB: Final = {"X86_64": 0.004445, "ARM64": 0.00356}
"""Fargate, an hour, on Linux."""
SPOT: Final = 0.3
"""What is left of the price on Spot, about."""
NAT, ADDRESS, ENDPOINT, BALANCER = 0.045, 0.005, 0.01, 0.0225
REDIS: Final = {
    "cache.t4g.micro": 0.0128, "cache.t4g.small": 0.0256, "cache.t4g.medium": 0.052, "cache.m7g.large": 0.126,
    "cache.r7g.large": 0.175, "cache.r7g.xlarge": 0.35,
}  # fmt: skip
"""A member with Valkey, an hour; Redis costs a quarter more."""
FIREWALL: Final = 9 / HOURS
"""A list with four rules."""
METRICS: Final = 60 * 0.3 / HOURS
"""Custom metrics of CloudWatch, those of all roles together."""


def estimate(variables: Mapping[str, Any], resources: Mapping[str, int]) -> list[tuple[str, float | None]]:
    """(what, dollars an hour) of all that runs without a worker; None where the price is not known here.

    Args:
        variables: of the plan, by name.
        resources: type -> how many the plan has of it.
    """
    has = variables["architecture"]

    def node(count: float, cpu: str, memory: str) -> float:
        return count * (variables[cpu] / 1024 * VCPU[has] + variables[memory] / 1024 * GB[has])

    member = REDIS.get(variables["redis_node_type"])
    zones = resources.get("aws_subnet", 0) // 2
    factor = 1.25 if variables["redis_engine"] == "redis" else 1.0
    interface = max(0, resources.get("aws_vpc_endpoint", 0) - 1)
    idle: list[tuple[str, float | None]] = [
        (f"{variables['api_min']} api nodes", node(variables["api_min"], "api_cpu", "api_memory_mib")),
        ("scheduler", node(1, "scheduler_cpu", "scheduler_memory_mib")),
        ("controller", node(1, "controller_cpu", "controller_memory_mib")),
        ("load balancer and its addresses", BALANCER + (0 if variables["internal"] else 2) * ADDRESS),
    ]
    if resources.get("aws_elasticache_replication_group"):
        count = variables["redis_members"]
        idle.append((f"Redis, {count} x {variables['redis_node_type']}", member and count * member * factor))
    if gateways := resources.get("aws_nat_gateway", 0):
        idle.append((f"{gateways} NAT gateways and addresses", gateways * (NAT + ADDRESS)))
    if interface:
        idle.append((f"{interface} endpoints in {zones} zones", interface * zones * ENDPOINT))
    if resources.get("aws_wafv2_web_acl"):
        idle.append(("firewall", FIREWALL))
    if variables.get("cloudwatch_metrics"):
        idle.append(("CloudWatch metrics", METRICS))
    return idle


def worker_hour(pool: WorkerPool, architecture: str) -> float | None:
    """Dollars an hour of one worker of a pool, on Fargate by its share of Spot; None if that is not known, as on
    machines without a `price_per_hour`."""
    if not pool.on_fargate:
        return pool.price_per_hour or None
    full = pool.vcpus * VCPU[architecture] + pool.gib * GB[architecture]
    return full * (1 - pool.spot_share + pool.spot_share * SPOT)


def workers(variables: Mapping[str, Any]) -> list[str]:
    """What the workers cost at their least and at their most, a line for each pool and one for all of them."""
    pools = pools_of(variables)
    prices = [worker_hour(pool, variables["architecture"]) for pool in pools]
    known = [(pool, price) for pool, price in zip(pools, prices, strict=True) if price is not None]
    lines = [
        f"  workers{_of(pool, pools)}: ${price:.4f} an hour each; {pool.min_workers} to {pool.max_workers}: "
        f"${pool.min_workers * price:.2f} to ${pool.max_workers * price:.2f}"
        for pool, price in known
    ]
    unknown = [pool.name for pool, price in zip(pools, prices, strict=True) if price is None]
    if len(pools) > 1:
        least, most = (sum(getattr(pool, f"{end}_workers") * price for pool, price in known) for end in ("min", "max"))
        more = f"; of {', '.join(unknown)} no price is known" if unknown else ""
        lines.append(f"  workers of all pools: ${least:.2f} to ${most:.2f} an hour{more}")
    if ceiling := float(variables.get("max_cost_per_hour_usd") or 0):
        lines.append(f"  max_cost_per_hour_usd keeps all workers below ${ceiling:.2f} an hour")
    return lines


def _of(pool: WorkerPool, pools: Sequence[WorkerPool]) -> str:
    return f" of the pool {pool.name}" if len(pools) > 1 else ""


def text(variables: Mapping[str, Any], resources: Mapping[str, int]) -> str:
    """The estimate as a table for a terminal."""
    rows = estimate(variables, resources)
    known = sum(price for _, price in rows if price is not None)
    lines = [f"  {what:<40} {'?' if price is None else f'{price:.4f}'}" for what, price in rows]
    more = "" if all(price is not None for _, price in rows) else " and what is unknown (?)"
    lines.append(f"  without a worker: ${known:.4f} an hour, about ${known * HOURS:,.0f} a month{more}")
    lines += workers(variables)
    lines.append("  List prices of us-east-1; traffic, logs, S3 and taxes come on top.")
    return "\n".join(["Cost, estimated in US dollars an hour:", *lines])
