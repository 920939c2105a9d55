"""A handle of one task for synchronous code, which is a `concurrent.futures.Future` too."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator
from concurrent.futures import Executor, Future
from typing import Any, Literal, Protocol, overload

from dask_graphql.client.async_handle import AsyncHandle
from dask_graphql.client.errors import ClientError, TaskFailed
from dask_graphql.client.events import FINAL_STATES, Event
from dask_graphql.client.html import handle_html
from dask_graphql.client.items import Item
from dask_graphql.client.log_lines import LogLine
from dask_graphql.client.task_list import TaskList, Waiting

logger = logging.getLogger(__name__)


class Runner(Protocol):
    """What handles need of the client that they come from."""

    _loop: asyncio.AbstractEventLoop

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any: ...

    def _iterate(self, source: Any) -> Iterator[Any]: ...

    def _callbacks(self) -> Executor: ...


class Handle(Future[Any]):
    """A task of the api, as a `concurrent.futures.Future`: `concurrent.futures.wait` and `as_completed` take it, and
    `await` works in any event loop. The methods and what they raise are otherwise those of `AsyncHandle`.

    The client learns of the task's end only if somebody asks: by a method here, `wait` or `as_completed`.
    """

    def __init__(self, client: Runner, handle: AsyncHandle) -> None:
        self._client = client
        self._handle = handle
        self._watching = False
        self._watch_lock = threading.Lock()
        super().__init__()

    # `concurrent.futures` documents no way to learn that somebody waits for a future, and a subscription for each task
    # that nobody waits for would be a waste. But `wait`, `as_completed` and the methods of `Future` all begin with this
    # attribute (Python 3.11 to 3.14). If it were renamed, they would wait for ever, as the tests of this class do.
    @property
    def _condition(self) -> threading.Condition:
        self._watch()
        return self._own_condition

    @_condition.setter
    def _condition(self, condition: threading.Condition) -> None:
        self._own_condition = condition

    def _watch(self) -> None:
        """Waits in the background for the task's end, from the first call on."""
        with self._watch_lock:
            if self._watching or not hasattr(self, "_own_condition") or self._client._loop.is_closed():
                return
            self._watching = True
        waiting = asyncio.run_coroutine_threadsafe(self._handle.final(), self._client._loop)
        waiting.add_done_callback(self._on_end)

    def _on_end(self, waiting: Future[dict[str, Any]]) -> None:
        error = ClientError("the client is closed") if waiting.cancelled() else waiting.exception()
        if error is None:
            try:
                self._handle.value_of(waiting.result())
            except Exception as failure:  # noqa: BLE001 - whatever `result` raises is the outcome of the future
                error = failure
        if error is None:
            self.set_result(None)  # `result` here reads the record, which the handle keeps
        else:
            self.set_exception(error)

    def __repr__(self) -> str:
        return repr(self._handle)

    def _repr_html_(self) -> str:
        return handle_html(self._handle)

    def __await__(self) -> Generator[Any, None, Any]:
        # Not `asyncio.wrap_future(self)`: a cancelled wait must not cancel the task.
        waiting = asyncio.run_coroutine_threadsafe(self._handle.result(), self._client._loop)
        return asyncio.wrap_future(waiting).__await__()

    @property
    def task_id(self) -> str:
        """Its id."""
        return self._handle.task_id

    @property
    def arguments(self) -> dict[str, Any] | None:
        """The arguments that it was submitted with; None if it was not submitted here."""
        return self._handle.arguments

    @property
    def outcome(self) -> str | None:
        """Outcome of the submission: NEW, JOINED, CACHED or RECOMPUTED; None if it was not submitted here."""
        return self._handle.outcome

    @property
    def progress(self) -> float | None:
        """Progress from 0 to 1, as last reported; None if unknown. Reading it sends no request."""
        return self._handle.progress

    @property
    def last_state(self) -> str | None:
        """The state as last reported; None if unknown. Reading it sends no request."""
        return self._handle.last_state

    def state(self) -> str | None:
        """The current state; None if the api does not know the task."""
        state: str | None = self._client._run(self._handle.state())
        return state

    def final(self, timeout: float | None = None) -> dict[str, Any]:
        """Waits at most `timeout` seconds for the final record and returns it with GraphQL's names and values."""
        record: dict[str, Any] = self._client._run(self._handle.final(timeout))
        return record

    def result(self, timeout: float | None = None) -> Any:
        """Waits at most `timeout` seconds for the task to end and returns its output as a Python value."""
        return self._client._run(self._handle.result(timeout))

    def exception(self, timeout: float | None = None) -> TaskFailed | None:
        """Waits as `result` does. Returns the error of a task that failed, and None if it succeeded.

        Raises:
            TaskCancelled: the task was cancelled. It is a `concurrent.futures.CancelledError`.
        """
        error: TaskFailed | None = self._client._run(self._handle.exception(timeout))
        return error

    def done(self) -> bool:
        """Whether the task has ended. Never waits for that: the first call asks the api, and further ones only read
        what the client has heard since."""
        if self._handle.last_state in FINAL_STATES:
            return True
        if not self._watching:
            self._watch()
            self.state()
        return self._handle.last_state in FINAL_STATES

    def running(self) -> bool:
        """Whether the task runs now. Asks the api, unless the task has ended."""
        return self._handle.last_state not in FINAL_STATES and self.state() == "RUNNING"

    def cancelled(self) -> bool:
        """Whether the task has ended as CANCELLED; asks as `done` does."""
        return self.done() and self._handle.last_state == "CANCELLED"

    def cancel(self) -> bool:
        """Cancels the task. Returns whether it is cancelled now; False if it had already ended."""
        return bool(self._client._run(self._handle.cancel()))

    def add_done_callback(self, callback: Callable[[Future[Any]], object]) -> None:
        """Calls `callback(handle)` once the task has ended, in a thread of the client's; or at once if it has."""

        def call() -> None:
            try:
                callback(self)
            except Exception:
                logger.exception("a callback of %r raised an exception", self)

        # In a thread of their own, so that callbacks may use the client.
        super().add_done_callback(lambda _: self._client._callbacks().submit(call))

    def partial(self) -> Any:
        """The output that the running task has reported so far; None if there is none."""
        return self._client._run(self._handle.partial())

    def events(self, after_seq: int = 0) -> Iterator[Event]:
        """Yields every change of the task after `after_seq`, past and future, up to the final one."""
        return self._client._iterate(self._handle.events(after_seq))

    def items(self, after: str | None = None) -> Iterator[Item]:
        """Yields the items of the task's stream as they come, until it has ended; those after a cursor."""
        return self._client._iterate(self._handle.items(after))

    @overload
    def logs(self, after: int = 0, *, follow: Literal[False] = False) -> list[LogLine]: ...

    @overload
    def logs(self, after: int = 0, *, follow: Literal[True]) -> Iterator[LogLine]: ...

    def logs(self, after: int = 0, *, follow: bool = False) -> list[LogLine] | Iterator[LogLine]:
        """The lines that the task has printed or logged, after the one with the number `after`; about a second late
        while it runs. With `follow`, an iterator that also yields those to come, until the task has ended."""
        if follow:
            return self._client._iterate(self._handle.logs(after, follow=True))
        lines: list[LogLine] = self._client._run(self._handle.logs(after))
        return lines

    def waiting(self) -> Waiting | None:
        """Why the task waits; None unless it is QUEUED."""
        found: Waiting | None = self._client._run(self._handle.waiting())
        return found

    def children(self, first: int | None = None) -> TaskList:
        """The tasks that the task's latest run has submitted, in the order of submission: at most `first` of them."""
        found: TaskList = self._client._run(self._handle.children(first))
        return found

    def parents(self) -> TaskList:
        """The tasks that have submitted the task's latest run while it was open: at most 50 of them."""
        found: TaskList = self._client._run(self._handle.parents())
        return found

    def cost(self) -> float | None:
        """What the task's last attempt cost, in US dollars; None until it has ended, or if no price is known."""
        cost: float | None = self._client._run(self._handle.cost())
        return cost

    def withdraw(self) -> str:
        """Takes back this client's submission and returns the task's state: CANCELLED if nobody else wants it."""
        return str(self._client._run(self._handle.withdraw()))

    def retry(self) -> str | None:
        """Submits a task that failed or was cancelled again, with the input of its record. Returns the outcome."""
        outcome: str | None = self._client._run(self._handle.retry())
        return outcome

    def read_field(self, field: str, /, **arguments: Any) -> Any:
        """Reads one field of the output that takes arguments, such as `digits_slice` of `fibonacci`."""
        return self._client._run(self._handle.read_field(field, **arguments))
