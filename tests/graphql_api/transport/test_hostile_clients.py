"""Hostile documents are refused before they cost anything, and other clients do not wait for them.

`pytest -s tests/graphql_api/transport/test_hostile_clients.py` prints what each costs.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from typing import Any

import httpx
import pytest

from tests.system import System

REFUSALS = {"GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "DOCUMENT_TOO_LARGE", "BAD_REQUEST", "BAD_INPUT"}
BOMB = "".join(f"fragment f{i} on Query {{ ...f{i + 1} ...f{i + 1} }} " for i in range(100))
DEEP_TYPES = "{ __schema { types " + "{ fields { type " * 40 + "{ name }" + "} }" * 40 + " } }"
MANY = "mutation($i: [FibonacciInput!]!) { submitFibonacciMany(inputs: $i) { taskId } }"
JSON_DEEP = '{"query": "{ a }", "variables": {"x": ' + "[" * 100_000 + "]" * 100_000 + "}}"

HOSTILE: dict[str, str] = {
    "10,000 levels of nesting": json.dumps({"query": "{ a " * 10_000 + "}" * 10_000}),
    "10,000 aliases of one field": json.dumps(
        {"query": "{" + "".join(f"a{i}: cluster {{ waiting }} " for i in range(10_000)) + "}"}
    ),
    "10,000 directives": json.dumps({"query": "{ taskTypes { name " + "@skip(if: false) " * 10_000 + "} }"}),
    "a field 1,900 times (pairs are compared)": json.dumps({"query": "{ taskTypes {" + " name" * 1_900 + "} }"}),
    "fragments that double 100 times": json.dumps(
        {"query": "{ ...f0 } " + BOMB + "fragment f100 on Query { taskTypes { name } }"}
    ),
    "fragments in a circle": json.dumps(
        {"query": "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }"}
    ),
    "introspection in 40 levels": json.dumps({"query": DEEP_TYPES}),
    "3.9 MB of tokens": json.dumps({"query": "{" + " a" * 1_950_000 + "}"}),
    "one name of 3.9 MB": json.dumps({"query": "{" + "a" * 3_900_000 + "}"}),
    "500,000 inputs in a variable": json.dumps({"query": MANY, "variables": {"i": [1] * 500_000}}),
    "1,500 inputs in the document": json.dumps(
        {"query": "mutation { submitFibonacciMany(inputs: [" + "1 " * 1_500 + "]) { taskId } }"}
    ),
    "JSON nested 100,000 deep": JSON_DEEP,
    "a batch of 10,000 operations": "[" + ",".join(['{"query": "{ cluster { waiting } }"}'] * 10_000) + "]",
    "a body of 5 MB": json.dumps({"query": " " * 5_000_000}),
}


async def timed(client: httpx.AsyncClient, url: str, body: bytes) -> tuple[float, httpx.Response]:
    begun = time.perf_counter()
    answer = await client.post(url, content=body, headers={"Content-Type": "application/json"})
    return (time.perf_counter() - begun) * 1_000, answer


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_document_is_refused_quickly_while_others_are_served(system: System, name: str) -> None:
    body = HOSTILE[name].encode()
    kind = json.dumps({"query": "{ taskTypes { name } }"}).encode()
    async with httpx.AsyncClient(timeout=30) as client:
        await timed(client, system.url, kind)
        alone = statistics.median([(await timed(client, system.url, kind))[0] for _ in range(5)])
        spans = []
        for _ in range(3):
            span, answer = await timed(client, system.url, body)
            spans.append(span)
            refusal: dict[str, Any] = answer.json()["errors"][0]
            assert refusal["extensions"]["code"] in REFUSALS, refusal
            assert answer.status_code in (200, 400, 413), answer.status_code
        hostile = asyncio.create_task(timed(client, system.url, body))
        beside, answer = await timed(client, system.url, kind)
        await hostile
        assert answer.json()["data"]["taskTypes"]
    sizes = f"{len(body) / 1e6:4.1f} MB sent; another request: beside it {beside:5.1f} ms, alone {alone:4.1f} ms"
    print(f"{name:42} {min(spans):6.1f} ms, {sizes}")
    # A loose bound: what is hostile without limits takes seconds to minutes.
    assert min(spans) < 2_000
