"""A handle of one task: its state, result, events and cancellation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Coroutine, Generator, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any, Final, Literal, Protocol, overload

from dask_graphql.client.codec import MakeData, decode
from dask_graphql.client.errors import (
    BadArguments,
    ClientError,
    Refused,
    ResultTimeout,
    TaskCancelled,
    TaskFailed,
    UnknownTaskType,
)
from dask_graphql.client.events import FINAL_STATES, Event, follow
from dask_graphql.client.families import read_children, read_parents
from dask_graphql.client.html import handle_html
from dask_graphql.client.http_transport import HttpTransport
from dask_graphql.client.items import Item, follow_items
from dask_graphql.client.log_lines import LogLine, follow_lines, read_lines
from dask_graphql.client.result_waiter import ResultWaiter
from dask_graphql.client.task_function import NOT_DECLARED, rebuild
from dask_graphql.client.task_list import TaskList, Waiting, to_waiting
from dask_graphql.client.task_types import TaskType
from dask_graphql.client.websocket_transport import WebSocketTransport

STATE_CHECK_SECONDS: Final = 2.0
"""After a timeout, how long to spend on finding out the task's state for the error message."""


class Connections(Protocol):
    """What handles need of the client that they come from."""

    _http: HttpTransport
    _websocket: WebSocketTransport
    _results: ResultWaiter
    make_data: MakeData

    async def task_types(self) -> Mapping[str, TaskType]:
        """The task types of the api, by name."""


