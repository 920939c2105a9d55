"""Files: `POST /files` takes the bytes of one, `HEAD` and `GET /files/<id>` return it.

An upload streams into the blob store: an api node holds about a megabyte of it (with S3 nine), however long it is.
Repeating one is harmless, as equal bytes are the same file.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncIterator, Mapping
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from cluster.api_node.files import DEFAULT_MEDIA_TYPE, Announced, Owner
from cluster.api_node.node import Node
from cluster.data.manifest import MAX_BYTES
from cluster.errors import BadInput, BlobError, FileNotFound, TooManyConnections
from cluster.observability import metrics
from cluster.store.audit_stream import AuditAction
from cluster.store.file_calls import StoredFile
from cluster.task_types.file import FILE_ID, MANIFEST, file_id
from cluster.task_types.value_types import MEDIA_TYPE, Blob
from graphql_api.auth.callers import Caller, Scope
from graphql_api.auth.http import caller_of
from graphql_api.errors import BLOBS_UNAVAILABLE
from graphql_api.http.blob_downloads import serve_blob
from graphql_api.http.untrusted_content import content_headers
from graphql_api.operation_limit import take_operation

MAX_NAME_BYTES: Final = 200
"""Maximum length of a file's name in UTF-8."""
_DIGEST: Final = re.compile(r"(?:^|,)[ \t]*sha-256=:([A-Za-z0-9+/=]*):[ \t]*(?=,|$)")
"""The SHA-256 in a Content-Digest (RFC 9530, section 2; algorithms that we do not know are to be ignored)."""


async def upload(request: Request) -> Response:
    """`POST /files?name=<file name>`: its bytes are the body, its type Content-Type, its hash Content-Digest."""
    node: Node = request.app.state.node
    caller = await caller_of(request)
    caller.require(Scope.SUBMIT)
    take_operation(node, caller)
    announced = announced_by(request.headers, request.query_params.get("name", ""))
    # Counted as what it holds here, not by its length.
    host, held = request.client.host if request.client else "unknown", node.files.upload_memory_bytes
    limits = request.app.state.address_limits
    try:
        if not limits.hold(host, held):
            raise TooManyConnections("too many uploads from this address are not complete", retryAfterSeconds=1)
        file, is_new = await take_upload(node, caller, request.stream(), announced)
    except ClientDisconnect:
        return Response(status_code=400)  # the client is gone, or was too slow
    except BlobError:
        return blobs_unavailable()
    finally:
        limits.hold(host, -held)
    body = {"id": file_id(file.sha256), "sizeBytes": file.size_bytes, "mediaType": file.media_type}
    return JSONResponse(
        body, 201 if is_new else 200, {"Location": f"{request.scope.get('root_path', '')}/files/{body['id']}"}
    )


async def take_upload(
    node: Node, caller: Caller, chunks: AsyncIterator[bytes], announced: Announced
) -> tuple[StoredFile, bool]:
    """Stores a file of a caller. Returns it, and whether its tenant did not have it before.

    Raises:
        Forbidden: the caller may not submit.
        BlobError, StoreUnavailable, PublicError: as `Files.upload`.
    """
    caller.require(Scope.SUBMIT)
    file, is_new = await node.files.upload(chunks, owner_of(caller), announced)
    metrics.UPLOADED_BYTES.inc(file.size_bytes)
    verdict = "NEW" if is_new else "KNOWN"
    node.audit.add(AuditAction.UPLOAD, caller.actor, code=verdict)
    return file, is_new


async def download(request: Request) -> Response:
    """`GET` or `HEAD /files/<id>`. A HEAD asks whether the file is there, so that it need not be uploaded."""
    node: Node = request.app.state.node
    caller = await caller_of(request)
    is_head = request.method == "HEAD"
    submits = caller.has(Scope.SUBMIT)
    if not (caller.confinement and caller.confinement.path) and not (is_head and submits):
        caller.require_unconfined("the download of a file by its id")
    caller.require(Scope.SUBMIT if is_head and submits else Scope.READ)
    take_operation(node, caller)
    match = FILE_ID.fullmatch(request.path_params["id"])
    try:
        file: StoredFile | None = match and await node.files.find(owner_of(caller), match[1])
    except BlobError:
        return blobs_unavailable()
    if file is None:
        raise FileNotFound("there is no such file: upload it by POST /files")
    if file.media_type == MANIFEST:
        return await _serve_manifest(node, file)
    blob = Blob(file.key, file.size_bytes, file.media_type)
    return await serve_blob(request, node.blobs, blob, download_name(file))


def download_name(file: StoredFile) -> str:
    """The file name of a file's download."""
    return file.name or file.sha256[:16]


async def _serve_manifest(node: Node, file: StoredFile) -> Response:
    """The list of a table's or an array's files, which are downloaded from its task."""
    try:
        content = await node.blobs.read(file.key, 0, MAX_BYTES)
    except BlobError:
        return blobs_unavailable()
    return Response(content, headers=content_headers(f"{file.name}.json", MANIFEST))


def announced_by(headers: Mapping[str, str], name: str) -> Announced:
    """What the headers of an upload say of it.

    Raises:
        BadInput: one of them cannot be meant so.
    """
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise BadInput("send the bytes of a file as they are, without a Content-Encoding")
    media_type = headers.get("content-type", DEFAULT_MEDIA_TYPE)
    if media_type.startswith("multipart/"):
        raise BadInput("send the bytes of a file as the body, not as a form: curl -X POST -T FILE .../files")
    if media_type.startswith("application/x-www-form-urlencoded"):
        media_type = DEFAULT_MEDIA_TYPE  # what curl --data-binary says of anything
    return Announced(_length(headers), _digest(headers), check_media_type(media_type), check_name(name))


def check_media_type(text: str) -> str:
    """Returns a media type that a client gave.

    Raises:
        BadInput: it is none.
    """
    if not MEDIA_TYPE.fullmatch(text):
        raise BadInput(f"a media type is ASCII text like 'text/csv; charset=utf-8', not {text[:80]!r}")
    if text == MANIFEST:
        raise BadInput(f"only workers write files of the type {MANIFEST}: pass on the fileId of a task's result")
    return text


def check_name(name: str) -> str:
    """Returns the name that a client gave to a file.

    Raises:
        BadInput: it is too long, or names more than a file.
    """
    if len(name.encode(errors="replace")) > MAX_NAME_BYTES or not all(c.isprintable() and c not in "/\\" for c in name):
        raise BadInput(f"a file's name has at most {MAX_NAME_BYTES} bytes in UTF-8, and no '/', not {name[:80]!r}")
    return name


def _length(headers: Mapping[str, str]) -> int | None:
    text = headers.get("content-length", "")
    return int(text) if text.isdecimal() and len(text) < 19 else None


def _digest(headers: Mapping[str, str]) -> str | None:
    match = _DIGEST.search(headers.get("content-digest", ""))
    if match is None:
        return None
    try:
        digest = base64.b64decode(match[1], validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != 32:
        raise BadInput("Content-Digest is sha-256=:<base64 of 32 bytes>:, as in RFC 9530")
    return digest.hex()


def owner_of(caller: Caller) -> Owner:
    """Whose the files of a caller are."""
    return Owner(caller.tenant, caller.account)


def blobs_unavailable() -> Response:
    return JSONResponse({"error": BLOBS_UNAVAILABLE, "code": "BLOB_UNAVAILABLE"}, 503, {"Retry-After": "2"})
