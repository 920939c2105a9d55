"""The client for asyncio."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, BinaryIO, Final, Self

from cluster.errors import BadTaskId
from cluster.task_types.task_id import check_task_id
from dask_graphql.client.async_handle import AsyncHandle
from dask_graphql.client.codec import Blob
from dask_graphql.client.errors import BadArguments, IdMismatch, Refused, UnknownTaskType
from dask_graphql.client.http_transport import HttpTransport
from dask_graphql.client.result_waiter import ResultWaiter
from dask_graphql.client.submissions import SubmitOptions, batch_request, bind_all, single_request, split_batches
from dask_graphql.client.task_types import DISCOVERY, Input, TaskType, find, parse_task_types
from dask_graphql.client.websocket_transport import WebSocketTransport

BATCH_LIMIT: Final = 500
"""Inputs per request at most; lowered if an api says that it takes fewer."""


class AsyncClient:
    """A client of one api, for any of its task types.

    Args:
        url: the api, such as `http://127.0.0.1:8000`, or its `/graphql`.
        token: sent as `Authorization: Bearer` over HTTP, and in the WebSocket's `connection_init`; None to send none.
        patience_seconds: how long to repeat a request, or to reconnect, before raising ApiUnavailable.
        ping_seconds: ping interval of the WebSocket; it is reopened if no pong comes within the same time.

    Use it with `async with`, or `close` it. It belongs to the event loop that uses it first.
    """

    def __init__(
        self, url: str, token: str | None = None, *, patience_seconds: float = 60.0, ping_seconds: float = 15.0
    ) -> None:
        self._http = HttpTransport(url, token, patience_seconds)
        self.url = self._http.url
        self._websocket = WebSocketTransport(
            self.url, token, patience_seconds=patience_seconds, ping_seconds=ping_seconds
        )
        self._results = ResultWaiter(self._websocket)
        self._task_types: dict[str, TaskType] | None = None
        self._batch_limit = BATCH_LIMIT

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

    async def task_id(self, task: str, /, **arguments: Any) -> str:
        """The id that the api would give this task. Submits nothing and does not validate the arguments.

        Raises:
            UnknownTaskType, BadArguments, IdUnknown: the id cannot be derived.
        """
        return find(await self.task_types(), task).bind(arguments).task_id()

    async def submit(self, task: str, /, *, options: SubmitOptions | None = None, **arguments: Any) -> AsyncHandle:
        """Submits a task. Repeats the request while the api is unavailable or full, which is safe: the same input is
        the same task.

        Args:
            task: name of the task type.
            arguments: the function's, by its own names. Dataclasses, enums, dates and the like need no conversion.

        Raises:
            UnknownTaskType, BadArguments: the task or its arguments do not match the api's task types.
            Refused: the api refuses the submission.
            ApiUnavailable: the api did not respond within `patience_seconds`. It may have accepted the task.
            IdMismatch: the api returned a different id than the one derived from these arguments.
        """
        return await self._send_one((await self._find(task)).bind(arguments), options)

    async def submit_many(
        self, task: str, /, inputs: Iterable[Mapping[str, Any]], *, options: SubmitOptions | None = None
    ) -> list[AsyncHandle]:
        """Submits many inputs of one task type in batches.

        Raises: as `submit`; batches that were accepted before the error continue.
        """
        task_type = await self._find(task)
        bound = bind_all(task_type, list(inputs))
        if task_type.input_type is None:
            return [await self._send_one(item, options) for item in bound]
        return await self._send_batches(bound, options)

    def task(self, task_id: str) -> AsyncHandle:
        """A handle of a task by its id; the task need not be submitted yet.

        Raises:
            BadArguments: the string is not a task id.
        """
        try:
            return AsyncHandle(self, check_task_id(task_id))
        except BadTaskId as error:
            raise BadArguments(error.message) from None

    async def map(
        self, task: str, /, inputs: Iterable[Mapping[str, Any]], *, options: SubmitOptions | None = None
    ) -> AsyncGenerator[Any, None]:
        """Submits all inputs and yields their results in the order of the inputs.

        Raises: as `submit`, and as `result` at the first task that did not succeed; the other tasks continue.
        """
        handles = await self.submit_many(task, inputs, options=options)
        results = [asyncio.ensure_future(handle.result()) for handle in handles]
        try:
            for result in results:
                yield await result
        finally:
            await cancel_all(results)

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

    # Submitting -------------------------------------------------------------------------------------------------------

    async def _find(self, task: str) -> TaskType:
        """A task type by name; an unknown name is looked up once more, as the api may have been updated."""
        try:
            return find(await self.task_types(), task)
        except UnknownTaskType:
            return find(await self.task_types(refresh=True), task)

    async def _send_one(self, item: Input, options: SubmitOptions | None) -> AsyncHandle:
        data = await self._http.execute(*single_request(item, options))
        return await self._handle(item, data["submission"])

    async def _send_batches(self, inputs: Sequence[Input], options: SubmitOptions | None) -> list[AsyncHandle]:
        batches = split_batches(inputs, self._batch_limit)
        return [handle for batch in batches for handle in await self._send_batch(batch, options)]

    async def _send_batch(self, batch: Sequence[Input], options: SubmitOptions | None) -> list[AsyncHandle]:
        try:
            data = await self._http.execute(*batch_request(batch, options))
        except Refused as refused:
            limit = refused.extensions.get("limit")
            if refused.code == "BAD_INPUT" and isinstance(limit, int) and 0 < limit < len(batch) and (
                "index" not in refused.extensions
            ):  # fmt: skip
                self._batch_limit = limit
                return await self._send_batches(batch, options)
            if refused.code == "DOCUMENT_TOO_LARGE" and len(batch) > 1:
                # Too many values in one request, of which nothing was submitted.
                half = len(batch) // 2
                return [
                    *await self._send_batch(batch[:half], options), *await self._send_batch(batch[half:], options),
                ]  # fmt: skip
            raise
        return [
            await self._handle(item, submission) for item, submission in zip(batch, data["submissions"], strict=True)
        ]

    async def _handle(self, item: Input, submission: Mapping[str, Any]) -> AsyncHandle:
        """The handle of a submission, after checking that its id follows from the input.

        Raises:
            IdMismatch: it does not.
        """
        task_type = item.task_type
        if task_type.id_from_input and item.task_id() != submission["taskId"]:
            # An updated api node may have a newer version of the task type.
            task_type = find(await self.task_types(refresh=True), task_type.name)
            again = Input(task_type, item.wire, item.plain)
            if task_type.id_from_input and again.task_id() != submission["taskId"]:
                raise IdMismatch(
                    f"the api returned the task id {submission['taskId']}, but {again.task_id()} follows from the "
                    f"input {again.plain} of {task_type.name}, version {task_type.version}; the task was accepted "
                    "under the api's id"
                )
        handle = AsyncHandle(self, submission["taskId"], task_type, submission["outcome"])
        handle._update(submission["task"])
        return handle


async def cancel_all(waits: Iterable[asyncio.Future[Any]]) -> None:
    """Cancels futures and waits until they have ended."""
    waits = list(waits)
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
