"""The GraphQL multipart request specification: small files in the request that uses them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from cluster.settings import Settings
from cluster.task_types.registry import load_registry
from tests.api_node import api_node

QUERY = "mutation($file: FileId!) { submitDigestFile(file: $file) { taskId } }"
MANY = "mutation($inputs: [DigestFileInput!]!) { submitDigestFileMany(inputs: $inputs) { task { input } } }"
PREFLIGHT = {"GraphQL-Require-Preflight": "1"}
ID = f"sha256:{hashlib.sha256(b'content').hexdigest()}"


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    registry = load_registry(["tests.task_modules.files"])
    async with api_node(settings, registry) as url, httpx.AsyncClient(base_url=url.removesuffix("/graphql")) as client:
        yield client


async def send(
    api: httpx.AsyncClient, operation: Any, paths: Any, headers: dict[str, str] | None = None, **files: bytes
) -> httpx.Response:
    fields = {"operations": json.dumps(operation), "map": json.dumps(paths)}
    parts = {name: (f"{name}.txt", content, "text/plain") for name, content in files.items()}
    return await api.post("/graphql", data=fields, files=parts, headers=PREFLIGHT if headers is None else headers)


async def test_a_file_in_a_request_is_its_variable(api: httpx.AsyncClient) -> None:
    operation = {"query": MANY, "variables": {"inputs": [{"file": None, "note": "a"}, {"file": None}]}}
    sent = await send(api, operation, {"one": ["variables.inputs.0.file", "variables.inputs.1.file"]}, one=b"content")
    inputs = [item["task"]["input"] for item in sent.json()["data"]["submitDigestFileMany"]]
    assert inputs == [{"file": ID, "note": "a"}, {"file": ID, "note": ""}]
    head = await api.head(f"/files/{ID}")
    assert (head.headers["content-type"], "one.txt" in head.headers["content-disposition"]) == ("text/plain", True)


@pytest.mark.parametrize(
    ("operation", "paths", "headers", "status", "words"),
    [
        ({"query": QUERY, "variables": {"file": None}}, {"one": ["variables.file"]}, {}, 415, "Preflight"),
        ({"query": QUERY, "variables": {"file": "x"}}, {"one": ["variables.file"]}, None, 400, "is null"),
        ({"query": QUERY, "variables": {"file": None}}, {"one": ["query"]}, None, 400, "is null"),
        ({"query": QUERY, "variables": {}}, {"one": ["variables.file.x.0"]}, None, 400, "is null"),
        ({"query": QUERY, "variables": {"file": None}}, {"two": ["variables.file"]}, None, 400, "no file 'two'"),
        ({"query": QUERY, "variables": {"file": None}}, ["variables.file"], None, 400, '"map"'),
        ([{"query": QUERY}], {}, None, 400, "one operation"),
    ],
)
async def test_a_form_that_is_none_is_refused(
    api: httpx.AsyncClient, operation: Any, paths: Any, headers: dict[str, str] | None, status: int, words: str
) -> None:
    refused = await send(api, operation, paths, headers, one=b"content")
    assert refused.status_code == status
    assert words in refused.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    "body",
    [b"", b"--x", b"--x\r\n\r\n--x--", b"--x\r\n" * 50 + b"--x--", b'--x\r\nContent-Disposition: form-data; name="a"'],
)
async def test_a_malformed_form_is_a_bad_request(api: httpx.AsyncClient, body: bytes) -> None:
    headers = {**PREFLIGHT, "Content-Type": "multipart/form-data; boundary=x"}
    refused = await api.post("/graphql", content=body, headers=headers)
    assert (refused.status_code, refused.json()["errors"][0]["extensions"]["code"]) == (400, "BAD_REQUEST")


async def test_a_large_form_is_refused_and_a_file_belongs_to_files(api: httpx.AsyncClient) -> None:
    operation = {"query": QUERY, "variables": {"file": None}}
    refused = await send(api, operation, {"one": ["variables.file"]}, one=b"x" * 4_000_001)
    assert refused.status_code == 413
