"""`file(fileId)`: what is known of a file, and where to download it."""

# No `from __future__ import annotations` here: Strawberry must see the types of this schema, not their names.

import strawberry

from cluster.api_node.files import Owner
from cluster.errors import BlobError, ServiceUnavailable
from cluster.store.file_calls import StoredFile
from cluster.task_types.file import FILE_ID, file_id
from graphql_api.auth.callers import Scope
from graphql_api.context import ApiInfo
from graphql_api.errors import BLOBS_UNAVAILABLE
from graphql_api.http.files import download_name
from graphql_api.schema.expires_in import ExpiresIn
from graphql_api.schema.scalars import BigInt, FileId
from graphql_api.schema.signed_links import HREF, Kept, signed_link


@strawberry.type(name="StoredFile", description="A file that the caller may use.")
class StoredFileType:
    file: strawberry.Private[StoredFile]

    @strawberry.field
    def file_id(self) -> FileId:
        return FileId(file_id(self.file.sha256))

    @strawberry.field(description="Its file name; null if it has none.")
    def name(self) -> str | None:
        return self.file.name or None

    @strawberry.field(description="Length in bytes.")
    def size_bytes(self) -> BigInt:
        return BigInt(self.file.size_bytes)

    @strawberry.field(description="Content-Type of the download.")
    def media_type(self) -> str:
        return self.file.media_type

    @strawberry.field(description="Path of the download on this api. Supports Range requests.")
    def url(self, info: ApiInfo) -> str:
        return f"{info.context.base_path}/files/{file_id(self.file.sha256)}"

    @strawberry.field(description=HREF)
    async def href(self, info: ApiInfo, expires_in: ExpiresIn = strawberry.UNSET) -> str:
        kept = Kept(self.file.key, self.file.media_type, download_name(self.file))
        return await signed_link(info, f"/files/{file_id(self.file.sha256)}", expires_in, kept)


async def find_file(info: ApiInfo, file_id: FileId) -> StoredFileType | None:
    caller, files = info.context.caller, info.context.node.files
    caller.require(Scope.READ)
    caller.require_unconfined("`file`")
    match = FILE_ID.fullmatch(file_id)
    assert match is not None, "FileId has checked it"
    try:
        found = await files.find(Owner(caller.tenant, caller.account), match[1])
    except BlobError:
        raise ServiceUnavailable(BLOBS_UNAVAILABLE) from None
    return None if found is None else StoredFileType(file=found)
