"""Waits until no worker of an older revision runs. The controller replaces them; busy ones first end their tasks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from aws import client, describe, list_tasks
from shell import POLL_SECONDS, Failed

DRAIN_SECONDS: Final = 90_000.0
"""Longer than the controller lets them run (UPDATE_DRAIN_SECONDS, a day)."""
SAY_SECONDS: Final = 60.0
"""How often progress is printed while nothing changes."""


def wait_for_old_workers(found: Mapping[str, Any], seconds: float) -> None:
    """Waits until every worker runs the newest revision of its task definition.

    Args:
        found: Terraform's outputs.
        seconds: how long.

    Raises:
        Failed: some still run; the message says which, and for how long they have.
    """
    ecs, cluster = client("ecs", dict(found)), found["cluster_arn"]
    end, said, say_at = time.monotonic() + seconds, "", 0.0
    while True:
        tasks = describe(ecs, cluster, list_tasks(ecs, cluster, family=found["worker_family"]))
        old = lines_of_old(tasks, found["worker_task_definition_arn"], datetime.now(UTC))
        now, text = time.monotonic(), f"workers of an older revision: {len(old) or 'none'}"
        if text != said or now >= say_at:
            print("; ".join([text, *old[:1]]), flush=True)
            said, say_at = text, now + SAY_SECONDS
        if not old:
            return
        if now >= end:
            raise Failed(
                f"waited {duration(seconds)}. These workers of an older revision still run tasks, and go on with them; "
                "`deploy.py wait --drain` waits again:\n  " + "\n  ".join(old)
            )
        time.sleep(POLL_SECONDS)


def lines_of_old(tasks: Iterable[Mapping[str, Any]], newest: str, now: datetime) -> list[str]:
    """The workers of another revision than the newest, a line each, the oldest first.

    Args:
        tasks: items of DescribeTasks.
        newest: ARN of the task definition's newest revision.
    """
    old = [(task.get("startedAt") or task["createdAt"], task) for task in tasks if task["taskDefinitionArn"] != newest]
    return [
        f"{_name(task['taskArn'])} of {_name(task['taskDefinitionArn'])} for "
        f"{duration(max(0.0, (now - since).total_seconds()))}"
        for since, task in sorted(old, key=lambda item: item[0])
    ]


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]


def duration(seconds: float) -> str:
    """A duration in two units at most: `40 s`, `12 min`, `3 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"{minutes} min" if not hours else f"{hours} h {rest} min" if rest else f"{hours} h"
