"""The client for asyncio."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Self

from cluster.errors import BadTaskId
from cluster.task_types.task_id import check_task_id
from dask_graphql.client.codec import Blob, decode
from dask_graphql.client.errors import (
    BadArguments,
    ClientError,
    IdMismatch,
    Refused,
    ResultTimeout,
    TaskCancelled,
    TaskFailed,
    UnknownTaskType,
)
from dask_graphql.client.events import Event, follow
from dask_graphql.client.http_transport import Http
from dask_graphql.client.result_waiter import Finals
from dask_graphql.client.task_types import DISCOVERY, Input, TaskType, find, parse_task_types
from dask_graphql.client.websocket_transport import Session

BATCH_LIMIT: Final = 500
"""Most inputs of one request; an api that takes fewer says so, and is heard."""

BATCH_BYTES: Final = 1_000_000
"""From this size of its inputs on, a batch is full: an api refuses bodies of more than 4,000,000 bytes."""

LOOK_SECONDS: Final = 2.0
"""How long a wait that took too long asks why."""

SUBMISSION: Final = "{ taskId outcome task { state progress } }"


@dataclass(frozen=True)
class SubmitOptions:
    """How a task is submitted.

    Attributes:
        recompute: run again even if a result is kept. Where the answer is lost and the request repeated, it may run
            twice.
        priority: higher ones run first, -100 to 100.
        not_before: do not run before this time; with a time zone. None for now.
    """

    recompute: bool = False
    priority: int = 0
    not_before: datetime.datetime | None = None

    def wire(self) -> dict[str, Any]:
        told: dict[str, Any] = {"recompute": self.recompute, "priority": self.priority}
        return told if self.not_before is None else told | {"notBefore": self.not_before.isoformat()}


class AsyncClient:
    """A client of one api, for any of its task types.

    Args:
        url: the api, as in `http://127.0.0.1:8000`, or its `/graphql`.
        token: sent as `Authorization: Bearer` over HTTP and with the WebSocket's greeting; None for none.
        patience_seconds: how long a request is repeated, and a lost connection tried again, before ApiUnavailable.
        ping_seconds: how often the WebSocket is tried; without an answer within that time again it is opened anew.

    Use it with `async with`, or `close` it. It belongs to the event loop that first uses it.
    """

    def __init__(
        self, url: str, token: str | None = None, *, patience_seconds: float = 60.0, ping_seconds: float = 15.0
    ) -> None:
        self._http = Http(url, token, patience_seconds)
        self.url = self._http.url
        self._session = Session(self.url, token, patience_seconds=patience_seconds, ping_seconds=ping_seconds)
        self._finals = Finals(self._session)
        self._task_types: dict[str, TaskType] | None = None
        self._batch_limit = BATCH_LIMIT

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all connections. Who still waits gets a ClientError; the tasks go on."""
        await self._session.close()
        await self._http.close()

    async def task_types(self, *, refresh: bool = False) -> Mapping[str, TaskType]:
        """The api's task types by name; asked once, and again with `refresh`."""
        if self._task_types is None or refresh:
            self._task_types = parse_task_types(await self._http.ask(DISCOVERY))
        return self._task_types

    async def task_id(self, task: str, /, **arguments: Any) -> str:
        """The id that the api will give this task; nothing is submitted, and the arguments are not validated.

        Raises:
            UnknownTaskType, BadArguments, IdUnknown: there is none to tell.
        """
        return find(await self.task_types(), task).bind(arguments).task_id()

    async def submit(self, task: str, /, *, options: SubmitOptions | None = None, **arguments: Any) -> AsyncHandle:
        """Submits a task. It is repeated while the api is away or full, which is safe: the same input is one task.

        Args:
            task: name of the task type.
            arguments: the function's, by its own names. Dataclasses, enums, dates and the like are taken as they are.

        Raises:
            UnknownTaskType, BadArguments: it does not fit what the api tells of its task types.
            Refused: the api refuses it.
            ApiUnavailable: the api did not answer for the client's patience. It may have accepted the task.
            IdMismatch: the api answered another id than the one of these arguments.
        """
        [handle] = await self._submit(task, [arguments], options, many=False)
        return handle

    async def submit_many(
        self, task: str, /, inputs: Iterable[Mapping[str, Any]], *, options: SubmitOptions | None = None
    ) -> list[AsyncHandle]:
        """Submits many inputs of one task type in batches; each batch is accepted whole or not at all.

        Raises: as `submit`; batches that were accepted before go on.
        """
        return await self._submit(task, list(inputs), options, many=True)

    def task(self, task_id: str) -> AsyncHandle:
        """A handle of a task by its id; it need not be submitted yet.

        Raises:
            BadArguments: the text is no task id.
        """
        try:
            return AsyncHandle(self, check_task_id(task_id))
        except BadTaskId as error:
            raise BadArguments(error.message) from None

    async def map(
        self, task: str, /, inputs: Iterable[Mapping[str, Any]], *, options: SubmitOptions | None = None
    ) -> AsyncGenerator[Any, None]:
        """Submits all inputs and yields their results in the order of the inputs.

        Raises: as `submit`, and as `result` at the first task that did not succeed; the others go on.
        """
        handles = await self.submit_many(task, inputs, options=options)
        results = [asyncio.ensure_future(handle.result()) for handle in handles]
        try:
            for result in results:
                yield await result
        finally:
            await give_up(results)

    async def as_completed(self, handles: Iterable[AsyncHandle]) -> AsyncGenerator[AsyncHandle, None]:
        """The handles as their tasks end, in whatever state; `result` of each answers without waiting."""
        waits = {asyncio.ensure_future(handle.final()): handle for handle in handles}
        try:
            pending: set[asyncio.Future[dict[str, Any]]] = set(waits)
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for wait in done:
                    wait.result()
                    yield waits[wait]  # type: ignore[index]
        finally:
            await give_up(waits)

    async def download(self, blob: Blob, file: str | os.PathLike[str] | BinaryIO) -> int:
        """Writes a blob to a file as it comes, so that it need not fit into memory; answers its length in bytes.

        A broken connection is opened again, and the download goes on where it was.

        Args:
            file: a path, or a binary file that is open for writing.

        Raises:
            Refused: the task's present record has no such blob; ask for its result again.
            ApiUnavailable: the api did not answer for the client's patience. The file holds what had come.
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

    async def _submit(
        self, task: str, inputs: Sequence[Mapping[str, Any]], options: SubmitOptions | None, *, many: bool
    ) -> list[AsyncHandle]:
        task_type = await self._find(task)
        if many and task_type.input_type is not None:
            return [
                handle
                for batch in self._batches([_bound(task_type, index, item) for index, item in enumerate(inputs)])
                for handle in await self._send_many(batch, options)
            ]
        if not many:
            return [await self._send_one(task_type.bind(item), options) for item in inputs]
        bound = [_bound(task_type, index, item) for index, item in enumerate(inputs)]
        return [await self._send_one(item, options) for item in bound]

    async def _find(self, task: str) -> TaskType:
        """A task type; a name that is new to us may be new to the api as well."""
        try:
            return find(await self.task_types(), task)
        except UnknownTaskType:
            return find(await self.task_types(refresh=True), task)

    async def _send_one(self, item: Input, options: SubmitOptions | None) -> AsyncHandle:
        kind = item.task_type
        arguments = {argument.graphql_name: argument.graphql_type for argument in kind.arguments}
        declared = {name: arguments[name] for name in item.wire} | ({} if options is None else {"options": OPTIONS})
        head = ", ".join(f"${name}: {graphql_type}" for name, graphql_type in declared.items())
        inner = ", ".join(f"{name}: ${name}" for name in declared)
        call = f"{kind.mutation}({inner})" if declared else kind.mutation
        query = f"mutation{f'({head})' if declared else ''} {{ submission: {call} {SUBMISSION} }}"
        data = await self._http.ask(query, item.wire | ({} if options is None else {"options": options.wire()}))
        return await self._handle(item, data["submission"])

    async def _send_many(self, batch: Sequence[Input], options: SubmitOptions | None) -> list[AsyncHandle]:
        kind = batch[0].task_type
        query = (
            f"mutation($inputs: [{kind.input_type}!]!, $options: {OPTIONS}) {{ "
            f"submissions: {kind.mutation}Many(inputs: $inputs, options: $options) {SUBMISSION} }}"
        )
        variables = {"inputs": [item.wire for item in batch], "options": None if options is None else options.wire()}
        try:
            data = await self._http.ask(query, variables)
        except Refused as refused:
            limit = refused.extensions.get("limit")
            if refused.code == "BAD_INPUT" and isinstance(limit, int) and 0 < limit < len(batch) and (
                "index" not in refused.extensions
            ):  # fmt: skip
                self._batch_limit = limit
                return [handle for part in self._batches(batch) for handle in await self._send_many(part, options)]
            if refused.code == "DOCUMENT_TOO_LARGE" and len(batch) > 1:
                # Too many values together; nothing of it was submitted.
                half = len(batch) // 2
                return [
                    *await self._send_many(batch[:half], options), *await self._send_many(batch[half:], options),
                ]  # fmt: skip
            raise
        return [await self._handle(item, told) for item, told in zip(batch, data["submissions"], strict=True)]

    def _batches(self, inputs: Sequence[Input]) -> list[list[Input]]:
        batches: list[list[Input]] = []
        size = 0
        for item in inputs:
            length = len(json.dumps(item.wire))
            if not batches or len(batches[-1]) >= self._batch_limit or size + length > BATCH_BYTES:
                batches.append([])
                size = 0
            batches[-1].append(item)
            size += length
        return batches

    async def _handle(self, item: Input, told: Mapping[str, Any]) -> AsyncHandle:
        """The handle of a submission whose id is the one of its input."""
        kind = item.task_type
        if kind.id_from_input and item.task_id() != told["taskId"]:
            # A newer version of the task type may have come with a newer api node.
            kind = find(await self.task_types(refresh=True), kind.name)
            again = Input(kind, item.wire, item.plain)
            if kind.id_from_input and again.task_id() != told["taskId"]:
                raise IdMismatch(
                    f"the api answered the task id {told['taskId']} where {again.task_id()} follows from the input "
                    f"{again.plain} of {kind.name}, version {kind.version}; the task was accepted under the api's id"
                )
        handle = AsyncHandle(self, told["taskId"], kind, told["outcome"])
        handle._note(told["task"])
        return handle


OPTIONS: Final = "SubmitOptions"


def _bound(task_type: TaskType, index: int, arguments: Mapping[str, Any]) -> Input:
    """One of many inputs. Raises BadArguments, with the index."""
    try:
        return task_type.bind(arguments)
    except BadArguments as error:
        raise BadArguments(f"inputs[{index}]: {error}; none was submitted") from error


class AsyncHandle:
    """A task of the api.

    Attributes:
        task_id: its id.
        outcome: what the submission found: NEW, JOINED, CACHED or RECOMPUTED; None where it was not submitted here.
        progress: the share done, 0 to 1, as last heard by the submission, `state`, `events` or `final`; None for
            unknown. It asks nobody.
    """

    def __init__(
        self, client: AsyncClient, task_id: str, task_type: TaskType | None = None, outcome: str | None = None
    ) -> None:
        self.task_id = task_id
        self.outcome = outcome
        self.progress: float | None = None
        self.last_state: str | None = None
        self._client = client
        self._task_type = task_type
        self._final: dict[str, Any] | None = None

    def __repr__(self) -> str:
        name = self._task_type.name if self._task_type else "task"
        return f"<{name} {self.task_id} {self.last_state or 'unknown'}>"

    async def state(self) -> str | None:
        """Its state now: QUEUED, RUNNING, SUCCEEDED, FAILED or CANCELLED; None where the api knows no such task."""
        data = await self._client._http.ask(
            "query($id: ID!) { task(taskId: $id) { state progress } }", {"id": self.task_id}
        )
        if data["task"] is None:
            return None
        self._note(data["task"])
        return str(data["task"]["state"])

    async def final(self, timeout: float | None = None) -> dict[str, Any]:  # noqa: ASYNC109 - as Future.result has
        """The final record as the api tells it, with GraphQL's names and values; waits until there is one.

        Args:
            timeout: seconds; None for no limit.

        Raises:
            ResultTimeout: it did not end in time. It goes on.
            Refused, ApiUnavailable: the record cannot be had.
        """
        if self._final is None:
            try:
                async with asyncio.timeout(timeout):
                    self._final = await self._wait()
            except TimeoutError:
                raise ResultTimeout(await self._why_not(timeout)) from None
            self._note(self._final)
        return self._final

    async def result(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """The output of the task as a Python value; waits until it has ended.

        An object becomes a dict with the keys that the task function's class has; what the function returns bare (a
        number, a list) comes bare. client/values.py says which types become what.

        Args:
            timeout: seconds; None for no limit.

        Raises:
            TaskFailed, TaskCancelled: it ended so.
            ResultTimeout: it did not end in time. It goes on.
            Refused, ApiUnavailable: the result cannot be had.
        """
        record = await self.final(timeout)
        if record["state"] == "SUCCEEDED":
            if self._task_type is None or record["result"] is None:
                raise UnknownTaskType(f"the api has the result of a task {record['name']!r} and no such task type")
            return self._task_type.decode(record["result"])
        error = record["error"] or {}
        if record["state"] == "CANCELLED":
            raise TaskCancelled(f"{self.task_id}: {error.get('message', 'cancelled')}")
        raise TaskFailed(error["code"], error["message"], error.get("type"))

    async def partial(self) -> Any:
        """What the task, while it runs, has shown of its output so far, as `result` would answer it.

        None before, where it shows nothing, and once it has ended.

        Raises:
            UnknownTaskType: the api has no such task type.
            Refused, ApiUnavailable: it cannot be had.
        """
        if self._task_type is None:
            data = await self._client._http.ask("query($id: ID!) { task(taskId: $id) { name } }", {"id": self.task_id})
            if data["task"] is None:
                return None
            self._task_type = (await self._client.task_types()).get(data["task"]["name"])
        kind = self._task_type
        if kind is None:
            raise UnknownTaskType(f"the api has no such task type as {data['task']['name']!r}")
        selection = f"state progress partial {{ ... on {kind.output_type} {{ {kind.selection} }} }}"
        query = f"query($id: ID!) {{ task(taskId: $id) {{ {selection} }} }}"
        data = await self._client._http.ask(query, {"id": self.task_id})
        if data["task"] is None:
            return None
        self._note(data["task"])
        return None if data["task"]["partial"] is None else kind.decode(data["task"]["partial"])

    async def events(self, after_seq: int = 0) -> AsyncGenerator[Event, None]:
        """Every change of the task after `after_seq`, past and to come; ends with the final one.

        A lost connection loses none: the numbers go on. Begin at the last `seq` seen to go on in another process.
        """
        async with aclosing(follow(self._client._session, self.task_id, after_seq)) as events:
            async for event in events:
                self.last_state = event.state
                self.progress = self.progress if event.progress is None else event.progress
                yield event

    async def cancel(self) -> str:
        """Cancels the task; answers its state, which is not CANCELLED where it had ended already.

        Raises:
            Refused: TASK_NOT_FOUND where the api knows no such task.
        """
        data = await self._client._http.ask(
            "mutation($id: ID!) { cancelTask(taskId: $id) { state progress } }", {"id": self.task_id}
        )
        self._note(data["cancelTask"])
        return str(data["cancelTask"]["state"])

    async def read_field(self, field: str, /, **arguments: Any) -> Any:
        """One field of the task's output that takes arguments, such as `digits_slice` of `fibonacci`.

        Args:
            arguments: numbers, texts or booleans, spelt as in Python or as in GraphQL.

        Raises:
            BadArguments: the output has no such field.
            TaskFailed, TaskCancelled, Refused, ApiUnavailable: it cannot be read.
        """
        await self.result()
        assert self._task_type is not None
        kind = self._task_type
        members = kind.types[kind.output_type].fields
        found = next((item for item in members if field in (item.name, item.graphql_name)), None)
        if found is None:
            names = ", ".join(item.name for item in members)
            raise BadArguments(f"the output of {kind.name} has no field {field!r}; it has {names}")
        inner = ", ".join(f"{camel(name)}: {json.dumps(value)}" for name, value in arguments.items())
        call = f"{found.graphql_name}({inner})" if inner else found.graphql_name
        query = f"query($id: ID!) {{ task(taskId: $id) {{ result {{ ... on {kind.output_type} {{ {call} }} }} }} }}"
        data = await self._client._http.ask(query, {"id": self.task_id})
        if data["task"] is None or data["task"]["result"] is None:
            raise ClientError(f"the result of {self.task_id} is no longer kept; submit it again")
        return decode(data["task"]["result"][found.graphql_name], found.graphql_type, kind.types)

    async def _why_not(self, waited: float | None) -> str:
        """Why there is no final record yet, as far as the api can tell within a moment."""
        state: str | None = "unknown"
        with suppress(TimeoutError, ClientError):
            async with asyncio.timeout(LOOK_SECONDS):
                state = await self.state()
        if state is None:
            return f"nobody has submitted {self.task_id} yet, or its record has expired: waited {waited:g} s"
        return f"{self.task_id} did not end within {waited:g} s; it goes on"

    async def _wait(self) -> dict[str, Any]:
        if self._task_type is None:
            record = await self._client._finals.wait(self.task_id, None)
            self._task_type = (await self._client.task_types()).get(record["name"])
            if self._task_type is None or record["state"] != "SUCCEEDED":
                return {**record, "result": None}
        return await self._client._finals.wait(self.task_id, self._task_type)

    def _note(self, told: Mapping[str, Any]) -> None:
        self.last_state = told["state"]
        self.progress = told["progress"]


async def give_up(waits: Iterable[asyncio.Future[Any]]) -> None:
    """Ends what is waited for no longer."""
    waits = list(waits)
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)


def camel(name: str) -> str:
    """`bit_length` -> `bitLength`, as the schema spells what Python calls so."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
