"""What the workers cost: the controller's daily totals, split among the task types by how long their tasks ran."""

from __future__ import annotations

import calendar
import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cluster.api_node.shared_reads import SharedReads
from cluster.store.async_store import Store
from cluster.store.keys import Keys
from cluster.store.replies import hash_fields

MAX_AGE_SECONDS: Final = 5.0
"""How long what was read is used."""
MAX_TYPES: Final = 100
"""Task types that are told, the most expensive ones."""
EPOCH: Final = datetime.date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Costs:
    """In US dollars; days and months are of UTC.

    Attributes:
        month_at_this_rate: this month so far, and its rest at the present cost per hour; None if that is unknown.
        by_type: of this month, each day split by how long the tasks of each type ran.
    """

    today: float
    yesterday: float
    this_month: float
    month_at_this_rate: float | None
    by_type: Mapping[str, float]


def add_up(
    days: Mapping[datetime.date, float],
    busy: Mapping[datetime.date, Mapping[str, int]],
    now: datetime.datetime,
    per_hour: float | None,
) -> Costs:
    """The costs at a moment.

    Args:
        days: what each day has cost.
        busy: how long tasks of each type ran on each day, in milliseconds.
        per_hour: what the workers cost now; None if it is not known.
    """
    today = now.date()
    month = {day: cost for day, cost in days.items() if (day.year, day.month) == (today.year, today.month)}
    by_type: Counter[str] = Counter()
    shares: dict[str, float] = by_type  # type: ignore[assignment]  # typeshed knows counts of integers only
    for day, cost in month.items():
        ran = busy.get(day, {})
        total = sum(ran.values())
        for name, milliseconds in ran.items():
            shares[name] += cost * milliseconds / total
    this_month = sum(month.values())
    days_of_month = calendar.monthrange(today.year, today.month)[1]
    end = datetime.datetime.combine(today.replace(day=days_of_month), datetime.time(), datetime.UTC)
    hours_left = (end + datetime.timedelta(days=1) - now).total_seconds() / 3600
    return Costs(
        today=days.get(today, 0.0),
        yesterday=days.get(today - datetime.timedelta(days=1), 0.0),
        this_month=this_month,
        month_at_this_rate=None if per_hour is None else this_month + per_hour * hours_left,
        by_type=dict(by_type.most_common(MAX_TYPES)),
    )


class CostReader:
    """The costs, as one api node reads them for all its callers.

    Args:
        keys: those of each scheduler, whose controllers write what their workers cost; empty for a single one.
    """

    def __init__(self, store: Store, keys: Sequence[Keys] = ()) -> None:
        self._store = store
        self._keys = keys or (store.calls,)
        self._reads: SharedReads[float | None, Costs | None] = SharedReads(MAX_AGE_SECONDS, 2)

    async def read(self, per_hour: float | None) -> Costs | None:
        """The costs now; None if no controller has ever known any.

        Args:
            per_hour: what the workers cost now.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        return await self._reads.get(per_hour, lambda: self._read(per_hour))

    async def _read(self, per_hour: float | None) -> Costs | None:
        store, calls = self._store, self._store.calls
        now = datetime.datetime.fromtimestamp(await store.server_milliseconds() / 1000, datetime.UTC)
        month = [now.date().replace(day=day) for day in range(1, now.day + 1)]
        names = [keys.costs_key for keys in self._keys] + [calls.busy_key(day.isoformat()) for day in month]
        found = await store.commands([("HGETALL", name) for name in names])
        costs, busy = [hash_fields(reply) for reply in found[: len(self._keys)]], found[len(self._keys) :]
        if not any(costs):
            return None
        days: dict[datetime.date, float] = {}
        for name, cost in (field for fields in costs for field in fields.items() if field[0].isdigit()):
            day = EPOCH + datetime.timedelta(days=int(name))
            days[day] = days.get(day, 0.0) + float(cost)
        ran = {
            day: {name.decode(): int(milliseconds) for name, milliseconds in hash_fields(reply).items()}
            for day, reply in zip(month, busy, strict=True)
        }
        return add_up(days, ran, now, per_hour)
