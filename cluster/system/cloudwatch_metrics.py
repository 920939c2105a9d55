"""The metrics of a node in CloudWatch, without an agent beside it: once a minute, one line of the node's log has the
embedded metric format, and CloudWatch Logs makes metrics of it (Amazon CloudWatch User Guide, "Specification: Embedded
metric format").

Custom metrics are paid for by their number, so CHOSEN is a part of all, and most labels are left out. The one dimension
is the node's role: a thousand workers cost as much as one. A counter is published as what was added in the minute, to
be read as a sum; a histogram as at most 100 of its quantiles, from which CloudWatch's own percentiles are made.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, TypeAlias

from prometheus_client.metrics_core import Metric

from cluster.observability.exposition import Exposition
from cluster.settings import Settings
from cluster.system.background import BackgroundLoop

logger = logging.getLogger(__name__)

INTERVAL_SECONDS: Final = 60.0
"""CloudWatch keeps one value a minute of a custom metric."""
MAX_VALUES: Final = 100
"""Most values of one metric in a line, by the specification."""
PREFIX: Final = "dask_graphql_"

CHOSEN: Final[Mapping[str, str]] = {
    "http_requests": "",
    "http_request_seconds": "",
    "operations": "",
    "errors": "",
    "refusals": "",
    "sockets_open": "",
    "submissions": "",
    "tasks": "state",
    "queue_oldest_seconds": "",
    "attempts": "outcome",
    "attempts_lost": "",
    "attempts_overdue": "",
    "attempts_moved_to_larger_pool": "",
    "wait_seconds": "",
    "run_seconds": "",
    "blob_failures": "",
    "recoverer_active": "",
    "subscriptions_open": "",
    "deliveries": "",
    "delivery_seconds": "",
    "redis_seconds": "",
    "redis_failures": "",
    "background_failures": "",
    "scheduler_connected": "",
    "scheduler_workers": "",
    "scheduler_tasks": "state",
    "fleet_workers": "state",
    "fleet_problem": "",
    "fleet_cost_usd_per_hour": "",
    "fleet_unaffordable_workers": "",
    "controller_workers": "action",
}
"""Family, without PREFIX -> the label whose values are metrics of their own, as `tasks_QUEUED`; empty: the sum over all
labels. A node publishes those that its role has."""

Published: TypeAlias = dict[str, float | list[float]]
"""Name in CloudWatch -> its value, or values, of the last minute."""


class LastMinute:
    """Turns what a node has counted since its start into what it has counted since the last call."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, ...], float] = {}

    def take(self, families: Iterable[Metric]) -> Published:
        """The chosen metrics among these. Left out is a histogram without new observations, and what is not known now,
        as the number of tasks while Redis is unavailable: one value that is no number would void the whole line."""
        published: Published = {}
        for family in families:
            name = family.name.removeprefix(PREFIX)
            if name not in CHOSEN:
                continue
            if family.type == "histogram":
                if values := quantiles(self._buckets(name, family), MAX_VALUES):
                    published[name] = values
            else:
                for key, value in _sums(family, name).items():
                    if not math.isfinite(value):
                        continue
                    published[key] = self._added((key,), value) if family.type == "counter" else value
        return published

    def _buckets(self, name: str, family: Metric) -> dict[float, float]:
        """Upper bound -> how many of the new observations are in that bucket."""
        total: dict[float, float] = {}
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                bound = float(sample.labels["le"])
                total[bound] = total.get(bound, 0.0) + sample.value
        new = {bound: self._added((name, str(bound)), value) for bound, value in sorted(total.items())}
        below = [0.0, *new.values()]
        return {bound: high - low for bound, (low, high) in zip(new, pairwise(below), strict=True)}

    def _added(self, key: tuple[str, ...], value: float) -> float:
        before = self._before.get(key, 0.0)
        self._before[key] = value
        return value - before if value >= before else value


def _sums(family: Metric, name: str) -> dict[str, float]:
    """The sum of a counter's or a gauge's samples, or one for each value of the label that CHOSEN names."""
    label, sums = CHOSEN[name], dict[str, float]()
    for sample in family.samples:
        key = f"{name}_{sample.labels[label]}" if label else name
        sums[key] = sums.get(key, 0.0) + sample.value
    return sums


def quantiles(buckets: Mapping[float, float], most: int) -> list[float]:
    """At most `most` values that are spread as the observations are; as many as there are, if those are fewer.

    Args:
        buckets: upper bound, in ascending order -> number of observations. Within a bucket they are taken to be spread
            evenly, and beyond the last finite bound to be at it.
    """
    total = sum(buckets.values())
    number = min(most, math.ceil(total))
    ranks = [(i + 0.5) * total / number for i in range(number)]
    values, begin, low = list[float](), 0.0, 0.0
    for bound, count in buckets.items():
        high = bound if math.isfinite(bound) else low
        while ranks and count and ranks[0] <= begin + count:
            value = low + (high - low) * (ranks.pop(0) - begin) / count
            values.append(float(f"{value:.5g}"))  # the line is paid for by its bytes
        begin, low = begin + count, high
    return values


def embedded(published: Mapping[str, float | Sequence[float]], namespace: str, now: float) -> dict[str, Any]:
    """The fields of a log line that make these CloudWatch metrics, if the line has the field `role`.

    Args:
        now: seconds since 1970.
    """
    listed = [{"Name": name, "Unit": _unit(name)} for name in published]
    directive = {"Namespace": namespace, "Dimensions": [["role"]], "Metrics": listed}
    return {"_aws": {"Timestamp": int(now * 1000), "CloudWatchMetrics": [directive]}, **published}


def _unit(name: str) -> str:
    if name.endswith("_seconds"):
        return "Seconds"
    return "None" if "usd" in name else "Count"


@contextlib.asynccontextmanager
async def publish_metrics(
    settings: Settings,
    role: str,
    *,
    measure: Callable[[], Awaitable[None]] | None = None,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[None]:
    """Writes the metrics of a node into its log once a minute while the block runs; does nothing without
    CLOUDWATCH_NAMESPACE. What was counted since is written at the end.

    Args:
        measure: sets the gauges that are measured when they are read.
        clock: seconds since 1970.
    """
    if not settings.cloudwatch_namespace:
        yield
        return
    # The line is one of the log's, whatever level the others need.
    logger.setLevel(logging.INFO)
    exposition, last_minute = Exposition(role), LastMinute()

    def publish() -> None:
        published = last_minute.take(exposition.families())
        fields = embedded(published, settings.cloudwatch_namespace, clock())
        logger.info("metrics of the last minute", extra={"fields": fields})

    async def rounds() -> None:
        await asyncio.sleep(INTERVAL_SECONDS)
        if measure:
            await measure()
        publish()

    loop = BackgroundLoop("CloudWatch metrics", rounds)
    loop.start()
    try:
        yield
    finally:
        await loop.close()
        publish()
