"""The client for synchronous code: runs the asyncio client on an event loop in its own thread."""

from __future__ import annotations

import asyncio
import datetime
import os
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, ThreadPoolExecutor
from typing import Any, BinaryIO, Self, TypeVar

from cluster.task_types.file import File
from dask_graphql.client.async_client import AsyncClient
from dask_graphql.client.bulk import BulkResult, FailureGroup, OnPage
from dask_graphql.client.changes import Change
from dask_graphql.client.codec import Blob
from dask_graphql.client.errors import ClientError, TaskCancelled, TaskFailed
from dask_graphql.client.estimates import SubmissionEstimate
from dask_graphql.client.handle import Handle
from dask_graphql.client.handles import Handles
from dask_graphql.client.progress_bar import ProgressBar
from dask_graphql.client.remote_data import sync_data
from dask_graphql.client.schedules import Schedule
from dask_graphql.client.submissions import SubmitOptions
from dask_graphql.client.task_function import Task
from dask_graphql.client.task_list import TaskList
from dask_graphql.client.task_types import TaskType
from dask_graphql.client.uploads import Content, OnProgress

T = TypeVar("T")


class Client:
    """A client of one api, for any of its task types. Its methods may be called from any thread.

    The arguments, the methods and what they raise are those of `AsyncClient`. Use it with `with`, or `close` it.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        patience_seconds: float = 60.0,
        ping_seconds: float = 15.0,
        connect_seconds: float | None = None,
    ) -> None:
        self._client = AsyncClient(
            url, token, patience_seconds=patience_seconds, ping_seconds=ping_seconds, connect_seconds=connect_seconds
        )
        self._callback_thread: Executor | None = None
        self._callback_lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._client.make_data = sync_data(self._client._http, self._loop)
        # A daemon, so that a program that forgot to close its client still exits.
        self._thread = threading.Thread(target=self._loop.run_forever, name="dask-graphql-client", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The api's `/graphql`."""
        return self._client.url

    def __repr__(self) -> str:
        return f"<Client of {self.url}>"

    def _repr_html_(self) -> str:
        return self._client._repr_html_()

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
        if self._callback_thread is not None:
            self._callback_thread.shutdown(wait=False)

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

    def task_id(self, task: Task, /, *args: Any, options: SubmitOptions | None = None, **arguments: Any) -> str:
        """The id that the api would give this task. Submits nothing and does not validate the arguments. Of the
        options, only the run key matters."""
        return self._run(self._client.task_id(task, *args, options=options, **arguments))

    def estimate(
        self, task: Task, /, *args: Any, options: SubmitOptions | None = None, **arguments: Any
    ) -> SubmissionEstimate:
        """What a submission would be now, and how long and how much it would take. Submits nothing, and uploads
        nothing: a file is given by its id. Of the options, only the run key matters."""
        return self._run(self._client.estimate(task, *args, options=options, **arguments))

    def submit(self, task: Task, /, *args: Any, options: SubmitOptions | None = None, **arguments: Any) -> Handle:
        """Submits a task. Repeats the request while the api is unavailable or full, which is safe: the same input is
        the same task."""
        return Handle(self, self._run(self._client.submit(task, *args, options=options, **arguments)))

    def submit_many(
        self, task: Task, /, inputs: Iterable[Mapping[str, Any]], *, options: SubmitOptions | None = None
    ) -> Handles[Handle]:
        """Submits many inputs of one task type in batches."""
        handles = self._run(self._client.submit_many(task, list(inputs), options=options))
        return Handles([Handle(self, handle) for handle in handles])

    def task(self, task_id: str, task: Task | None = None) -> Handle:
        """A handle of a task by its id; the task need not be submitted yet."""
        return Handle(self, self._client.task(task_id, task))

    def tasks(
        self, first: int = 20, *, state: str | None = None, name: str | None = None, tag: str | None = None
    ) -> TaskList:
        """The newest tasks of the api that the caller may see."""
        return self._run(self._client.tasks(first, state=state, name=name, tag=tag))

    def changes(self, where: Mapping[str, Any] | None = None, *, after: str | None = None) -> Iterator[Change]:
        """Yields every change of the tasks that `where` means, without end."""
        return self._iterate(self._client.changes(where, after=after))

    def cancel_tasks(
        self, where: Mapping[str, Any], *, dry_run: bool = False, on_page: OnPage | None = None
    ) -> BulkResult:
        """Cancels the open tasks that `where` means, as `cancel` of a handle does.

        `on_page` is called on the client's own thread.
        """
        return self._run(self._client.cancel_tasks(where, dry_run=dry_run, on_page=on_page))

    def withdraw_tasks(
        self, where: Mapping[str, Any], *, dry_run: bool = False, on_page: OnPage | None = None
    ) -> BulkResult:
        """Takes back what the caller submitted, of the open tasks that `where` means."""
        return self._run(self._client.withdraw_tasks(where, dry_run=dry_run, on_page=on_page))

    def retry_tasks(
        self, where: Mapping[str, Any], *, dry_run: bool = False, on_page: OnPage | None = None
    ) -> BulkResult:
        """Submits the tasks that `where` means and that failed or were cancelled again."""
        return self._run(self._client.retry_tasks(where, dry_run=dry_run, on_page=on_page))

    def forget_tasks(
        self, where: Mapping[str, Any], *, dry_run: bool = False, on_page: OnPage | None = None
    ) -> BulkResult:
        """Deletes the tasks that `where` means and that have ended, with their results, events and lines."""
        return self._run(self._client.forget_tasks(where, dry_run=dry_run, on_page=on_page))

    def failures(self, where: Mapping[str, Any] | None = None, first: int = 20) -> list[FailureGroup]:
        """Failed tasks by what went wrong, the largest group first."""
        return self._run(self._client.failures(where, first))

    def map(
        self,
        task: Task,
        /,
        inputs: Iterable[Mapping[str, Any]],
        *,
        options: SubmitOptions | None = None,
        return_exceptions: bool = False,
        progress: bool = False,
    ) -> Iterator[Any]:
        """Submits all inputs and yields their results in the order of the inputs."""
        inputs = list(inputs)
        if not progress:
            results = self._client.map(task, inputs, options=options, return_exceptions=return_exceptions)
            yield from self._iterate(results)
            return
        handles = self.submit_many(task, inputs, options=options)
        self.progress(handles)
        for handle in handles:
            try:
                value = handle.result()
            except (TaskFailed, TaskCancelled) as error:
                if not return_exceptions:
                    raise
                value = error
            yield value

    def progress(self, handles: Handle | Iterable[Handle]) -> None:
        """Shows a progress bar until all these tasks have ended, in whatever state; of a single task, its progress."""
        # Drawn by the caller's thread: a notebook shows what another thread draws in no cell, or in a wrong one.
        if isinstance(handles, Handle):
            with ProgressBar(1) as bar:
                for event in handles.events():
                    bar.at(event.progress)
                bar.ended(handles.last_state)
            return
        handles = list(handles)
        with ProgressBar(len(handles)) as bar:
            for handle in self.as_completed(handles):
                bar.ended(handle.last_state)

    def schedules(self) -> list[Schedule]:
        """The schedules of the caller's tenant, by name."""
        return self._run(self._client.schedules())

    def schedule(self, name: str) -> Schedule:
        """One schedule of the caller's tenant."""
        return self._run(self._client.schedule(name))

    def set_schedule(
        self,
        name: str,
        task: Task,
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        cron: str | None = None,
        every_seconds: float | None = None,
        time_zone: str = "UTC",
        overlap: str = "SKIP",
        catch_up_seconds: float | None = None,
        priority: int = 0,
        tags: Sequence[str] = (),
        ttl_seconds: float | None = None,
    ) -> Schedule:
        """Sets a schedule: a new one, or in the place of the one with this name. Its ticks begin after now. Arguments
        and errors as those of `AsyncClient.set_schedule`."""
        return self._run(
            self._client.set_schedule(
                name, task, arguments, cron=cron, every_seconds=every_seconds, time_zone=time_zone, overlap=overlap,
                catch_up_seconds=catch_up_seconds, priority=priority, tags=tags, ttl_seconds=ttl_seconds,
            )
        )  # fmt: skip

    def pause_schedule(self, name: str) -> Schedule:
        """Pauses a schedule: it submits nothing."""
        return self._run(self._client.pause_schedule(name))

    def resume_schedule(self, name: str) -> Schedule:
        """Resumes a schedule, from now on."""
        return self._run(self._client.resume_schedule(name))

    def run_schedule(self, name: str) -> Handle:
        """Submits what a schedule submits now, beside its ticks and even if it is paused."""
        return Handle(self, self._run(self._client.run_schedule(name)))

    def preview_schedule(
        self,
        *,
        cron: str | None = None,
        every_seconds: float | None = None,
        time_zone: str = "UTC",
        after: datetime.datetime | None = None,
        first: int = 5,
    ) -> list[datetime.datetime]:
        """When a schedule like this would run, without setting it. Arguments and errors as those of
        `AsyncClient.preview_schedule`."""
        return self._run(
            self._client.preview_schedule(
                cron=cron, every_seconds=every_seconds, time_zone=time_zone, after=after, first=first
            )
        )

    def delete_schedule(self, name: str) -> None:
        """Deletes a schedule; its tasks stay."""
        self._run(self._client.delete_schedule(name))

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

    def upload(
        self,
        content: Content,
        *,
        name: str | None = None,
        media_type: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> File:
        """Uploads a file, unless the api has it, and returns it for an argument of type `File`. (`on_progress` is
        called in the client's own thread.)"""
        return self._run(self._client.upload(content, name=name, media_type=media_type, on_progress=on_progress))

    def _callbacks(self) -> Executor:
        """Runs the callbacks of handles, one after the other."""
        with self._callback_lock:
            if self._callback_thread is None:
                self._callback_thread = ThreadPoolExecutor(1, thread_name_prefix="dask-graphql-callbacks")
            return self._callback_thread

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop.is_closed():
            work.close()
            raise ClientError("the client is closed")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except TaskCancelled:
            raise  # a CancelledError too, but of the task
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
