"""Waits until ECS has rolled the services out."""

from __future__ import annotations

from typing import Any

from aws import client
from rollouts import rollout_of
from shell import Failed, waited


def wait_for_services(found: dict[str, Any]) -> None:
    """Waits until each service runs only what was deployed. A deployment that ECS gave up is retried once.

    Raises:
        Failed: a service does not start, or ECS has rolled it back.
    """
    ecs = client("ecs", found)
    retried: set[str] = set()
    for _ in waited("all services to be steady"):
        pending, rolled_back = [], []
        for service in ecs.describe_services(cluster=found["cluster_arn"], services=found["services"])["services"]:
            name = service["serviceName"]
            rollout = rollout_of(service, found.get("task_definition_arns", {}).get(name))
            if rollout.gave_up:
                if name in retried:
                    raise Failed(f"{name} does not start: {rollout.gave_up}\nSee the log group /{found['name']}/{name}")
                retried.add(name)
                ecs.update_service(cluster=found["cluster_arn"], service=name, forceNewDeployment=True)
                pending.append(name)
            elif rollout.pending:
                pending.append(rollout.pending)
            elif rollout.rolled_back:
                rolled_back.append(f"{name}: {rollout.rolled_back}\nSee the log group /{found['name']}/{name}")
        if rolled_back and not pending:
            raise Failed("this was not deployed, and the system runs what it ran before:\n" + "\n".join(rolled_back))
        print("services:", ", ".join(pending) or "steady", flush=True)
        if not pending:
            return
