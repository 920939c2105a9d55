"""What the figures of two trees say: a table, and whether the new one costs more. No measuring here."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

LIMIT: Final = 1.15
"""The processor time of a task of the new tree over that of the old, beyond which it is a loss."""


@dataclass(frozen=True)
class Name:
    """One measure.

    Attributes:
        text: what is measured.
        unit: of its figures.
        less_is_better: whether a smaller figure is better.
        judged: whether CI judges it: processor time is stable on a busy machine, and wall clock is not.
    """

    text: str
    unit: str
    less_is_better: bool
    judged: bool

    def __str__(self) -> str:
        return f"{self.text}, {self.unit}"


Figures: TypeAlias = Mapping[Name, Sequence[float]]
"""One figure of each measure for each round."""


def losses(old: Figures, new: Figures, *, sure: bool, limit: float = LIMIT) -> list[Name]:
    """The judged measures in which the new tree costs more than `limit` times the old one's.

    What disturbs a round only adds to its processor time, so the best rounds are compared. A suspicion is a best round
    beyond the limit. To be sure, the medians must be beyond it too: then it was not one lucky round of the old tree.

    Args:
        sure: whether to name only what is sure.
    """

    def beyond(name: Name) -> bool:
        best = min(new[name]) > limit * min(old[name])
        return best and (not sure or statistics.median(new[name]) > limit * statistics.median(old[name]))

    return [name for name in old if name.judged and name in new and beyond(name)]


def table(old: Figures, new: Figures, names: tuple[str, str]) -> str:
    """The medians of both trees with their spread, and the ratio of the medians, the new one's over the old one's."""
    lines = [f"| measure | {names[0]} | {names[1]} | ratio | |", "|---|---|---|---|---|"]
    for name in old:
        if name not in new:
            continue
        before, after = statistics.median(old[name]), statistics.median(new[name])
        better = (after < before) == name.less_is_better
        # Where the rounds of both overlap, their difference may be chance.
        apart = max(old[name]) < min(new[name]) or max(new[name]) < min(old[name])
        word = ("better" if better else "worse") if apart else "within the spread"
        lines.append(f"| {name} | {_shown(old[name])} | {_shown(new[name])} | {after / before:.2f} | {word} |")
    return "\n".join(lines)


def _shown(figures: Sequence[float]) -> str:
    middle = statistics.median(figures)
    digits = 0 if middle >= 100 else 1 if middle >= 10 else 3
    return f"{middle:,.{digits}f} ({min(figures):,.{digits}f} to {max(figures):,.{digits}f})"
