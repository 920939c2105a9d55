"""Files over HTTP: uploads of any length, bounded and hashed while they arrive; and who may have which file."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from cluster.api_node.account_usage import read_usage
from cluster.settings import Settings
from cluster.store.async_store import Store
from graphql_api.transport import uvicorn_internals
from tests.api_node import api_node

CONTENT = bytes(range(256)) * 10_000
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        api_node(replace(settings, file_limit_bytes=3_000_000, root_path="/tasks")) as url,
        httpx.AsyncClient(base_url=url.removesuffix("/graphql")) as client,
    ):
        yield client


def digest(sha256: str) -> str:
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"


async def pieces(content: bytes = CONTENT, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def test_a_file_comes_back_as_it_was_sent_and_is_uploaded_once(
    api: httpx.AsyncClient, store: Store, settings: Settings
) -> None:
    headers = {"Content-Type": "text/csv", "Content-Digest": f"md5=:AAAA:, {digest(SHA)}"}
    sent = await api.post("/files?name=größe.csv", content=pieces(), headers=headers)
    body = {"id": f"sha256:{SHA}", "sizeBytes": len(CONTENT), "mediaType": "text/csv"}
    assert (sent.status_code, sent.json()) == (201, body)
    again = await api.post("/files?name=other", content=CONTENT)
    assert (again.status_code, again.json()) == (200, body)
    got = await api.get(sent.headers["location"])
    assert (got.status_code, got.content) == (200, CONTENT)
    assert "gr%C3%B6%C3%9Fe.csv" in got.headers["content-disposition"]
    part = await api.get(f"/files/sha256:{SHA}", headers={"Range": "bytes=-5"})
    assert (part.status_code, part.content) == (206, CONTENT[-5:])
    head = await api.head(f"/files/sha256:{SHA}")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(CONTENT)), b"")
    assert (await read_usage(store, "address:127.0.0.1")).bytes == len(CONTENT)
    assert len(list((settings.data_dir / "blobs" / "uploads").glob("*/data"))) in (
        1,
        2,
    )  # the second one may be deleted


async def test_create_upload_says_where_to_send_a_file_or_that_it_is_there(api: httpx.AsyncClient) -> None:
    query = """mutation($size: BigInt!, $sha256: String!) {
        createUpload(sha256: $sha256, sizeBytes: $size, name: "größe & Zahl.csv") {
            fileId present method url headers { name value } } }"""

    async def create(sha256: str = SHA, size: int = len(CONTENT)) -> dict[str, Any]:
        variables = {"sha256": sha256, "size": size}
        return dict((await api.post("/graphql", json={"query": query, "variables": variables})).json())

    upload = (await create())["data"]["createUpload"]
    assert (upload["fileId"], upload["present"], upload["method"]) == (f"sha256:{SHA}", False, "POST")
    assert upload["url"].startswith("/tasks/files?")  # the path under which clients reach the api
    headers = {header["name"]: header["value"] for header in upload["headers"]}
    assert (await api.post(upload["url"], content=CONTENT, headers=headers)).status_code == 201
    assert (await create())["data"]["createUpload"]["present"]
    stored = await api.post("/graphql", json={"query": f'{{ file(fileId: "sha256:{SHA}") {{ name }} }}'})
    assert stored.json()["data"]["file"]["name"] == "größe & Zahl.csv"
    for sha256, size, code in (("x", 1, "BAD_INPUT"), ("0" * 64, 3_000_001, "FILE_TOO_LARGE")):
        assert (await create(sha256, size))["errors"][0]["extensions"]["code"] == code


@pytest.mark.parametrize("id", [f"sha256:{'0' * 64}", "sha256:xyz", "..%2f..%2fsecret"])
async def test_a_file_that_was_never_uploaded_is_not_found(api: httpx.AsyncClient, id: str) -> None:
    got = await api.get(f"/files/{id}")
    assert got.status_code == 404
    assert (await api.head(f"/files/{id}")).status_code == 404


@pytest.mark.parametrize(
    ("url", "headers", "content", "status", "words"),
    [
        ("/files", {"Content-Digest": digest("0" * 64)}, b"x", 400, "upload them again"),
        ("/files", {"Content-Digest": "sha-256=:AAAA:"}, b"x", 400, "RFC 9530"),
        ("/files", {"Content-Type": "nonsense"}, b"x", 400, "a media type is"),
        ("/files", {"Content-Type": "multipart/form-data; boundary=x"}, b"x", 400, "curl"),
        ("/files", {"Content-Encoding": "gzip"}, b"x", 400, "as they are"),
        ("/files?name=a%2Fb", {}, b"x", 400, "no '/'"),
        ("/files", {}, b"x" * 3_000_001, 413, "at most 3000000"),
        ("/files", {}, None, 413, "at most 3000000"),
    ],
)
async def test_what_cannot_be_a_file_is_refused_and_leaves_nothing(
    api: httpx.AsyncClient, settings: Settings, url: str, headers: dict[str, str], content: bytes | None, status: int,
    words: str,
) -> None:  # fmt: skip
    sent = await api.post(url, content=pieces(b"x" * 3_100_000) if content is None else content, headers=headers)
    assert sent.status_code == status
    assert words in sent.json()["error"]
    await asyncio.sleep(0)
    assert not list((settings.data_dir / "blobs").glob("uploads/*/data"))


async def test_an_account_with_no_room_uploads_nothing(settings: Settings) -> None:
    async with (
        api_node(replace(settings, tenant_bytes=100_000)) as url,
        httpx.AsyncClient(base_url=url.removesuffix("/graphql")) as client,
    ):
        for content in (CONTENT, pieces()):
            refused = await client.post("/files", content=content)
            assert (refused.status_code, refused.json()["code"]) == (413, "QUOTA_EXCEEDED")
        assert (await client.post("/files", content=b"x" * 90_000)).status_code == 201
        refused = await client.post("/files", content=b"y" * 90_000)
        assert refused.json()["code"] == "QUOTA_EXCEEDED"


async def test_an_upload_that_arrives_steadily_may_take_long_and_one_that_stalls_is_ended(
    api: httpx.AsyncClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uvicorn_internals, "BODY_SECONDS", 0.3)
    monkeypatch.setattr(uvicorn_internals, "BODY_BYTES_PER_SECOND", 10_000)

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield b"x" * 2_000
            await asyncio.sleep(0.1)

    assert (await api.post("/files", content=slow())).status_code == 201
    reader, writer = await begin_upload(api)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    assert len(list((settings.data_dir / "blobs").glob("uploads/*/data"))) == 1


async def begin_upload(api: httpx.AsyncClient) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Begins an upload that stalls."""
    reader, writer = await asyncio.open_connection(api.base_url.host, api.base_url.port)
    writer.write(f"POST /files HTTP/1.1\r\nHost: {api.base_url.host}\r\nContent-Length: 9\r\n\r\nx".encode())
    return reader, writer


