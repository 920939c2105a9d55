"""A task made of tasks: a year's weather, a task for each season, and a task for each month in it.

Ask for a year, and for one of its seasons after that: what is done is not done again. End a worker process while it
runs, and the months that are done stay done.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from dask_graphql import gather, submit, task

SEASONS = {"winter": (12, 1, 2), "spring": (3, 4, 5), "summer": (6, 7, 8), "autumn": (9, 10, 11)}


@dataclass
class Season:
    """The weather of a season.

    Attributes:
        warmest: its warmest day, degrees Celsius.
        mean: over its days, degrees Celsius.
    """

    name: str
    warmest: float
    mean: float


@task
def month_of_weather(year: int, month: int) -> list[float]:
    """Makes up the temperatures of a month, one for each day."""
    chance = random.Random(f"{year} {month}")
    usual = 10 - 12 * math.cos((month - 0.5) * math.pi / 6)
    return [round(usual + chance.gauss(0, 4), 1) for _ in range(30)]


@task
def season_of_weather(year: int, name: str) -> Season:
    """Puts the months of a season together; its months are tasks of their own."""
    months = gather(*(submit(month_of_weather, year=year, month=month) for month in SEASONS[name]))
    days = [day for month in months for day in month]
    return Season(name, max(days), round(sum(days) / len(days), 1))


@task
async def year_of_weather(year: int) -> list[Season]:
    """The seasons of a year, warmest first; a task for each, which wait for tasks themselves."""
    seasons = await gather(*(submit(season_of_weather, year=year, name=name) for name in SEASONS))
    return sorted(seasons, key=lambda season: -season.mean)
