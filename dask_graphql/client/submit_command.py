"""`dask-graphql submit`: submits one task over the public api, for scripts and for a first try."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any, Final

from dask_graphql.client.async_client import AsyncClient
from dask_graphql.client.async_handle import AsyncHandle
from dask_graphql.client.errors import BadArguments
from dask_graphql.client.submissions import SubmitOptions
from dask_graphql.client.task_types import TaskType, find

CONNECT_SECONDS: Final = 10.0
"""How long to retry until the api has responded once: for one that was killed and starts again. A warning says so at
once, as a wrong address is more likely."""
SUBMIT_SECONDS: Final = 15.0
"""How long to retry a submission without --wait, once the api has responded: for an api node that is being replaced."""
ERROR_FIELDS: Final = ("code", "type", "message", "traceback")
"""Of an error, in this order, without those that it does not have."""
WAIT_SECONDS: Final = 60.0
"""How long to retry with --wait."""


async def submit_and_print(
    url: str,
    token: str | None,
    task: str,
    values: dict[str, Any],
    *,
    wait: bool,
    options: SubmitOptions | None = None,
) -> int:
    """Submits a task and prints the submission as a line of JSON; with `wait` also the final record, as another line.

    On a terminal, the task's progress is shown on stderr meanwhile. If nothing responds at the address, a
    warning says so at once.

    Returns:
        The exit code: 1 if the task did not succeed.

    Raises:
        ClientError: the api refuses, or does not respond.
    """
    patience_seconds = WAIT_SECONDS if wait else SUBMIT_SECONDS
    async with AsyncClient(url, token, patience_seconds=patience_seconds, connect_seconds=CONNECT_SECONDS) as client:
        check_lists(find(await client.task_types(), task), values)
        return await wait_and_print(await client.submit(task, options=options, **values), wait=wait)


async def wait_and_print(handle: AsyncHandle, *, wait: bool) -> int:
    """Prints a submission, and with `wait` the final record. Returns the exit code: 1 if the task did not succeed."""
    payload = {"taskId": handle.task_id, "outcome": handle.outcome, "task": {"state": handle.last_state}}
    print(json.dumps(payload), flush=True)
    if not wait:
        return 0
    watching = asyncio.create_task(show_progress(handle)) if sys.stderr.isatty() else None
    try:
        record = await handle.final()
    finally:
        if watching is not None:
            watching.cancel()
            await asyncio.wait([watching])
            print(file=sys.stderr)
    print(json.dumps(output_record(record)), flush=True)
    return 0 if record["state"] == "SUCCEEDED" else 1


def check_lists(task_type: TaskType, values: Mapping[str, Any]) -> None:
    """Refuses a string for a list, which GraphQL would coerce to a list of one: `names=a,b` is not `["a", "b"]`.

    Raises:
        BadArguments: the message says what to write.
    """
    for item in task_type.arguments:
        for name in {item.name, item.graphql_name} & values.keys():
            value = values[name]
            if item.graphql_type.startswith("[") and isinstance(value, str):
                parts = json.dumps([part.strip() for part in value.split(",")])
                raise BadArguments(f"{task_type.name}: {name} is a list: write {name}='{parts}'")


async def show_progress(handle: AsyncHandle) -> None:
    """Keeps one line on stderr up to date with the task's state and progress."""
    async for event in handle.events():
        share = "" if handle.progress is None else f"{handle.progress:4.0%}"
        print(f"\r{event.state:<9} {share}", end="", file=sys.stderr, flush=True)


def output_record(record: dict[str, Any]) -> dict[str, Any]:
    """The final record as scripts read it: stable keys, and the output's type first."""
    error, result = record["error"], record["result"]
    return {
        **{name: record[name] for name in ("taskId", "name", "state", "attempt")},
        "error": error and {name: error[name] for name in ERROR_FIELDS if error.get(name) is not None},
        "result": result and without_type_names({"typename": result["__typename"], **result}),
    }


def without_type_names(value: Any) -> Any:
    """A result without GraphQL's `__typename`."""
    if isinstance(value, list):
        return [without_type_names(item) for item in value]
    if isinstance(value, dict):
        return {name: without_type_names(item) for name, item in value.items() if name != "__typename"}
    return value
