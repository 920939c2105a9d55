"""The headers of bytes that task functions and callers made, served from the api's own origin.

A page or a picture among them may contain anything, foreign scripts too, and must be no way to act as its reader: where
requests need no credential of their own (AUTHENTICATION=none, or a proxy with cookies), a script of this origin may do
whatever the reader may.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from cluster.task_types.value_types import MEDIA_TYPE

SHOWN_TYPES: Final = frozenset({"application/pdf", "image/gif", "image/jpeg", "image/png", "image/webp", "text/plain"})
"""Media types that browsers show themselves and that contain no scripts of the origin; all others are downloaded. (HTML
and SVG contain scripts; other XML may become either.)"""

SANDBOX: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""What is shown is an origin of its own, runs and loads nothing, and is framed by nobody. (Browsers lay out a picture
or a text by inline styles of their own.)"""


def content_headers(name: str, media_type: str) -> dict[str, str]:
    """The headers of a response with such bytes.

    Args:
        name: the file name of the download.
        media_type: as the maker of the bytes has called it, which may be any text.
    """
    # A task may have made a Blob itself, with any media type.
    known = media_type if MEDIA_TYPE.fullmatch(media_type) else "application/octet-stream"
    shown = known.partition(";")[0].strip().lower() in SHOWN_TYPES
    return {
        "Content-Type": known,
        "Content-Disposition": disposition("inline" if shown else "attachment", name),
        "Content-Security-Policy": SANDBOX,
    }


def disposition(kind: str, name: str) -> str:
    """A Content-Disposition with a file name: in ASCII for all clients, and exactly for those that know RFC 8187."""
    plain = re.sub(r'[^ -~]|["\\\\]', "_", name)
    exact = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'{kind}; filename="{plain}"{exact}'
