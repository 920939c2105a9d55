"""A partial output as JSON: checked as a result is, and left out if it is too long for a record."""

from __future__ import annotations

import logging
from typing import Any

from cluster.errors import TaskError
from cluster.observability import metrics
from cluster.settings import Settings
from cluster.task_types.task_type import TaskType
from cluster.worker.outcome import Succeeded, encode
from cluster.worker.task_context import running_attempt

logger = logging.getLogger(__name__)


def encode_partial(task_type: TaskType, settings: Settings, value: Any) -> bytes | None:
    """The JSON of a partial output; None if it is too long to show.

    Raises:
        TaskError: it is not what the task type declares.
    """
    made = encode(task_type, value, settings.inline_limit_bytes)
    if isinstance(made, Succeeded):
        return made.result
    if made.error["code"] != "RESULT_TOO_LARGE":
        raise TaskError(made.error["code"], f"a partial output: {made.error['message']}")
    # Showing an output must not fail the work on it.
    metrics.labelled(metrics.PARTIALS_DROPPED, task_type.name).inc()
    running = running_attempt()
    if running and not running.partial_dropped:
        running.partial_dropped = True
        logger.warning("a partial output is not shown: %s", made.error["message"])
    return None
