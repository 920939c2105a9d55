"""Every private or undocumented interface of Starlette that we use, with why, and how it would break.
`tests/graphql_api/http/test_starlette_internals.py` shows that each still has its effect.

Written against Starlette 0.46 to 1.10.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

__all__ = ["CompressedFiles", "NotModifiedResponse"]
# `NotModifiedResponse`, a 304 with the headers of a response that it may have, is re-exported. Starlette does not
# document it. If it is moved, importing it fails at an api node's start.


ENCODINGS: Final = (("br", ".br"), ("gzip", ".gz"))
"""The encodings of compressed copies, the best one first, with the ends of their names."""


class CompressedFiles(StaticFiles):
    """The files of a folder, which need not exist. A client that accepts Brotli or gzip gets the `.br` or `.gz` next to
    a file, if any.

    Starlette's StaticFiles has no such options. `check_config` and `file_response` are undocumented. If they are
    renamed, these two are no longer called: an api without built pages responds with 500 to requests for their files,
    and browsers get large files uncompressed.
    """

    async def check_config(self) -> None:
        """Does nothing: Starlette's own raises if the folder is missing; here its files are simply not found."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        accepted = _accepted_encodings(Headers(scope=scope).get("accept-encoding", ""))
        for encoding, suffix in ENCODINGS:
            compressed = Path(f"{os.fspath(full_path)}{suffix}")
            if encoding in accepted and compressed.is_file():
                response = super().file_response(compressed, compressed.stat(), scope, status_code)
                response.headers["Content-Encoding"] = encoding
                # The type of the uncompressed file, as Content-Encoding covers the compression.
                response.headers["Content-Type"] = FileResponse(full_path).headers["content-type"]
                return response
        return super().file_response(full_path, stat_result, scope, status_code)


def _accepted_encodings(header: str) -> set[str]:
    """The encodings that an Accept-Encoding header names, without those of weight 0 (RFC 9110, 12.5.3)."""
    parts = (part.replace(" ", "").lower().partition(";") for part in header.split(","))
    return {name for name, _, weight in parts if weight not in ("q=0", "q=0.0", "q=0.00", "q=0.000")}
