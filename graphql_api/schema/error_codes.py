"""The codes of errors as enums of the schema, so that clients' types have them. docs/errors.md says what each means."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import strawberry


class ErrorCode(StrEnum):
    """The codes of refusals, in the order of the alphabet."""

    ANSWER_TOO_LARGE = "ANSWER_TOO_LARGE"
    BAD_CURSOR = "BAD_CURSOR"
    BAD_INPUT = "BAD_INPUT"
    BAD_REQUEST = "BAD_REQUEST"
    BAD_TASK_ID = "BAD_TASK_ID"
    BLOB_NOT_FOUND = "BLOB_NOT_FOUND"
    BLOB_UNAVAILABLE = "BLOB_UNAVAILABLE"
    DOCUMENT_TOO_LARGE = "DOCUMENT_TOO_LARGE"
    FILE_MISMATCH = "FILE_MISMATCH"
    FILE_NOT_FOUND = "FILE_NOT_FOUND"
    FILE_TOO_LARGE = "FILE_TOO_LARGE"
    FORBIDDEN = "FORBIDDEN"
    FOREIGN_HOST = "FOREIGN_HOST"
    FOREIGN_ORIGIN = "FOREIGN_ORIGIN"
    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    INTERNAL = "INTERNAL"
    PERSISTED_OPERATION_NOT_FOUND = "PERSISTED_OPERATION_NOT_FOUND"
    PERSISTED_QUERY_MISMATCH = "PERSISTED_QUERY_MISMATCH"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    PERSISTED_QUERY_NOT_SUPPORTED = "PERSISTED_QUERY_NOT_SUPPORTED"
    QUEUE_FULL = "QUEUE_FULL"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    RATE_LIMITED = "RATE_LIMITED"
    REFUSED = "REFUSED"
    RESULT_GONE = "RESULT_GONE"
    RESULT_UNREADABLE = "RESULT_UNREADABLE"
    SCHEDULE_NOT_FOUND = "SCHEDULE_NOT_FOUND"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
    STORE_FULL = "STORE_FULL"
    TASK_NOT_FOUND = "TASK_NOT_FOUND"
    TOO_MANY_CONNECTIONS = "TOO_MANY_CONNECTIONS"
    TOO_MANY_SUBSCRIPTIONS = "TOO_MANY_SUBSCRIPTIONS"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    WEBHOOK_NOT_FOUND = "WEBHOOK_NOT_FOUND"


class TaskErrorCode(StrEnum):
    """The codes that the platform gives to tasks without a result, in the order of the alphabet."""

    BAD_INPUT = "BAD_INPUT"
    BAD_OUTPUT = "BAD_OUTPUT"
    BLOB_STORE = "BLOB_STORE"
    CANCELLED = "CANCELLED"
    CHILDREN_PENDING = "CHILDREN_PENDING"
    CHILD_FAILED = "CHILD_FAILED"
    EXPIRED_BEFORE_START = "EXPIRED_BEFORE_START"
    FILE_NOT_FOUND = "FILE_NOT_FOUND"
    NOT_INSTALLED = "NOT_INSTALLED"
    NOT_RUN = "NOT_RUN"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    RESULT_TOO_LARGE = "RESULT_TOO_LARGE"
    STREAM_LOST = "STREAM_LOST"
    STREAM_TOO_LARGE = "STREAM_TOO_LARGE"
    TASK_CYCLE = "TASK_CYCLE"
    TASK_FAILED = "TASK_FAILED"
    TASK_TOO_DEEP = "TASK_TOO_DEEP"
    TIMEOUT = "TIMEOUT"
    TOO_MANY_CHILDREN = "TOO_MANY_CHILDREN"
    WORKER_LOST = "WORKER_LOST"


strawberry.enum(
    ErrorCode,
    name="ErrorCode",
    description="The codes of refused requests, in `errors[].extensions.code`. Releases may add some.",
)
strawberry.enum(
    TaskErrorCode,
    name="TaskErrorCode",
    description="The codes of the platform in `TaskError.code`, beside which a task function has codes of its own. "
    "Releases may add some.",
)

DETAILS: Final = {
    "argument": "string", "fileId": "string", "id": "string", "index": "number", "limit": "number",
    "retryAfterSeconds": "number", "scope": "string",
}  # fmt: skip
"""What `extensions` of a refusal may have beside its code, with the type in TypeScript."""


def platform_code(code: str) -> TaskErrorCode | None:
    """The code of a task's error, if it is one of the platform's."""
    return TaskErrorCode.__members__.get(code)
