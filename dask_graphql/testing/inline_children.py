"""Tasks that a task under test submits: they run at once, in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.errors import BadInput, TaskError
from cluster.task_types.registry import task_type_named
from cluster.worker.subtasks import SubmittedChild
from cluster.worker.task_context import enter, running_attempt
from dask_graphql.testing.outcomes import Outcome


@dataclass(frozen=True)
class InlineChild:
    """A child that has ended."""

    outcome: Outcome

    @property
    def task_id(self) -> str:
        return self.outcome.task_id

    def value(self) -> Any:
        if (error := self.outcome.error) is None:
            return self.outcome.value
        raise TaskError(
            "CHILD_FAILED", f"the child {self.task_id} failed with {error['code']}: {error['message']}",
            task_id=self.task_id,
        )  # fmt: skip


class InlineChildren:
    """The children of one attempt.

    Args:
        run: runs a task, by its function and its input.
    """

    def __init__(self, run: Callable[[Callable[..., Any], Mapping[str, Any]], Outcome]) -> None:
        self._run = run

    def submit(self, task: Callable[..., Any] | str, arguments: Mapping[str, Any]) -> SubmittedChild:
        if isinstance(task, str):
            task_type = task_type_named(task)
            if task_type is None:
                raise BadInput(f"there is no task type {task!r}")
            task = task_type.function
        parent = running_attempt()
        try:
            return InlineChild(self._run(task, arguments))
        finally:
            enter(parent)

    def wait(self, children: Sequence[SubmittedChild]) -> None:
        for child in children:
            child.value()

    async def wait_async(self, children: Sequence[SubmittedChild]) -> None:
        self.wait(children)
