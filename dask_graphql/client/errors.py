"""What the client raises: one base, and a type for each thing that a caller may want to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cluster.errors import DaskGraphQLError


class ClientError(DaskGraphQLError):
    """Base of all that the client raises."""


class ApiUnavailable(ClientError):
    """The api did not answer within the client's patience. What was submitted goes on; submit or wait again."""


class Refused(ClientError):
    """The api refused a request, and repeating it as it is would not help.

    Args:
        code: stable, for programs; docs/errors.md lists them. `HTTP_<status>` or `SOCKET_<close code>` where the answer
            had none.
        message: for people.
        extensions: what the api tells beside it, such as `argument` or `limit`.
    """

    def __init__(self, code: str, message: str, extensions: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.extensions = dict(extensions or {})


class BadArguments(ClientError):
    """The arguments do not fit what the api tells of the task type: one is unknown or missing."""


class UnknownTaskType(ClientError):
    """The api has no task type of this name."""


class IdUnknown(ClientError):
    """Only the api can tell this task's id: it writes an argument in a form that its GraphQL type does not tell."""


class IdMismatch(ClientError):
    """The api answered another task id than the one that follows from the arguments."""


class TaskFailed(ClientError):
    """The task ended as FAILED.

    Args:
        code: stable, for programs, such as TASK_FAILED or TIMEOUT; docs/errors.md lists them.
        message: for people.
        type: type of the exception that the function raised, if one did.
    """

    def __init__(self, code: str, message: str, type: str | None = None) -> None:
        super().__init__(f"{code}: {message}" if type is None else f"{code}: {type}: {message}")
        self.code = code
        self.message = message
        self.type = type


class TaskCancelled(ClientError):
    """The task ended as CANCELLED."""


class ResultTimeout(ClientError, TimeoutError):
    """The task did not end in the time that the caller gave; it goes on, and can be waited for again."""


def refusal(errors: Sequence[Mapping[str, Any]], fallback: str = "ERROR") -> Refused:
    """The refusal that a GraphQL answer's `errors` tell."""
    extensions = dict(errors[0].get("extensions") or {})
    # Of several errors the first has the code; all have their words.
    words = "; ".join(str(error.get("message")) for error in errors)
    return Refused(str(extensions.pop("code", fallback)), words, extensions)
