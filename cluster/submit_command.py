"""`dask-graphql submit`: one task over the public api, for scripts and for a first try."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.error
import urllib.request
from typing import Any

from cluster.errors import DaskGraphQLError

TASK_FIELDS = "taskId name state attempt error { code message }"

_KIND = "kind name" + " ofType { kind name" * 8 + " }" * 8
"""Lists in lists and what may not be null are told one within another."""
DISCOVERY = f"""{{
  taskTypes {{ name mutation }}
  mutations: __type(name: "Mutation") {{ fields {{ name args {{ name type {{ {_KIND} }} }} }} }}
  outputs: __type(name: "TaskOutput") {{
    possibleTypes {{ name fields {{ name args {{ name }} type {{ {_KIND} }} }} }}
  }}
}}"""
"""What the command must know of an api before it can submit to it: it serves any task type."""


class RequestFailed(DaskGraphQLError):
    """The api refused or did not answer."""


async def submit_over_http(url: str, task: str, values: dict[str, Any], wait: bool) -> int:
    """Submits, prints the answer as JSON, and with `wait` the result; answers the exit code."""
    found = await asyncio.to_thread(_post, url, DISCOVERY, {})
    types = {item["name"]: item for item in found["taskTypes"]}
    if task not in types:
        raise RequestFailed(f"the api has no task {task!r}; it has {', '.join(sorted(types))}")
    mutation = types[task]["mutation"]
    [field] = [item for item in found["mutations"]["fields"] if item["name"] == mutation]
    kinds = {argument["name"]: _type_text(argument["type"]) for argument in field["args"]}
    camel = {_camel(name): value for name, value in values.items()}
    unknown = sorted(set(camel) - set(kinds))
    if unknown:
        raise RequestFailed(
            f"{task} has no argument {', '.join(unknown)}; it has {', '.join(set(kinds) - {'options'})}"
        )
    head = ", ".join(f"${name}: {kinds[name]}" for name in camel)
    inner = ", ".join(f"{name}: ${name}" for name in camel)
    call = f"{mutation}({inner})" if inner else mutation
    query = f"mutation{f'({head})' if head else ''} {{ {call} {{ taskId outcome task {{ state }} }} }}"
    submission = (await asyncio.to_thread(_post, url, query, camel))[mutation]
    print(json.dumps(submission))
    if not wait:
        return 0
    selection = _selection(found["outputs"]["possibleTypes"])
    query = f"subscription($id: ID!) {{ taskResult(taskId: $id) {{ {TASK_FIELDS} result {{ {selection} }} }} }}"
    record = await _subscribe(url, query, {"id": submission["taskId"]})
    record["result"] = record["result"] and {
        name.split("__")[-1] or name: value for name, value in record["result"].items()
    }
    print(json.dumps(record))
    return 0 if record["state"] == "SUCCEEDED" else 1


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _type_text(kind: dict[str, Any]) -> str:
    if kind["kind"] == "NON_NULL":
        return _type_text(kind["ofType"]) + "!"
    if kind["kind"] == "LIST":
        return f"[{_type_text(kind['ofType'])}]"
    return str(kind["name"])


def _selection(outputs: list[dict[str, Any]]) -> str:
    """Every field of every output type that needs neither arguments nor a selection of its own."""
    parts = ["__typename"]
    for output in outputs:
        leaves = [
            field["name"]
            for field in output["fields"]
            if not field["args"] and _leaf(field["type"]) in ("SCALAR", "ENUM")
        ]
        if leaves:
            # Two outputs may have a field of one name and different types, which GraphQL refuses to merge.
            name = output["name"]
            aliased = " ".join(f"{name}__{leaf}: {leaf}" for leaf in leaves)
            parts.append(f"... on {name} {{ {aliased} }}")
    return " ".join(parts)


def _leaf(kind: dict[str, Any]) -> str:
    return _leaf(kind["ofType"]) if kind["ofType"] else str(kind["kind"])


def _post(url: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - the user's own URL
        url, json.dumps({"query": query, "variables": variables}).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            body = json.load(answer)
    except urllib.error.HTTPError as error:
        raise RequestFailed(f"{url} answered {error.code}: {error.read(500).decode(errors='replace')}") from error
    except (OSError, ValueError) as error:
        raise RequestFailed(f"{url} does not answer: {error}") from error
    if body.get("errors"):
        raise RequestFailed(_words(body["errors"]))
    return dict(body["data"])


def _words(errors: list[dict[str, Any]]) -> str:
    return "; ".join(f"{error.get('extensions', {}).get('code', 'ERROR')}: {error['message']}" for error in errors)


async def _subscribe(url: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    """The first item of a subscription over graphql-transport-ws."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import WebSocketException

    address = url.replace("http", "ws", 1)
    while True:
        try:
            async with connect(address, subprotocols=["graphql-transport-ws"], max_size=None) as socket:  # type: ignore[list-item]
                await socket.send(json.dumps({"type": "connection_init"}))
                async for text in socket:
                    message = json.loads(text)
                    if message["type"] == "connection_ack":
                        start = {"id": "1", "type": "subscribe", "payload": {"query": query, "variables": variables}}
                        await socket.send(json.dumps(start))
                    elif message["type"] == "ping":
                        await socket.send(json.dumps({"type": "pong"}))
                    elif message["type"] == "error":
                        raise RequestFailed(_words(message["payload"]))
                    elif message["type"] == "next":
                        if message["payload"].get("errors"):
                            raise RequestFailed(_words(message["payload"]["errors"]))
                        return dict(message["payload"]["data"]["taskResult"])
        except (OSError, WebSocketException) as error:
            # The task goes on without us: whatever broke the socket, ask again.
            print(f"dask-graphql: the connection is lost ({error}); again", file=sys.stderr)
            await asyncio.sleep(1)
