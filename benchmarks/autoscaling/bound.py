"""What a policy that knows the future would pay: a linear program, solved by HiGHS (scipy).

It is the least bill of a fleet whose tasks wait no longer, on average and at the 95th percentile, than given. The fleet
knows all tasks in advance and has workers ready whenever it wants. Of the costs it keeps what no policy escapes: each
worker is billed for its mean launch of 40 s, and serves for the rest of the minute that is billed at least.

So no policy pays less, but for two simplifications: time has slots, in which tasks start together; and those of one
type are as long as their mean. That workers and tasks may be split makes the bound lower, the more so the fewer there
are.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from benchmarks.autoscaling.simulation import Trace
from benchmarks.autoscaling.world import LAUNCH_SECONDS, MINIMUM_BILLING_SECONDS

MEAN_LAUNCH_SECONDS: Final = sum(LAUNCH_SECONDS) / 2
MAX_SLOTS: Final = 720
MIN_SLOT_SECONDS: Final = 5.0
MAX_SLOT_SECONDS: Final = 60.0
LATE_SHARE: Final = 0.05


class _Rows:
    """The rows of a sparse matrix A and of b, for A x <= b."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.columns: list[int] = []
        self.values: list[float] = []
        self.bounds: list[float] = []

    def add(self, terms: list[tuple[int, float]], bound: float) -> None:
        """Adds a row. Terms of columns below 0 are left out: they are those before the first slot."""
        row = len(self.bounds)
        for column, value in terms:
            if column >= 0:
                self.rows.append(row)
                self.columns.append(column)
                self.values.append(value)
        self.bounds.append(bound)


def _in_slots(trace: Trace, kind: str, slot: float) -> tuple[int, float]:
    """The mean length of the tasks of a type: whole slots, and the share of one more."""
    lengths = [task.seconds for task in trace.tasks if task.kind == kind]
    rest, whole = math.modf(sum(lengths) / len(lengths) / slot)
    return int(whole), rest


def lower_bound(trace: Trace, mean_wait: float, p95_wait: float) -> float | None:
    """The least bill in seconds of workers with waits no longer than these; None if the trace is too long, no solver
    finds it, or without scipy."""
    try:
        from scipy.optimize import linprog
        from scipy.sparse import csr_matrix
    except ImportError:
        return None
    end = max(task.at for task in trace.tasks)
    slot = max(MIN_SLOT_SECONDS, end / MAX_SLOTS)
    if slot > MAX_SLOT_SECONDS:
        return None
    deadline = math.ceil(p95_wait / slot) + 1
    kinds = sorted({task.kind for task in trace.tasks})
    lengths = {kind: _in_slots(trace, kind, slot) for kind in kinds}
    # Until the last tasks have ended.
    slots = math.ceil(end / slot) + deadline + 2 + max(whole for whole, _ in lengths.values())
    # Columns: workers, those that become ready, late tasks; of each type, the tasks started so far and those that wait.
    workers, ready, late = 0, slots, 2 * slots
    began = {kind: (3 + 2 * n) * slots for n, kind in enumerate(kinds)}
    queued = {kind: (4 + 2 * n) * slots for n, kind in enumerate(kinds)}
    arrived = {kind: np.zeros(slots) for kind in kinds}
    for task in trace.tasks:
        arrived[task.kind][int(task.at / slot)] += 1
    arrived = {kind: np.cumsum(each) for kind, each in arrived.items()}
    total: Any = sum(arrived.values())
    limits = _Rows()

    def at(base: int, k: int) -> int:
        return base + k if k >= 0 else -1

    stay = int((MINIMUM_BILLING_SECONDS - MEAN_LAUNCH_SECONDS) / slot)
    for k in range(slots):
        limits.add([(at(workers, k), 1), (at(workers, k - 1), -1), (at(ready, k), -1)], 0)
        limits.add([*((at(ready, k - n), 1.0) for n in range(stay)), (at(workers, k), -1.0)], 0)
        busy = [(at(workers, k), -1.0)]
        for kind in kinds:
            base = began[kind]
            whole, rest = lengths[kind]
            busy += [
                (at(base, k), 1.0 if whole else rest),
                *([(at(base, k - whole), rest - 1.0)] if whole else []),
                (at(base, k - whole - 1), -rest),
            ]
            limits.add([(at(base, k - 1), 1), (at(base, k), -1)], 0)
            before = arrived[kind][k - 1] if k else 0
            limits.add([(at(base, k), -1), (at(queued[kind], k), -1)], -before)
        limits.add(busy, 0)
        limits.add([(at(late, k - 1), 1), (at(late, k), -1)], 0)
        limits.add([(at(late, k), 1), (at(late, k - 1), -1)], total[k] - (total[k - 1] if k else 0))
        if k + deadline < slots:
            limits.add([*((at(began[kind], k + deadline), -1.0) for kind in kinds), (at(late, k), -1.0)], -total[k])
    limits.add([(at(queued[kind], k), slot) for kind in kinds for k in range(slots)], mean_wait * len(trace.tasks))
    columns = (3 + 2 * len(kinds)) * slots
    cost, most = np.zeros(columns), np.full(columns, np.inf)
    cost[workers:ready], cost[ready:late] = slot, MEAN_LAUNCH_SECONDS
    least = np.zeros(columns)
    most[late:] = np.where(np.arange(columns)[late:] < late + slots, LATE_SHARE * len(trace.tasks), np.inf)
    for kind in kinds:
        most[began[kind] : began[kind] + slots] = arrived[kind]
        # All have started in time for their end.
        least[began[kind] + slots - 2 - lengths[kind][0]] = arrived[kind][-1]
    matrix = csr_matrix((limits.values, (limits.rows, limits.columns)), shape=(len(limits.bounds), columns))
    # Each solver fails on a few of these programs.
    for method in ("highs", "highs-ipm"):
        found = linprog(cost, matrix, limits.bounds, bounds=np.column_stack([least, most]), method=method)
        if found.success:
            return float(found.fun)
    return None
