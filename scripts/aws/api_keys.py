"""API keys, which are in Redis alone: made, listed and revoked by a task in the cluster."""

from __future__ import annotations

import time
from typing import Any, Final

from aws import client
from shell import POLL_SECONDS, Failed, waited

LOG_SECONDS: Final = 60.0
"""How long the lines of a task that has ended are waited for."""


def run_in_cluster(found: dict[str, Any], command: list[str]) -> str:
    """Runs `dask-graphql COMMAND` with a task in the cluster, because only nodes can reach Redis. Its output is read
    from the task's log, which is then deleted, as it may hold a key.

    Raises:
        Failed: ECS did not run the task, or the command failed.
    """
    ecs, logs = client("ecs", found), client("logs", found)
    api = ecs.describe_services(cluster=found["cluster_arn"], services=["api"])["services"][0]
    answer = ecs.run_task(
        cluster=found["cluster_arn"], taskDefinition=api["taskDefinition"], launchType="FARGATE", count=1,
        startedBy="dask-graphql-key", networkConfiguration=api["networkConfiguration"],
        overrides={"containerOverrides": [{"name": "api", "command": command}]},
    )  # fmt: skip
    if not answer["tasks"]:
        raise Failed(f"ECS did not run the task: {answer['failures']}")
    arn = answer["tasks"][0]["taskArn"]
    for _ in waited("the task to end"):
        task = ecs.describe_tasks(cluster=found["cluster_arn"], tasks=[arn])["tasks"][0]
        if task["lastStatus"] == "STOPPED":
            break
    where = {"logGroupName": f"/{found['name']}/api", "logStreamName": f"api/api/{arn.rpartition('/')[2]}"}
    lines = settled_lines(logs, where)
    code = next((each.get("exitCode") for each in task["containers"] if each["name"] == "api"), None)
    text = "\n".join(lines)
    if lines:
        logs.delete_log_stream(**where)
    if code != 0:
        raise Failed(f"dask-graphql {' '.join(command)} ended with {code}: {task.get('stoppedReason', '')}\n{text}")
    return text


def settled_lines(logs: Any, where: dict[str, str]) -> list[str]:
    """The lines of a task that has ended. CloudWatch has them a moment later, not all at once, and none of a command
    that prints nothing: what two looks in a row find is taken for all, and nothing after LOG_SECONDS."""
    end, lines = time.monotonic() + LOG_SECONDS, list[str]()
    while time.monotonic() < end:
        before = lines
        try:
            lines = [event["message"] for event in logs.get_log_events(**where, startFromHead=True)["events"]]
        except logs.exceptions.ResourceNotFoundException:
            lines = []
        if lines and lines == before:
            break
        time.sleep(POLL_SECONDS)
    return lines
