"""The output of `make bench`: the table, the goals and the chart of one run."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import distributions
from typing import Final

OURS: Final = "dask-graphql, HTTP + WebSocket"
LONE: Final = "one task at a time, p50, ms"
IN_FLIGHT: Final = "64 in flight, tasks/s"
BATCHES: Final = "batches of 100, tasks/s"
CACHED: Final = "cached submission, responses/s"
ROUTE: Final = "Starlette JSON route"
RUN: Final = "runFibonacci over one socket, 64 in flight, tasks/s"
REDIS: Final = "Redis, writes of 100 bytes over one connection, writes/s"
IDLE: Final = "idle subscription, KB"
FAN_OUT: Final = "one result to 2,000 sockets, deliveries/s"
HELD: Final = "p99 of a new result with 10,000 idle subscriptions, ms"
LONG: Final = "fib(10^8) with its digits, s"
DURING_LONG: Final = "p99 of other tasks during fib(10^8), ms"
ALONE: Final = "p99 of the same tasks alone, ms"
START: Final = "`make run`, second start to ready, s"
IMPORT: Final = "`import graphql_api.app`, s"
TASKIQ: Final = "Taskiq, bare"
DASK: Final = "Dask, bare"
GMPY2: Final = "gmpy2 in a bare process"
LIMIT: Final = "limit: "
"""How the names of rows begin that show what this machine can do, and not a system."""
BARE_C: Final = f"{LIMIT}bare sockets, C"
BARE_UVLOOP: Final = f"{LIMIT}bare sockets, uvloop"
ONE_BY_ONE: Final = f"{LIMIT}a round trip each"
IN_PIPELINES: Final = f"{LIMIT}pipelines of 64"

PACKAGES: Final = (
    "dask", "distributed", "strawberry-graphql", "starlette", "uvicorn", "redis", "taskiq", "taskiq-redis", "celery",
    "dramatiq", "fastapi",
)  # fmt: skip


@dataclass
class Row:
    """One measure of one system, with a figure per round."""

    measure: str
    system: str
    figures: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.figures)

    def text(self) -> str:
        digits = 2 if self.measure.endswith(", s") or self.median < 1 else 1 if self.median < 100 else 0
        spread = f"{min(self.figures):,.{digits}f} to {max(self.figures):,.{digits}f}"
        return f"| {self.measure} | {self.system} | {self.median:,.{digits}f} | {spread} |"


@dataclass(frozen=True)
class Goal:
    """The goal of one of our measures: a multiple of another system's figure in the same run, or a fixed figure.

    Attributes:
        is_maximum: whether the limit is a maximum, not a minimum.
        relative_to: the measure and system that the limit is a multiple of; None for a fixed figure.
    """

    measure: str
    limit: float
    is_maximum: bool
    relative_to: tuple[str, str] | None = None

    def text(self, rows: dict[tuple[str, str], Row]) -> str | None:
        """A line of the table; None if it was not measured."""
        ours = rows.get((self.measure, OURS))
        other = rows.get(self.relative_to) if self.relative_to else None
        if ours is None or (self.relative_to and other is None):
            return None
        figure = ours.median / (other.median if other else 1)
        reached = figure <= self.limit if self.is_maximum else figure >= self.limit
        reference = "" if other is None else f" of {other.system}"
        if other is not None and other.measure != self.measure:
            reference += f" ({other.measure})"
        bound = "at most" if self.is_maximum else "at least"
        limit = f"{self.limit:,g}" if self.limit >= 1000 else f"{self.limit:.3g}"
        shown = f"{figure:,.0f}" if figure >= 1000 else f"{figure:.3g}"
        return (
            f"| {self.measure} | {bound} {limit}{' times that' if other else ''}{reference} | {shown} | "
            f"{'reached' if reached else '**not reached**'} |"
        )


GOALS: Final = (
    Goal(IN_FLIGHT, 1.3, is_maximum=False, relative_to=(IN_FLIGHT, TASKIQ)),
    Goal(RUN, 2, is_maximum=False, relative_to=(IN_FLIGHT, TASKIQ)),
    Goal(BATCHES, 3, is_maximum=False, relative_to=(IN_FLIGHT, TASKIQ)),
    Goal(LONE, 1.5, is_maximum=True, relative_to=(LONE, TASKIQ)),
    Goal(LONE, 1 / 3, is_maximum=True, relative_to=(LONE, DASK)),
    Goal(CACHED, 0.25, is_maximum=False, relative_to=(CACHED, ROUTE)),
    Goal(IDLE, 20, is_maximum=True),
    Goal(FAN_OUT, 80_000, is_maximum=False),
    Goal(HELD, 250, is_maximum=True),
    Goal(LONG, 1.1, is_maximum=True, relative_to=(LONG, GMPY2)),
    Goal(START, 4, is_maximum=True),
    Goal(IMPORT, 0.7, is_maximum=True),
)


@dataclass(frozen=True)
class Conditions:
    """How a run was made.

    Attributes:
        load: the load generator.
        load_average: the mean number of processes that ran or waited to run in the last 15 minutes.
    """

    rounds: int
    load: str
    load_average: float
    seconds: float


def document(rows: Sequence[Row], conditions: Conditions, lacks: Mapping[str, str]) -> str:
    """benchmarks/RESULTS.md.

    Args:
        lacks: what each peer does not do and ours does.
    """
    by_measure = {(row.measure, row.system): row for row in rows}
    versions = ", ".join(
        f"{found.metadata['Name']} {found.version}" for name in PACKAGES for found in distributions(name=name)
    )
    lines = [
        "# Benchmark results",
        "",
        f"`make bench`, {conditions.rounds} rounds in {conditions.seconds / 60:.0f} minutes, our system and the peers "
        f"alternating, median and spread. Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"{platform.machine()}, load average {conditions.load_average:.1f} (the benchmark's own included). {versions}.",
        "",
        "Our system is used over HTTP and WebSocket; the peers bare, with their own clients, or behind a small FastAPI "
        f"endpoint (benchmarks/endpoints.py). Whatever is used over HTTP gets its load from {conditions.load}. The "
        "peers' Redis has the same settings as ours: an append-only file, synced every second. Lower is better for ms, "
        "s and KB, higher for the rest. Compare only figures of one run.",
        "",
        "Rows named limit show what this machine does with nothing but sockets, or Redis: the server in C answers two "
        "HTTP requests for each task, or sends a prebuilt message. No server in one process does more.",
        "",
        "![Tasks per second and milliseconds per task, our system and the peers](results.svg)",
        "",
        "| measure | system | median | spread |",
        "|---|---|---|---|",
        *(row.text() for row in sorted(rows, key=lambda row: row.measure)),
        "",
        "## Goals",
        "",
        "| measure | goal | ours | |",
        "|---|---|---|---|",
        *filter(None, (goal.text(by_measure) for goal in GOALS)),
        "",
        "## What the peers do not do",
        "",
        "All are given the same short task and keep its result for ten minutes. Ours also keeps a record of each task "
        "from its submission on, runs the same task once however often it is submitted, runs it again when its worker "
        "is lost, and tells any number of subscribers.",
        "",
        "| system | does not do |",
        "|---|---|",
        *(f"| {name} | {text} |" for name, text in lacks.items()),
        "",
    ]
    return "\n".join(lines)
