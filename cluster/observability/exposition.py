"""The metrics of one node, in the text format of Prometheus; of all its processes, if it has several."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cluster.observability import metrics
from cluster.observability.metric_declaration import DECLARED
from cluster.observability.multiprocess import FOLDER_VARIABLE, counted_as
from cluster.observability.process_family import ProcessFamilyCollector, parent_of_family
from cluster.version import __version__


class Exposition:
    """What one node exposes.

    Args:
        role: selects the metrics that nodes of this role count.
    """

    def __init__(self, role: str) -> None:
        metrics.INFO.labels(role, __version__).set(1)
        self._registry = CollectorRegistry()
        declared = [item for item in DECLARED if role in item.roles]
        if FOLDER_VARIABLE in os.environ:
            self._registry.register(_AllProcesses(os.environ[FOLDER_VARIABLE], (item.family for item in declared)))
        else:
            for item in declared:
                self._registry.register(item.metric)
        parent = parent_of_family(counted_as())
        if parent is None:
            ProcessCollector(registry=self._registry)
        else:
            self._registry.register(ProcessFamilyCollector(parent))

    def families(self) -> Iterable[Metric]:
        """The metrics as prometheus_client has them, with the process's own."""
        return self._registry.collect()

    def text(self) -> bytes:
        """Returns the Prometheus text format, version 0.0.4."""
        return generate_latest(self._registry)


class _AllProcesses(Collector):
    """Collects what all processes counted, for the given metrics."""

    def __init__(self, folder: str, families: Iterable[str]) -> None:
        from prometheus_client.multiprocess import MultiProcessCollector

        self._all = MultiProcessCollector(None, folder)  # type: ignore[no-untyped-call]
        self._families = frozenset(families)

    def collect(self) -> Iterable[Metric]:
        families: Iterable[Metric] = self._all.collect()  # type: ignore[no-untyped-call]
        return (family for family in families if family.name in self._families)


def forget_gauges(process: str, folder: Path) -> None:
    """Removes the `live` gauges of a process that has ended from those of all processes.

    Args:
        process: the name that it counted under.
    """
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(process, str(folder))  # type: ignore[no-untyped-call]
