"""How a metric is declared: with the roles that count it, its labels and a meaning for docs/operations.md."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase

from cluster.observability.multiprocess import FOLDER_VARIABLE, counted_as
from cluster.observability.prometheus_internals import count_in_files_of

if FOLDER_VARIABLE in os.environ:
    # Files are named by role, not by process id, so that a restarted process continues the counts.
    count_in_files_of(counted_as())

# A creation time beside every counter would double what is stored, and we do not use it.
disable_created_metrics()  # type: ignore[no-untyped-call]

ROLES: Final = ("api", "scheduler", "worker", "controller")
ROUND_TRIPS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
RUNS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200)

Labels = Mapping[str, Sequence[str]]
"""The labels of a metric, each with its values if they are known; known ones are exposed from the start, as 0."""


@dataclass(frozen=True)
class MetricDeclaration:
    """One metric, as docs/operations.md lists it."""

    metric: MetricWrapperBase
    name: str
    kind: str
    labels: tuple[str, ...]
    roles: tuple[str, ...]
    meaning: str

    @property
    def family(self) -> str:
        """Its name without the suffix of its samples."""
        return self.name.removesuffix("_total") if self.kind == "counter" else self.name


Across: TypeAlias = Literal["max", "livemax", "livesum", "livemostrecent"]
"""How the values of a gauge in several processes of one node become one; `live`: of those that run."""

DECLARED: Final[list[MetricDeclaration]] = []
"""All metrics, in the order of their declaration."""


def counter(name: str, meaning: str, *roles: str, **labels: Sequence[str]) -> Counter:
    metric = Counter(name, meaning, labels, "dask_graphql", registry=None)
    _declare(metric, f"{name}_total", "counter", meaning, roles, labels)
    return metric


def gauge(name: str, meaning: str, *roles: str, across: Across = "max", **labels: Sequence[str]) -> Gauge:
    metric = Gauge(name, meaning, labels, "dask_graphql", registry=None, multiprocess_mode=across)
    _declare(metric, name, "gauge", meaning, roles, labels)
    return metric


def histogram(
    name: str, meaning: str, *roles: str, buckets: Sequence[float] = ROUND_TRIPS, **labels: Sequence[str]
) -> Histogram:
    metric = Histogram(name, meaning, labels, "dask_graphql", registry=None, buckets=buckets)
    _declare(metric, name, "histogram", meaning, roles, labels)
    return metric


def _declare(metric: Any, name: str, kind: str, meaning: str, roles: tuple[str, ...], labels: Labels) -> None:
    if labels and all(labels.values()):
        for chosen in itertools.product(*labels.values()):
            metric.labels(*chosen)
    DECLARED.append(MetricDeclaration(metric, f"dask_graphql_{name}", kind, tuple(labels), roles, meaning))
