"""A client of a composed system: submits over HTTP, receives the result over WebSocket, prints what it saw as JSON.

    client.py URL fibonacci N [OUTCOME ...]     submitFibonacci; refused unless the outcome is one of those given
    client.py URL estimatePi SAMPLES [ATTEMPT]  a task of the user's own; refused unless that attempt ended it
    client.py URL running COUNT                 waits until that many tasks run
    client.py URL workers COUNT                 waits until the cluster has that many workers

It runs in the api's image, which has `websockets`. Exit code 0, or 1 with the reason.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
import urllib.request
from typing import Any

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

WAIT_SECONDS = 90.0
TASK = "taskId state attempt error { code message } result { __typename ... on FibonacciResult { value digits } }"
RESULT = f"subscription Result($id: ID!) {{ taskResult(taskId: $id) {{ {TASK} }} }}"


def post(url: str, query: str, **variables: Any) -> Any:
    """One GraphQL request over HTTP."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        answer = json.load(response)
    if answer.get("errors"):
        raise SystemExit(f"refused: {json.dumps(answer['errors'])}")
    return answer["data"]


async def task_result(url: str, task_id: str, subscribed: asyncio.Event) -> Any:
    """The one item of `taskResult`, by graphql-transport-ws."""
    protocol = Subprotocol("graphql-transport-ws")
    async with connect(url.replace("http", "ws", 1), subprotocols=[protocol]) as socket:
        await socket.send(json.dumps({"type": "connection_init"}))
        items = []
        async for text in socket:
            message = json.loads(text)
            if message["type"] == "connection_ack":
                subscribe = {"query": RESULT, "variables": {"id": task_id}}
                await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": subscribe}))
                subscribed.set()
            elif message["type"] == "ping":
                await socket.send(json.dumps({"type": "pong"}))
            elif message["type"] == "next":
                items.append(message["payload"])
            elif message["type"] == "complete":
                break
            else:
                raise SystemExit(f"the subscription was refused: {text!r}")
    if len(items) != 1 or "errors" in items[0]:
        raise SystemExit(f"expected one item and no error, got {items}")
    return items[0]["data"]["taskResult"]


def expected_id(name: str, arguments: dict[str, Any]) -> str:
    """The task id as any client can compute it: all values here are ASCII and sorted, so this JSON is canonical."""
    image = json.dumps({"input": arguments, "task": name, "version": "1"}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(image.encode()).hexdigest()[:32]


async def run(url: str, mutation: str, name: str, arguments: dict[str, Any]) -> tuple[str, Any]:
    """Subscribes, then submits; returns the outcome and the final record."""
    task_id = expected_id(name, arguments)
    subscribed = asyncio.Event()
    began = time.monotonic()
    async with asyncio.timeout(WAIT_SECONDS):
        waiting = asyncio.create_task(task_result(url, task_id, subscribed))
        await asyncio.wait({waiting, asyncio.create_task(subscribed.wait())}, return_when=asyncio.FIRST_COMPLETED)
        submission = (await asyncio.to_thread(post, url, mutation))["submission"]
        if submission["taskId"] != task_id:
            raise SystemExit(f"the task id is {submission['taskId']}, not {task_id}")
        record = await waiting
    seconds = round(time.monotonic() - began, 3)
    print(json.dumps({"outcome": submission["outcome"], "seconds": seconds, **record}))
    if record["state"] != "SUCCEEDED":
        raise SystemExit("the task did not succeed")
    return submission["outcome"], record


async def fibonacci(url: str, n: int, outcomes: list[str]) -> None:
    mutation = f"mutation {{ submission: submitFibonacci(n: {n}) {{ taskId outcome }} }}"
    outcome, record = await run(url, mutation, "fibonacci", {"n": n})
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    if record["result"]["value"] != str(a):
        raise SystemExit(f"fib({n}) is {a}")
    if outcomes and outcome not in outcomes:
        raise SystemExit(f"the outcome is {outcome}, expected {' or '.join(outcomes)}")


async def estimate_pi(url: str, samples: int, attempts: list[str]) -> None:
    mutation = f"mutation {{ submission: submitEstimatePi(samples: {samples}) {{ taskId outcome }} }}"
    _, record = await run(url, mutation, "estimate_pi", {"samples": samples, "seed": 0})
    if record["result"]["__typename"] != "Estimate":
        raise SystemExit("the result has another type than the task declares")
    if attempts and str(record["attempt"]) not in attempts:
        raise SystemExit(f"attempt {record['attempt']} ended it, expected {attempts[0]}")


async def workers(url: str, count: int) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            found = post(url, "{ cluster { workers { name } } }")["cluster"]["workers"]
            if len(found) == count:
                return print(json.dumps({"workers": [worker["name"] for worker in found]}))
            await asyncio.sleep(0.5)


async def running(url: str, count: int) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            found = post(url, "{ cluster { tasks { state count } } }")["cluster"]["tasks"]
            if {"state": "RUNNING", "count": count} in found:
                return
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    endpoint, command, number, *expected = sys.argv[1:]
    if command == "fibonacci":
        asyncio.run(fibonacci(endpoint, int(number), expected))
    elif command == "estimatePi":
        asyncio.run(estimate_pi(endpoint, int(number), expected))
    else:
        asyncio.run({"workers": workers, "running": running}[command](endpoint, int(number)))
