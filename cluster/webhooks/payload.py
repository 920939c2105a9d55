"""The body of a delivery."""

from __future__ import annotations

import datetime
from typing import Any, Final

import orjson

from cluster.store.record import Record
from cluster.store.webhook_calls import DueDelivery
from cluster.task_types.output_type import OutputType

MAX_OUTPUT_BYTES: Final = 4_096
"""A longer output is left out: its receiver asks for it."""


def event_type(state: str) -> str:
    """`task.succeeded`, `task.failed` or `task.cancelled`."""
    return f"task.{state.lower()}"


def make_payload(delivery: DueDelivery, record: Record | None, output_type: OutputType | None) -> bytes:
    """The body, JSON: `type`, `timestamp` (of the task's end) and `data`.

    Args:
        record: of the run that ended; None if it is gone, then only id, type and state are told.
        output_type: of its task type; None if this node does not know that, and so not what in the output is hidden.
    """
    data: dict[str, Any] = {"taskId": delivery.task_id, "name": delivery.name, "state": delivery.state}
    ended_at = delivery.at
    if record is not None:
        ended_at = record.finished_at or ended_at
        data |= {
            "version": record.version,
            "attempt": record.attempt,
            "tags": list(record.tags),
            "submittedAt": _text(record.submitted_at),
            "startedAt": None if record.started_at is None else _text(record.started_at),
            "finishedAt": _text(ended_at),
        }
        if record.error is not None:
            error = record.error_fields() or {}
            data["error"] = {name: error.get(name) for name in ("code", "message", "type")}
        elif record.result is not None and output_type is not None:
            shown = output_type.shown(record.result)
            if len(shown) <= MAX_OUTPUT_BYTES:
                data["output"] = orjson.Fragment(shown)
    return orjson.dumps({"type": event_type(delivery.state), "timestamp": _text(ended_at), "data": data})


def _text(milliseconds: int) -> str:
    """RFC 3339, in UTC, with milliseconds."""
    at = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
