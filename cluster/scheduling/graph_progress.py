"""The progress of attempts that run a graph: the share of its Dask tasks that are done."""

from __future__ import annotations

from typing import Any, Final

from cluster.scheduling.attempt_keys import AttemptId
from cluster.store.async_store import Store
from cluster.system.background import BackgroundLoop

PUBLISH_SECONDS: Final = 0.2
"""Interval at which progress is written to the records."""


class _Graph:
    """The graph of one attempt, or several that it runs one after the other.

    Attributes:
        published: the fraction that was last written.
    """

    __slots__ = ("done", "keys", "published")

    def __init__(self) -> None:
        self.keys: set[Any] = set()
        self.done: set[Any] = set()
        self.published = 0.0

    @property
    def fraction(self) -> float:
        """The share of keys that are done. Never less than was published, even if a second graph adds keys."""
        return max(self.published, len(self.done) / max(1, len(self.keys)))


class GraphProgress:
    """The graphs that a scheduler runs. `tag` is the annotation of a graph's keys: `<task id>:<attempt>`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._graphs: dict[str, _Graph] = {}
        self.loop = BackgroundLoop("graph progress", self.publish, pause_seconds=PUBLISH_SECONDS)

    def __len__(self) -> int:
        return len(self._graphs)

    def add(self, tag: str, key: Any) -> None:
        """Adds a key to a graph."""
        self._graphs.setdefault(tag, _Graph()).keys.add(key)

    def complete(self, tag: str | None, key: Any) -> None:
        """A key is done. Ignores unknown graphs."""
        if tag in self._graphs:
            self._graphs[tag].done.add(key)

    def remove(self, attempt: AttemptId) -> None:
        """The attempt has ended."""
        self._graphs.pop(f"{attempt[0]}:{attempt[1]}", None)

    async def publish(self) -> None:
        """One round: writes the progress of every graph that has changed.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        for tag, graph in list(self._graphs.items()):
            fraction = graph.fraction
            if fraction == graph.published:
                continue
            task_id, attempt = parse_tag(tag)
            await self._store.run(self._store.calls.progress(task_id, attempt, fraction))
            graph.published = fraction


def parse_tag(tag: str) -> AttemptId:
    """The attempt that an annotation of GRAPH_ANNOTATION names."""
    task_id, attempt = tag.rsplit(":", 1)
    return task_id, int(attempt)
