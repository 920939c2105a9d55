"""The errors that the platform writes into records: for exceptions that a function raised, and for lost attempts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

MESSAGE_LIMIT: Final = 2_000
"""Characters of an error's message that a record keeps."""
EVENT_MESSAGE_LIMIT: Final = 500
"""Characters of an error's message that an event keeps: a task may have a thousand of them, and the record has all."""
_LIKE_OTHERS: Final = ", like others before it"
NAME_LIMIT: Final = 200
"""Characters of an error's code, and of the type of its exception."""


def error(code: str, message: str, kind: str | None = None) -> dict[str, Any]:
    """Returns the error of a record: a stable code, a message for humans, and the type of the exception if there was
    one."""
    return {
        "code": utf8_text(code[:NAME_LIMIT]),
        "message": utf8_text(message[:MESSAGE_LIMIT]),
        "type": None if kind is None else utf8_text(kind[:NAME_LIMIT]),
    }


def event_message(fields: Mapping[str, Any]) -> str:
    """Returns the message of an event that an error causes."""
    return str(fields["message"])[:EVENT_MESSAGE_LIMIT]


def loss_message(fields: Mapping[str, Any]) -> str:
    """Returns the message of the event of a loss: what happened to this attempt. What the record's error says beyond
    that is about the task, which fails only after several losses."""
    return event_message(fields).partition(_LIKE_OTHERS)[0]


def from_exception(code: str, exception: BaseException) -> dict[str, Any]:
    """Returns the error of a record for an exception that a task's function raised."""
    return error(code, message_of(exception), type_of(exception))


def message_of(exception: BaseException) -> str:
    """Returns the text of an exception, or its type if it has none. Survives a `__str__` that fails."""
    try:
        text = str(exception)[:MESSAGE_LIMIT]
    except BaseException as failure:  # noqa: BLE001 - a user's __str__ may raise anything, an exit of the process too
        return f"{type_of(exception)}, whose text cannot be read: its __str__ raised {type(failure).__name__}"
    return text or type_of(exception)


def type_of(exception: BaseException) -> str:
    """Returns the name of an exception's class; for the stand-in of one that could not be pickled, the original's."""
    return str(getattr(exception, "original_type", None) or type(exception).__name__)


def utf8_text(text: str) -> str:
    """Escapes what UTF-8 cannot encode, so that JSON and Redis accept the text: it may quote a file name, for
    example."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def worker_lost(worker: str | None, how: str = "was lost") -> dict[str, Any]:
    """Returns the error of a task whose workers were lost while they ran it.

    Args:
        worker: name of the last one; None if unknown.
        how: what happened to it.
    """
    name = f"the worker {worker}" if worker else "its worker"
    return error("WORKER_LOST", f"{name} {how} while it ran the task{_LIKE_OTHERS}")


def out_of_memory(worker: str, limit_bytes: int | None, how: str) -> dict[str, Any]:
    """Returns the error of a task whose last worker ran out of memory; `how` says what ended the worker process."""
    limit = f"its limit of {limit_bytes:,} bytes" if limit_bytes else "what the machine has"
    return error(
        "OUT_OF_MEMORY",
        f"the worker {worker} took more memory than {limit} and {how} while it ran the task{_LIKE_OTHERS}; "
        "give workers more memory (DASK_GRAPHQL_WORKER_MEMORY_BYTES, or the container's), declare a larger pool "
        "(DASK_GRAPHQL_POOLS), or run fewer tasks on one worker (DASK_GRAPHQL_WORKER_THREADS)",
    )


def is_out_of_memory(fields: Mapping[str, Any]) -> bool:
    """Whether an error is one of `out_of_memory`."""
    return bool(fields["code"] == "OUT_OF_MEMORY")


def timeout(limit_seconds: float) -> dict[str, Any]:
    """Returns the error of an attempt that ran longer than its task type allows."""
    return error("TIMEOUT", f"the task ran longer than its limit of {limit_seconds:g} s")


def expired_before_start() -> dict[str, Any]:
    """Returns the error of a task that had not started when it should have."""
    return error(
        "EXPIRED_BEFORE_START",
        "no worker had started the task by the time that its submission or its task type set (startBefore, "
        "start_before); submit it again if it is still wanted",
    )


def undelivered(reason: str) -> dict[str, Any]:
    """Returns the error of a task that the scheduler could not run."""
    return error("NOT_RUN", f"the cluster could not run the task: {reason}")
