"""Tasks made of tasks: what a task function calls to submit other tasks and to wait for their results."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar, overload

from cluster.task_types.value_types import Graph
from cluster.worker.task_context import running_attempt

T = TypeVar("T")


class SubmittedChild(Protocol):
    """A task that the running one has submitted."""

    @property
    def task_id(self) -> str: ...

    def value(self) -> Any:
        """Its output, once it was waited for.

        Raises:
            TaskError: it failed, or was cancelled.
        """


class Children(Protocol):
    """The tasks that the running attempt submits."""

    def submit(self, task: Callable[..., Any] | str, arguments: Mapping[str, Any]) -> SubmittedChild: ...

    def wait(self, children: Sequence[SubmittedChild]) -> None: ...

    async def wait_async(self, children: Sequence[SubmittedChild]) -> None: ...


class Child(Generic[T]):
    """A task that the running task has submitted. In an async function, `await child` returns its output.

    Attributes:
        task_id: its id, the same as for every other submitter of this input.
    """

    def __init__(self, submitted: SubmittedChild, children: Children) -> None:
        self.task_id = submitted.task_id
        self._submitted = submitted
        self._children = children

    def __repr__(self) -> str:
        return f"Child({self.task_id!r})"

    def result(self) -> T:
        """Waits for its output; as `gather` of it alone."""
        [value] = gather(self)
        return value

    def __await__(self) -> Generator[Any, None, T]:
        yield from self._children.wait_async([self._submitted]).__await__()
        value: T = self._submitted.value()
        return value


class Gathered(list[T]):
    """The outputs of children. In an async function it is awaited, and empty until then."""

    def __init__(self, values: Sequence[T] = (), waiting: Callable[[], Awaitable[None]] | None = None) -> None:
        super().__init__(values)
        self._waiting = waiting

    def __await__(self) -> Generator[Any, None, list[T]]:
        if self._waiting is not None:
            yield from self._waiting().__await__()
        return self

    def __iter__(self) -> Iterator[T]:
        if self._waiting is not None:
            raise RuntimeError("in an async function, write `await gather(...)`")
        return super().__iter__()


@overload
def submit(task: Callable[..., Graph[T]], /, **arguments: Any) -> Child[T]: ...
@overload
def submit(task: Callable[..., Awaitable[T]], /, **arguments: Any) -> Child[T]: ...
@overload
def submit(task: Callable[..., T], /, **arguments: Any) -> Child[T]: ...
@overload
def submit(task: str, /, **arguments: Any) -> Child[Any]: ...


def submit(task: Any, /, **arguments: Any) -> Child[Any]:
    """Submits another task from the running one, and returns at once.

    Its id is the hash of its input, as of every submission: if it is in flight it is joined, and if its result is kept
    it is not run again. So an attempt that takes over from one that was lost asks for the same tasks, and finds done
    what was done. The child has the priority, the tags, the account and the trace of the running task; it must start
    before that task's time limit.

    Args:
        task: a function with `@task`, or the name of a task type.
        arguments: its input. A Blob, a Table or an Array of a result is passed as the file that it is.

    Raises:
        RuntimeError: no task is running in this thread.
        BadInput: the arguments do not fit the task type, or it does not exist.
        TaskError: the running task must stop (CANCELLED); it has CHILDREN_LIMIT children (TOO_MANY_CHILDREN); it is
            nested DEPTH_LIMIT deep (TASK_TOO_DEEP); or the child waits for the running task (TASK_CYCLE).
    """
    children = _children()
    return Child(children.submit(task, arguments), children)


def gather(*children: Child[T]) -> Gathered[T]:
    """Waits for children and returns their outputs, in the order of the arguments; of a stream, the list of its items.
    In an async function: `await gather(...)`.

    Meanwhile the running task occupies no thread of its worker and none of the slots of its `concurrency`, so any
    number of tasks can wait for others.

    Raises:
        TaskError: the first child that fails, with its id in `task_id` and the code CHILD_FAILED; or the running task
            must stop (CANCELLED).
    """
    if not children:
        return Gathered()
    runs, submitted = children[0]._children, [child._submitted for child in children]
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        runs.wait(submitted)
        return Gathered([child.value() for child in submitted])

    async def wait() -> None:
        await runs.wait_async(submitted)
        gathered._waiting = None
        gathered.extend(child.value() for child in submitted)

    gathered: Gathered[T] = Gathered(waiting=wait)
    return gathered


def _children() -> Children:
    attempt = running_attempt()
    if attempt is None or attempt.children is None:
        raise RuntimeError(
            "no task that can submit others is running here: call submit from a task function, in its own thread; "
            "functions with `batch` and the parts of graphs cannot"
        )
    children: Children = attempt.children
    return children
