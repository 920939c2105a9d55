"""The error tree of the package.

An error that is raised for a client's doing is a `PublicError`: its code and message reach the client. Everything else
is ours and reaches a client only as an internal error with an id that the log also has.
"""

from __future__ import annotations

from typing import Any


class DaskGraphQLError(Exception):
    """Root of all errors that this product raises."""


class SettingError(DaskGraphQLError):
    """A setting has a wrong value. The node must not start.

    Args:
        variable: name of the environment variable.
        value: what came, or None when a required variable is missing. Never given for secrets.
        expected: what would have been right, in words.
    """

    def __init__(self, variable: str, value: str | None, expected: str) -> None:
        came = "is not set" if value is None else f"is {value!r}"
        super().__init__(f"{variable} {came}; expected {expected}")
        self.variable = variable


class RegistryError(DaskGraphQLError):
    """A task type cannot be registered: the message names the function, what is wrong and what to write instead."""


class StoreUnavailable(DaskGraphQLError):
    """Redis does not answer."""


class BlobError(DaskGraphQLError):
    """A blob cannot be read or written.

    Attributes:
        temporary: whether it is the store's state, which may pass, and not the blob itself.
    """

    def __init__(self, message: str, *, temporary: bool = True) -> None:
        super().__init__(message)
        self.temporary = temporary


class PublicError(DaskGraphQLError):
    """An expected refusal, shown to the client as it is.

    `code` is stable and listed in docs/errors.md. `details` are added to the error's GraphQL extensions.
    """

    code = "REFUSED"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    @property
    def extensions(self) -> dict[str, Any]:
        """What graphql-core puts beside the message."""
        return {"code": self.code, **self.details}


class BadInput(PublicError):
    """The arguments do not fit the task type."""

    code = "BAD_INPUT"


class BadTaskId(PublicError):
    """The text is no task id."""

    code = "BAD_TASK_ID"


class BadCursor(PublicError):
    """The cursor was not made by this api."""

    code = "BAD_CURSOR"


class TaskNotFound(PublicError):
    """No task with this id is known: it was never submitted, or its record has expired."""

    code = "TASK_NOT_FOUND"


class ServiceUnavailable(PublicError):
    """Redis does not answer; the request can be repeated as it is."""

    code = "SERVICE_UNAVAILABLE"


class ResultUnreadable(PublicError):
    """A kept result does not fit the task type any more: its class was changed and its version was not."""

    code = "RESULT_UNREADABLE"


class ResultGone(PublicError):
    """A result is not there any more: its record expired, or the task was submitted again, since it was looked up."""

    code = "RESULT_GONE"


class QueueFull(PublicError):
    """Too many tasks wait already; `retryAfterSeconds` says when to try again."""

    code = "QUEUE_FULL"


class TooManySubscriptions(PublicError):
    """A bound on open subscriptions or ids per subscription is reached."""

    code = "TOO_MANY_SUBSCRIPTIONS"


class Unauthenticated(PublicError):
    """No credential came, or one that is unknown, expired or revoked."""

    code = "UNAUTHENTICATED"


class Forbidden(PublicError):
    """The caller's scopes do not allow this; `scope` is the one that is missing."""

    code = "FORBIDDEN"


class RateLimited(PublicError):
    """The caller submitted too much in the last minute; `retryAfterSeconds` says when to try again."""

    code = "RATE_LIMITED"


class DocumentTooLarge(PublicError):
    """The GraphQL document or its variables pass a limit that is checked before validation."""

    code = "DOCUMENT_TOO_LARGE"


class OperationNotAllowed(PublicError):
    """The operation is not one of those that the operator allows, or its hash is not known."""

    code = "PERSISTED_OPERATION_NOT_FOUND"


class TaskError(DaskGraphQLError):
    """Raised by a task function to fail with a code of its own.

    Args:
        code: stable, upper case, for programs.
        message: for people.
        retry: whether another attempt may help; counted against the task type's retries.
    """

    def __init__(self, code: str, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.retry = retry
