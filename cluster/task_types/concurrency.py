"""How many tasks of a type may run at once, in all or for each value of one argument."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cluster.errors import RegistryError


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many tasks of a type run at once, on all workers together. Further ones stay QUEUED.

    Args:
        max_running: the number, 1 or more. An attempt counts from the moment it is sent to the scheduler.
        key: name of an argument: the limit applies to the tasks with the same value of it. None: to all tasks of the
            type.
    """

    max_running: int
    key: str | None = None


def parse_concurrency(where: str, concurrency: int | Limit | None, arguments: Iterable[str]) -> Limit | None:
    """The limit that an author declared; a number alone applies to all tasks of the type.

    Raises:
        RegistryError: the number is below 1, or there is no argument of the key's name.
    """
    if concurrency is None:
        return None
    limit = concurrency if isinstance(concurrency, Limit) else Limit(concurrency)
    if isinstance(limit.max_running, bool) or not isinstance(limit.max_running, int) or limit.max_running < 1:
        raise RegistryError(
            f"{where}: concurrency must be a whole number of 1 or more, or a Limit with one, not {limit.max_running!r}"
        )
    names = list(arguments)
    if limit.key is not None and limit.key not in names:
        known = ", ".join(names) or "none"
        raise RegistryError(f"{where}: the key of concurrency, {limit.key!r}, is no argument; there are: {known}")
    return limit
