"""benchmarks/AUTOSCALING.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from benchmarks.autoscaling.comparison import DRAWS, FIXED, TUNED, Row, geometric_mean
from benchmarks.autoscaling.policies import MAX_WORKERS
from benchmarks.autoscaling.unseen import FAMILIES, HELD_OUT
from benchmarks.autoscaling.world import MINIMUM_BILLING_SECONDS

TOLERANCE: Final = 1.02
"""A wait counts as longer than Adaptive's from here on: launch times are drawn at random."""
COLUMNS: Final = (
    "bill, ours", "without forecast", "Adaptive", "KEDA", "bound", "ours/Adaptive",
    "mean wait, ours", "Adaptive", "KEDA", "p95, ours", "Adaptive", "KEDA",
)  # fmt: skip
BILLS: Final = ("ours", "reactive", "adaptive", "keda")
WAITS: Final = ("ours", "adaptive", "keda")
SCHEDULED: Final = ("schedules", "nightly job")
"""The families whose demand recurs."""


def document(rows: Sequence[Row]) -> str:
    """The text, without the part about pools."""
    tuned = [row for row in rows if row.key.group == TUNED]
    fixed = [row for row in rows if row.key.group == FIXED]
    held_out = [row for row in rows if row.key.group in FAMILIES]
    return "\n".join(
        [
            "# Autoscaling, simulated",
            "",
            "`make bench-autoscaling`: the scaling policy (ours) in virtual time, beside Dask's Adaptive (its "
            "defaults: every 1 s, target 5 s), KEDA's rule of one worker for five tasks (its defaults and those of "
            f"Kubernetes), and a bound that knows the future. Up to {MAX_WORKERS} Fargate workers that launch in 20 to "
            "60 s. Bills are in multiples of the work done; a worker is billed for "
            f"{MINIMUM_BILLING_SECONDS:.0f} s at least. Waits are from submission to start, in seconds. "
            "[benchmarks/autoscaling](autoscaling/__init__.py) says what is assumed. The bound is the least bill with "
            "waits no longer than Adaptive's, on average and at the 95th percentile ([what it leaves "
            "out](autoscaling/bound.py)).",
            "",
            *_summary(rows, tuned, fixed, held_out),
            "",
            "![Bills by trace](autoscaling.svg)",
            "",
            "## Traces that the policy was tuned on",
            "",
            f"{DRAWS[TUNED]} draws of launch times.",
            "",
            *_table("trace", [(row.key.name, [row]) for row in tuned]),
            "",
            "## Traces that it was not tuned on",
            "",
            f"{DRAWS[FIXED]} draws of launch times.",
            "",
            *_table("trace", [(row.key.name, [row]) for row in fixed]),
            "",
            "## Families of random traces",
            "",
            f"Of each family, {len(HELD_OUT)} draws of random parameters that were only reported; the policy was "
            "changed while looking at others ([the families](autoscaling/unseen.py)). The bills are geometric means "
            "over the draws, the waits are means.",
            "",
            *_table("family", [(family, _of_family(held_out, family)) for family in FAMILIES]),
            "",
            *_longer([*fixed, *held_out]),
            "",
        ]
    )


def _summary(rows: Sequence[Row], tuned: Sequence[Row], fixed: Sequence[Row], held_out: Sequence[Row]) -> list[str]:
    families = [geometric_mean(_of_family(held_out, family)) for family in FAMILIES]
    scheduled = [row for row in held_out if row.key.group in SCHEDULED]
    others = [row for row in held_out if row.key.group not in SCHEDULED]
    mean_wait = sum(row.ours.mean_wait for row in scheduled) / len(scheduled)
    before = sum(row.reactive.mean_wait for row in scheduled) / len(scheduled)
    return [
        "Geometric means over the traces:",
        "",
        f"- ours/Adaptive: **{geometric_mean(tuned):.2f}** on the traces that the policy was tuned on, "
        f"**{geometric_mean(fixed):.2f}** on five others, and **{geometric_mean(held_out):.2f}** on {len(held_out)} "
        f"draws of ten families ({min(families):.2f} to {max(families):.2f} by family).",
        f"- ours/KEDA: {geometric_mean(rows, lambda row: row.ours.ratio / row.keda.ratio):.2f} on all of them.",
        f"- Where demand recurs (schedules, nightly job), the forecast makes the bill {_forecast(scheduled):.2f} of "
        f"that without it, and the mean wait {mean_wait:.1f} s in place of {before:.1f}. On all other families the "
        f"bill is {_forecast(others):.2f} of that without it.",
    ]


def _forecast(rows: Sequence[Row]) -> float:
    return geometric_mean(rows, lambda row: row.ours.ratio / row.reactive.ratio)


def _of_family(rows: Sequence[Row], family: str) -> list[Row]:
    return [row for row in rows if row.key.group == family]


def _table(first: str, groups: Sequence[tuple[str, Sequence[Row]]]) -> list[str]:
    lines = [f"| {first} | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, group in groups:
        bills = [_bill(group, kind) for kind in BILLS]
        means = [sum(row.of(kind).mean_wait for row in group) / len(group) for kind in WAITS]
        p95s = [sum(row.of(kind).p95_wait for row in group) / len(group) for kind in WAITS]
        cells = [
            *(f"{bill:.2f}" for bill in bills),
            f"{geometric_mean(group, lambda row: row.bound or 1.0):.2f}" if all(row.bound for row in group) else "-",
            f"**{geometric_mean(group):.2f}**",
            *(f"{wait:.1f}" for wait in (*means, *p95s)),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _bill(rows: Sequence[Row], kind: str) -> float:
    return geometric_mean(rows, lambda row: row.of(kind).ratio)


def _longer(rows: Sequence[Row]) -> list[str]:
    """Where tasks wait for longer than with Adaptive."""
    longer = [
        f"{row.key.name if row.key.group == FIXED else f'{row.key.group} {row.key.name}'} "
        f"({row.ours.mean_wait:.1f} and {row.ours.p95_wait:.1f} s, not {row.adaptive.mean_wait:.1f} and "
        f"{row.adaptive.p95_wait:.1f})"
        for row in rows
        if row.ours.mean_wait > TOLERANCE * row.adaptive.mean_wait
        or row.ours.p95_wait > TOLERANCE * row.adaptive.p95_wait
    ]
    if not longer:
        return ["On none of these do tasks wait for longer than with Adaptive, on average or at the 95th percentile."]
    return [
        f"On {len(longer)} of these {len(rows)} traces the mean or the p95 of the waits is longer than with Adaptive, "
        f"by more than {TOLERANCE - 1:.0%}: {'; '.join(longer)}."
    ]
