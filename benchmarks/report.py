"""What `make bench` writes: the table, the goals and the picture, made of the figures of one run."""

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
CACHED: Final = "cached submission, answers/s"
ROUTE: Final = "Starlette JSON route"
IDLE: Final = "idle subscription, KB"
FAN_OUT: Final = "one result to 2,000 sockets, deliveries/s"
HELD: Final = "p99 of a fresh result beside 10,000 idle subscriptions, ms"
LONG: Final = "fib(10^8) with its digits, s"
BESIDE: Final = "p99 of other tasks beside fib(10^8), ms"
ALONE: Final = "p99 of the same tasks without it, ms"
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
    """One measure of one system: a figure per round."""

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
    """What a measure of ours is held to: a multiple of another system's figure of the same run, or a figure.

    Attributes:
        most: whether it is the most that is good, and not the least.
        beside: the measure and the system that it is a multiple of; None for a figure.
    """

    measure: str
    limit: float
    most: bool
    beside: tuple[str, str] | None = None

    def text(self, rows: dict[tuple[str, str], Row]) -> str | None:
        """A line of the table; None where it was not measured."""
        ours = rows.get((self.measure, OURS))
        other = rows.get(self.beside) if self.beside else None
        if ours is None or (self.beside and other is None):
            return None
        figure = ours.median / (other.median if other else 1)
        reached = figure <= self.limit if self.most else figure >= self.limit
        against = "" if other is None else f" of {other.system}"
        if other is not None and other.measure != self.measure:
            against += f" ({other.measure})"
        bound = "at most" if self.most else "at least"
        shown = f"{figure:,.0f}" if figure >= 1000 else f"{figure:.3g}"
        return (
            f"| {self.measure} | {bound} {self.limit:,g}{' times that' if other else ''}{against} | {shown} | "
            f"{'reached' if reached else '**not reached**'} |"
        )


GOALS: Final = (
    Goal(IN_FLIGHT, 1, most=False, beside=(IN_FLIGHT, TASKIQ)),
    Goal(BATCHES, 3, most=False, beside=(IN_FLIGHT, TASKIQ)),
    Goal(LONE, 1.5, most=True, beside=(LONE, TASKIQ)),
    Goal(CACHED, 0.25, most=False, beside=(CACHED, ROUTE)),
    Goal(IDLE, 30, most=True),
    Goal(FAN_OUT, 10_000, most=False),
    Goal(HELD, 250, most=True),
    Goal(LONG, 1.1, most=True, beside=(LONG, GMPY2)),
    Goal(START, 4, most=True),
    Goal(IMPORT, 0.7, most=True),
)


def document(rows: Sequence[Row], rounds: int) -> str:
    """benchmarks/RESULTS.md."""
    by_place = {(row.measure, row.system): row for row in rows}
    versions = ", ".join(
        f"{found.metadata['Name']} {found.version}" for name in PACKAGES for found in distributions(name=name)
    )
    lines = [
        "# Benchmark results",
        "",
        f"`make bench`, {rounds} rounds, ours and the peers in turn, the median and the spread. Python "
        f"{platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}. {versions}.",
        "",
        "Ours goes through HTTP and WebSocket; the peers are bare, through their own clients, or behind a small "
        "FastAPI endpoint (benchmarks/endpoints.py). Lower is better for ms, s and KB, higher for the rest. Compare "
        "only figures of one run.",
        "",
        "![Tasks a second and milliseconds a task, of ours and the peers](results.svg)",
        "",
        "| measure | system | median | spread |",
        "|---|---|---|---|",
        *(row.text() for row in sorted(rows, key=lambda row: row.measure)),
        "",
        "## Goals",
        "",
        "| measure | goal | ours | |",
        "|---|---|---|---|",
        *filter(None, (goal.text(by_place) for goal in GOALS)),
        "",
    ]
    return "\n".join(lines)


WIDTH: Final = 760
LABELS: Final = 230
BAR: Final = 22


def picture(rows: Sequence[Row]) -> str:
    """Bars for what all systems were measured by; ours are of another colour."""
    parts: list[str] = []
    y = 10
    for measure in (IN_FLIGHT, BATCHES, LONE):
        chosen = sorted((row for row in rows if row.measure == measure), key=lambda row: row.median)
        if measure != LONE:
            chosen.reverse()
        most = max((row.median for row in chosen), default=1.0)
        parts.append(f'<text x="10" y="{y + 14}" class="head">{measure}</text>')
        y += 24
        for row in chosen:
            width = max(2.0, (WIDTH - LABELS - 80) * row.median / most)
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
