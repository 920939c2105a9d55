"""The chart of one run of `make bench`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.report import BATCHES, FAN_OUT, IN_FLIGHT, LIMIT, LONE, OURS, RUN, Row

WIDTH: Final = 760
LABELS: Final = 230
NUMBERS: Final = 90
"""Room for the number behind the longest bar."""
BAR: Final = 22
CUT_OFF: Final = 4
"""How many times longer than the longest bar of a system the bar of a limit may be."""
OURS_AS: Final = {
    IN_FLIGHT: "dask-graphql, two operations",
    RUN: "dask-graphql, run over one socket",
    BATCHES: "dask-graphql, batches of 100",
}


@dataclass(frozen=True)
class Chart:
    """Bars of the systems that have one of some measures, the best first.

    Attributes:
        title: what the bars show.
        measures: the measures whose rows it shows.
        less_is_better: whether the shortest bar comes first.
    """

    title: str
    measures: tuple[str, ...]
    less_is_better: bool = False


CHARTS: Final = (
    Chart("short tasks a second", (IN_FLIGHT, RUN, BATCHES)),
    Chart(LONE, (LONE,), less_is_better=True),
    Chart(FAN_OUT, (FAN_OUT,)),
)


def picture(rows: Sequence[Row]) -> str:
    """Bars for each chart. Ours have a colour of their own, and so have limits, which are cut off where they are much
    longer than the systems' bars."""
    parts: list[str] = []
    y = 10
    for chart in CHARTS:
        chosen = sorted((row for row in rows if row.measure in chart.measures), key=lambda row: row.median)
        if not chosen:
            continue
        if not chart.less_is_better:
            chosen.reverse()
        systems = [row.median for row in chosen if not row.system.startswith(LIMIT)]
        longest = max(row.median for row in chosen if not systems or row.median <= CUT_OFF * max(systems))
        parts.append(f'<text x="10" y="{y + 14}" class="head">{chart.title}</text>')
        y += 24
        for row in chosen:
            parts.append(_bar(row, y, longest))
            y += BAR
        y += 14
    style = (
        "text{fill:#1f2328}.head{font-weight:bold}.page{fill:#fff}.ours{fill:#1f6feb}.peer{fill:#b08800}"
        ".limit{fill:#8c959f}@media(prefers-color-scheme:dark){text{fill:#e6edf3}.page{fill:#0d1117}"
        ".ours{fill:#58a6ff}.peer{fill:#d29922}.limit{fill:#6e7681}}"
    )
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" font-family="sans-serif" '
        'font-size="12">',
        f'<style>{style}</style><rect width="100%" height="100%" class="page"/>',
        *parts, "</svg>", "",
    ])  # fmt: skip


def _bar(row: Row, y: int, longest: float) -> str:
    kind = "ours" if row.system == OURS else "limit" if row.system.startswith(LIMIT) else "peer"
    name = OURS_AS.get(row.measure, "dask-graphql") if kind == "ours" else row.system
    most = WIDTH - LABELS - NUMBERS
    width = min(float(most), max(2.0, most * row.median / longest))
    digits = 2 if row.median < 1 else 1 if row.median < 100 else 0
    cut = "→ " if row.median > longest else ""
    return (
        f'<text x="10" y="{y + 13}">{name}</text>'
        f'<rect x="{LABELS}" y="{y + 2}" width="{width:.0f}" height="{BAR - 8}" class="{kind}"/>'
        f'<text x="{LABELS + width + 6:.0f}" y="{y + 13}">{cut}{row.median:,.{digits}f}</text>'
    )
