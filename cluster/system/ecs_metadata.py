"""What ECS tells a container about its task: the ARN, which names a worker, and the memory size."""

from __future__ import annotations

import json
import os
import urllib.request
import uuid
from dataclasses import dataclass
from typing import Final

METADATA_VARIABLE: Final = "ECS_CONTAINER_METADATA_URI_V4"
"""Holds the address of the Amazon ECS task metadata endpoint, version 4."""


@dataclass(frozen=True, slots=True)
class EcsTask:
    """The ECS task that this process runs in.

    Attributes:
        arn: of the task.
        memory_bytes: the memory size of the task; None if it has none of its own, as on EC2 instances.
    """

    arn: str
    memory_bytes: int | None


def current_ecs_task() -> EcsTask | None:
    """Returns the ECS task that this process runs in, or None outside ECS.

    Raises:
        OSError: the metadata endpoint of ECS does not answer.
    """
    base_url = os.environ.get(METADATA_VARIABLE)
    if not base_url:
        return None
    # The address is local to the host, so proxies in the environment must not be used.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{base_url}/task", timeout=10) as response:
        metadata = json.load(response)
    mebibytes = metadata.get("Limits", {}).get("Memory")
    return EcsTask(metadata["TaskARN"], int(mebibytes) * 2**20 if mebibytes else None)


def worker_name(task_arn: str) -> str:
    """Returns the name of the worker in an ECS task, for the worker itself and for the controller."""
    return f"worker-{task_arn.rpartition('/')[2][:16]}"


def random_worker_name() -> str:
    """Returns a name for a worker outside ECS."""
    return f"worker-{uuid.uuid4().hex[:12]}"


def aws_region() -> str | None:
    """Returns the region that the environment names; None leaves it to AWS's configuration files.

    ECS sets AWS_REGION, which most libraries of AWS read; boto3 and aiobotocore read only AWS_DEFAULT_REGION.
    """
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
