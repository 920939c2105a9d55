"""What a task token is confined to: some tasks, or one download."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cluster.store.record import Record

DOWNLOADS: Final = ("/blobs/", "/tables/", "/arrays/", "/files/")
"""The paths of downloads, which `Confinement.path` names."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """Which tasks, or which download, a token is for. A task needs to match one of `task_ids`, `tag` and `names`.

    Attributes:
        task_ids: these tasks.
        tag: tasks whose current or last run has this tag; empty for none.
        names: task types that may be submitted. Their tasks may be seen by id too, as whoever may submit an input is
            given its task, but they are neither listed nor cancelled.
        path: the one path of this api that may be downloaded; empty for a token of tasks.
    """

    task_ids: frozenset[str] = frozenset()
    tag: str = ""
    names: frozenset[str] = frozenset()
    path: str = ""

    def owns(self, record: Record) -> bool:
        """Whether the task is one of those that were named, by id or by tag."""
        return record.task_id in self.task_ids or (bool(self.tag) and self.tag in record.tags)

    def covers(self, record: Record) -> bool:
        """Whether the task may be seen by its id."""
        return self.owns(record) or record.name in self.names or self.path.split("/")[2:3] == [record.task_id]

    def allows(self, method: str, path: str) -> bool:
        """Whether an HTTP request may be made with it at all: a download's token is for nothing else."""
        return not self.path or (path == self.path and method in ("GET", "HEAD"))
