"""The client's exceptions: one base class, and a subclass for each case that a caller may handle differently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from typing import Any

from cluster.errors import DaskGraphQLError


class ClientError(DaskGraphQLError):
    """Base class of the client's exceptions."""


class ApiUnavailable(ClientError):
    """The api did not respond within `patience_seconds`. Submitted tasks continue; submit or wait again."""


class Refused(ClientError):
    """The api refused a request; repeating it unchanged would not help.

    Args:
        code: stable, for programs; docs/errors.md lists them. `HTTP_<status>` or `SOCKET_<close code>` if the response
            had none.
        message: for people.
        extensions: the api's details, such as `argument` or `limit`.
    """

    def __init__(self, code: str, message: str, extensions: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.extensions = dict(extensions or {})


class BadArguments(ClientError):
    """The arguments do not match the task type: one is unknown or missing, or has no JSON form."""


class UnknownTaskType(ClientError):
    """The api has no task type of this name."""


class IdUnknown(ClientError):
    """Only the api can compute this task's id: an argument's canonical form does not follow from its GraphQL type."""


class IdMismatch(ClientError):
    """The api returned a different task id than the one derived from the arguments."""


class TaskFailed(ClientError):
    """The task ended as FAILED.

    Args:
        code: stable, for programs, such as TASK_FAILED or TIMEOUT; docs/errors.md lists them.
        message: for people.
        type: type of the exception that the function raised, if any.
        traceback: where it was raised, on the worker; None unless the api tells this caller. Python shows it below the
            message.
    """

    def __init__(self, code: str, message: str, type: str | None = None, traceback: str | None = None) -> None:
        super().__init__(f"{code}: {message}" if type is None else f"{code}: {type}: {message}")
        self.code = code
        self.message = message
        self.type = type
        self.traceback = traceback
        if traceback:
            self.add_note(f"\nOn the worker:\n{traceback}")


class TaskCancelled(ClientError, CancelledError):
    """The task ended as CANCELLED."""


class ResultTimeout(ClientError, TimeoutError):
    """The task did not end within the caller's timeout; it continues and can be waited for again."""


def refusal(errors: Sequence[Mapping[str, Any]], fallback: str = "ERROR") -> Refused:
    """The exception for the `errors` of a GraphQL response: the first one's code, and the messages of all."""
    extensions = dict(errors[0].get("extensions") or {})
    messages = "; ".join(str(error.get("message")) for error in errors)
    return Refused(str(extensions.pop("code", fallback)), messages, extensions)
