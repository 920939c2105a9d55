"""`dask-graphql submit`: one task over the public api, for scripts and for a first try."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any, Final

from dask_graphql.client.async_client import AsyncClient, AsyncHandle
from dask_graphql.client.errors import BadArguments
from dask_graphql.client.task_types import TaskType, find

SUBMIT_SECONDS: Final = 15.0
"""How long a submission that does not wait for its result is repeated: long enough for a node that is being replaced,
and short enough for who mistook the port."""
WAIT_SECONDS: Final = 60.0
"""How long one that waits goes on without an answer."""


async def submit_and_print(
    url: str,
    token: str | None,
    task: str,
    values: dict[str, Any],
    *,
    wait: bool,
    patience_seconds: float | None = None,
) -> int:
    """Submits, prints the answer as a line of JSON, and with `wait` the final record as another.

    On a terminal the task's progress is told on stderr meanwhile.

    Args:
        patience_seconds: how long it is tried; default: SUBMIT_SECONDS or, with `wait`, WAIT_SECONDS.

    Returns:
        The exit code: 1 where the task did not succeed.

    Raises:
        ClientError: the api refuses, or does not answer.
    """
    if patience_seconds is None:
        patience_seconds = WAIT_SECONDS if wait else SUBMIT_SECONDS
    async with AsyncClient(url, token, patience_seconds=patience_seconds) as client:
        check_lists(find(await client.task_types(), task), values)
        handle = await client.submit(task, **values)
        told = {"taskId": handle.task_id, "outcome": handle.outcome, "task": {"state": handle.last_state}}
        print(json.dumps(told), flush=True)
        if not wait:
            return 0
        watching = asyncio.create_task(tell_progress(handle)) if sys.stderr.isatty() else None
        try:
            record = await handle.final()
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.wait([watching])
                print(file=sys.stderr)
        print(json.dumps(printable(record)), flush=True)
        return 0 if record["state"] == "SUCCEEDED" else 1


def check_lists(task_type: TaskType, values: Mapping[str, Any]) -> None:
    """Refuses a text for a list, of which GraphQL would make a list of one: `names=a,b` is not `["a", "b"]`.

    Raises:
        BadArguments: it says what to write.
    """
    for item in task_type.arguments:
        for name in {item.name, item.graphql_name} & values.keys():
            value = values[name]
            if item.graphql_type.startswith("[") and isinstance(value, str):
                parts = json.dumps([part.strip() for part in value.split(",")])
                raise BadArguments(f"{task_type.name}: {name} is a list: write {name}='{parts}'")


async def tell_progress(handle: AsyncHandle) -> None:
    """Keeps one line on stderr with the task's state and the share done."""
    async for event in handle.events():
        share = "" if handle.progress is None else f"{handle.progress:4.0%}"
        print(f"\r{event.state:<9} {share}", end="", file=sys.stderr, flush=True)


def printable(record: dict[str, Any]) -> dict[str, Any]:
    """The final record in the form that scripts read: stable keys, the output's type first."""
    error, result = record["error"], record["result"]
    return {
        **{name: record[name] for name in ("taskId", "name", "state", "attempt")},
        "error": error and {name: error[name] for name in ("code", "message")},
        "result": result and without_type_names({"typename": result["__typename"], **result}),
    }


def without_type_names(value: Any) -> Any:
    """A result without GraphQL's `__typename`."""
    if isinstance(value, list):
        return [without_type_names(item) for item in value]
    if isinstance(value, dict):
        return {name: without_type_names(item) for name, item in value.items() if name != "__typename"}
    return value
