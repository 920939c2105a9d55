"""Files through a whole system: uploaded on one node, read by tasks, returned as blobs, and passed on."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import httpx
import pytest

from dask_graphql import AsyncClient
from tests.system import Socket, System

BLOB = "result { ... on Pieces { blobs { url sizeBytes fileId } } }"


async def test_a_file_is_an_argument_and_what_a_task_made_of_it_is_one_of_the_next(system: System) -> None:
    content = os.urandom(3_000_000)
    api = [system.url_of(node).removesuffix("/graphql") for node in range(2)]
    async with httpx.AsyncClient() as http:
        sent = (await http.post(f"{api[0]}/files?name=noise.bin", content=content)).json()
        query = "mutation($file: FileId!) { submitSplitFile(file: $file) { taskId } }"
        submitted = await system.ask(query, {"file": sent["id"]}, node=1)
        blobs = (await system.result(submitted["submitSplitFile"]["taskId"], BLOB))["result"]["blobs"]
        pieces = [content[start : start + 1_000_000] for start in range(0, 3_000_000, 1_000_000)]
        assert [blob["fileId"] for blob in blobs] == [f"sha256:{hashlib.sha256(piece).hexdigest()}" for piece in pieces]
        # Parts of a graph write blobs of the same name, each its own.
        assert [(await http.get(api[0] + blob["url"])).content for blob in blobs] == pieces
        assert (await http.head(f"{api[1]}/files/{blobs[1]['fileId']}")).headers["content-length"] == "1000000"
    query = "mutation($file: FileId!) { submitDigestFile(file: $file) { taskId } }"
    submitted = await system.ask(query, {"file": blobs[1]["fileId"]})
    fields = "result { ... on Digest { sha256 sizeBytes name } }"
    result = (await system.result(submitted["submitDigestFile"]["taskId"], fields))["result"]
    assert result == {"sha256": blobs[1]["fileId"][7:], "sizeBytes": 1_000_000, "name": "piece.bin"}


@pytest.mark.slow
async def test_a_parent_hands_files_tables_and_arrays_on_by_reference(system: System) -> None:
    content = os.urandom(1_000)
    async with AsyncClient(system.url) as client:
        table = await (await client.submit("make_table", rows=10)).result(timeout=30)
        array = await (await client.submit("make_array", rows=2, columns=2)).result(timeout=30)
        parent = await client.submit("hand_on", file=content, table=table, array=array)
        got = await parent.result(timeout=60)
        hashes = [hashlib.sha256(it).hexdigest() for it in (content, content[500:])]
        assert [it["sha256"] for it in got["digests"]] == hashes
        # The sums of 0 to 3, and of 0 to 23 doubled, as a child and as the parent reads them.
        assert (got["rows"], got["stations"], got["values"]) == (110, 7, [6.0, 552.0, 552.0])
        assert got["items"] == [0, 1, 2]
        # A child's input is the id, and no bytes.
        query = "query($id: ID!) { task(taskId: $id) { children { name input } } }"
        children = (await system.ask(query, {"id": parent.task_id}))["task"]["children"]
        inputs = {child["name"]: child["input"] for child in children}
        assert inputs["describe_table"]["more"] == [table.file_id]
        assert inputs["digest_file"]["file"] == f"sha256:{hashes[1]}"


async def test_a_file_that_was_never_uploaded_is_refused_before_anything_is_submitted(system: System) -> None:
    query = "mutation($file: FileId!) { submitDigestFile(file: $file) { taskId } }"
    missing = f"sha256:{'0' * 64}"
    answer = await system.post(query, {"file": missing})
    error = answer["errors"][0]
    assert (error["extensions"]["code"], error["extensions"]["fileId"]) == ("FILE_NOT_FOUND", missing)


@pytest.mark.slow
async def test_a_blob_in_an_item_of_a_stream_is_a_download_and_an_argument_while_the_stream_runs_on(
    system: System, tmp_path: Path
) -> None:
    content = os.urandom(1_000)
    async with httpx.AsyncClient() as http:
        sent = (await http.post(f"{system.url_of(0).removesuffix('/graphql')}/files", content=content)).json()
    query = "mutation($file: FileId!, $folder: String!) { submitDripBlobs(file: $file, folder: $folder) { taskId } }"
    submitted = await system.ask(query, {"file": sent["id"], "folder": str(tmp_path)})
    task_id = submitted["submitDripBlobs"]["taskId"]
    items = """subscription($id: ID!) { taskItems(taskId: $id) {
        value typed { ... on Shard { source blob { fileId url href } } } } }"""
    async with Socket.open(system.url) as socket:
        arriving = socket.subscribe(items, {"id": task_id})
        item = (await anext(arriving))["taskItems"]
        shard = item["typed"]
        assert shard["source"] == sent["id"]
        assert item["value"].keys() == {"source", "blob"}  # without what is hidden
        async with httpx.AsyncClient() as http:
            # Each node finds it by itself.
            for url in (shard["blob"]["href"], system.url_of(1).removesuffix("/graphql") + shard["blob"]["url"]):
                assert (await http.get(url)).content == content[:10]
                assert (await http.get(url.replace("shard.bin", "other.bin").partition("?")[0])).status_code == 404
        for file, expected in ((shard["blob"]["fileId"], content[:10]), (shard["source"], content)):
            query = "mutation($file: FileId!) { submitDigestFile(file: $file) { taskId } }"
            digest = (await system.ask(query, {"file": file}))["submitDigestFile"]
            result = (await system.result(digest["taskId"], "result { ... on Digest { sha256 } }"))["result"]
            assert result == {"sha256": hashlib.sha256(expected).hexdigest()}
        assert (await system.ask(f'{{ task(taskId: "{task_id}") {{ state }} }}'))["task"]["state"] == "RUNNING"
        (tmp_path / "go").touch()
        assert [item async for item in arriving] == []
