"""What ECS tells a container of its task: the name under which a worker registers, and the memory that it may take."""

from __future__ import annotations

import json
import os
import urllib.request
import uuid
from dataclasses import dataclass
from typing import Final

METADATA: Final = "ECS_CONTAINER_METADATA_URI_V4"
"""Where ECS tells a container what it is (Amazon ECS task metadata endpoint version 4)."""


@dataclass(frozen=True, slots=True)
class EcsTask:
    """The task that this process runs in.

    Attributes:
        arn: of the task.
        memory_bytes: the task's size; None where it has none of its own, as on EC2 machines.
    """

    arn: str
    memory_bytes: int | None


def current_ecs_task() -> EcsTask | None:
    """This process's ECS task; None where it is none.

    Raises:
        OSError: this is an ECS task, and ECS does not tell which.
    """
    place = os.environ.get(METADATA)
    if not place:
        return None
    # The platform's own address, which no proxy of the environment leads to.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{place}/task", timeout=10) as answer:
        word = json.load(answer)
    mebibytes = word.get("Limits", {}).get("Memory")
    return EcsTask(word["TaskARN"], int(mebibytes) * 2**20 if mebibytes else None)


def worker_name(task_arn: str) -> str:
    """The name of the worker that is an ECS task, as it and the controller make it."""
    return f"worker-{task_arn.rpartition('/')[2][:16]}"


def random_worker_name() -> str:
    """A worker's name where nothing gives it one."""
    return f"worker-{uuid.uuid4().hex[:12]}"


def aws_region() -> str | None:
    """The region that the environment names; None leaves it to AWS's configuration files.

    ECS sets AWS_REGION, as AWS's other libraries read it; boto3 and aiobotocore read AWS_DEFAULT_REGION alone.
    """
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
