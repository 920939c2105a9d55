"""Request bodies: bounded as they come, and unpacked where they come compressed."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import JSONResponse
from starlette.types import Message, Receive

BODY_LIMIT_BYTES: Final = 4_000_000
"""Largest request body, unpacked; 1,000 inputs of a long task fit easily."""

_WINDOWS: Final = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
"""What zlib calls the codings of RFC 9110, section 8.4.1."""


class RequestRefused(Exception):
    """A request that is not executed, with the answer to it."""

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
    """A well-formed answer to a request that is not executed."""
    error = {"message": message, "extensions": extensions or {"code": "BAD_REQUEST"}}
    return JSONResponse({"errors": [error]}, status, headers)


def body_reader(receive: Receive, headers: Mapping[str, str]) -> Receive:
    """Reads a body of at most BODY_LIMIT_BYTES, unpacked, whatever its Content-Length says.

    Raises:
        RequestRefused: the body says that it is too long, or is packed in a way that is not known here. The reader
            raises it too, as soon as a body turns out too long, or is not what it says.
    """
    length = headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > 18 or int(length) > BODY_LIMIT_BYTES:
        raise _too_long()
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", *_WINDOWS):
        raise RequestRefused(
            415, f"a body is packed by gzip or deflate, not {coding[:40]!r}", {"Accept-Encoding": "gzip, deflate"}
        )
    counted = _counted(receive)
    return counted if coding == "identity" else _unpacked(counted, _WINDOWS[coding])


def _too_long() -> RequestRefused:
    return RequestRefused(413, f"a request body is at most {BODY_LIMIT_BYTES} bytes")


def _counted(receive: Receive) -> Receive:
    received = 0

    async def read() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > BODY_LIMIT_BYTES:
            raise _too_long()
        return message

    return read


def _unpacked(receive: Receive, window: int) -> Receive:
    body = _Unpacker(window)

    async def read() -> Message:
        message = await receive()
        if message["type"] != "http.request":
            return message
        try:
            part = body.unpack(message.get("body", b""))
            if not message.get("more_body", False) and not body.complete:
                raise RequestRefused(400, "the packed body ends too early")
        except zlib.error as error:
            raise RequestRefused(400, f"the body is not packed as its Content-Encoding says: {error}") from None
        return {**message, "body": part}

    return read


class _Unpacker:
    """A packed body as it comes. A gzip body may have several members, one behind the other (RFC 1952, section 2.2)."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._stream = zlib.decompressobj(window)
        self._produced = 0

    @property
    def complete(self) -> bool:
        return self._stream.eof

    def unpack(self, data: bytes) -> bytes:
        """Raises:
        RequestRefused: the body turned out too long.
        zlib.error: it is not packed as it says, or something stands behind its end.
        """
        parts = []
        while data:
            if self._stream.eof:
                if self._window == zlib.MAX_WBITS:
                    raise zlib.error("data after the end")
                self._stream = zlib.decompressobj(self._window)
            # Never more than one byte beyond the limit is unpacked, however well the rest is packed.
            part = self._stream.decompress(data, BODY_LIMIT_BYTES - self._produced + 1)
            self._produced += len(part)
            if self._produced > BODY_LIMIT_BYTES:
                raise _too_long()
            parts.append(part)
            data = self._stream.unused_data
        return b"".join(parts)
