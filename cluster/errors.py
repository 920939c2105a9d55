"""The error tree of the package.

A `PublicError` is caused by a client: its code and message reach the client. Any other error is ours: a client sees
only an internal error with an id that is also in the log.
"""

from __future__ import annotations

from typing import Any


class DaskGraphQLError(Exception):
    """Root of all errors that this product raises."""


class SettingError(DaskGraphQLError):
    """A setting has a wrong value, so the node must not start.

    Args:
        variable: name of the environment variable.
        value: the wrong value, or None if a required variable is missing. Never the value of a secret.
        expected: what was expected, in words.
    """

    def __init__(self, variable: str, value: str | None, expected: str) -> None:
        found = "is not set" if value is None else f"is {value!r}"
        super().__init__(f"{variable} {found}; expected {expected}")
        self.variable = variable


class RegistryError(DaskGraphQLError):
    """A task type cannot be registered. The message names the function, what is wrong and what to write instead."""


class StoreUnavailable(DaskGraphQLError):
    """Redis does not answer, or refuses to serve for now."""


class BlobError(DaskGraphQLError):
    """A blob cannot be read or written.

    Attributes:
        temporary: whether the store is at fault, so that another try may succeed, and not the blob itself.
    """

    def __init__(self, message: str, *, temporary: bool = True) -> None:
        super().__init__(message)
        self.temporary = temporary


class PublicError(DaskGraphQLError):
    """An expected refusal, shown to the client unchanged.

    `code` is stable and listed in docs/errors.md. `details` are added to the error's GraphQL extensions. `audited`:
    whether the refusal is counted and written to the audit log, because it concerns who may do what, and how much.
    """

    code = "REFUSED"
    audited = False

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    @property
    def extensions(self) -> dict[str, Any]:
        """The `extensions` of the GraphQL error."""
        return {"code": self.code, **self.details}


class BadInput(PublicError):
    """The arguments do not match the task type."""

    code = "BAD_INPUT"


class BadTaskId(PublicError):
    """The text is not a task id."""

    code = "BAD_TASK_ID"


class BadCursor(PublicError):
    """The cursor does not come from this api."""

    code = "BAD_CURSOR"


class TaskNotFound(PublicError):
    """There is no task with this id: it was never submitted, or its record has expired."""

    code = "TASK_NOT_FOUND"


class ServiceUnavailable(PublicError):
    """Redis does not answer; the request can be repeated unchanged."""

    code = "SERVICE_UNAVAILABLE"


class ResultUnreadable(PublicError):
    """A stored result does not match its task type any more: the class was changed, but not the version."""

    code = "RESULT_UNREADABLE"


class ResultGone(PublicError):
    """A result no longer exists: since it was looked up, its record expired or the task was submitted again."""

    code = "RESULT_GONE"


class QueueFull(PublicError):
    """Too many tasks are waiting; `retryAfterSeconds` says when to try again."""

    code = "QUEUE_FULL"
    audited = True


class StoreFull(PublicError):
    """Redis is nearly full: nothing new is accepted until records have expired, or it has been given more memory."""

    code = "STORE_FULL"
    audited = True


class QuotaExceeded(PublicError):
    """The account keeps as many bytes of records and blobs as it may."""

    code = "QUOTA_EXCEEDED"
    audited = True


class FileNotFound(PublicError):
    """There is no file with this id, or none that the caller may use: it is uploaded (again) first."""

    code = "FILE_NOT_FOUND"


class WebhookNotFound(PublicError):
    """The caller's tenant has no webhook, or no delivery, with this id."""

    code = "WEBHOOK_NOT_FOUND"


class ScheduleNotFound(PublicError):
    """The caller's tenant has no schedule with this name."""

    code = "SCHEDULE_NOT_FOUND"


class FileTooLarge(PublicError):
    """A file is longer than FILE_LIMIT_BYTES."""

    code = "FILE_TOO_LARGE"


class FileMismatch(PublicError):
    """The bytes of an upload do not have the length or the hash that was announced."""

    code = "FILE_MISMATCH"


class TooManySubscriptions(PublicError):
    """The limit of open subscriptions, or of ids in one subscription, is reached."""

    code = "TOO_MANY_SUBSCRIPTIONS"
    audited = True


class TooManyConnections(PublicError):
    """The address holds too many connections, or too much of requests that are not complete."""

    code = "TOO_MANY_CONNECTIONS"
    audited = True


class ForeignHost(PublicError):
    """The request is for a name that this api is not served under."""

    code = "FOREIGN_HOST"
    audited = True


class ForeignOrigin(PublicError):
    """The request comes from a page of an origin that may not use this api."""

    code = "FOREIGN_ORIGIN"
    audited = True


class Unauthenticated(PublicError):
    """The credential is missing, unknown, expired or revoked."""

    code = "UNAUTHENTICATED"
    audited = True


class Forbidden(PublicError):
    """The caller's scopes do not allow this; `scope` is the missing one."""

    code = "FORBIDDEN"
    audited = True


class RateLimited(PublicError):
    """The caller, or its tenant, requested too much in the last minute; `retryAfterSeconds` says when to try again."""

    code = "RATE_LIMITED"
    audited = True


class DocumentTooLarge(PublicError):
    """The GraphQL document or its variables exceed a limit that is checked before validation."""

    code = "DOCUMENT_TOO_LARGE"


class AnswerTooLarge(PublicError):
    """An answer, or an item of a subscription, would exceed ANSWER_BYTES. A mutation was carried out all the same."""

    code = "ANSWER_TOO_LARGE"


class OperationNotAllowed(PublicError):
    """The operation is not among those that the operator allows, or its `documentId` is unknown."""

    code = "PERSISTED_OPERATION_NOT_FOUND"


class PersistedQueryNotFound(OperationNotAllowed):
    """No document is registered under the hash on this node: the client sends it with its hash."""

    code = "PERSISTED_QUERY_NOT_FOUND"


class PersistedQueryNotSupported(OperationNotAllowed):
    """Documents cannot be registered on this node: the client sends them without a hash."""

    code = "PERSISTED_QUERY_NOT_SUPPORTED"


class PersistedQueryMismatch(OperationNotAllowed):
    """The hash that came with a document is not the document's."""

    code = "PERSISTED_QUERY_MISMATCH"


class StreamLost(DaskGraphQLError):
    """Redis has lost items that a running attempt had sent; its stream must begin anew."""


class TaskError(DaskGraphQLError):
    """Raise it in a task function to fail with a code of your own.

    Args:
        code: stable, upper case, for programs.
        message: for humans.
        retry: whether another attempt may succeed; counts against the task type's retries.
        task_id: of the child that is the reason, if one is; empty otherwise.
    """

    def __init__(self, code: str, message: str, *, retry: bool = False, task_id: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.retry = retry
        self.task_id = task_id
