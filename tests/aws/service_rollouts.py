"""How ECS rolls a service out: its deployments, as DescribeServices tells them.

By the API reference (Deployment: status, failedTasks, rolloutState) and the developer guide ("Amazon ECS deployment
circuit breaker"):

- An update, or `forceNewDeployment`, begins a deployment: it is PRIMARY and IN_PROGRESS, and the one before is ACTIVE
  for as long as tasks of it run.
- A deployment is COMPLETED once it has all its tasks, and no task of another one is left.
- Its tasks that end by themselves before that are its `failedTasks`. At half of the desired count, but at 3 at least
  and 200 at most, the circuit breaker ends it: it is FAILED, and starts no more tasks.
- With `rollback`, the last deployment that was COMPLETED is then PRIMARY again and IN_PROGRESS, and what failed is
  ACTIVE until its tasks are gone. Without one that was, what failed stays PRIMARY.

What only AWS knows: how long each step takes, and health, which counts here only by whether old tasks were stopped.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

MIN_FAILURES: Final = 3
MAX_FAILURES: Final = 200
BY_ITSELF: Final = ("EssentialContainerExited", "TaskFailedToStart")
"""Stop codes of tasks that nobody stopped."""


class ServiceTask(NamedTuple):
    """A task of a service.

    Attributes:
        deployment: id of the deployment that it belongs to (`startedBy`).
        status: its last one.
        stop_code: why it ends; empty while it shall run.
    """

    deployment: str
    status: str
    stop_code: str = ""

    @property
    def starts(self) -> bool:
        return self.status in ("PROVISIONING", "PENDING", "ACTIVATING") and not self.stop_code


@dataclass(slots=True)
class Deployment:
    task_definition: str
    created_at: datetime
    id: str = field(default_factory=lambda: f"ecs-svc/{uuid.uuid4().int % 10**19}")
    state: str = "IN_PROGRESS"
    reason: str = ""
    failed_tasks: int = 0
    is_rollback: bool = False


class ServiceRollouts:
    """The deployments of one service, the PRIMARY one first."""

    def __init__(self) -> None:
        self.deployments: list[Deployment] = []
        self._completed: Deployment | None = None

    @property
    def primary(self) -> Deployment:
        return self.deployments[0]

    def begin(self, task_definition: str, now: datetime) -> None:
        """Begins a deployment."""
        self.deployments.insert(0, Deployment(task_definition, now))
        self.primary.reason = f"ECS deployment {self.primary.id} in progress."

    def observe(self, tasks: Sequence[ServiceTask], desired: int, breaker: Mapping[str, Any], now: datetime) -> None:
        """Moves the deployments on.

        Args:
            tasks: all tasks of the service, those that have ended too.
            desired: how many of them shall run.
            breaker: `deploymentCircuitBreaker` of the service.
        """
        primary = self.primary
        if primary.state == "IN_PROGRESS":
            primary.failed_tasks = sum(t.deployment == primary.id and t.stop_code in BY_ITSELF for t in tasks)
            threshold = min(MAX_FAILURES, max(MIN_FAILURES, math.ceil(desired / 2)))
            if breaker.get("enable") and not primary.is_rollback and primary.failed_tasks >= threshold:
                self._fail(primary, bool(breaker.get("rollback")))
        living = [task.deployment for task in tasks if task.status != "STOPPED"]
        self.deployments = [self.primary, *(each for each in self.deployments[1:] if each.id in living)]
        primary = self.primary
        if primary.state == "IN_PROGRESS" and count_running(tasks, primary.id) >= desired and {*living} <= {primary.id}:
            primary.state, self._completed = "COMPLETED", primary
            if not primary.is_rollback:
                primary.reason = f"ECS deployment {primary.id} completed."

    def _fail(self, failed: Deployment, rollback: bool) -> None:
        failed.state, failed.reason = "FAILED", "ECS deployment circuit breaker: tasks failed to start."
        if rollback and (back := self._completed) is not None:
            back.state, back.is_rollback = "IN_PROGRESS", True
            back.reason = f"ECS deployment circuit breaker: rolling back to deploymentId {back.id}."
            self.deployments = [back, *(each for each in self.deployments if each is not back)]

    def described(self, tasks: Sequence[ServiceTask], desired: int) -> list[dict[str, Any]]:
        """`deployments` of DescribeServices."""
        return [
            {
                "id": each.id,
                "status": "PRIMARY" if each is self.primary else "ACTIVE",
                "taskDefinition": each.task_definition,
                "desiredCount": desired if each is self.primary else 0,
                "pendingCount": sum(t.deployment == each.id and t.starts for t in tasks),
                "runningCount": count_running(tasks, each.id),
                "failedTasks": each.failed_tasks,
                "createdAt": each.created_at,
                "updatedAt": each.created_at,
                "rolloutState": each.state,
                "rolloutStateReason": each.reason,
            }
            for each in self.deployments
        ]


def count_running(tasks: Iterable[ServiceTask], deployment: str | None = None) -> int:
    """How many tasks run, of one deployment or of all."""
    return sum(task.status == "RUNNING" and deployment in (None, task.deployment) for task in tasks)
