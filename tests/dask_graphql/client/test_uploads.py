"""Files among the arguments of the Python client and the command: uploaded unless the api has them."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.blob_store import UploadTarget
from cluster.store.blob_writer import Written
from cluster.store.s3_blob_store import S3BlobStore
from cluster.task_types.registry import load_registry
from dask_graphql import AsyncClient, BadArguments, File, Refused
from dask_graphql.cli.over_http import submit
from dask_graphql.dev_system import free_port
from tests.api_node import api_node
from tests.s3 import bucket

CONTENT = bytes(range(256)) * 9_000
ID = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[AsyncClient]:
    async with api_node(settings, load_registry(["tests.task_modules.files"])) as url, AsyncClient(url) as opened:
        yield opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "noise.csv").write_bytes(CONTENT)
    return tmp_path / "noise.csv"


async def test_a_path_or_an_open_file_is_uploaded_once_and_is_the_same_input(
    client: AsyncClient, path: Path, store: Store, settings: Settings
) -> None:
    first = await client.submit("digest_file", file=path)
    with path.open("rb") as opened:
        second = await client.submit("digest_file", file=opened)
    third = await client.submit("digest_file", file=CONTENT)
    fourth = await client.submit("digest_file", file=File(ID))
    fifth = await client.submit("digest_file", file=ID)
    assert [handle.outcome for handle in (first, second, third, fourth, fifth)] == ["NEW"] + ["JOINED"] * 4
    assert await client.task_id("digest_file", file=File(ID)) == first.task_id
    assert await client.task_id("digest_file", file=ID) == first.task_id
    [kept] = (settings.data_dir / "blobs" / "uploads").iterdir()
    assert (kept / "data").read_bytes() == CONTENT
    record = await store.read(first.task_id)
    assert record is not None
    assert record.input == f'{{"file":"{ID}","note":""}}'.encode()


async def test_its_name_and_type_are_told_and_progress_is_reported(client: AsyncClient, path: Path) -> None:
    seen: list[tuple[int, int]] = []
    assert await client.upload(path, on_progress=lambda *sent: seen.append(sent)) == File(ID)
    assert seen == [(1 << 20, len(CONTENT)), (2 << 20, len(CONTENT)), (len(CONTENT), len(CONTENT))]
    assert await client.upload(path, on_progress=lambda *sent: seen.append(sent)) == File(ID)
    assert len(seen) == 4  # it was there
    head = await client._http._client.head(client.url.replace("/graphql", f"/files/{ID}"))
    assert head.headers["content-type"] == "text/csv"
    assert "noise.csv" in head.headers["content-disposition"]


async def test_many_inputs_share_their_files(client: AsyncClient, path: Path) -> None:
    inputs = [{"file": path, "note": str(number)} for number in range(3)]
    assert len({handle.task_id for handle in await client.submit_many("digest_file", inputs)}) == 3


async def test_what_cannot_be_uploaded_is_refused_with_what_to_do(client: AsyncClient) -> None:
    with pytest.raises(BadArguments, match="mode 'rb'"):
        await client.submit("digest_file", file=io.StringIO("text"))


@pytest.mark.slow
async def test_a_file_is_sent_to_the_bucket_itself_or_else_through_the_api(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: Counter[str] = Counter()

    async def count(request: httpx.Request) -> None:
        if "/graphql" not in request.url.path:
            seen[f"{request.method} {'api' if request.url.path.startswith('/files') else 'bucket'}"] += 1

    def refusing(self: S3BlobStore, key: str, content: Written, media_type: str, seconds: float) -> UploadTarget:
        return UploadTarget(f"{os.environ['AWS_ENDPOINT_URL']}/no-such-bucket/{key}", {})

    def away(self: S3BlobStore, key: str, content: Written, media_type: str, seconds: float) -> UploadTarget:
        return UploadTarget(f"http://127.0.0.1:{free_port()}/away", {})

    through_the_api = {"PUT bucket": 1, "POST api": 1}
    steps: list[tuple[Any, dict[str, int]]] = [
        (None, {"PUT bucket": 1, "HEAD api": 1}), (refusing, through_the_api), (away, through_the_api),
        (away, {"POST api": 1}),
    ]  # fmt: skip
    registry = load_registry(["tests.task_modules.files"])
    with bucket(monkeypatch) as url:
        async with api_node(replace(settings, blob_url=url), registry) as api, AsyncClient(api) as client:
            client._http._client.event_hooks["request"].append(count)
            for number, (offer, requests) in enumerate(steps):
                if offer is not None:
                    monkeypatch.setattr(S3BlobStore, "offer_upload", offer)
                content, progress = CONTENT + bytes([number]), list[int]()
                seen.clear()
                file = await client.upload(content, on_progress=lambda sent, _, seen=progress: seen.append(sent))  # type: ignore[misc]
                assert (dict(seen), progress[-1]) == (requests, len(content))
                assert (await client.submit("digest_file", file=file)).outcome == "NEW"
                assert (
                    await client._http._client.get(f"{api.removesuffix('/graphql')}/files/{file.id}")
                ).content == content


async def test_a_file_that_the_api_has_lost_meanwhile_is_uploaded_again_once(
    client: AsyncClient, path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = store.calls.shard_prefix(ID.removeprefix("sha256:")[0])
    send, losses = client._send_one, [1]

    async def lossy(*args: Any) -> Any:
        if losses.pop():
            await store.command("DEL", f"{shard}:file::{ID.removeprefix('sha256:')}")
        return await send(*args)

    monkeypatch.setattr(client, "_send_one", lossy)
    with path.open("rb") as opened:
        losses[:] = [0, 1]
        assert (await client.submit("digest_file", file=opened)).outcome == "NEW"
        assert opened.tell() == 0
        losses[:] = [1, 1]
        with pytest.raises(Refused, match="there is no file"):
            await client.submit("digest_file", file=opened, note="lost twice")
    losses[:] = [1]
    with pytest.raises(Refused, match="there is no file"):
        await client.submit("digest_file", file=File(ID), note="which nobody can send again")
    assert losses == []


async def test_the_command_uploads_files(client: AsyncClient, path: Path) -> None:
    for arguments in (["--file", f"file={path}"], [f"file=@{path}"]):
        shown = await asyncio.to_thread(CliRunner().invoke, submit, ["digest_file", *arguments, "--url", client.url])
        assert shown.exit_code == 0, shown.output
        assert await client.task_id("digest_file", file=ID) in shown.output
