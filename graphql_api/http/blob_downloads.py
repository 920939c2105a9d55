"""Downloads of blobs, streamed from the blob store, so that the api node never holds a whole value."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from cluster.api_node.node import Node
from cluster.errors import BlobError, ResultUnreadable
from cluster.store.blob_store import CHUNK_BYTES, BlobStore
from cluster.store.record import Record
from cluster.task_types.task_id import TASK_ID
from cluster.task_types.task_type import TaskType
from cluster.task_types.value_types import Blob
from cluster.task_types.walk import instances_in
from graphql_api.auth.callers import Caller, Scope
from graphql_api.auth.http import caller_of
from graphql_api.errors import BLOBS_UNAVAILABLE
from graphql_api.http.untrusted_content import content_headers
from graphql_api.operation_limit import take_operation

_RANGE = re.compile(r"bytes=[ \t]*(?:([0-9]+)-([0-9]*)|-([0-9]+))[ \t]*", re.IGNORECASE)


async def download(request: Request) -> Response:
    """`/blobs/<task id>/<attempt>/<name>`, as in `Blob.url`. Supports a single Range (RFC 9110, section 14)."""
    node: Node = request.app.state.node
    key = request.path_params["key"]
    caller = await reader_of(request)
    blob = await find_blob(node, key, caller)
    if blob is None:
        return JSONResponse({"error": "there is no such blob, or its task expired", "code": "BLOB_NOT_FOUND"}, 404)
    return await serve_blob(request, node.blobs, blob, key.rsplit("/", 1)[-1])


async def reader_of(request: Request) -> Caller:
    """The caller of a download of what a task made. It counts as an operation, as the task's result is read for it.

    Raises:
        Unauthenticated, ServiceUnavailable, StoreUnavailable: as `caller_of`.
        Forbidden: it may not read.
        RateLimited: it sent too many operations in the last minute.
    """
    caller = await caller_of(request)
    caller.require(Scope.READ)
    take_operation(request.app.state.node, caller)
    return caller


async def serve_blob(request: Request, blobs: BlobStore, blob: Blob, name: str) -> Response:
    """The response with a blob, or with the range of it that is asked for; for a HEAD only with its headers.

    Args:
        name: the file name of the download.
    """
    key, size_bytes = blob.key, blob.size_bytes
    first, last, status = 0, size_bytes - 1, 200
    headers = {"Accept-Ranges": "bytes", **content_headers(name, blob.media_type)}
    if asked := asked_range(request.headers, size_bytes):
        first, last = asked
        if first > last:
            return Response(status_code=416, headers={"Content-Range": f"bytes */{size_bytes}"})
        status = 206
        headers["Content-Range"] = f"bytes {first}-{last}/{size_bytes}"
    headers["Content-Length"] = str(last - first + 1)
    if request.method == "HEAD":
        return Response(None, status, headers)
    try:
        head = await blobs.read(key, first, min(CHUNK_BYTES, last - first + 1))
    except BlobError:
        return JSONResponse({"error": BLOBS_UNAVAILABLE, "code": "BLOB_UNAVAILABLE"}, 503)

    async def body() -> AsyncIterator[bytes]:
        yield head
        for offset in range(first + len(head), last + 1, CHUNK_BYTES):
            yield await blobs.read(key, offset, min(CHUNK_BYTES, last + 1 - offset))

    return StreamingResponse(body(), status, headers)


def asked_range(headers: Mapping[str, str], size_bytes: int) -> tuple[int, int] | None:
    """The first and the last byte of the requested range; first > last if the range cannot be satisfied.

    None for the whole blob: without a Range, with several, with an invalid one (RFC 9110, section 14.2), or with an
    If-Range, as a blob has no validator that could match (section 13.1.5).
    """
    match = None if "if-range" in headers else _RANGE.fullmatch(headers.get("range", ""))
    if match is None:
        return None
    start, end, suffix = (_number(part) for part in match.groups())
    if suffix is not None:
        return (size_bytes - min(suffix, size_bytes), size_bytes - 1) if suffix else (size_bytes, -1)
    assert start is not None
    if end is None:
        return start, size_bytes - 1
    return None if end < start else (start, min(end, size_bytes - 1))


def _number(text: str | None) -> int | None:
    # Python refuses to convert numbers of thousands of digits; no blob is that long.
    return int(text if len(text) < 19 else "9" * 18) if text else None


async def find_blob(node: Node, key: str, caller: Caller) -> Blob | None:
    """The blob with this key, if the caller may see it and its task's record still exists."""
    found = await _visible_task(node, key.split("/")[0], caller)
    if found is None:
        return None
    record, task_type = found
    values = await _outputs_of(node, record, task_type)
    blob = next((blob for blob in instances_in(values, Blob) if blob.key == key), None)
    if blob is None and record.result is None and task_type.items is not None:
        blob = await node.stream_blobs.find(record, task_type.items, key)
    return blob


async def kept_outputs(node: Node, task_id: str, caller: Caller) -> list[Any]:
    """The outputs of a task that are kept: of its last run, and of the one before while it runs again. None if the
    caller may not see them.

    Raises:
        ResultUnreadable: one does not fit what the task type returns today.
    """
    found = await _visible_task(node, task_id, caller)
    return [] if found is None else await _outputs_of(node, *found)


async def _visible_task(node: Node, task_id: str, caller: Caller) -> tuple[Record, TaskType] | None:
    if not TASK_ID.fullmatch(task_id):
        return None
    record = await node.store.read(task_id)
    task_type = record and node.registry.get(record.name)
    return None if record is None or not task_type or not caller.can_see(record) else (record, task_type)


async def _outputs_of(node: Node, record: Record, task_type: TaskType) -> list[Any]:
    kept = [] if record.result is None else [record.result]
    if record.previous_at is not None and (previous := await node.store.read_previous_result(record.task_id)):
        kept.append(previous)
    try:
        return [task_type.output.read(result) for result in kept]
    except ValidationError:
        raise ResultUnreadable(
            f"the kept result of {record.task_id} does not fit what {record.name} returns today; submit the task with "
            "recompute: true"
        ) from None
