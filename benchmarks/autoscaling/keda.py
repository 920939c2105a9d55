"""KEDA's rule with its documented defaults: one worker for so many tasks, by Kubernetes' HorizontalPodAutoscaler.

- KEDA starts the first worker when its poll finds a task (`pollingInterval`, 30 s), and stops the last one when no poll
  has found any for `cooldownPeriod` (300 s): https://keda.sh/docs/latest/reference/scaledobject-spec/.
- Between one and the maximum the autoscaler decides, every 15 s: tasks / target, if that differs by more than a tenth
  (the tolerance) from what there is. Up: at most double or four more in 15 s. Down: to the largest number of the last
  300 s (the stabilization window): https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/.
- The target is 5 tasks for a worker, as in KEDA's Redis scaler: https://keda.sh/docs/latest/scalers/redis-lists/.

In its favour, running tasks count as well as waiting ones, idle workers are stopped first, and one that is stopped
while it works finishes its task.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from benchmarks.autoscaling.policies import MAX_WORKERS
from benchmarks.autoscaling.world import World

POLLING_SECONDS: Final = 30.0
COOLDOWN_SECONDS: Final = 300.0
TASKS_PER_WORKER: Final = 5
TOLERANCE: Final = 0.1
STABILIZATION_SECONDS: Final = 300.0
MIN_STEP: Final = 4
"""How many workers may be added in one interval, or as many as there are if that is more."""


class Keda:
    """KEDA's ScaledObject from 0 to MAX_WORKERS replicas."""

    interval_seconds = 15.0
    empty_interval_seconds = 0.0

    def __init__(self) -> None:
        self._active_at = -math.inf
        self._recommended: deque[tuple[float, int]] = deque()

    def scale(self, world: World) -> None:
        """One round of the autoscaler, and every other time one of KEDA's polls."""
        staying = [worker for worker in world.workers.values() if not worker.leaving]
        tasks = len(world.queue) + sum(worker.task is not None for worker in staying)
        if world.now % POLLING_SECONDS < self.interval_seconds and tasks:
            self._active_at = world.now
        active = world.now - self._active_at < COOLDOWN_SECONDS
        if not staying:
            world.start(int(active and tasks > 0))
            return
        wanted = self._wanted(tasks, len(staying), world.now) if active else 0
        if wanted > len(staying):
            world.start(wanted - len(staying))
        idle_first = sorted(staying, key=lambda worker: worker.task is not None)
        world.stop([worker.name for worker in idle_first[: len(staying) - wanted]] if wanted < len(staying) else ())

    def _wanted(self, tasks: int, replicas: int, now: float) -> int:
        ratio = tasks / (TASKS_PER_WORKER * replicas)
        desired = replicas if abs(ratio - 1) <= TOLERANCE else math.ceil(tasks / TASKS_PER_WORKER)
        self._recommended.append((now, desired))
        while self._recommended[0][0] <= now - STABILIZATION_SECONDS:
            self._recommended.popleft()
        if desired < replicas:
            desired = min(replicas, max(number for _, number in self._recommended))
        return max(1, min(MAX_WORKERS, desired, max(2 * replicas, replicas + MIN_STEP)))
