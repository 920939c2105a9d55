"""The errors that the platform writes into a record: of exceptions that a function raised, and of lost attempts."""

from __future__ import annotations

from typing import Any, Final

MESSAGE_LIMIT: Final = 2_000
"""Longest message of an exception that a record keeps, in characters."""


def error(code: str, message: str, kind: str | None = None) -> dict[str, Any]:
    """The error of a record: a stable code, a message for people, and the exception's type if there was one."""
    return {"code": code, "message": utf8_text(message), "type": kind}


def from_exception(code: str, exception: BaseException) -> dict[str, Any]:
    """The error of a record for an exception that a task's function raised."""
    return error(code, message_of(exception), type_of(exception))


def message_of(exception: BaseException) -> str:
    """The text of an exception, whatever its class does when it is asked for it: its type where it has no text."""
    try:
        text = str(exception)[:MESSAGE_LIMIT]
    except BaseException as failure:  # noqa: BLE001 - a user's __str__ may raise anything, an exit of the process too
        return f"{type_of(exception)}, whose text cannot be read: its __str__ raised {type(failure).__name__}"
    return text or type_of(exception)


def type_of(exception: BaseException) -> str:
    """The name of an exception's class; of one that could not travel through Dask, that of the original."""
    return str(getattr(exception, "original_type", None) or type(exception).__name__)


def utf8_text(text: str) -> str:
    """The text without what neither JSON nor Redis takes: it may quote bytes that are no UTF-8, of a file name, say."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def worker_lost(worker: str, how: str = "was lost") -> dict[str, Any]:
    """The error of a task that took its last worker with it; `how` says what became of that one."""
    return error("WORKER_LOST", f"the worker {worker} {how} while it ran the task, as others before it")


def out_of_memory(worker: str, limit_bytes: int | None, how: str) -> dict[str, Any]:
    """The error of a task that ran when its last worker ran out of memory; `how` says who ended the worker process."""
    limit = f"its limit of {limit_bytes:,} bytes" if limit_bytes else "what the machine has"
    return error(
        "OUT_OF_MEMORY",
        f"the worker {worker} took more memory than {limit} while it ran the task, as others before it, and {how}; "
        "give workers more memory (DASK_GRAPHQL_WORKER_MEMORY_BYTES, or the container's), or run fewer tasks on one "
        "(DASK_GRAPHQL_WORKER_THREADS)",
    )


def undelivered(reason: str) -> dict[str, Any]:
    return error("NOT_RUN", f"the cluster could not run the task: {reason}")
