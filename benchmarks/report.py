"""The output of `make bench`: the table, the goals and the chart of one run."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import distributions
from typing import Final

OURS: Final = "dask-graphql, HTTP + WebSocket"
LONE: Final = "one task at a time, p50, ms"
IN_FLIGHT: Final = "64 in flight, tasks/s"
BATCHES: Final = "batches of 100, tasks/s"
CACHED: Final = "cached submission, responses/s"
ROUTE: Final = "Starlette JSON route"
IDLE: Final = "idle subscription, KB"
FAN_OUT: Final = "one result to 2,000 sockets, deliveries/s"
HELD: Final = "p99 of a new result with 10,000 idle subscriptions, ms"
LONG: Final = "fib(10^8) with its digits, s"
DURING_LONG: Final = "p99 of other tasks during fib(10^8), ms"
ALONE: Final = "p99 of the same tasks alone, ms"
START: Final = "`make run`, second start to ready, s"
IMPORT: Final = "`import graphql_api.app`, s"
TASKIQ: Final = "Taskiq, bare"
GMPY2: Final = "gmpy2 in a bare process"

PACKAGES: Final = (
    "dask", "distributed", "strawberry-graphql", "starlette", "uvicorn", "redis", "taskiq", "celery", "dramatiq",
    "fastapi",
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
        digits = 2 if self.measure.endswith(", s") else 1 if self.median < 100 else 0
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
        shown = f"{figure:,.0f}" if figure >= 1000 else f"{figure:.3g}"
        return (
            f"| {self.measure} | {bound} {self.limit:,g}{' times that' if other else ''}{reference} | {shown} | "
            f"{'reached' if reached else '**not reached**'} |"
        )


GOALS: Final = (
    Goal(IN_FLIGHT, 1, is_maximum=False, relative_to=(IN_FLIGHT, TASKIQ)),
    Goal(BATCHES, 3, is_maximum=False, relative_to=(IN_FLIGHT, TASKIQ)),
    Goal(LONE, 1.5, is_maximum=True, relative_to=(LONE, TASKIQ)),
    Goal(CACHED, 0.25, is_maximum=False, relative_to=(CACHED, ROUTE)),
    Goal(IDLE, 30, is_maximum=True),
    Goal(FAN_OUT, 10_000, is_maximum=False),
    Goal(HELD, 250, is_maximum=True),
    Goal(LONG, 1.1, is_maximum=True, relative_to=(LONG, GMPY2)),
    Goal(START, 4, is_maximum=True),
    Goal(IMPORT, 0.7, is_maximum=True),
)


def document(rows: Sequence[Row], rounds: int) -> str:
    """benchmarks/RESULTS.md."""
    by_measure = {(row.measure, row.system): row for row in rows}
    versions = ", ".join(
        f"{found.metadata['Name']} {found.version}" for name in PACKAGES for found in distributions(name=name)
    )
    lines = [
        "# Benchmark results",
        "",
        f"`make bench`, {rounds} rounds, our system and the peers alternating, median and spread. Python "
        f"{platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}. {versions}.",
        "",
        "Our system is used over HTTP and WebSocket; the peers bare, with their own clients, or behind a small "
        "FastAPI endpoint (benchmarks/endpoints.py). Lower is better for ms, s and KB, higher for the rest. Compare "
        "only figures of one run.",
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
    ]
    return "\n".join(lines)


WIDTH: Final = 760
LABELS: Final = 230
BAR: Final = 22


def picture(rows: Sequence[Row]) -> str:
    """Bars for the measures that all systems have; ours have another colour."""
    parts: list[str] = []
    y = 10
    for measure in (IN_FLIGHT, BATCHES, LONE):
        chosen = sorted((row for row in rows if row.measure == measure), key=lambda row: row.median)
        if measure != LONE:
            chosen.reverse()
        longest = max((row.median for row in chosen), default=1.0)
        parts.append(f'<text x="10" y="{y + 14}" class="head">{measure}</text>')
        y += 24
        for row in chosen:
            width = max(2.0, (WIDTH - LABELS - 80) * row.median / longest)
            kind = "ours" if row.system == OURS else "peer"
            parts.append(
                f'<text x="10" y="{y + 13}">{row.system}</text>'
                f'<rect x="{LABELS}" y="{y + 2}" width="{width:.0f}" height="{BAR - 8}" class="{kind}"/>'
                f'<text x="{LABELS + width + 6:.0f}" y="{y + 13}">{row.median:,.{1 if row.median < 100 else 0}f}</text>'
            )
            y += BAR
        y += 14
    style = (
        "text{fill:#1f2328}.head{font-weight:bold}.page{fill:#fff}.ours{fill:#1f6feb}.peer{fill:#b08800}"
        "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.page{fill:#0d1117}.ours{fill:#58a6ff}.peer{fill:#d29922}}"
    )
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" font-family="sans-serif" '
        'font-size="12">',
        f'<style>{style}</style><rect width="100%" height="100%" class="page"/>',
        *parts, "</svg>", "",
    ])  # fmt: skip
