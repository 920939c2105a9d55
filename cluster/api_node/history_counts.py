"""What happened in a span of time: how tasks of each type ended, and the state of the cluster. Kept packed in Redis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import msgpack

from cluster.observability.log_histogram import total_seconds
from cluster.store.end_counts import EndCount
from cluster.store.record import TaskState

MAX_PACKED_BYTES: Final = 32_768
"""A packed span. Beyond it, the types and tenants with the fewest tasks are counted together, without their names."""
MAX_CODES: Final = 20
"""Error codes of a task type that are counted one by one; the rest is OTHER_CODE."""
OTHER_CODE: Final = "OTHER"
"""Errors whose code is not counted by itself."""

SeriesKey: TypeAlias = tuple[str, str]
"""Tenant (empty if tenants share tasks) and task type; both empty for those that are counted together."""
REST: Final[SeriesKey] = ("", "")


@dataclass(slots=True)
class EndedTasks:
    """How tasks ended.

    Attributes:
        wait: of those that started, how long they had waited, as buckets (log_histogram.py).
        run: of those that succeeded or failed, how long they ran.
        busy_seconds: how long all of them ran, also those that were cancelled.
        errors: number of failures by code.
    """

    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    wait: Counter[int] = field(default_factory=Counter)
    run: Counter[int] = field(default_factory=Counter)
    busy_seconds: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        """All that ended."""
        return self.succeeded + self.failed + self.cancelled

    def add(self, other: EndedTasks) -> None:
        """Adds what ended elsewhere, or in another span."""
        self.succeeded += other.succeeded
        self.failed += other.failed
        self.cancelled += other.cancelled
        self.wait.update(other.wait)
        self.run.update(other.run)
        self.busy_seconds += other.busy_seconds
        self.errors.update(other.errors)

    def add_count(self, ended: EndCount) -> None:
        """Adds what a shard has counted."""
        if ended.state is TaskState.SUCCEEDED:
            self.succeeded += ended.tasks
        elif ended.state is TaskState.FAILED:
            self.failed += ended.tasks
            self.errors[ended.code or OTHER_CODE] += ended.tasks
        else:
            self.cancelled += ended.tasks
        if ended.wait is not None:
            self.wait[ended.wait] += ended.tasks
        if ended.run is not None:
            self.busy_seconds += total_seconds({ended.run: ended.tasks})
            if ended.state is not TaskState.CANCELLED:
                self.run[ended.run] += ended.tasks

    def trim_codes(self) -> None:
        """Counts the rarest error codes together."""
        rest = self.errors.most_common()[MAX_CODES:]
        for code, count in rest:
            del self.errors[code]
            self.errors[OTHER_CODE] += count


@dataclass(frozen=True, slots=True)
class Gauges:
    """The state of the cluster at one moment, or on average; None where it was unknown.

    Attributes:
        waiting, running: tasks of all tenants.
        workers: registered with the scheduler.
        wanted: by the controller.
        cost_per_hour: of the workers, in US dollars.
    """

    waiting: float | None = None
    running: float | None = None
    workers: float | None = None
    wanted: float | None = None
    cost_per_hour: float | None = None


UNSAMPLED: Final = Gauges()


def mean_gauges(samples: Iterable[Gauges]) -> Gauges:
    """The average of each gauge over the samples that have it."""
    columns = list(zip(*((each.waiting, each.running, each.workers, each.wanted, each.cost_per_hour)
                         for each in samples), strict=True))  # fmt: skip
    return Gauges(*(_mean([value for value in column if value is not None]) for column in columns))


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


@dataclass(frozen=True, slots=True)
class Span:
    """A minute, or several."""

    gauges: Gauges
    series: Mapping[SeriesKey, EndedTasks]

    def total(self, tenant: str | None = None) -> EndedTasks:
        """What ended of all task types, of one tenant or of all."""
        total = EndedTasks()
        for (owner, _), ended in self.series.items():
            if tenant in (None, owner):
                total.add(ended)
        return total


def span_of_counts(counts: Iterable[EndCount], gauges: Gauges) -> Span:
    """The span in which the shards have counted these ends."""
    series: dict[SeriesKey, EndedTasks] = {}
    for each in counts:
        series.setdefault((each.tenant, each.name), EndedTasks()).add_count(each)
    for ended in series.values():
        ended.trim_codes()
    return Span(gauges, series)


def merge_spans(spans: Iterable[Span]) -> Span:
    """One span of several."""
    spans = list(spans)
    series: dict[SeriesKey, EndedTasks] = {}
    for span in spans:
        for key, ended in span.series.items():
            series.setdefault(key, EndedTasks()).add(ended)
    for ended in series.values():
        ended.trim_codes()
    return Span(mean_gauges(span.gauges for span in spans), series)


def pack_span(span: Span) -> bytes:
    """The span as it is kept in Redis: at most MAX_PACKED_BYTES, unless two types alone are longer."""
    series, packed = span.series, _pack(span)
    while len(packed) > MAX_PACKED_BYTES and len(series) > 2:
        kept = sorted(series, key=lambda key: (key == REST, -series[key].count))[: len(series) // 2]
        fewer = {key: series[key] for key in kept}
        rest = fewer.setdefault(REST, EndedTasks())
        for key, ended in series.items():
            if key not in kept:
                rest.add(ended)
        rest.trim_codes()
        series = fewer
        packed = _pack(Span(span.gauges, series))
    return packed


def _pack(span: Span) -> bytes:
    gauges = span.gauges
    packed: bytes = msgpack.packb(
        [
            [gauges.waiting, gauges.running, gauges.workers, gauges.wanted, gauges.cost_per_hour],
            [
                [tenant, name, each.succeeded, each.failed, each.cancelled, round(each.busy_seconds, 3),
                 dict(each.wait), dict(each.run), dict(each.errors)]
                for (tenant, name), each in span.series.items()
            ],
        ]
    )  # fmt: skip
    return packed


def unpack_span(packed: bytes) -> Span:
    """Reads what `pack_span` has written; ignores what a later release has added at the end of a list."""
    gauges, rows = msgpack.unpackb(packed, strict_map_key=False)[:2]
    return Span(Gauges(*gauges[:5]), dict(_unpack_row(row) for row in rows))


def _unpack_row(row: list[Any]) -> tuple[SeriesKey, EndedTasks]:
    tenant, name, succeeded, failed, cancelled, busy_seconds, wait, run, errors = row[:9]
    return (tenant, name), EndedTasks(
        succeeded, failed, cancelled, Counter(wait), Counter(run), busy_seconds, Counter(errors)
    )