async def test_uploads_of_one_address_are_bounded_by_what_they_hold(api: httpx.AsyncClient) -> None:
    stalled = [await begin_upload(api) for _ in range(36)]
    heads = [asyncio.ensure_future(reader.readline()) for reader, _ in stalled]
    done, waiting = await asyncio.wait(heads, timeout=2)
    assert {head.result().split()[1] for head in done} == {b"429"}
    assert len(waiting) == 30
    for head in waiting:
        head.cancel()
    for _, writer in stalled:
        writer.close()

    async with asyncio.timeout(5):
        while (await api.post("/files", content=b"x")).status_code != 201:
            await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_a_gigabyte_passes_through_a_node_that_stays_small(settings: Settings, tmp_path: Path) -> None:
    block, count = bytes(1 << 20), 1_024
    process, most = psutil.Process(), 0

    async def gigabyte() -> AsyncIterator[bytes]:
        nonlocal most
        for _ in range(count):
            most = max(most, process.memory_info().rss)
            yield block

    async with (
        api_node(settings) as url,
        httpx.AsyncClient(base_url=url.removesuffix("/graphql"), timeout=300) as client,
    ):
        await client.post("/files", content=block)
        before = process.memory_info().rss
        sent = await client.post("/files", content=gigabyte())
        assert (sent.status_code, sent.json()["sizeBytes"]) == (201, count << 20)
    assert most - before < 30_000_000
