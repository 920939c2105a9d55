"""The client for asyncio."""

from __future__ import annotations

import asyncio
import datetime
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, nullcontext
from functools import partial
from typing import Any, BinaryIO, Final, Self, TypeVar

from cluster.errors import BadTaskId
from cluster.task_types.file import File
from cluster.task_types.task_id import check_task_id
from dask_graphql.client import schedules as schedule_documents
from dask_graphql.client.async_handle import AsyncHandle
from dask_graphql.client.bulk import BulkResult, FailureGroup, OnPage, act_on_all, read_failures
from dask_graphql.client.changes import Change, follow_changes, to_filter
from dask_graphql.client.codec import Blob
from dask_graphql.client.errors import (
    BadArguments,
    IdMismatch,
    Refused,
    TaskCancelled,
    TaskFailed,
    UnknownTaskType,
)
from dask_graphql.client.estimates import ESTIMATE, SubmissionEstimate, to_estimate
from dask_graphql.client.handles import Handles
from dask_graphql.client.html import client_html
from dask_graphql.client.http_transport import HttpTransport
from dask_graphql.client.progress_bar import ProgressBar
from dask_graphql.client.remote_data import async_data
from dask_graphql.client.result_waiter import ResultWaiter
from dask_graphql.client.schedules import Schedule, to_definition, to_schedule
from dask_graphql.client.submissions import SubmitOptions, batch_request, bind_all, single_request, split_batches
from dask_graphql.client.task_function import NOT_DECLARED, Task, by_name, name_of
from dask_graphql.client.task_list import PAGE, TASKS, TaskList, to_summary
from dask_graphql.client.task_types import DISCOVERY, Input, TaskType, find, parse_task_types
from dask_graphql.client.uploads import Content, OnProgress, open_source, with_uploads
from dask_graphql.client.websocket_transport import WebSocketTransport

T = TypeVar("T")

BATCH_LIMIT: Final = 500
"""Inputs per request at most; lowered if an api says that it takes fewer."""


