"""The formats in which the results of one operation are streamed over HTTP.

- Server-sent events: the distinct connections mode of graphql-sse (github.com/enisdenjo/graphql-sse, PROTOCOL.md).
- Multipart: Apollo's subscription protocol 1.0 over HTTP (apollographql.com/docs/graphos/routing/operations/
  subscriptions/multipart-protocol), which Apollo's clients use if no other link takes their subscriptions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from strawberry.types import ExecutionResult

from graphql_api.transport.json import json_bytes, result_payload
from graphql_api.transport.negotiation import EVENTS, MULTIPART


@dataclass(frozen=True)
class StreamFormat:
    """What a stream consists of.

    Args:
        content_type: of the response.
        beginning: sent at once, so that proxies and clients see that the stream is open.
        idle: sent when there was no result for `idle_seconds`, which keeps proxies from closing the stream.
        item: makes the bytes of a result. Its second argument is the result's id, if the stream can be resumed there.
        end: follows the last result.
        revoked: ends the stream of a caller whose credential is no longer valid.
    """

    content_type: str
    beginning: bytes
    idle: bytes
    idle_seconds: float
    item: Callable[[ExecutionResult, int | None], bytes]
    end: bytes
    revoked: bytes


def _event(result: ExecutionResult, event_id: int | None) -> bytes:
    head = b"" if event_id is None else b"id: %d\n" % event_id
    return head + b"event: next\ndata: " + json_bytes(result_payload(result)) + b"\n\n"


_BOUNDARY: Final = b"\r\n--graphql"
"""No JSON contains it, as a line break in a text is escaped."""


def _part(body: bytes) -> bytes:
    """A part with the boundary after it, at which clients know that the part is complete."""
    return b"\r\nContent-Type: application/json\r\n\r\n" + body + _BOUNDARY


_COMPLETE: Final = b"event: complete\ndata:\n\n"
_CREDENTIAL_ENDED: Final = {"message": "the credential is no longer valid", "extensions": {"code": "UNAUTHENTICATED"}}

FORMATS: Final[Mapping[str, StreamFormat]] = {
    EVENTS: StreamFormat(
        content_type=f"{EVENTS}; charset=utf-8",
        beginning=b":\n\n",
        idle=b":\n\n",
        idle_seconds=12.0,
        item=_event,
        end=_COMPLETE,
        revoked=_COMPLETE,
    ),
    MULTIPART: StreamFormat(
        content_type='multipart/mixed; boundary="graphql"; subscriptionSpec="1.0"',
        beginning=_BOUNDARY + _part(b"{}"),
        idle=_part(b"{}"),
        # The protocol's "heartbeats".
        idle_seconds=5.0,
        item=lambda result, _: _part(b'{"payload":' + json_bytes(result_payload(result)) + b"}"),
        end=b"--\r\n",
        revoked=_part(json_bytes({"payload": None, "errors": [_CREDENTIAL_ENDED]})) + b"--\r\n",
    ),
}
