"""Request bodies: bounded while they are received, and decompressed if they are compressed."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import Message, Receive

from cluster.errors import TooManyConnections
from graphql_api.transport.address_limits import UnfinishedMessage
from graphql_api.transport.unpacking import UNPACKED_RATIO, unpacked_limit

BODY_LIMIT_BYTES: Final = 4_000_000
"""Largest request body, decompressed. (1,000 inputs of a large task fit easily.)"""

_WINDOWS: Final = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
"""The content codings of RFC 9110, section 8.4.1, as zlib's `wbits`."""


class RequestRefused(Exception):
    """A request that is not executed; carries the status, message and headers of the response."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


def refusal(
    status: int,
    message: str,
    extensions: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A well-formed GraphQL response to a request that is not executed."""
    error = {"message": message, "extensions": extensions or {"code": "BAD_REQUEST"}}
    return JSONResponse({"errors": [error]}, status, headers)


def body_reader(receive: Receive, headers: Mapping[str, str], unfinished: UnfinishedMessage) -> Receive:
    """Wraps `receive` so that it decompresses the body and bounds it to BODY_LIMIT_BYTES.

    Args:
        unfinished: counts a body that comes in several parts against the client's address.

    Raises:
        RequestRefused: the headers announce a body that is too large, or an unknown coding. What is returned raises it
            too, as soon as the body turns out to be too large or malformed.
        TooManyConnections: raised by what is returned: the address sends too much at once.
    """
    length = headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > 18 or int(length) > BODY_LIMIT_BYTES:
        raise _too_large()
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", *_WINDOWS):
        raise RequestRefused(
            415,
            f"a body may be compressed with gzip or deflate, not {coding[:40]!r}",
            {"Accept-Encoding": "gzip, deflate"},
        )
    if coding != "identity":
        receive = _decompressed(_bounded(receive), _WINDOWS[coding])
    return _bounded(receive, unfinished)


async def read_body(receive: Receive) -> bytes:
    """The body of a request.

    Raises:
        ClientDisconnect: the client is gone.
    """
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large() -> RequestRefused:
    return RequestRefused(413, f"a request body may have at most {BODY_LIMIT_BYTES} bytes")


def _bounded(receive: Receive, unfinished: UnfinishedMessage | None = None) -> Receive:
    size = 0

    async def read() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > BODY_LIMIT_BYTES:
            raise _too_large()
        if unfinished is not None and message.get("more_body", False) and not unfinished.grow_to(size):
            raise TooManyConnections("too many bodies of requests from this address are not complete")
        return message

    return read


def _decompressed(receive: Receive, window: int) -> Receive:
    body = _Decompressor(window)

    async def read() -> Message:
        message = await receive()
        if message["type"] != "http.request":
            return message
        try:
            part = body.decompress(message.get("body", b""))
            if not message.get("more_body", False) and not body.complete:
                raise RequestRefused(400, "the compressed body is incomplete")
        except zlib.error as error:
            raise RequestRefused(400, f"the body is not compressed as its Content-Encoding says: {error}") from None
        return {**message, "body": part}

    return read


class _Decompressor:
    """Decompresses a body part by part. A gzip body may consist of several members (RFC 1952, section 2.2)."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._stream = zlib.decompressobj(window)
        self._consumed = 0
        self._produced = 0

    @property
    def complete(self) -> bool:
        return self._stream.eof

    def decompress(self, data: bytes) -> bytes:
        """Decompresses the next part.

        Raises:
            RequestRefused: the body is too large.
            zlib.error: the data is malformed, or continues after the end of the stream.
        """
        parts = []
        self._consumed += len(data)
        limit = min(BODY_LIMIT_BYTES, unpacked_limit(self._consumed))
        while data:
            if self._stream.eof:
                if self._window == zlib.MAX_WBITS:
                    raise zlib.error("data after the end")
                self._stream = zlib.decompressobj(self._window)
            # At most one byte beyond the limit is produced, however high the compression ratio is.
            part = self._stream.decompress(data, limit - self._produced + 1)
            self._produced += len(part)
            if self._produced > BODY_LIMIT_BYTES:
                raise _too_large()
            if self._produced > limit:
                raise RequestRefused(413, f"a request body unpacks to at most {UNPACKED_RATIO} times its size")
            parts.append(part)
            data = self._stream.unused_data
        return b"".join(parts)
