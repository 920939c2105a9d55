"""The headers of a request, read once."""

from __future__ import annotations

from starlette.types import Scope


def first_headers(scope: Scope) -> dict[str, str]:
    """The headers of a request or handshake by name, in lower case. Starlette searches its list anew for every name.

    The first of several with one name counts, except for `accept`, a list that may span several lines (RFC 9110,
    section 5.3).
    """
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
    if len(headers) < len(scope["headers"]) and "accept" in headers:
        headers["accept"] = ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"accept")
    return headers


def without_parameters(content_type: str) -> str:
    """The media type of a Content-Type header, in lower case."""
    return content_type.partition(";")[0].strip().lower()
