"""`href`: absolute URLs of downloads that need no header, as for `<img src>`, `<a download>` or `pd.read_parquet`."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from cluster.errors import Unauthenticated
from graphql_api.auth.callers import Scope
from graphql_api.auth.confinement import Confinement
from graphql_api.context import ApiInfo
from graphql_api.http.untrusted_content import content_headers
from graphql_api.schema.expires_in import checked_seconds

HREF: Final = (
    "URL of the download that needs no credential, for a while: for `<img src>`, `<a download>` and programs that open "
    "URLs. If the blob store is S3, it is a URL of S3."
)
STEADY_SHARE: Final = 0.25
"""The part of a link's time in which a caller who asks again gets the same one, so that a page that is drawn anew does
not load its pictures anew. A link is valid for at least the rest of its time."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is in the blob store as it is downloaded.

    Attributes:
        name: the file name of the download.
    """

    key: str
    media_type: str
    name: str


async def signed_link(info: ApiInfo, path: str, expires_in: Any, kept: Kept | None = None) -> str:
    """A URL of a download that is valid for some time: of the blob store itself where it signs URLs, else of this api.

    Args:
        path: of the download, on this api.
        expires_in: a Duration that a client gave.
        kept: None if the api makes the download itself, or from several blobs.

    Raises:
        BadInput: `expires_in` is out of bounds.
        Forbidden: the caller may not read.
    """
    context = info.context
    caller, node = context.caller, context.node
    caller.require(Scope.READ)
    seconds = checked_seconds(expires_in, node.settings)
    if kept is not None:
        if caller.expires_at is not None and (seconds := min(seconds, caller.expires_at - time.time())) < 1:
            raise Unauthenticated("the credential expires now")
        # The store sends what it is told to, so that the rules of untrusted content hold there too.
        headers = content_headers(kept.name, kept.media_type)
        offered = await asyncio.to_thread(
            node.blobs.offer_download, kept.key, headers["Content-Type"], headers["Content-Disposition"], seconds
        )
        if offered is not None:
            return offered
    assert context.task_tokens is not None
    token = await context.task_tokens.issue(
        caller, [Scope.READ], Confinement(path=path), seconds, steady_seconds=seconds * STEADY_SHARE
    )
    return f"{context.public_url}{quote(path, safe='/:')}?token={token.text}"


def file_name(key: str) -> str:
    """The file name of the download of a blob."""
    return key.rpartition("/")[2]
