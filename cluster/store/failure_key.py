"""Which failures are one and the same: the key of a failed task's group."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

import orjson

from cluster.store.record import Record, TaskState

MAX_MESSAGE: Final = 500
"""Characters of a message that count."""
NUMBERS: Final = re.compile(r"0x[0-9a-fA-F]+|\b[0-9a-f]{12,}\b|\d+")
"""What differs between messages of one failure: numbers, addresses, ids."""
KEY: Final = re.compile(r"[0-9a-f]{16}")
"""The form of a key."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What is told of a failed task's error.

    Attributes:
        name: the task type.
        code: that of its error.
        error_type: the class of the exception; None if there was none.
        message: its first line, of at most MAX_MESSAGE characters.
    """

    name: str
    code: str
    error_type: str | None
    message: str

    @property
    def key(self) -> str:
        """The same for all failures that differ in nothing but the numbers in their messages: 16 hex digits."""
        parts = [self.name, self.code, self.error_type, NUMBERS.sub("#", self.message)]
        return hashlib.blake2b(orjson.dumps(parts), digest_size=8).hexdigest()


def failure_of(record: Record) -> Failure | None:
    """The failure of a task; None if it has not failed."""
    if record.state is not TaskState.FAILED:
        return None
    error = record.error_fields() or {}
    message = next(iter(str(error.get("message", "")).splitlines()), "")[:MAX_MESSAGE]
    return Failure(record.name, str(error.get("code", "")), error.get("type"), message)
