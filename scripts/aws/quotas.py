"""What an account may run of what a plan asks for: a new account often gets six Fargate vCPUs.

The codes are those of Service Quotas (`aws service-quotas list-service-quotas --service-code fargate`, or `ec2`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from botocore.exceptions import ClientError
from worker_pools import WorkerPool, pools_of


class Quota(NamedTuple):
    """One quota, and how much of it this system takes."""

    service: str
    code: str
    what: str
    wanted: float


ON_DEMAND: Final = ("fargate", "L-3032A538", "Fargate vCPUs on demand")
SPOT: Final = ("fargate", "L-36FBB829", "Fargate vCPUs on Spot")
STANDARD: Final = (
    ("ec2", "L-1216C47A", "vCPUs of standard machines"),
    ("ec2", "L-34B43A08", "vCPUs of standard machines on Spot"),
)
G: Final = (
    ("ec2", "L-DB2E81BA", "vCPUs of G and VT machines"),
    ("ec2", "L-3819A6DF", "vCPUs of G and VT machines on Spot"),
)
P: Final = (("ec2", "L-417A185B", "vCPUs of P machines"), ("ec2", "L-7212CCBC", "vCPUs of P machines on Spot"))
MACHINES: Final = {**dict.fromkeys("acdhimrtz", STANDARD), "g": G, "vt": G, "p": P}
"""Quotas of EC2 machines on demand and on Spot, by the letters that their types begin with. A new account has none of G
and P."""


def wanted(variables: Mapping[str, Any]) -> list[Quota]:
    """What the system takes at its largest: all nodes on demand, and the workers of each pool by its share of Spot.

    Args:
        variables: of the plan, by name (`terraform show -json`: `variables`).
    """
    pools = pools_of(variables)
    workers, spot = _vcpus([pool for pool in pools if pool.on_fargate])
    # While an update runs there are twice as many api nodes.
    nodes = (
        2 * variables["api_max"] * variables["api_cpu"] + variables["scheduler_cpu"] + 2 * variables["controller_cpu"]
    )
    found = [Quota(*ON_DEMAND, workers + float(nodes) / 1024), Quota(*SPOT, spot)]
    for on_demand_quota, spot_quota in dict.fromkeys(MACHINES.values()):
        # A machine has at least the vCPUs of the workers on it.
        on_demand, spot = _vcpus([pool for pool in pools if MACHINES.get(pool.family, ("",))[0] == on_demand_quota])
        found += [Quota(*on_demand_quota, on_demand), Quota(*spot_quota, spot)]
    return [quota for quota in found if quota.wanted]


def _vcpus(pools: Sequence[WorkerPool]) -> tuple[float, float]:
    """The vCPUs of all workers of these pools, on demand and on Spot."""
    most = [(pool.max_workers * pool.vcpus, pool.spot_share) for pool in pools]
    return sum(vcpus * (1 - share) for vcpus, share in most), sum(vcpus * share for vcpus, share in most)


def shortfalls(quotas: list[Quota], value_of: Callable[[Quota], float | None]) -> list[str]:
    """What is too little, a line each.

    Args:
        value_of: the account's value of a quota; None if it cannot be looked up.
    """
    lines = []
    for quota in quotas:
        value = value_of(quota)
        if value is None:
            lines.append(
                f"{quota.what}: this system takes up to {quota.wanted:g}; the account's quota could not be looked up"
            )
        elif value < quota.wanted:
            lines.append(
                f"{quota.what}: this system takes up to {quota.wanted:g}, and the account has {value:g}. Fewer workers "
                f"start (max_workers), until you ask for more: aws service-quotas request-service-quota-increase "
                f"--service-code {quota.service} --quota-code {quota.code} --desired-value {quota.wanted:.0f}"
            )
    return lines


def looked_up(client: Any) -> Callable[[Quota], float | None]:
    """Asks Service Quotas. An account that was never given its own value has AWS's default."""

    def value_of(quota: Quota) -> float | None:
        which = {"ServiceCode": quota.service, "QuotaCode": quota.code}
        for ask in (client.get_service_quota, client.get_aws_default_service_quota):
            try:
                return float(ask(**which)["Quota"]["Value"])
            except ClientError:
                continue
        return None

    return value_of
