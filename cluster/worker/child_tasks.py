"""The tasks that one attempt submits, through the store that its worker has: the same script as an api node's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Final

from cluster.errors import BadInput, TaskError
from cluster.observability import tracing
from cluster.settings import Settings
from cluster.settings.pools import DEFAULT_POOL
from cluster.store.actor import Actor
from cluster.store.child_calls import CHILD_ACTOR, Parent, submitter_name
from cluster.store.limit_list import limits_of
from cluster.store.lua_scripts import Call
from cluster.store.record import Record, SubmissionOutcome, TaskState
from cluster.store.thread_store import ThreadStore
from cluster.task_types.array_types import Array
from cluster.task_types.conversion import to_builtin
from cluster.task_types.file import file_id
from cluster.task_types.needs import next_pool_for
from cluster.task_types.registry import Registry
from cluster.task_types.table_types import Table
from cluster.task_types.task_type import Bound, TaskType
from cluster.task_types.value_types import Blob
from cluster.worker.child_files import ChildFiles
from cluster.worker.child_streams import read_stream
from cluster.worker.child_waits import ChildWaits, Wait
from cluster.worker.task_context import RunningAttempt
from cluster.worker.waiting_places import WaitingPlaces

MAX_ANCESTORS: Final = 1_000
"""How many tasks above the running one are looked at for a child that waits for it."""


class HandedBack(BaseException):
    """The attempt cannot wait here; another one begins later. No error of the function: it should not catch it."""


@dataclass(eq=False)
class ChildTask:
    """One child.

    Attributes:
        submitted_at: of the run that is waited for.
        record: its final record, once it was waited for.
    """

    task_id: str
    task_type: TaskType
    bound: Bound
    read: Callable[[TaskType, bytes], Any]
    submitted_at: int = 0
    record: Record | None = None

    def value(self) -> Any:
        record = self.record
        assert record is not None
        if record.state is TaskState.SUCCEEDED:
            return self.read(self.task_type, record.result or b"null")
        fields = record.error_fields() or {}
        how = "was cancelled" if record.state is TaskState.CANCELLED else f"failed with {fields.get('code')}"
        raise TaskError(
            "CHILD_FAILED",
            f"the child {record.task_id} ({record.name}) {how}: {fields.get('message')}",
            task_id=record.task_id,
        )


@dataclass(eq=False)
class WorkerChildren:
    """The children of one attempt.

    Attributes:
        trace: W3C trace context of its run.
        deadline: when the attempt times out, by `time.monotonic`; None without a limit.
        waited_seconds: how long it has waited for children.
    """

    running: RunningAttempt
    registry: Registry
    store: ThreadStore
    settings: Settings
    waits: ChildWaits
    places: WaitingPlaces
    files: ChildFiles
    tenant: str = ""
    trace: str = ""
    deadline: float | None = None
    waited_seconds: float = 0.0
    _parent: Parent | None = None
    _outstanding: int = 0
    _left_at: float = field(default=0.0)

    # Submitting -------------------------------------------------------------------------------------------------------

    def submit(self, task: Callable[..., Any] | str, arguments: Mapping[str, Any]) -> ChildTask:
        """Submits a child. Raises as `subtasks.submit`."""
        task_type = self._task_type(task)
        parent = self._parent = self._parent or self._look_up()
        if parent.depth >= self.settings.depth_limit:
            raise TaskError(
                "TASK_TOO_DEEP",
                f"tasks that submit tasks are nested at most {self.settings.depth_limit} deep (DEPTH_LIMIT)",
            )
        if self.tenant and not parent.salt:
            raise TaskError("TASK_FAILED", "an api node of an earlier release has submitted this task: submit it again")
        bound = task_type.bind(
            to_builtin({name: _as_argument(value) for name, value in arguments.items()}),
            salt=parent.salt,
            limit_bytes=self.settings.input_limit_bytes,
        )
        if bound.task_id == self.running.task_id:
            raise _cycle(bound.task_id)
        child = ChildTask(bound.task_id, task_type, bound, self._read)
        self._submit(child)
        return child

    def _task_type(self, task: Callable[..., Any] | str) -> TaskType:
        if isinstance(task, str):
            if task not in self.registry:
                raise BadInput(f"there is no task type {task!r}; there are: {', '.join(self.registry)}")
            return self.registry[task]
        for task_type in self.registry.values():
            if task_type.function is task:
                return task_type
        raise BadInput(f"{getattr(task, '__name__', task)!r} is no task type of this worker: put @task on it")

    def _look_up(self) -> Parent:
        """What children have from this attempt. Raises as `_checked`."""
        self.running.record_start()
        return self._checked(self.store.run(self._add_children(())))

    def _add_children(self, children: Sequence[str]) -> Call[Parent | int | None]:
        limit = self.settings.children_limit
        return self.store.calls.add_children(self.running.task_id, self.running.attempt, children, limit)

    def _checked(self, found: Parent | int | None) -> Parent:
        """The reply to `add_children`.

        Raises:
            TaskError: the attempt must stop, or has too many children.
        """
        if found is None:
            self.running.stop.set()
            raise _stopped()
        if not isinstance(found, Parent):
            limit = self.settings.children_limit
            raise TaskError("TOO_MANY_CHILDREN", f"a task has at most {limit} children (CHILDREN_LIMIT)")
        return found

    def _submit(self, child: ChildTask) -> None:
        bound, calls = child.bound, self.store.calls
        # First, and not in one round trip with the submission: an attempt that must stop submits nothing.
        parent = self._checked(self.store.run(self._add_children([child.task_id])))
        self.files.use(bound, self.tenant, parent.account)
        above = Actor.parse(parent.submitted_by)
        actor = Actor(
            submitter_name(self.running.task_id, parent.submitted_at), above.account if above else parent.account,
            f"task {self.running.task_id}",
        )  # fmt: skip
        within = [bound.task_type.start_within_seconds]
        if self.deadline is not None:
            within.append(max(0.001, self.deadline - time.monotonic()))
        with tracing.span(f"submit {bound.task_type.name}", "PRODUCER", self.trace or parent.trace) as span:
            reply = self.store.run(
                calls.submit(
                    bound.task_id, bound.task_type.name, bound.task_type.version, bound.canonical_input,
                    priority=parent.priority, tenant=self.tenant, trace=span.traceparent, account=parent.account,
                    actor=actor, tags=parent.tags, depth=parent.depth + 1, salt=parent.salt,
                    limits=limits_of(bound, _ceiling_of(parent.limits)), ttl_seconds=bound.task_type.ttl_seconds,
                    start_within_seconds=min((it for it in within if it is not None), default=None),
                    next_pool=self._next_pool(bound.task_type),
                )
            )  # fmt: skip
        child.submitted_at = reply.record.submitted_at
        if reply.record.final and not reply.record.result_omitted:
            child.record = reply.record
        if reply.outcome is SubmissionOutcome.JOINED and self._waits_for(child.task_id):
            self.store.run(calls.cancel(child.task_id, actor, "withdraw"))
            raise _cycle(child.task_id)

    def _read(self, task_type: TaskType, result: bytes) -> Any:
        """The output of a child."""
        value = self.files.read(task_type, result)
        return value if task_type.items is None else read_stream(self.store, task_type.items, value)

    def _next_pool(self, task_type: TaskType) -> str:
        """The larger pool of a child, as an api node would choose it."""
        if not self.settings.larger_pool:
            return ""
        declared = task_type.pool, task_type.needs, task_type.larger_pool
        return next_pool_for(*declared, self.settings.all_pools, DEFAULT_POOL)

    def _waits_for(self, task_id: str) -> bool:
        """Whether a task is among those above this one, which wait for it."""
        level, seen = [self.running.task_id], {self.running.task_id}
        while level and len(seen) < MAX_ANCESTORS:
            commands = [
                command
                for above in level
                for key in [self.store.calls.record_key(above)]
                for command in (("HKEYS", key), ("HGET", key, "submitted_by"))
            ]
            replies = self.store.run_commands(commands)
            found = {*_parents(replies[::2], b"by:"), *_parents([[it] for it in replies[1::2] if it], b"")}
            if task_id in found:
                return True
            level = [above for above in found if above not in seen]
            seen.update(level)
        return False

    # Waiting ----------------------------------------------------------------------------------------------------------

    def wait(self, children: Sequence[ChildTask]) -> None:
        """Waits for children, until all have succeeded or one has failed. Raises as `subtasks.gather`."""
        ends: SimpleQueue[tuple[str, Record | None] | None] = SimpleQueue()
        pending = _pending(children)
        if not pending:
            return
        wait = Wait(_runs(pending), lambda *end: ends.put(end), lambda: ends.put(None), self.running.stop)
        left = False
        try:
            self.waits.add(wait)
            while pending:
                try:
                    end = ends.get_nowait()
                except Empty:
                    if not left:
                        self._leave()
                        left = True
                    end = ends.get()
                self._on_end(end, pending, wait)
        finally:
            self.waits.remove(wait)
            if left:
                self._return()

    async def wait_async(self, children: Sequence[ChildTask]) -> None:
        """As `wait`, in an async function."""
        loop, ends = asyncio.get_running_loop(), asyncio.Queue[tuple[str, Record | None] | None]()
        pending = _pending(children)
        if not pending:
            return

        def put(end: tuple[str, Record | None] | None) -> None:
            # The loop may have ended with another child's failure.
            if not loop.is_closed():
                loop.call_soon_threadsafe(ends.put_nowait, end)

        wait = Wait(_runs(pending), lambda *end: put(end), lambda: put(None), self.running.stop)
        left = False
        try:
            self.waits.add(wait)
            # What has ended already is in the queue after this.
            await asyncio.sleep(0)
            while pending:
                if ends.empty() and not left:
                    self._leave()
                    left = True
                self._on_end(await ends.get(), pending, wait)
        finally:
            self.waits.remove(wait)
            if left:
                self._return()

    def _on_end(self, end: tuple[str, Record | None] | None, pending: dict[str, list[ChildTask]], wait: Wait) -> None:
        if end is None:
            raise _stopped()
        task_id, record = end
        if record is None:
            # Its record has expired, or was deleted: it is computed again.
            for child in pending[task_id]:
                self._submit(child)
                wait.runs[task_id] = child.submitted_at
            self.waits.add(wait)
            return
        for child in pending.pop(task_id, ()):
            child.record = record
            if record.state is not TaskState.SUCCEEDED:
                child.value()

    def _leave(self) -> None:
        """Frees the thread and the slots of this attempt.

        Raises:
            HandedBack: too many attempts of this worker wait already.
        """
        self._outstanding += 1
        if self._outstanding > 1:
            return
        parent = self._parent
        assert parent is not None
        if not self.places.leave(parent.depth, parent.hand_backs):
            self._outstanding -= 1
            raise HandedBack
        self._left_at = time.monotonic()
        if parent.limits:
            self._wait_for_children(waits=True)
        self.store.disconnect()

    def _return(self) -> None:
        self._outstanding -= 1
        if self._outstanding:
            return
        parent = self._parent
        assert parent is not None
        self.waited_seconds += time.monotonic() - self._left_at
        if self.running.stop.is_set():
            self.places.give_up(parent.depth)
            return
        self.places.come_back(parent.depth)
        if parent.limits:
            self._wait_for_children(waits=False)

    def _wait_for_children(self, *, waits: bool) -> None:
        call = self.store.calls.wait_for_children(self.running.task_id, self.running.attempt, waits=waits)
        if not self.store.run(call):
            self.running.stop.set()


def _pending(children: Sequence[ChildTask]) -> dict[str, list[ChildTask]]:
    """Those that were not waited for yet, by id: equal ones are one task.

    Raises:
        TaskError: one of the others has failed.
    """
    pending: dict[str, list[ChildTask]] = {}
    for child in children:
        if child.record is None:
            pending.setdefault(child.task_id, []).append(child)
        elif child.record.state is not TaskState.SUCCEEDED:
            child.value()
    return pending


def _runs(pending: Mapping[str, Sequence[ChildTask]]) -> dict[str, int]:
    return {task_id: same[0].submitted_at for task_id, same in pending.items()}


def _parents(replies: Iterable[Iterable[bytes]], before: bytes) -> set[str]:
    """The ids of the tasks among submitters."""
    start = before + CHILD_ACTOR.encode()
    return {
        name.removeprefix(start).partition(b":")[0].decode()
        for names in replies
        for name in names
        if name.startswith(start)
    }


def _as_argument(value: Any) -> Any:
    """An argument of a child: a blob, a table or an array of a result as the id of its file, alone or in a list."""
    if isinstance(value, Blob | Table | Array):
        if value.sha256 is None:
            raise BadInput(f"the {type(value).__name__} {value.key} has no SHA-256, so it cannot be an argument")
        return file_id(value.sha256)
    if isinstance(value, list | tuple):
        return [_as_argument(item) for item in value]
    return value


def _ceiling_of(limits: str) -> str:
    """The account whose running tasks are limited, among the limits of a task; empty for none."""
    return next((limit.removeprefix("a:") for limit in limits.split(" ") if limit.startswith("a:")), "")


def _stopped() -> TaskError:
    return TaskError("CANCELLED", "the task was cancelled, or another attempt has taken its place")


def _cycle(task_id: str) -> TaskError:
    return TaskError(
        "TASK_CYCLE", f"the task {task_id} waits for the running one, which would wait for it", task_id=task_id
    )
