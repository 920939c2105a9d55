"""`createUpload`: where a client sends a file, or that it need not."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import base64
import re
from typing import Final
from urllib.parse import urlencode

import strawberry
from strawberry.types.field import StrawberryField

from cluster.api_node.files import DEFAULT_MEDIA_TYPE, Announced, Owner
from cluster.errors import BadInput, BlobError, ServiceUnavailable
from cluster.task_types.file import file_id
from graphql_api.auth.callers import Scope
from graphql_api.context import ApiInfo
from graphql_api.errors import BLOBS_UNAVAILABLE
from graphql_api.http.files import check_media_type, check_name
from graphql_api.schema.scalars import BigInt, FileId
from graphql_api.strawberry_internals import make_field

SHA256: Final = re.compile(r"[0-9a-f]{64}")


@strawberry.type(description="A header of a request.")
class UploadHeader:
    name: str
    value: str


@strawberry.type(description="Where the bytes of a file are to be sent.")
class Upload:
    file_id: FileId = strawberry.field(description="The file's id, and the value of `FileId` arguments.")
    present: bool = strawberry.field(description="Whether the file is there already, and nothing need be sent.")
    method: str | None = strawberry.field(description="`POST` or `PUT`; null if the file is present.")
    url: str | None = strawberry.field(
        description="Where to send the bytes: a path of this api, or a URL of the blob store that is valid for half "
        "an hour. Null if the file is present."
    )
    headers: list[UploadHeader] = strawberry.field(
        description="Headers that the request must have; the credential too, if `url` is this api's."
    )


async def create_upload(
    info: ApiInfo, sha256: str, size_bytes: BigInt, media_type: str | None = None, name: str | None = None
) -> Upload | None:
    caller = info.context.caller
    caller.require(Scope.SUBMIT)
    if not SHA256.fullmatch(sha256):
        raise BadInput(f"sha256 is 64 lower-case hex digits, not {sha256[:80]!r}", argument="sha256")
    if size_bytes < 0:
        raise BadInput("sizeBytes is 0 or more", argument="sizeBytes")
    announced = Announced(
        size_bytes, sha256, check_media_type(media_type or DEFAULT_MEDIA_TYPE), check_name(name or "")
    )
    owner, files = Owner(caller.tenant, caller.account), info.context.node.files
    wanted = FileId(file_id(sha256))
    try:
        if await files.find(owner, sha256) is not None:
            return Upload(file_id=wanted, present=True, method=None, url=None, headers=[])
        target = await files.offer(owner, announced)
    except BlobError:
        raise ServiceUnavailable(BLOBS_UNAVAILABLE) from None
    if target is None:
        digest = base64.b64encode(bytes.fromhex(sha256)).decode()
        headers = {"Content-Type": announced.media_type, "Content-Digest": f"sha-256=:{digest}:"}
        method, url = "POST", f"{info.context.base_path}/files"
        if announced.name:
            url += f"?{urlencode({'name': announced.name})}"
    else:
        method, url, headers = "PUT", target.url, target.headers
    shown = [UploadHeader(name=header, value=value) for header, value in headers.items()]
    return Upload(file_id=wanted, present=False, method=method, url=url, headers=shown)


def upload_field() -> StrawberryField:
    """`createUpload`."""
    return make_field(
        "create_upload",
        resolver=create_upload,
        description="Says where to send the bytes of a file, or that they are there already. If the blob "
        "store is S3, they are sent there, past this api. Needs the scope `submit`.",
    )
