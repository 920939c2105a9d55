"""Downloads of tables as Parquet, Arrow or CSV, made row group by row group while they are sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from cluster.api_node.node import Node
from cluster.data.libraries import DataExtraMissing, release_unused
from cluster.data.table_streams import arrow_stream, csv_stream, parquet_stream
from cluster.errors import BlobError
from cluster.store.blob_store import CHUNK_BYTES
from cluster.task_types.table_types import PARQUET, Table, part_key
from cluster.task_types.value_types import Blob
from cluster.task_types.walk import instances_in
from graphql_api.auth.callers import Caller
from graphql_api.errors import BLOBS_UNAVAILABLE
from graphql_api.http.blob_downloads import kept_outputs, reader_of, serve_blob
from graphql_api.http.untrusted_content import content_headers

MEDIA_TYPES: Final = {
    "parquet": PARQUET,
    "arrow": "application/vnd.apache.arrow.stream",
    "csv": "text/csv; charset=utf-8; header=present",
}
"""By format; IANA has registered all three."""
MAX_CONVERSIONS: Final = 8
"""Downloads that one node converts at the same time, each with a row group in memory; further ones are to try again."""


async def download_table(request: Request) -> Response:
    """`/tables/<key>.<format>`, as in `Table.parquet`, `arrow` and `csv`, and `/tables/<key>.<part>.parquet`."""
    node: Node = request.app.state.node
    caller = await reader_of(request)
    key, _, form = request.path_params["key"].rpartition(".")
    found = await _find(node, key, caller) if form in (*MEDIA_TYPES, "schema") else None
    if found is None:
        return JSONResponse({"error": "there is no such table, or its task expired", "code": "BLOB_NOT_FOUND"}, 404)
    table, number = found
    name = f"{key.rsplit('/', 1)[-1]}.{form}"
    if form == "parquet" and (number is not None or len(table.parts) == 1):
        part = table.parts[number or 0]
        blob = Blob(part_key(table.key, number or 0), part.size_bytes, MEDIA_TYPES[form])
        return await serve_blob(request, node.blobs, blob, name)
    if form == "schema":
        # For clients that read the parts themselves.
        encoded = await node.tables.in_thread(lambda: node.tables.schema(table).serialize().to_pybytes())
        return Response(encoded, headers=content_headers(name, "application/octet-stream"))
    if number is not None:
        return JSONResponse({"error": "a part of a table is only kept as Parquet", "code": "BLOB_NOT_FOUND"}, 404)
    if form == "csv":
        keep = request.query_params.get("formulas") == "keep"
        return await stream(request, csv_stream(node.tables, table, keep_formulas=keep), name, MEDIA_TYPES[form])
    pieces = (arrow_stream if form == "arrow" else parquet_stream)(node.tables, table)
    return await stream(request, pieces, name, MEDIA_TYPES[form])


async def _find(node: Node, key: str, caller: Caller) -> tuple[Table[Any], int | None] | None:
    """The table with this key, or with the part that has it, and the number of the part."""
    for table in instances_in(await kept_outputs(node, key.split("/")[0], caller), Table):
        if table.key == key:
            return table, None
        prefix, _, number = key.rpartition(".")
        if prefix == table.key and number.isdecimal() and len(number) < 6 and int(number) < len(table.parts):
            return table, int(number)
    return None


async def stream(request: Request, pieces: Iterator[bytes], name: str, media_type: str) -> Response:
    """The response with pieces that are made in a thread, one by one, as the client reads them."""
    # A range would need all that comes before it to be made again (RFC 9110, section 14.3).
    headers = {"Accept-Ranges": "none", **content_headers(name, media_type)}
    if request.method == "HEAD":
        return Response(headers=headers)
    node: Node = request.app.state.node
    conversions: Conversions = request.app.state.table_conversions
    if not conversions.take():
        error = f"this node converts {MAX_CONVERSIONS} tables at a time: try again, or download Parquet"
        return JSONResponse({"error": error, "code": "SERVICE_UNAVAILABLE"}, 503, {"Retry-After": "2"})

    async def following() -> bytes | None:
        return await node.tables.in_thread(lambda: next(pieces, None))

    try:
        head: bytes | None = await following()
    except (BlobError, DataExtraMissing) as error:
        conversions.release()
        text = BLOBS_UNAVAILABLE if isinstance(error, BlobError) else str(error)
        return JSONResponse({"error": text, "code": "BLOB_UNAVAILABLE"}, 503)
    except BaseException:
        conversions.release()
        raise

    def on_end() -> None:
        conversions.release()
        asyncio.get_running_loop().run_in_executor(None, release_unused)

    async def body() -> AsyncIterator[bytes]:
        nonlocal head
        piece, head = head, None
        while piece is not None:
            # In parts, as what is handed to the server waits in its buffer beside the whole.
            for start in range(0, len(piece), CHUNK_BYTES):
                yield piece[start : start + CHUNK_BYTES]
            del piece
            piece = await following()

    return _Download(body(), on_end, headers)


class _Download(StreamingResponse):
    """A response that tells when it has ended, however it did."""

    def __init__(self, body: AsyncIterator[bytes], on_end: Callable[[], None], headers: dict[str, str]) -> None:
        super().__init__(body, headers=headers)
        self._on_end = on_end

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._on_end()


class Conversions:
    """The downloads of one node that are being converted."""

    def __init__(self) -> None:
        self._running = 0

    def take(self) -> bool:
        """Counts one more, unless there are too many."""
        if self._running >= MAX_CONVERSIONS:
            return False
        self._running += 1
        return True

    def release(self) -> None:
        """One has ended."""
        self._running -= 1
