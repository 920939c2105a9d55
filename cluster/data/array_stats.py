"""Statistics of an array, from those of its chunks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cluster.data.libraries import numpy
from cluster.task_types.array_types import ArrayStats


@dataclass(frozen=True)
class BlockStats:
    """Of one chunk: `m2` is the sum of squared distances from the mean."""

    count: int
    missing: int
    min: float
    max: float
    mean: float
    m2: float


def block_stats(block: Any) -> BlockStats | None:
    """The statistics of a numpy array; None if it is not of real numbers."""
    np = numpy()
    if block.dtype.kind not in "biuf":
        return None
    values = block.ravel()
    missing = 0
    if block.dtype.kind == "f":
        there = ~np.isnan(values)
        missing = int(values.size - there.sum())
        values = values[there] if missing else values
    if not values.size:
        return BlockStats(0, missing, math.inf, -math.inf, 0.0, 0.0)
    mean = float(values.mean(dtype="float64"))
    m2 = float(values.var(dtype="float64")) * values.size if math.isfinite(mean) else math.nan
    return BlockStats(int(values.size), missing, float(values.min()), float(values.max()), mean, m2)


def merged(blocks: Iterable[BlockStats | None]) -> ArrayStats | None:
    """The statistics of all chunks together, without cancellation (Chan, Golub and LeVeque, 1979); None if there are
    none."""
    count = missing = 0
    low, high, mean, m2 = math.inf, -math.inf, 0.0, 0.0
    for block in blocks:
        if block is None:
            return None
        missing += block.missing
        if block.count:
            total = count + block.count
            delta = block.mean - mean
            mean += delta * block.count / total
            m2 += block.m2 + delta * delta * count * block.count / total
            low, high, count = min(low, block.min), max(high, block.max), total
    if not count:
        return ArrayStats(missing, None, None, None, None)
    deviation = math.sqrt(m2 / count) if m2 >= 0 else math.nan
    return ArrayStats(missing, _finite(low), _finite(high), _finite(mean), _finite(deviation))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
