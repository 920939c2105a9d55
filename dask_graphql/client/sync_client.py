"""The client for synchronous code: runs the asyncio client on an event loop in its own thread."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from typing import Any, BinaryIO, Self, TypeVar

from dask_graphql.client.async_client import AsyncClient
from dask_graphql.client.async_handle import AsyncHandle
from dask_graphql.client.codec import Blob
from dask_graphql.client.errors import ClientError
from dask_graphql.client.events import Event
from dask_graphql.client.submissions import SubmitOptions
from dask_graphql.client.task_types import TaskType

T = TypeVar("T")


class Client:
    """A client of one api, for any of its task types. Its methods may be called from any thread.

    The arguments, the methods and what they raise are those of `AsyncClient`. Use it with `with`, or `close` it.
    """

    def __init__(
        self, url: str, token: str | None = None, *, patience_seconds: float = 60.0, ping_seconds: float = 15.0
    ) -> None:
        self._client = AsyncClient(url, token, patience_seconds=patience_seconds, ping_seconds=ping_seconds)
        self._loop = asyncio.new_event_loop()
        # A daemon, so that a program that forgot to close its client still exits.
        self._thread = threading.Thread(target=self._loop.run_forever, name="dask-graphql-client", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The api's `/graphql`."""
        return self._client.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections and ends the thread. Callers that still wait get a ClientError; the tasks continue."""
        if self._loop.is_closed():
            return
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        await self._client.close()
        # Calls of other threads end before the loop does.
        if rest := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in rest:
                task.cancel()
            await asyncio.wait(rest)

    def task_types(self, *, refresh: bool = False) -> Mapping[str, TaskType]:
        """The api's task types by name; requested once, and again with `refresh`."""
        return self._run(self._client.task_types(refresh=refresh))

    def task_id(self, task: str, /, **arguments: Any) -> str:
        """The id that the api would give this task. Submits nothing and does not validate the arguments."""
        return self._run(self._client.task_id(task, **arguments))

    def submit(self, task: str, /, *, options: SubmitOptions | None = None, **arguments: Any) -> Handle:
        """Submits a task. Repeats the request while the api is unavailable or full, which is safe: the same input is
        the same task."""
        return Handle(self, self._run(self._client.submit(task, options=options, **arguments)))

    def submit_many(
        self, task: str, /, inputs: Iterable[Mapping[str, Any]], *, options: SubmitOptions | None = None
    ) -> list[Handle]:
        """Submits many inputs of one task type in batches."""
        handles = self._run(self._client.submit_many(task, list(inputs), options=options))
        return [Handle(self, handle) for handle in handles]

    def task(self, task_id: str) -> Handle:
        """A handle of a task by its id; the task need not be submitted yet."""
        return Handle(self, self._client.task(task_id))

    def map(
        self, task: str, /, inputs: Iterable[Mapping[str, Any]], *, options: SubmitOptions | None = None
    ) -> Iterator[Any]:
        """Submits all inputs and yields their results in the order of the inputs."""
        return self._iterate(self._client.map(task, list(inputs), options=options))

    def as_completed(self, handles: Iterable[Handle]) -> Iterator[Handle]:
        """Yields each handle when its task ends, in whatever state; its `result` then returns without waiting."""
        by_inner = {handle._handle: handle for handle in handles}
        for inner in self._iterate(self._client.as_completed(by_inner)):
            yield by_inner[inner]

    def download(self, blob: Blob, file: str | os.PathLike[str] | BinaryIO) -> int:
        """Streams a blob into a file and returns its length in bytes. Resumes after a lost connection."""
        return self._run(self._client.download(blob, file))

    def read(self, blob: Blob) -> bytes:
        """All bytes of a blob."""
        return self._run(self._client.read(blob))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop.is_closed():
            work.close()
            raise ClientError("the client is closed")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise ClientError("the client is closed") from None
        except BaseException:
            # For example Ctrl-C in the caller's thread: the call must not continue in the background.
            future.cancel()
            raise

    def _iterate(self, source: AsyncGenerator[T, None]) -> Iterator[T]:
        async def step() -> T:
            return await anext(source)

        async def leave() -> None:
            await source.aclose()

        try:
            while True:
                try:
                    item = self._run(step())
                except StopAsyncIteration:
                    return
                yield item
        finally:
            if not self._loop.is_closed():
                self._run(leave())


class Handle:
    """A task of the api. The methods and what they raise are those of `AsyncHandle`."""

    def __init__(self, client: Client, handle: AsyncHandle) -> None:
        self._client = client
        self._handle = handle

    def __repr__(self) -> str:
        return repr(self._handle)

    @property
    def task_id(self) -> str:
        """Its id."""
        return self._handle.task_id

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
        return self._client._run(self._handle.state())

    def final(self, timeout: float | None = None) -> dict[str, Any]:
        """Waits at most `timeout` seconds for the final record and returns it with GraphQL's names and values."""
        return self._client._run(self._handle.final(timeout))

    def result(self, timeout: float | None = None) -> Any:
        """Waits at most `timeout` seconds for the task to end and returns its output as a Python value."""
        return self._client._run(self._handle.result(timeout))

    def partial(self) -> Any:
        """The output that the running task has reported so far; None if there is none."""
        return self._client._run(self._handle.partial())

    def events(self, after_seq: int = 0) -> Iterator[Event]:
        """Yields every change of the task after `after_seq`, past and future, up to the final one."""
        return self._client._iterate(self._handle.events(after_seq))

    def cancel(self) -> str:
        """Cancels the task and returns its state, which is not CANCELLED if it had already ended."""
        return self._client._run(self._handle.cancel())

    def withdraw(self) -> str:
        """Takes back this client's submission and returns the task's state: CANCELLED if nobody else wants it."""
        return self._client._run(self._handle.withdraw())

    def read_field(self, field: str, /, **arguments: Any) -> Any:
        """Reads one field of the output that takes arguments, such as `digits_slice` of `fibonacci`."""
        return self._client._run(self._handle.read_field(field, **arguments))
