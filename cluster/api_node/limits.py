"""Which limits a task is subject to, and how many slots each limit has now.

Most tasks are subject to none. A task that is, is also subject to the limit of its type, which has no number unless the
type declares one: so a type that is paused later has a limit to set to 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Final

from cluster.store.limit_calls import LimitList
from cluster.store.limit_list import limits_of
from cluster.task_types.registry import Registry
from cluster.task_types.task_type import Bound

UNLIMITED: Final = math.inf


class Limits:
    """The limits of this node's registry, with what operators have set.

    Args:
        paused: returns the names of the paused task types.
        ceiling: returns how many tasks of an account may run at once; None for no limit.
    """

    def __init__(
        self, registry: Registry, paused: Callable[[], Collection[str]], ceiling: Callable[[str], int | None]
    ) -> None:
        self._registry = registry
        self._paused = paused
        self._ceiling = ceiling

    def limits_of(self, bound: Bound, account: str) -> LimitList:
        """The limits of a submission; empty for most."""
        name = bound.task_type.name
        has_ceiling = bool(account) and self._ceiling(account) is not None
        return limits_of(bound, account if has_ceiling else "", always=name in self._paused())

    def slots(self, limit: str) -> float:
        """How many slots a limit has now; UNLIMITED if it is none (any more).

        Args:
            limit: as in a list of limits: its name, with `=` and the number that its task type declared at submission.
                That counts only if this node does not know the type.
        """
        name, _, declared = limit.partition("=")
        kind, _, rest = name.partition(":")
        if kind == "a":
            ceiling = self._ceiling(rest)
            return UNLIMITED if ceiling is None else ceiling
        type_name = rest.partition(":")[0]
        if kind == "t" and type_name in self._paused():
            return 0
        task_type = self._registry.get(type_name)
        if task_type is None:
            return int(declared) if declared else UNLIMITED
        concurrency = task_type.concurrency
        if concurrency is None or (concurrency.key is None) != (kind == "t"):
            return UNLIMITED
        return concurrency.max_running
