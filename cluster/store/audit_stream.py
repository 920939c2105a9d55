"""The audit log in Redis: one stream of bounded length, which api nodes and the command append to and admins read.

An entry is one JSON object in the field `entry`. Its time is that of its id, by Redis's clock.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

from cluster.store.async_store import Store

ENTRY_ID: Final = re.compile(r"[0-9]{1,16}-[0-9]{1,16}")
"""The id of an entry: milliseconds since 1970 and a number."""
READ_PAGE: Final = 250
"""Entries per read of the stream."""
SCANNED_ENTRIES: Final = 2_000
"""Maximum number of entries that one query looks at. With a filter a page may therefore have fewer entries than asked
for, and still be followed by others."""


class AuditAction(StrEnum):
    """What was done."""

    SUBMIT = "SUBMIT"
    JOIN = "JOIN"
    RECOMPUTE = "RECOMPUTE"
    CANCEL = "CANCEL"
    WITHDRAW = "WITHDRAW"
    FORGET = "FORGET"
    PRIORITY_SET = "PRIORITY_SET"
    UPLOAD = "UPLOAD"
    KEY_CREATED = "KEY_CREATED"
    KEY_REVOKED = "KEY_REVOKED"
    TOKEN_CREATED = "TOKEN_CREATED"  # noqa: S105 - a name
    TOKEN_REVOKED = "TOKEN_REVOKED"  # noqa: S105 - a name
    TOKENS_REVOKED = "TOKENS_REVOKED"
    TENANT_SET = "TENANT_SET"
    TENANT_REMOVED = "TENANT_REMOVED"
    TYPE_PAUSED = "TYPE_PAUSED"
    TYPE_RESUMED = "TYPE_RESUMED"
    WORKER_DRAINED = "WORKER_DRAINED"
    WEBHOOK_CREATED = "WEBHOOK_CREATED"
    WEBHOOK_ENABLED = "WEBHOOK_ENABLED"
    WEBHOOK_DELETED = "WEBHOOK_DELETED"
    WEBHOOK_SECRET_ROTATED = "WEBHOOK_SECRET_ROTATED"  # noqa: S105 - an action
    WEBHOOK_REDELIVERED = "WEBHOOK_REDELIVERED"
    SCHEDULE_SET = "SCHEDULE_SET"
    SCHEDULE_DELETED = "SCHEDULE_DELETED"
    SCHEDULE_PAUSED = "SCHEDULE_PAUSED"
    SCHEDULE_RESUMED = "SCHEDULE_RESUMED"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the audit log: the same thing, done `count` times within a second.

    Attributes:
        caller: the name of the API key, the subject of the JWT, or the address; of the command, the user that ran it.
        caller_id: `key:<id>`, `jwt:<subject>`, `address:<ip>` or `command:<user>@<host>`.
        tenant: the caller's tenant; empty if unknown. Of the command, the tenant that it changed.
        address: from where; empty for the command.
        task: the task type, if it concerns tasks.
        task_ids: the first tasks that it concerns.
        code: the outcome of a submission, the code of a refusal, id and name of an API key, or a tenant's new policy.
        count: how often it was done.
    """

    action: AuditAction
    caller: str = ""
    caller_id: str = ""
    tenant: str = ""
    address: str = ""
    task: str = ""
    task_ids: tuple[str, ...] = ()
    code: str = ""
    count: int = 1

    def fields(self) -> dict[str, Any]:
        """As JSON and in log lines; without what is empty."""
        named = {
            "action": self.action.value, "caller": self.caller, "callerId": self.caller_id, "tenant": self.tenant,
            "address": self.address, "task": self.task, "taskIds": list(self.task_ids), "code": self.code,
            "count": self.count,
        }  # fmt: skip
        return {name: value for name, value in named.items() if value}

    @classmethod
    def load(cls, text: bytes) -> AuditEntry:
        raw = orjson.loads(text)
        return cls(
            AuditAction(raw["action"]), raw.get("caller", ""), raw.get("callerId", ""), raw.get("tenant", ""),
            raw.get("address", ""), raw.get("task", ""), tuple(raw.get("taskIds", ())), raw.get("code", ""),
            raw.get("count", 1),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries, newest first, each with its id; and the id to read on before, or None at the end of the log."""

    entries: tuple[tuple[str, AuditEntry], ...]
    next_before: str | None


async def append_audit(store: Store, entries: Sequence[AuditEntry], limit: int) -> None:
    """Appends entries to the stream, which keeps about the newest `limit`; with 0 it does nothing.

    Raises:
        StoreUnavailable: Redis does not answer; some entries may have been appended nevertheless.
    """
    if limit:
        key = store.calls.audit_key
        await store.commands(
            [("XADD", key, "MAXLEN", "~", limit, "*", "entry", orjson.dumps(entry.fields())) for entry in entries]
        )


async def read_audit(store: Store, first: int, before: str | None, matches: Callable[[AuditEntry], bool]) -> AuditPage:
    """Reads the newest entries that match.

    Args:
        first: maximum number of entries.
        before: only entries older than the one with this id.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    found: list[tuple[str, AuditEntry]] = []
    scanned = 0
    while True:
        highest = f"({before}" if before else "+"
        [rows] = await store.commands([("XREVRANGE", store.calls.audit_key, highest, "-", "COUNT", READ_PAGE)])
        for entry_id, pairs in rows:
            scanned += 1
            if (entry := _parsed(pairs)) and matches(entry):
                if len(found) == first:
                    return AuditPage(tuple(found), before)
                found.append((entry_id.decode(), entry))
            before = entry_id.decode()
        if len(rows) < READ_PAGE:
            return AuditPage(tuple(found), None)
        if scanned >= SCANNED_ENTRIES:
            return AuditPage(tuple(found), before)


def _parsed(pairs: Sequence[bytes]) -> AuditEntry | None:
    """The entry in the fields of a row; None if another release wrote it in a form that this one does not know."""
    try:
        return AuditEntry.load(pairs[1])
    except (ValueError, KeyError, IndexError):
        return None