class AsyncClient:
    """A client of one api, for any of its task types.

    Args:
        url: the api, such as `http://127.0.0.1:8000`, or its `/graphql`.
        token: sent as `Authorization: Bearer` over HTTP, and in the WebSocket's `connection_init`; None to send none.
        patience_seconds: how long to repeat a request, or to reconnect, before raising ApiUnavailable.
        ping_seconds: ping interval of the WebSocket; it is reopened if no pong comes within the same time.
        connect_seconds: how long to repeat requests until the api has responded once; None: `patience_seconds`. With 0
            a wrong address fails at once.

    Wherever a task type is asked for, its name or its decorated function will do.

    Use it with `async with`, or `close` it. It belongs to the event loop that uses it first.
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
        self._http = HttpTransport(url, token, patience_seconds, connect_seconds=connect_seconds)
        self.url = self._http.url
        self._websocket = WebSocketTransport(
            self.url, token, patience_seconds=patience_seconds, ping_seconds=ping_seconds
        )
        self._results = ResultWaiter(self._websocket)
        self.make_data = async_data(self._http)
        self._task_types: dict[str, TaskType] | None = None
        self._batch_limit = BATCH_LIMIT

    def __repr__(self) -> str:
        return f"<AsyncClient of {self.url}>"

    def _repr_html_(self) -> str:
        return client_html(self.url, (self._task_types or {}).values())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all connections. Callers that still wait get a ClientError; the tasks continue."""
        await self._websocket.close()
        await self._http.close()

    async def task_types(self, *, refresh: bool = False) -> Mapping[str, TaskType]:
        """The api's task types by name; requested once, and again with `refresh`."""
        if self._task_types is None or refresh:
            self._task_types = parse_task_types(await self._http.execute(DISCOVERY))
        return self._task_types

    async def task_id(self, task: Task, /, *args: Any, options: SubmitOptions | None = None, **arguments: Any) -> str:
        """The id that the api would give this task. Submits nothing and does not validate the arguments. Of the
        options, only the run key matters.

        Raises:
            UnknownTaskType, BadArguments, IdUnknown: the id cannot be derived.
        """
        name, _ = name_of(task)
        return find(await self.task_types(), name).bind(by_name(task, args, arguments)).task_id(_run_key(options))

    async def estimate(
        self, task: Task, /, *args: Any, options: SubmitOptions | None = None, **arguments: Any
    ) -> SubmissionEstimate:
        """What a submission would be now, and how long and how much it would take. Submits nothing, and uploads
        nothing: a file is given by its id. Of the options, only the run key matters.

        Raises:
            UnknownTaskType, BadArguments: the task or its arguments do not match the api's task types.
            Refused: the api refuses the input or the caller.
            ApiUnavailable: the api did not respond within `patience_seconds`.
        """
        name, _ = name_of(task)
        bound = (await self._find(name)).bind(by_name(task, args, arguments))
        wanted = {"name": name, "input": bound.plain, "runKey": _run_key(options)}
        return to_estimate((await self._http.execute(ESTIMATE, wanted))["estimate"])

    async def submit(
        self, task: Task, /, *args: Any, options: SubmitOptions | None = None, **arguments: Any
    ) -> AsyncHandle:
        """Submits a task. Repeats the request while the api is unavailable or full, which is safe: the same input is
        the same task.

        Args:
            task: the task type's name, or its function: then the result is an instance of the declared class.
            args: the function's arguments by position, only with the function itself.
            arguments: the function's, by its own names. Dataclasses, enums, dates and the like need no conversion.

        Raises:
            UnknownTaskType, BadArguments: the task or its arguments do not match the api's task types.
            Refused: the api refuses the submission.
            ApiUnavailable: the api did not respond within `patience_seconds`. It may have accepted the task.
            IdMismatch: the api returned a different id than the one derived from these arguments.
        """
        name, declared = name_of(task)
        task_type = await self._find(name)
        given = [by_name(task, args, arguments)]

        async def send(ready: Sequence[Mapping[str, Any]]) -> AsyncHandle:
            return await self._send_one(task_type.bind(ready[0]), options, declared)

        return await self._with_files(task_type, given, send)

    async def submit_many(
        self, task: Task, /, inputs: Iterable[Mapping[str, Any]], *, options: SubmitOptions | None = None
    ) -> Handles[AsyncHandle]:
        """Submits many inputs of one task type in batches.

        Raises: as `submit`; batches that were accepted before the error continue.
        """
        name, declared = name_of(task)
        task_type = await self._find(name)

        async def send(ready: Sequence[Mapping[str, Any]]) -> Handles[AsyncHandle]:
            bound = bind_all(task_type, ready)
            if task_type.input_type is None:
                return Handles([await self._send_one(item, options, declared) for item in bound])
            return Handles(await self._send_batches(bound, options, declared))

        return await self._with_files(task_type, list(inputs), send)

    def task(self, task_id: str, task: Task | None = None) -> AsyncHandle:
        """A handle of a task by its id; the task need not be submitted yet.

        Args:
            task: its function, for results that are instances of the declared class.

        Raises:
            BadArguments: the string is not a task id.
        """
        try:
            declared = NOT_DECLARED if task is None else name_of(task)[1]
            return AsyncHandle(self, check_task_id(task_id), declared=declared)
        except BadTaskId as error:
            raise BadArguments(error.message) from None

    async def tasks(
        self, first: int = 20, *, state: str | None = None, name: str | None = None, tag: str | None = None
    ) -> TaskList:
        """The newest tasks of the api that the caller may see.

        Args:
            first: how many at most.
            state: only tasks in this state, such as FAILED.
            name: only tasks of this task type.
            tag: only tasks with this tag.
        """
        found = TaskList()
        after = None
        where = to_filter({"states": state and [state], "names": name and [name], "tag": tag})
        while len(found) < first:
            wanted = {"first": min(PAGE, first - len(found)), "after": after, "where": where}
            page = (await self._http.execute(TASKS, wanted))["tasks"]
            found += map(to_summary, page["nodes"])
            if not page["pageInfo"]["hasNextPage"]:
                break
            after = page["pageInfo"]["endCursor"]
        return found

    async def changes(
        self, where: Mapping[str, Any] | None = None, *, after: str | None = None
    ) -> AsyncGenerator[Change, None]:
        """Yields every change of the tasks that `where` means and the caller may see, without end.

        The first one has `reset`: whoever keeps a list of tasks reads it then, with `tasks`. Another such one comes
        whenever changes may have been missed. None is lost with a connection.

        Args:
            where: the fields of the api's `TaskFilter`: `states`, `names`, `tag`, `tags`, `error_code`, `error_codes`,
                `submitted_by`, `submitted_after` and `submitted_before` (as `datetime`), `text`, `ids`,
                `min_run_seconds`, `max_run_seconds`, `worker`, `finished_after`, `finished_before`,
                `failure_group`. None for all tasks.
            after: continue after the change with this `cursor`.

        Raises:
            Refused: the api refuses the filter or the cursor.
            ApiUnavailable: the api did not respond within `patience_seconds`.
        """
        async with aclosing(follow_changes(self._websocket, where, after)) as changes:
            async for change in changes:
                yield change

    async def cancel_tasks(
        self, where: Mapping[str, Any], *, dry_run: bool = False, on_page: OnPage | None = None
    ) -> BulkResult:
        """Cancels the open tasks that `where` means, as `cancel` of a handle does.

        Those that the api refuses are counted in the result. Pages of 1,000 tasks follow each other, the newest first;
        a page is repeated if the api has no room for it now, or its answer was lost, which does no harm.

        Args:
            where: as of `changes`, with at least one condition; any number of `ids`.
            dry_run: change nothing, and count what would be done.
            on_page: called after each page with what became of all tasks so far.

        Raises:
            Refused: the api refuses the filter or the caller.
            ApiUnavailable: the api did not respond within `patience_seconds`. What was done until then is done.
        """
        return await act_on_all(self._http, "cancelTasks", where, dry_run=dry_run, on_page=on_page)

    async def withdraw_tasks(
        self, where: Mapping[str, Any], *, dry_run: bool = False, on_page: OnPage | None = None
    ) -> BulkResult:
        """Takes back what the caller submitted, of the open tasks that `where` means. Arguments and errors as those
        of `cancel_tasks`."""
        return await act_on_all(self._http, "withdrawTasks", where, dry_run=dry_run, on_page=on_page)

    async def retry_tasks(
        self, where: Mapping[str, Any], *, dry_run: bool = False, on_page: OnPage | None = None
    ) -> BulkResult:
        """Submits the tasks that `where` means and that failed or were cancelled again. Arguments and errors as those
        of `cancel_tasks`."""
        return await act_on_all(self._http, "retryTasks", where, dry_run=dry_run, on_page=on_page)

    async def forget_tasks(
        self, where: Mapping[str, Any], *, dry_run: bool = False, on_page: OnPage | None = None
    ) -> BulkResult:
        """Deletes the tasks that `where` means and that have ended, with their results, events and lines. Arguments and
        errors as those of `cancel_tasks`."""
        return await act_on_all(self._http, "forgetTasks", where, dry_run=dry_run, on_page=on_page)

    async def failures(self, where: Mapping[str, Any] | None = None, first: int = 20) -> list[FailureGroup]:
        """Failed tasks by what went wrong, the largest group first: of those that `where` means, the 2,000 that were
        submitted last.

        Args:
            where: as of `changes`; None for all failed tasks.
            first: how many groups at most, up to 100.
        """
        return await read_failures(self._http, where, first)

    async def schedules(self) -> list[Schedule]:
        """The schedules of the caller's tenant, by name."""
        return [to_schedule(each) for each in (await self._http.execute(schedule_documents.SCHEDULES))["schedules"]]

    async def set_schedule(
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
        """Sets a schedule: a new one, or in the place of the one with this name. Its ticks begin after now.

        Args:
            task: the task type's name, or its function.
            arguments: the function's, by its own names.
            cron: minute, hour, day of the month, month, day of the week (`30 2 * * *`), or `every_seconds`: an interval
                of at least 10 s, counted from 1970.
            time_zone: of `cron`, an IANA name such as `Europe/Berlin`.
            overlap: what happens to a tick while the task of the tick before is open: SKIP, ALLOW or CANCEL_PREVIOUS.
            catch_up_seconds: how late a tick is still submitted, as after an outage. None: an hour.
            priority: as of `SubmitOptions`, as the next two.
            tags: of each task.
            ttl_seconds: how long each result is kept.

        Raises:
            UnknownTaskType, BadArguments: the task or its arguments do not match the api's task types.
            Refused: the api refuses the schedule; the message says what was expected.
        """
        task_name, _ = name_of(task)
        task_type = await self._find(task_name)

        async def send(ready: Sequence[Mapping[str, Any]]) -> Schedule:
            definition = to_definition(
                task_name, task_type.bind(ready[0]).plain, cron=cron, every_seconds=every_seconds, time_zone=time_zone,
                overlap=overlap, catch_up_seconds=catch_up_seconds, priority=priority, tags=tags,
                ttl_seconds=ttl_seconds,
            )  # fmt: skip
            return await self._schedule(schedule_documents.SET, name, schedule=definition)

        return await self._with_files(task_type, [arguments or {}], send)

    async def schedule(self, name: str) -> Schedule:
        """One schedule of the caller's tenant.

        Raises:
            Refused: there is none with this name (SCHEDULE_NOT_FOUND).
        """
        return await self._schedule(schedule_documents.SCHEDULE, name)

    async def pause_schedule(self, name: str) -> Schedule:
        """Pauses a schedule: it submits nothing. Raises: as `schedule`."""
        return await self._schedule(schedule_documents.PAUSE, name)

    async def resume_schedule(self, name: str) -> Schedule:
        """Resumes a schedule, from now on. Raises: as `schedule`."""
        return await self._schedule(schedule_documents.RESUME, name)

    async def run_schedule(self, name: str) -> AsyncHandle:
        """Submits what a schedule submits now, beside its ticks and even if it is paused. Raises: as `schedule`."""
        data = await self._http.execute(schedule_documents.RUN, {"name": name})
        return self.task(data["submission"]["taskId"])

    async def preview_schedule(
        self,
        *,
        cron: str | None = None,
        every_seconds: float | None = None,
        time_zone: str = "UTC",
        after: datetime.datetime | None = None,
        first: int = 5,
    ) -> list[datetime.datetime]:
        """When a schedule like this would run, without setting it. Times are in UTC.

        Args:
            cron: as of `set_schedule`, as the next two.
            every_seconds: an interval instead.
            time_zone: of `cron`.
            after: up to ten years from now. None: now.
            first: how many runs; 1 to 50.

        Raises:
            Refused: `set_schedule` would be refused too; the message says what was expected.
        """
        request = schedule_documents.preview_request(cron, every_seconds, time_zone, after, first)
        return schedule_documents.to_ticks(await self._http.execute(*request))

    async def delete_schedule(self, name: str) -> None:
        """Deletes a schedule; its tasks stay. Raises: as `schedule`."""
        await self._http.execute(schedule_documents.DELETE, {"name": name})

    async def _schedule(self, document: str, name: str, **variables: Any) -> Schedule:
        return to_schedule((await self._http.execute(document, {"name": name, **variables}))["schedule"])

    async def map(
        self,
        task: Task,
        /,
        inputs: Iterable[Mapping[str, Any]],
        *,
        options: SubmitOptions | None = None,
        return_exceptions: bool = False,
        progress: bool = False,
    ) -> AsyncGenerator[Any, None]:
        """Submits all inputs and yields their results in the order of the inputs.

        Args:
            return_exceptions: yield the TaskFailed or TaskCancelled of a task that did not succeed in the place of its
                result, instead of raising it.
            progress: show a progress bar, on stderr if it is a terminal, or in the notebook.

        Raises: as `submit`, and as `result` at the first task that did not succeed; the other tasks continue.
        """
        handles = await self.submit_many(task, inputs, options=options)
        results = [asyncio.ensure_future(handle.result()) for handle in handles]
        with ProgressBar(len(results)) if progress else nullcontext() as bar:
            if bar is not None:
                for handle, wait in zip(handles, results, strict=True):
                    wait.add_done_callback(partial(_on_end, bar, handle))
            try:
                for result in results:
                    try:
                        value = await result
                    except (TaskFailed, TaskCancelled) as error:
                        if not return_exceptions:
                            raise
                        value = error
                    yield value
            finally:
                await cancel_all(results)

    async def progress(self, handles: AsyncHandle | Iterable[AsyncHandle]) -> None:
        """Shows a progress bar until all these tasks have ended, in whatever state; of a single task, its progress."""
        if isinstance(handles, AsyncHandle):
            with ProgressBar(1) as bar:
                async with aclosing(handles.events()) as events:
                    async for event in events:
                        bar.at(event.progress)
                bar.ended(handles.last_state)
            return
        handles = list(handles)
        with ProgressBar(len(handles)) as bar:
            async with aclosing(self.as_completed(handles)) as ended:
                async for handle in ended:
                    bar.ended(handle.last_state)

    async def as_completed(self, handles: Iterable[AsyncHandle]) -> AsyncGenerator[AsyncHandle, None]:
        """Yields each handle when its task ends, in whatever state; its `result` then returns without waiting."""
        waits = {asyncio.ensure_future(handle.final()): handle for handle in handles}
        try:
            pending: set[asyncio.Future[dict[str, Any]]] = set(waits)
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for wait in done:
                    wait.result()
                    yield waits[wait]  # type: ignore[index]
        finally:
            await cancel_all(waits)

    async def download(self, blob: Blob, file: str | os.PathLike[str] | BinaryIO) -> int:
        """Streams a blob into a file and returns its length in bytes; the blob need not fit into memory.

        Resumes at the current offset after a lost connection.

        Args:
            file: a path, or a binary file that is open for writing.

        Raises:
            Refused: the task's current record has no such blob; ask for its result again.
            ApiUnavailable: the api did not respond within `patience_seconds`. The file holds what was received.
        """
        if isinstance(file, str | os.PathLike):
            with await asyncio.to_thread(open, file, "wb") as opened:
                return await self.download(blob, opened)
        async with aclosing(self._http.chunks(blob)) as chunks:
            async for chunk in chunks:
                await asyncio.to_thread(file.write, chunk)
        return blob.size_bytes

    async def read(self, blob: Blob) -> bytes:
        """All bytes of a blob. Raises as `download`."""
        async with aclosing(self._http.chunks(blob)) as chunks:
            return b"".join([chunk async for chunk in chunks])

    async def upload(
        self,
        content: Content,
        *,
        name: str | None = None,
        media_type: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> File:
        """Uploads a file, unless the api has it, and returns it for an argument of type `File`.

        `submit` does this itself for a `Path`, an open file or bytes; this is for what several submissions share, and
        to follow a long upload.

        Args:
            content: bytes, the `Path` of a file, or a binary file that can seek, which is read from its current
                position.
            name: its file name. Default: that of the file.
            media_type: its Content-Type. Default: guessed from the name.
            on_progress: called with the bytes that were sent, and their number in all.

        Raises:
            BadArguments: the file object cannot be uploaded.
            OSError: the file cannot be read.
            Refused: the api refuses the file.
            ApiUnavailable: the api did not respond within `patience_seconds`.
        """
        source = await asyncio.to_thread(open_source, content, name, media_type)
        try:
            await self._http.upload(source, on_progress)
        finally:
            source.close()
        return File(source.id)

    async def _with_files(
        self,
        task_type: TaskType,
        inputs: Sequence[Mapping[str, Any]],
        send: Callable[[Sequence[Mapping[str, Any]]], Awaitable[T]],
    ) -> T:
        """Uploads the files among the arguments of submissions and sends them; both once more if the api has lost one
        meanwhile. What it had accepted by then is the same tasks."""
        ready, uploaded = await self._upload_files(task_type, inputs)
        try:
            return await send(ready)
        except Refused as refused:
            if refused.code != "FILE_NOT_FOUND" or not uploaded:
                raise
        ready, _ = await self._upload_files(task_type, inputs)
        return await send(ready)

    async def _upload_files(
        self, task_type: TaskType, inputs: Sequence[Mapping[str, Any]]
    ) -> tuple[Sequence[Mapping[str, Any]], bool]:
        """The arguments of submissions, with `File`s in place of what was uploaded for them; and whether any was."""
        if not any(item.graphql_type.strip("[]!") in ("FileId", *task_type.types) for item in task_type.arguments):
            return inputs, False
        kinds = {name: item.graphql_type for item in task_type.arguments for name in (item.graphql_name, item.name)}
        seen: dict[int, File] = {}
        ready = [
            {
                name: await with_uploads(value, kinds.get(name, ""), task_type.types, self.upload, seen)
                for name, value in arguments.items()
            }
            for arguments in inputs
        ]
        return ready, bool(seen)

    # Submitting -------------------------------------------------------------------------------------------------------

    async def _find(self, task: str) -> TaskType:
        """A task type by name; an unknown name is looked up once more, as the api may have been updated."""
        try:
            return find(await self.task_types(), task)
        except UnknownTaskType:
            return find(await self.task_types(refresh=True), task)

    async def _send_one(self, item: Input, options: SubmitOptions | None, declared: Any) -> AsyncHandle:
        data = await self._http.execute(*single_request(item, options))
        return await self._handle(item, data["submission"], declared, _run_key(options))

    async def _send_batches(
        self, inputs: Sequence[Input], options: SubmitOptions | None, declared: Any
    ) -> list[AsyncHandle]:
        batches = split_batches(inputs, self._batch_limit)
        return [handle for batch in batches for handle in await self._send_batch(batch, options, declared)]

    async def _send_batch(
        self, batch: Sequence[Input], options: SubmitOptions | None, declared: Any
    ) -> list[AsyncHandle]:
        try:
            data = await self._http.execute(*batch_request(batch, options))
        except Refused as refused:
            limit = refused.extensions.get("limit")
            if refused.code == "BAD_INPUT" and isinstance(limit, int) and 0 < limit < len(batch) and (
                "index" not in refused.extensions
            ):  # fmt: skip
                self._batch_limit = limit
                return await self._send_batches(batch, options, declared)
            if refused.code == "DOCUMENT_TOO_LARGE" and len(batch) > 1:
                # Too many values in one request, of which nothing was submitted.
                half = len(batch) // 2
                return [
                    *await self._send_batch(batch[:half], options, declared),
                    *await self._send_batch(batch[half:], options, declared),
                ]  # fmt: skip
            raise
        return [
            await self._handle(item, submission, declared, _run_key(options))
            for item, submission in zip(batch, data["submissions"], strict=True)
        ]

    async def _handle(
        self, item: Input, submission: Mapping[str, Any], declared: Any, run_key: str | None
    ) -> AsyncHandle:
        """The handle of a submission, after checking that its id follows from the input.

        Raises:
            IdMismatch: it does not.
        """
        task_type = item.task_type
        if task_type.id_from_input and item.task_id(run_key) != submission["taskId"]:
            # An updated api node may have a newer version of the task type.
            task_type = find(await self.task_types(refresh=True), task_type.name)
            again = Input(task_type, item.wire, item.plain)
            if task_type.id_from_input and again.task_id(run_key) != submission["taskId"]:
                raise IdMismatch(
                    f"the api returned the task id {submission['taskId']}, but {again.task_id(run_key)} follows from "
                    f"the input {again.plain} of {task_type.name}, version {task_type.version}; the task was accepted "
                    "under the api's id"
                )
        handle = AsyncHandle(
            self, submission["taskId"], task_type, submission["outcome"], arguments=item.given, declared=declared
        )
        handle._update(submission["task"])
        return handle


def _run_key(options: SubmitOptions | None) -> str | None:
    return options.run_key if options is not None else None


def _on_end(bar: ProgressBar, handle: AsyncHandle, wait: asyncio.Future[Any]) -> None:
    if not wait.cancelled():
        bar.ended(handle.last_state)


async def cancel_all(waits: Iterable[asyncio.Future[Any]]) -> None:
    """Cancels futures and waits until they have ended."""
    waits = list(waits)
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
