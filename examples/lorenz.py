"""Streaming rows: a simulation whose rows arrive while it runs, and stay as its result.

Start the whole system with it, from the top of the clone:

    dask-graphql dev examples/lorenz.py

A client reads the rows as they come, and may stop in the middle: the task continues, and another client, or the same
one tomorrow, reads on from the last `cursor`:

    with Client() as client:
        handle = client.submit(lorenz, rows=2000)
        for item in handle.items():
            print(item.number, item.value)
        handle.result()                     # the list of all rows
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

from pydantic import Field

from dask_graphql import Stream, report_progress, task

STEP: Final = 0.002
"""Time of one step of the integration: small enough for the method, whose error grows with its fourth power."""

State: TypeAlias = tuple[float, float, float]


@dataclass
class Position:
    """Where the system is at a moment."""

    time: float
    x: float
    y: float
    z: float


@task(version="1", timeout_seconds=600)
def lorenz(
    rows: Annotated[int, Field(ge=1, le=100_000)] = 1000,
    steps_per_row: Annotated[int, Field(ge=1, le=10_000)] = 10,
    x: float = 1.0,
    rho: Annotated[float, Field(ge=0, le=200, description="Heating from below; the butterfly is at 28.")] = 28.0,
) -> Stream[Position]:
    """Follows Lorenz's equations of convection, which made chaos known: change `x` by a millionth and look again."""
    state = (x, 1.0, 1.0)
    for row in range(rows):
        yield Position(row * steps_per_row * STEP, *state)
        for _ in range(steps_per_row):
            state = after_step(state, rho)
        report_progress((row + 1) / rows)


def change(state: State, rho: float) -> State:
    """The right-hand side: E. N. Lorenz, Deterministic Nonperiodic Flow, equations 25 to 27."""
    x, y, z = state
    return 10 * (y - x), x * (rho - z) - y, x * y - 8 / 3 * z


def moved(state: State, slope: State, time: float) -> State:
    return state[0] + time * slope[0], state[1] + time * slope[1], state[2] + time * slope[2]


def after_step(state: State, rho: float) -> State:
    """The state a STEP later, by the classical method of Runge and Kutta."""
    first = change(state, rho)
    second = change(moved(state, first, STEP / 2), rho)
    third = change(moved(state, second, STEP / 2), rho)
    fourth = change(moved(state, third, STEP), rho)
    for slope, weight in ((first, 1), (second, 2), (third, 2), (fourth, 1)):
        state = moved(state, slope, STEP * weight / 6)
    return state