class AsyncHandle:
    """A task of the api.

    Attributes:
        task_id: its id.
        outcome: outcome of the submission: NEW, JOINED, CACHED or RECOMPUTED; None if it was not submitted here.
        progress: from 0 to 1, as last reported by the submission, `state`, `events` or `final`; None if
            unknown. Reading it sends no request.
        last_state: the state as last reported; None if unknown.
        arguments: those that it was submitted with; None if it was not submitted here.
    """

    def __init__(
        self,
        client: Connections,
        task_id: str,
        task_type: TaskType | None = None,
        outcome: str | None = None,
        *,
        arguments: dict[str, Any] | None = None,
        declared: Any = NOT_DECLARED,
    ) -> None:
        self.task_id = task_id
        self.outcome = outcome
        self.arguments = arguments
        self._declared = declared
        """The output type that the task's function declares, if the caller has that function."""
        self.progress: float | None = None
        self.last_state: str | None = None
        self._client = client
        self._task_type = task_type
        self._final: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<{self.name or 'task'} {self.task_id} {self.last_state or 'unknown'}>"

    def _repr_html_(self) -> str:
        return handle_html(self)

    def __await__(self) -> Generator[Any, None, Any]:
        return self.result().__await__()

    @property
    def name(self) -> str | None:
        """Name of its task type; None if unknown."""
        return self._task_type.name if self._task_type else None

    @property
    def error(self) -> TaskFailed | None:
        """The error of a task that failed, if the final record was received; else None."""
        if self._final is None or self._final["state"] != "FAILED":
            return None
        error = self._final["error"]
        return TaskFailed(error["code"], error["message"], error.get("type"), error.get("traceback"))

    def done(self) -> bool:
        """Whether the task has ended, as last reported. Sends no request."""
        return self.last_state in FINAL_STATES

    def cancelled(self) -> bool:
        """Whether the task has ended as CANCELLED, as last reported. Sends no request."""
        return self.last_state == "CANCELLED"

    async def state(self) -> str | None:
        """The current state: QUEUED, RUNNING, SUCCEEDED, FAILED or CANCELLED; None if the task is unknown."""
        task = await self._query("state progress")
        if task is None:
            return None
        self._update(task)
        return str(task["state"])

    async def final(self, timeout: float | None = None) -> dict[str, Any]:  # noqa: ASYNC109 - as Future.result has
        """Waits for the final record and returns it with GraphQL's names and values.

        Args:
            timeout: seconds; None for no limit.

        Raises:
            ResultTimeout: the task did not end in time. It continues.
            Refused, ApiUnavailable: the record cannot be read.
        """
        if self._final is None:
            try:
                async with asyncio.timeout(timeout):
                    self._final = await self._wait()
            except TimeoutError:
                raise ResultTimeout(await self._timeout_message(timeout)) from None
            self._update(self._final)
        return self._final

    async def result(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """Waits for the task to end and returns its output as a Python value.

        An object becomes a dict whose keys are the field names of the task function's class, or an instance of that
        class if the task was submitted by its function; a plain value (a number, a list) is returned as it is; of a
        stream, the list of all items.
        docs/python-client.md lists which GraphQL type becomes which Python type.

        Args:
            timeout: seconds; None for no limit.

        Raises:
            TaskFailed, TaskCancelled: the task ended in that state.
            ResultTimeout: the task did not end in time. It continues.
            Refused, ApiUnavailable: the result cannot be read.
        """
        value = self.value_of(await self.final(timeout))
        if self._task_type is None or self._task_type.stream is None:
            return value
        return [item.value async for item in self.items()]

    async def exception(self, timeout: float | None = None) -> TaskFailed | None:  # noqa: ASYNC109
        """Waits for the task to end. Returns the error of one that failed, and None if it succeeded.

        Args:
            timeout: seconds; None for no limit.

        Raises:
            TaskCancelled, ResultTimeout, Refused, ApiUnavailable: as `result`.
        """
        try:
            await self.result(timeout)
        except TaskFailed as error:
            return error
        return None

    def value_of(self, record: Mapping[str, Any]) -> Any:
        """The output in a final record as a Python value. Raises as `result`."""
        if record["state"] == "SUCCEEDED":
            if self._task_type is None or record["result"] is None:
                raise UnknownTaskType(f"the api has a result of {record['name']!r} but no task type of that name")
            value = self._task_type.decode(record["result"], self._client.make_data)
            return value if self._task_type.stream else rebuild(self._declared, value)
        if (failed := self.error) is not None:
            raise failed
        raise TaskCancelled(f"{self.task_id}: {(record['error'] or {}).get('message', 'cancelled')}")

    async def partial(self) -> Any:
        """The output that the running task has reported so far, in the form of `result`.

        None before the first report, if the task reports nothing, and once it has ended.

        Raises:
            UnknownTaskType: the api has no such task type.
            Refused, ApiUnavailable: the output cannot be read.
        """
        task_type = self._task_type or await self._find_task_type()
        if task_type is None:
            return None
        task = await self._query(
            f"state progress partial {{ ... on {task_type.output_type} {{ {task_type.selection} }} }}"
        )
        if task is None:
            return None
        self._update(task)
        return None if task["partial"] is None else rebuild(self._declared, task_type.decode(task["partial"]))

    async def events(self, after_seq: int = 0) -> AsyncGenerator[Event, None]:
        """Yields every change of the task after `after_seq`, past and future, up to the final one.

        No event is lost with a connection. To resume in another process, pass the `seq` of the last event processed.
        """
        async with aclosing(follow(self._client._websocket, self.task_id, after_seq)) as events:
            async for event in events:
                self.last_state = event.state
                self.progress = self.progress if event.progress is None else event.progress
                yield event

    async def items(self, after: str | None = None) -> AsyncGenerator[Item, None]:
        """Yields the items of the task's stream as they come, until it has ended.

        None is lost with a connection. If an attempt is lost or retried, the items of the next one follow from number
        1, with a higher `attempt`.

        Args:
            after: the `cursor` of the last item processed, to resume in another process; None for all items.

        Raises:
            BadArguments: its output is not a stream.
            UnknownTaskType: the api does not know its task type.
            Refused, ApiUnavailable: the items cannot be read.
        """
        task_type = self._task_type or await self._find_task_type()
        if task_type is None:
            raise Refused("TASK_NOT_FOUND", f"{self.task_id} was never submitted, or its record has expired")
        if task_type.stream is None:
            raise BadArguments(f"the output of {task_type.name} is no stream; it declares no Stream[...]")
        items = follow_items(self._client._websocket, self._client._http, self.task_id, task_type, after)
        async with aclosing(items):
            async for item in items:
                yield replace(item, value=rebuild(self._declared, item.value))

    @overload
    def logs(self, after: int = 0, *, follow: Literal[False] = False) -> Coroutine[Any, Any, list[LogLine]]: ...

    @overload
    def logs(self, after: int = 0, *, follow: Literal[True]) -> AsyncGenerator[LogLine, None]: ...

    def logs(
        self, after: int = 0, *, follow: bool = False
    ) -> Coroutine[Any, Any, list[LogLine]] | AsyncGenerator[LogLine, None]:
        """The lines that the task has printed or logged, about a second late while it runs: `await handle.logs()`, or
        `async for line in handle.logs(follow=True)`.

        The newest 200 lines are kept. Of a task that prints more in a second, some are dropped: `LogLine.dropped`.

        Args:
            after: the `number` of the last line processed; 0 for all that are kept.
            follow: also yields those to come, until the task has ended.

        Raises:
            Refused: TASK_NOT_FOUND if the api does not know the task.
            ApiUnavailable: the api does not respond.
        """
        if follow:
            return follow_lines(self._client._websocket, self._client._http, self.task_id, after)
        return self._read_log(after)

    async def _read_log(self, after: int) -> list[LogLine]:
        self.last_state, lines = await read_lines(self._client._http, self.task_id, after)
        return lines

    async def waiting(self) -> Waiting | None:
        """Why the task waits; None unless it is QUEUED.

        Raises:
            Refused: TASK_NOT_FOUND if the api does not know the task.
        """
        task = await self._query("state waiting { reason ahead etaSeconds }")
        if task is None:
            raise Refused("TASK_NOT_FOUND", f"{self.task_id} was never submitted, or its record has expired")
        self.last_state = task["state"]
        return to_waiting(task["waiting"])

    async def children(self, first: int | None = None) -> TaskList:
        """The tasks that the task's latest run has submitted, in the order of submission, while their records are kept
        and as far as the caller may see them.

        Args:
            first: how many at most; None for all. They are read in pages of 200.

        Raises:
            Refused: TASK_NOT_FOUND if the api does not know the task; FORBIDDEN without the scope `read`.
            ApiUnavailable: the api does not respond.
        """
        return await read_children(self._query, self.task_id, first)

    async def parents(self) -> TaskList:
        """The tasks that have submitted the task's latest run while it was open: at most 50 of them. Raises: as
        `children`."""
        return await read_parents(self._query, self.task_id)

    async def cost(self) -> float | None:
        """What the task's last attempt cost, in US dollars, at the present price of a worker on demand, shared by the
        tasks that one runs at a time. None until it has ended, if no attempt had begun, or if no price is known.

        Raises: as `children`.
        """
        task = await self._query("state progress cost")
        if task is None:
            raise Refused("TASK_NOT_FOUND", f"{self.task_id} was never submitted, or its record has expired")
        self._update(task)
        cost: float | None = task["cost"]
        return cost

    async def cancel(self) -> bool:
        """Cancels the task. Returns whether it is cancelled now: False if it had already ended otherwise.

        Raises:
            Refused: TASK_NOT_FOUND if the api does not know the task; FORBIDDEN if others submitted it too: then
                `withdraw`.
        """
        return await self._end("cancelTask") == "CANCELLED"

    async def withdraw(self) -> str:
        """Takes back this client's submission and returns the task's state: CANCELLED if nobody else wants the task,
        else as it was.

        Raises:
            Refused: TASK_NOT_FOUND if the api does not know the task.
        """
        return await self._end("withdrawTask")

    async def retry(self) -> str | None:
        """Submits the task again if it failed or was cancelled, with the input of its record. Returns the outcome of
        the submission: RECOMPUTED; CACHED if the task has succeeded, JOINED if it is open.

        Raises:
            Refused: TASK_NOT_FOUND if the api does not know the task; BAD_INPUT if its task type has changed since.
        """
        data = await self._client._http.execute(
            "mutation($id: ID!) { it: retryTask(taskId: $id) { outcome task { state progress } } }",
            {"id": self.task_id},
        )
        self._final = None
        self._update(data["it"]["task"])
        self.outcome = str(data["it"]["outcome"])
        return self.outcome

    async def _end(self, mutation: str) -> str:
        data = await self._client._http.execute(
            f"mutation($id: ID!) {{ task: {mutation}(taskId: $id) {{ state progress }} }}", {"id": self.task_id}
        )
        self._update(data["task"])
        return str(data["task"]["state"])

    async def read_field(self, field: str, /, **arguments: Any) -> Any:
        """Reads one field of the output that takes arguments, such as `digits_slice` of `fibonacci`.

        Args:
            arguments: numbers, strings or booleans, by their Python or GraphQL names.

        Raises:
            BadArguments: the output has no such field.
            TaskFailed, TaskCancelled, Refused, ApiUnavailable: the field cannot be read.
        """
        self.value_of(await self.final())
        assert self._task_type is not None
        task_type = self._task_type
        members = task_type.types[task_type.output_type].fields
        found = next((item for item in members if field in (item.name, item.graphql_name)), None)
        if found is None:
            names = ", ".join(item.name for item in members)
            raise BadArguments(f"the output of {task_type.name} has no field {field!r}; it has {names}")
        inner = ", ".join(f"{camel(name)}: {json.dumps(value)}" for name, value in arguments.items())
        call = f"{found.graphql_name}({inner})" if inner else found.graphql_name
        task = await self._query(f"result {{ ... on {task_type.output_type} {{ {call} }} }}")
        if task is None or task["result"] is None:
            raise ClientError(f"the result of {self.task_id} is no longer kept; submit it again")
        return decode(task["result"][found.graphql_name], found.graphql_type, task_type.types, self._client.make_data)

    async def _find_task_type(self) -> TaskType | None:
        """The task's type; None if the api does not know the task.

        Raises:
            UnknownTaskType: the api has no such task type.
        """
        task = await self._query("name")
        if task is None:
            return None
        self._task_type = (await self._client.task_types()).get(task["name"])
        if self._task_type is None:
            raise UnknownTaskType(f"the api has no task type {task['name']!r}")
        return self._task_type

    async def _query(self, selection: str) -> dict[str, Any] | None:
        """The selected fields of the task; None if the api does not know it."""
        query = f"query($id: ID!) {{ task(taskId: $id) {{ {selection} }} }}"
        data = await self._client._http.execute(query, {"id": self.task_id})
        task: dict[str, Any] | None = data["task"]
        return task

    async def _timeout_message(self, waited: float | None) -> str:
        """Why there is no final record yet, as far as the api says within STATE_CHECK_SECONDS."""
        state: str | None = "unknown"
        with suppress(TimeoutError, ClientError):
            async with asyncio.timeout(STATE_CHECK_SECONDS):
                state = await self.state()
        if state is None:
            return f"{self.task_id} was not submitted yet, or its record has expired: waited {waited:g} s"
        return f"{self.task_id} did not end within {waited:g} s; it continues"

    async def _wait(self) -> dict[str, Any]:
        if self._task_type is None:
            record = await self._client._results.wait(self.task_id, None)
            self._task_type = (await self._client.task_types()).get(record["name"])
            if self._task_type is None or record["state"] != "SUCCEEDED":
                return {**record, "result": None}
        return await self._client._results.wait(self.task_id, self._task_type)

    def _update(self, task: Mapping[str, Any]) -> None:
        self.last_state = task["state"]
        self.progress = task["progress"]


def camel(name: str) -> str:
    """`bit_length` -> `bitLength`: a Python name as the schema spells it."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
