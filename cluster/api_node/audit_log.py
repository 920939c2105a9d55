"""The audit log of an api node: who did what, from where.

Requests only add to a table in memory, which has one row for each caller, action, task type and code. Once a second a
background loop turns the rows into entries, logs each as a line of the logger `audit`, and appends them to the stream
in Redis. So a flood of one caller is one entry, and a request never waits for the log nor fails by it. What does not
fit is dropped and counted.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from cluster.errors import PublicError, StoreUnavailable
from cluster.observability import metrics
from cluster.store.actor import Actor
from cluster.store.async_store import Store
from cluster.store.audit_stream import AuditAction, AuditEntry, append_audit
from cluster.system.background import BackgroundLoop

logger = logging.getLogger("audit")

WRITE_SECONDS: Final = 1.0
"""Interval at which rows become entries."""
MAX_ROWS: Final = 500
"""Maximum number of rows between two writes: different callers, actions, task types and codes."""
MAX_TASK_IDS: Final = 20_000
"""Maximum number of task ids in all rows between two writes. Further tasks are counted without their ids."""
IDS_PER_ENTRY: Final = 100
"""Maximum number of task ids in one entry; a row with more becomes several entries."""
MAX_UNWRITTEN: Final = 5_000
"""Maximum number of entries that wait while Redis is unavailable; beyond it the oldest are dropped."""
ENTRIES_PER_WRITE: Final = 250
"""Entries in one round trip."""

Row = tuple[AuditAction, Actor, str, str]
"""Action, caller, task type, code."""


class AuditLog:
    """Collects what callers do, and writes it in the background.

    Args:
        limit: how many entries Redis keeps; 0 turns the log off.
    """

    def __init__(self, store: Store, limit: int) -> None:
        self._store = store
        self._limit = limit
        self._counts: dict[Row, int] = {}
        self._task_ids: dict[Row, list[str]] = {}
        self._ids = 0
        self._unwritten: list[AuditEntry] = []
        self.loop = BackgroundLoop("audit log", self.write, pause_seconds=WRITE_SECONDS)

    def start(self) -> None:
        self.loop.start()

    async def close(self) -> None:
        """Stops, and writes what is left if Redis answers."""
        await self.loop.close()
        try:
            await self.write()
        except StoreUnavailable as error:
            self._drop(len(self._unwritten))
            logging.getLogger(__name__).warning("%d audit entries are lost: %s", len(self._unwritten), error)

    def add(
        self, action: AuditAction, actor: Actor, *, task: str = "", task_ids: Sequence[str] = (), code: str = ""
    ) -> None:
        """Records that `actor` did something, once, or once for each of `task_ids`. Never blocks and never raises."""
        if not self._limit:
            return
        row, count = (action, actor, task, code), len(task_ids) or 1
        known = self._counts.get(row)
        if known is None and len(self._counts) >= MAX_ROWS:
            self._drop(count)
            return
        self._counts[row] = (known or 0) + count
        if task_ids:
            kept = task_ids[: MAX_TASK_IDS - self._ids]
            self._task_ids.setdefault(row, []).extend(kept)
            self._ids += len(kept)

    def refused(self, actor: Actor, error: PublicError) -> None:
        """Records and counts a refusal, if it is one of those that an operator must see. Never raises."""
        if error.audited:
            metrics.labelled(metrics.REFUSALS, error.code).inc()
            self.add(AuditAction.REFUSED, actor, code=error.code)

    async def write(self) -> None:
        """One round: logs the new entries, and appends them to the stream.

        Raises:
            StoreUnavailable: Redis does not answer; the entries are appended in the next round.
        """
        entries = self._take_entries()
        for entry in entries:
            logger.info("%s by %s", entry.action.value, entry.caller or "nobody", extra={"fields": entry.fields()})
        self._unwritten += entries
        if (excess := len(self._unwritten) - MAX_UNWRITTEN) > 0:
            self._drop(excess)
            del self._unwritten[:excess]
        while self._unwritten:
            batch = self._unwritten[:ENTRIES_PER_WRITE]
            await append_audit(self._store, batch, self._limit)
            del self._unwritten[: len(batch)]

    def _take_entries(self) -> list[AuditEntry]:
        counts, task_ids = self._counts, self._task_ids
        self._counts, self._task_ids, self._ids = {}, {}, 0
        entries = []
        for row, count in counts.items():
            ids, rest = task_ids.get(row, []), count
            for start in range(0, max(1, len(ids)), IDS_PER_ENTRY):
                page = tuple(ids[start : start + IDS_PER_ENTRY])
                last = start + IDS_PER_ENTRY >= len(ids)
                # The last entry also counts the tasks whose ids were not kept.
                entries.append(_entry(row, page, rest if last else len(page)))
                rest -= len(page)
        return entries

    def _drop(self, count: int) -> None:
        metrics.AUDIT_DROPPED.inc(count)


def _entry(row: Row, task_ids: tuple[str, ...], count: int) -> AuditEntry:
    action, actor, task, code = row
    return AuditEntry(
        action, actor.title or actor.name, actor.name, actor.account, actor.address, task, task_ids, code, count
    )
