"""Downloads of arrays: as `.npy`, or as the files of a Zarr group, which libraries read by the group's URL."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from cluster.api_node.node import Node
from cluster.data.array_reader import band_rows
from cluster.errors import BlobError
from cluster.task_types.array_types import Array, coordinate_key
from cluster.task_types.value_types import Blob
from cluster.task_types.walk import instances_in
from graphql_api.http.blob_downloads import kept_outputs, reader_of, serve_blob
from graphql_api.http.table_downloads import stream
from graphql_api.http.untrusted_content import content_headers

BYTES: Final = "application/octet-stream"
ZARR_FILE: Final = re.compile(r"(?:[^/]+/)?zarr\.json|[^/]+/c(?:/[0-9]+)*")
"""The files of a group of arrays."""


async def download_array(request: Request) -> Response:
    """`/arrays/<key>.npy`, `/arrays/<key>.zarr/<file>` and `/arrays/<key>.coord.<number>.npy`."""
    node: Node = request.app.state.node
    key = request.path_params["key"]
    caller = await reader_of(request)
    for array in instances_in(await kept_outputs(node, key.split("/")[0], caller), Array):
        if key == array.npy_key:
            if array.chunks is None:
                return await serve_blob(request, node.blobs, Blob(key, array.size_bytes, BYTES), _name(key))
            if band_rows(array):
                return await stream(request, node.arrays.npy_stream(array), _name(key), BYTES)
        for number, coordinate in enumerate(array.coords):
            if key == coordinate_key(array.key, number):
                return await serve_blob(request, node.blobs, Blob(key, coordinate.size_bytes, BYTES), _name(key))
        if array.chunks is not None and key.startswith(f"{array.zarr_key}/"):
            return await _zarr_file(node, key, key.removeprefix(f"{array.zarr_key}/"))
    return _missing()


async def _zarr_file(node: Node, key: str, file: str) -> Response:
    if not ZARR_FILE.fullmatch(file):
        return _missing()
    pieces = node.blobs.read_chunks(key)

    async def following() -> bytes:
        return await asyncio.to_thread(next, pieces, b"")

    try:
        head = await following()
    except BlobError:
        # Readers ask for files that a group may have.
        return _missing()

    async def body() -> AsyncIterator[bytes]:
        piece = head
        while piece:
            yield piece
            piece = await following()

    media_type = "application/json" if file.endswith(".json") else BYTES
    return StreamingResponse(body(), headers=content_headers(_name(key), media_type))


def _name(key: str) -> str:
    return str(key.rsplit("/", 1)[-1])


def _missing() -> Response:
    return JSONResponse({"error": "there is no such array, or its task expired", "code": "BLOB_NOT_FOUND"}, 404)
