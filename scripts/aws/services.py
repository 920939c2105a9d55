"""Waits until ECS has rolled the services out."""

from __future__ import annotations

from typing import Any, Final

from aws import client
from rollouts import rollout_of
from shell import Failed, waited

CONFIRMATIONS: Final = 3
"""How many polls in a row must tell a rollback: for some time after an update ECS, which is eventually consistent, may
show what was there before."""


def wait_for_services(found: dict[str, Any]) -> None:
    """Waits until each service runs only what was deployed. A deployment that ECS gave up is retried once.

    Raises:
        Failed: a service does not start, or ECS has rolled it back.
    """
    ecs = client("ecs", found)
    retried: set[str] = set()
    told = 0
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
        told = told + 1 if rolled_back and not pending else 0
        if told >= CONFIRMATIONS:
            raise Failed("this was not deployed, and the system runs what it ran before:\n" + "\n".join(rolled_back))
        print("services:", ", ".join(pending) or ("rolled back" if rolled_back else "steady"), flush=True)
        if not pending and not rolled_back:
            return
