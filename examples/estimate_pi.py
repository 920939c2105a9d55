"""A task module as a user writes it: a plain task, and a graph task whose parts run on all workers.

Start the whole system with it, from the top of the clone:

    dask-graphql dev examples/estimate_pi.py
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Annotated

import dask
from pydantic import Field

from dask_graphql import Graph, cancelled, report_progress, task

STEP = 100_000
"""Points between two checks for cancellation."""


@dataclass
class Estimate:
    """An estimate of pi."""

    pi: float
    samples: int
    """How many points were thrown."""


def throw(samples: int, source: random.Random) -> int:
    """How many of `samples` points of the unit square fall into the quarter circle."""
    return sum(source.random() ** 2 + source.random() ** 2 < 1 for _ in range(samples))


@task(version="1", timeout_seconds=60, retries=2)
def estimate_pi(samples: Annotated[int, Field(gt=0)], seed: int = 0) -> Estimate:
    """Estimates pi by throwing `samples` points."""
    source = random.Random(seed)
    inside = done = 0
    while done < samples and not cancelled():
        step = min(STEP, samples - done)
        inside += throw(step, source)
        done += step
        report_progress(done / samples)
    return Estimate(pi=4 * inside / samples, samples=samples)


@task(version="1")
def estimate_pi_wide(
    samples: Annotated[int, Field(gt=0)], parts: Annotated[int, Field(ge=1, le=1000)] = 8, seed: int = 0
) -> Graph[Estimate]:
    """Estimates pi in `parts`, spread over the workers; progress is the fraction of finished parts."""
    sizes = [samples // parts + (part < samples % parts) for part in range(parts)]
    inside = [dask.delayed(_throw_part)(size, seed + part) for part, size in enumerate(sizes)]
    return dask.delayed(_estimate)(inside, samples)  # type: ignore[no-any-return]


def _throw_part(samples: int, seed: int) -> int:
    return throw(samples, random.Random(seed))


def _estimate(inside: list[int], samples: int) -> Estimate:
    return Estimate(pi=4 * sum(inside) / samples, samples=samples)
