"""Whether ECS has rolled a service out, read from what DescribeServices says of it.

With its circuit breaker ECS replaces a revision that does not start by the one before, after which the service is as
steady as after a success: only the revision tells the two apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

EVENTS: Final = 3
"""Newest events of a service that a failure shows."""


class Rollout(NamedTuple):
    """How far a service is.

    Attributes:
        pending: what is awaited; empty if the service runs what it should.
        gave_up: why ECS stopped trying; empty if it did not.
        rolled_back: why ECS runs another revision than the one that was deployed; empty if it does not.
    """

    pending: str = ""
    gave_up: str = ""
    rolled_back: str = ""


def rollout_of(service: Mapping[str, Any], task_definition: str | None) -> Rollout:
    """Judges one service.

    Args:
        service: an item of DescribeServices.
        task_definition: the ARN of the revision that was deployed; None if it is not known.
    """
    name = service["serviceName"]
    deployments = [each for each in service["deployments"] if each.get("status") != "INACTIVE"]
    primary = next((each for each in deployments if each.get("status") == "PRIMARY"), deployments[0])
    state, why = primary.get("rolloutState", "COMPLETED"), primary.get("rolloutStateReason", "")
    if state == "FAILED":
        return Rollout(gave_up=_with_events(why, service))
    if service["runningCount"] != service["desiredCount"] or len(deployments) != 1 or state != "COMPLETED":
        return Rollout(pending=f"{name} {service['runningCount']}/{service['desiredCount']}")
    runs = primary.get("taskDefinition", service.get("taskDefinition"))
    if task_definition is not None and runs != task_definition:
        text = f"ECS rolled back from {_revision(task_definition)} to {_revision(runs)}"
        return Rollout(rolled_back=_with_events(f"{text}: {why}" if why else text, service))
    return Rollout()


def _revision(arn: Any) -> str:
    return str(arn).rpartition("/")[2]


def _with_events(text: str, service: Mapping[str, Any]) -> str:
    newest = [f"\n  {event['message']}" for event in service.get("events", ())[:EVENTS]]
    return "".join([text, *newest])
