"""Removes the system from AWS, workers first."""

from __future__ import annotations

import os
from typing import Any

from aws import client, describe, list_tasks, worker_families
from botocore.exceptions import ClientError
from images import NODES
from shell import waited
from terraform_cli import IMAGE_TAG, outputs, prepare, terraform


def destroy(approve: list[str]) -> None:
    prepare()
    found = outputs()
    if found.get("cluster_arn"):
        stop_workers(found)
    # Terraform requires a value for a variable without a default even to destroy.
    os.environ.setdefault(IMAGE_TAG, found.get("image_tag", "none"))
    terraform("destroy", "-input=false", *approve)
    if "region" in found:
        deregister_task_definitions(found)


def stop_workers(found: dict[str, Any]) -> None:
    """Stops the controller, which would replace workers, and then every worker. Terraform does not know the workers,
    and ECS refuses to delete a cluster that runs tasks."""
    ecs, cluster = client("ecs", found), found["cluster_arn"]
    try:
        ecs.update_service(cluster=cluster, service="controller", desiredCount=0)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("ServiceNotFoundException", "ServiceNotActiveException"):
            raise
    for _ in waited("the controller to stop"):
        if not list_tasks(ecs, cluster, serviceName="controller"):
            break
    for _ in waited("the workers to stop"):
        workers = [task for family in worker_families(found) for task in list_tasks(ecs, cluster, family=family)]
        for task in workers:
            ecs.stop_task(cluster=cluster, task=task, reason="the system is destroyed")
        stopping = [
            task["taskArn"]
            for family in worker_families(found)
            for task in describe(ecs, cluster, list_tasks(ecs, cluster, "STOPPED", family=family))
            if task["lastStatus"] != "STOPPED"
        ]
        print(f"workers: asked {len(workers)} to stop, {len(stopping)} stopping", flush=True)
        if not workers and not stopping:
            return


def deregister_task_definitions(found: dict[str, Any]) -> None:
    """Deregisters all revisions. Terraform leaves old ones registered, for rollbacks."""
    ecs = client("ecs", found)
    for family in {*(f"{found['name']}-{node}" for node in NODES), *worker_families(found)}:
        pages = ecs.get_paginator("list_task_definitions").paginate(familyPrefix=family)
        for arn in [arn for page in pages for arn in page["taskDefinitionArns"]]:
            if arn.split("/")[1].rpartition(":")[0] == family:
                ecs.deregister_task_definition(taskDefinition=arn)
