"""How an attempt is named in Dask, and the errors that the platform itself writes into a record."""

from __future__ import annotations

import re
from typing import Any, Final

_KEY: Final = re.compile(r"[a-z][a-z0-9_]*-(?P<task_id>[0-9a-f]{32})-(?P<attempt>[0-9]+)")


def attempt_key(name: str, task_id: str, attempt: int) -> str:
    """The Dask key of an attempt. The attempt is in it, as a key that erred stays erred (distributed issue 8789)."""
    return f"{name}-{task_id}-{attempt}"


def parse_attempt_key(key: object) -> tuple[str, int] | None:
    """The task id and the attempt of one of our keys; None for any other key."""
    match = _KEY.fullmatch(key) if isinstance(key, str) else None
    return (match["task_id"], int(match["attempt"])) if match else None


def error(code: str, message: str, kind: str | None = None) -> dict[str, Any]:
    """The error of a record: a stable code, a message for people, and the exception's type if there was one."""
    return {"code": code, "message": storable(message), "type": kind}


def storable(text: str) -> str:
    """The text without what neither JSON nor Redis takes: it may quote bytes that are no UTF-8, of a file name, say."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def worker_lost(worker: str) -> dict[str, Any]:
    return error("WORKER_LOST", f"the worker {worker} was lost while it ran the task, as others before it")


def undelivered(reason: str) -> dict[str, Any]:
    return error("NOT_RUN", f"the cluster could not run the task: {reason}")
