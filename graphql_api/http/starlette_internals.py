"""Every private or undocumented interface of Starlette that we use, with why, and how it would break.
`tests/graphql_api/http/test_starlette_internals.py` shows that each still has its effect.

Written against Starlette 0.46 to 1.10.
"""

from __future__ import annotations

import os
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

__all__ = ["CompressedFiles", "NotModifiedResponse"]
# `NotModifiedResponse`, a 304 with the headers of a response that it may have, is re-exported. Starlette does not
# document it. If it is moved, importing it fails at an api node's start.


class CompressedFiles(StaticFiles):
    """The files of a folder, which need not exist. A client that accepts gzip gets the `.gz` next to a file, if any.

    Starlette's StaticFiles has no such options. `check_config` and `file_response` are undocumented. If they are
    renamed, these two are no longer called: an api without built pages responds with 500 to requests for their files,
    and browsers get large files uncompressed.
    """

    async def check_config(self) -> None:
        """Does nothing: Starlette's own raises if the folder is missing; here its files are simply not found."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        compressed = Path(f"{os.fspath(full_path)}.gz")
        if "gzip" not in Headers(scope=scope).get("accept-encoding", "") or not compressed.is_file():
            return super().file_response(full_path, stat_result, scope, status_code)
        response = super().file_response(compressed, compressed.stat(), scope, status_code)
        response.headers["Content-Encoding"] = "gzip"
        # The type of the uncompressed file, as Content-Encoding covers the compression.
        response.headers["Content-Type"] = FileResponse(full_path).headers["content-type"]
        return response
