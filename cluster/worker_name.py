"""The name under which a worker registers, where nobody gave it one: of its ECS task, or a random one."""

from __future__ import annotations

import json
import os
import urllib.request
import uuid
from typing import Final

METADATA: Final = "ECS_CONTAINER_METADATA_URI_V4"
"""Where ECS tells a container what it is (Amazon ECS task metadata endpoint version 4)."""


def worker_name(task_arn: str) -> str:
    """The name of the worker that is an ECS task, as it and the controller make it."""
    return f"worker-{task_arn.rpartition('/')[2][:16]}"


def own_name() -> str:
    """This process's worker name.

    Raises:
        OSError: this is an ECS task, and ECS does not tell which.
    """
    place = os.environ.get(METADATA)
    if not place:
        return f"worker-{uuid.uuid4().hex[:12]}"
    with urllib.request.urlopen(f"{place}/task", timeout=10) as answer:  # noqa: S310 - the platform's own address
        return worker_name(json.load(answer)["TaskARN"])
