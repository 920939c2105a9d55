"""What an account may run of what a plan asks for: a new account often gets six Fargate vCPUs.

The codes are those of Service Quotas (`aws service-quotas list-service-quotas --service-code fargate`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from botocore.exceptions import ClientError


class Quota(NamedTuple):
    """One quota, and how much of it this system takes."""

    service: str
    code: str
    what: str
    wanted: float


ON_DEMAND: Final = ("fargate", "L-3032A538", "Fargate vCPUs on demand")
SPOT: Final = ("fargate", "L-36FBB829", "Fargate vCPUs on Spot")


def wanted(variables: Mapping[str, Any]) -> list[Quota]:
    """What the system takes at its largest: all nodes on demand, and the workers by their share of Spot.

    Args:
        variables: of the plan, by name (`terraform show -json`: `variables`).
    """
    workers = float(variables["max_workers"]) * float(variables["worker_cpu"]) / 1024
    # EC2 machines are another quota, by family.
    on_fargate = 0.0 if variables.get("ec2_capacity") else workers
    spot = on_fargate * float(variables["spot_share"])
    # While an update runs there are twice as many api nodes.
    nodes = (
        2 * variables["api_max"] * variables["api_cpu"] + variables["scheduler_cpu"] + 2 * variables["controller_cpu"]
    )
    found = [Quota(*ON_DEMAND, on_fargate - spot + float(nodes) / 1024)]
    return [*found, Quota(*SPOT, spot)] if spot else found


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
