"""A sweep with a progress bar: many small tasks of one type, each kept by its own arguments.

Start the whole system with it, from the top of the clone:

    dask-graphql dev examples/epidemic.py

Each point of the sweep is a task of its own, so a sweep that is repeated with a finer grid computes only the new
points, and one that is interrupted continues where it stopped:

    with Client() as client:
        grid = [{"contacts": c, "days_ill": d} for c in np.arange(0.1, 0.6, 0.05) for d in range(3, 13)]
        outbreaks = list(client.map(outbreak, grid, progress=True))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from dask_graphql import task

STEPS_PER_DAY: Final = 24
LONGEST_DAYS: Final = 3650


@dataclass
class Outbreak:
    """How an epidemic went, in fractions of the population."""

    reproduction: float
    """How many people each ill one infects at the beginning: below 1, it dies out."""
    peak: float
    """The largest fraction that was ill at once."""
    peak_day: int
    infected: float
    """The fraction that was infected in the end."""
    days: int
    """Until fewer than one in a million were ill."""


@task(version="1", timeout_seconds=60)
def outbreak(
    contacts: Annotated[float, Field(gt=0, le=5, description="Infectious contacts of a person in a day.")],
    days_ill: Annotated[float, Field(gt=0, le=100)],
    vaccinated: Annotated[float, Field(ge=0, lt=1, description="Fraction that cannot be infected.")] = 0.0,
) -> Outbreak:
    """Simulates an epidemic by the SIR equations of Kermack and McKendrick; at first, one in ten thousand is ill."""
    ill, susceptible = 1e-4, 1 - 1e-4 - vaccinated
    at_first = susceptible
    peak, peak_step, step = ill, 0, 0
    while ill > 1e-6 and step < LONGEST_DAYS * STEPS_PER_DAY:
        susceptible, ill = next_hour(susceptible, ill, contacts, days_ill)
        step += 1
        if ill > peak:
            peak, peak_step = ill, step
    return Outbreak(
        reproduction=contacts * days_ill * at_first,
        peak=peak,
        peak_day=peak_step // STEPS_PER_DAY,
        infected=1e-4 + at_first - susceptible,
        days=step // STEPS_PER_DAY,
    )


def next_hour(susceptible: float, ill: float, contacts: float, days_ill: float) -> tuple[float, float]:
    """The fractions an hour later, by the midpoint method."""
    hours = 1 / STEPS_PER_DAY
    infections = contacts * susceptible * ill
    half_susceptible = susceptible - infections * hours / 2
    half_ill = ill + (infections - ill / days_ill) * hours / 2
    infections = contacts * half_susceptible * half_ill
    return susceptible - infections * hours, ill + (infections - half_ill / days_ill) * hours
