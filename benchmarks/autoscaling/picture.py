"""The bills as bars, for benchmarks/AUTOSCALING.md and docs/autoscaling.md."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Final

from benchmarks.autoscaling.comparison import FIXED, TUNED, Row, geometric_mean
from benchmarks.autoscaling.unseen import FAMILIES

COLOURS: Final = {"ours": "#1f6feb", "adaptive": "#b08800", "keda": "#8250df"}
NAMES: Final = {"ours": "ours", "adaptive": "Dask Adaptive", "keda": "KEDA"}


def picture(rows: Sequence[Row]) -> str:
    """The bills on a logarithmic scale from 1 (the work alone); a line is the bound."""
    groups = [(row.key.name, [row]) for row in rows if row.key.group in (TUNED, FIXED)]
    groups += [
        (f"{family} (random)", [row for row in rows if row.key.group == family])
        for family in FAMILIES
        if any(row.key.group == family for row in rows)
    ]
    height = 44 * len(groups) + 40
    legend = ", ".join(f'<tspan fill="{COLOURS[kind]}">{name}</tspan>' for kind, name in NAMES.items())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="820" height="{height}" font-family="sans-serif" '
        'font-size="12">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="10" y="20">bill in multiples of the work (logarithmic): {legend}; red line: with the future known'
        "</text>",
    ]
    for i, (name, group) in enumerate(groups):
        top = 44 * i + 34
        parts.append(f'<text x="10" y="{top + 20}">{name}</text>')
        for n, kind in enumerate(NAMES):
            bill = statistics.geometric_mean(row.of(kind).ratio for row in group)
            parts.append(
                f'<rect x="240" y="{top + 12 * n}" width="{_width(bill):.0f}" height="10" fill="{COLOURS[kind]}"/>'
                f'<text x="{244 + _width(bill):.0f}" y="{top + 12 * n + 9}" font-size="10">{bill:.2f}</text>'
            )
        if all(row.bound is not None for row in group):
            at = 240 + _width(max(1.0, geometric_mean(group, lambda row: row.bound or 1.0)))
            parts.append(f'<rect x="{at:.0f}" y="{top - 2}" width="2" height="38" fill="#cf222e"/>')
    return "\n".join([*parts, "</svg>", ""])


def _width(ratio: float) -> float:
    return 60 * math.log2(max(1.0, ratio)) + 2
