"""A system in AWS: clients in its region, and the tasks that ECS runs of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import boto3


def client(service: str, found: dict[str, Any]) -> Any:
    return boto3.client(service, region_name=found["region"])  # type: ignore[call-overload]


def list_tasks(ecs: Any, cluster: str, status: str = "RUNNING", **which: str) -> list[str]:
    pages = ecs.get_paginator("list_tasks").paginate(cluster=cluster, desiredStatus=status, **which)
    return [arn for page in pages for arn in page["taskArns"]]


def describe(ecs: Any, cluster: str, tasks: list[str]) -> list[dict[str, Any]]:
    return [
        task
        for first in range(0, len(tasks), 100)
        for task in ecs.describe_tasks(cluster=cluster, tasks=tasks[first : first + 100])["tasks"]
    ]


def worker_families(found: dict[str, Any]) -> list[str]:
    """Families of the workers' task definitions: the common one, and those of pools on machines."""
    return list(found.get("worker_families") or [found["worker_family"]])


def tasks_older_than(found: dict[str, Any], since: datetime, **which: str) -> list[str]:
    """The tasks of a service or family that started before a time."""
    ecs, cluster = client("ecs", found), found["cluster_arn"]
    tasks = describe(ecs, cluster, list_tasks(ecs, cluster, **which))
    return [task["taskArn"] for task in tasks if (task.get("startedAt") or task["createdAt"]) < since]


def services_older_than(found: dict[str, Any], since: datetime) -> list[str]:
    """The services with a task that started before a time."""
    return [name for name in found["services"] if tasks_older_than(found, since, serviceName=name)]
