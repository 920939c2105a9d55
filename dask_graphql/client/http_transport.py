"""Requests over HTTP, repeated while the api is away: one input has one id, so repeating a submission is safe."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx

from dask_graphql.client.codec import Blob
from dask_graphql.client.errors import ApiUnavailable, Refused, refusal
from dask_graphql.client.network import is_loopback, open_http
from dask_graphql.client.retry import RETRIABLE, Patience, asked_seconds

logger = logging.getLogger(__name__)

PASSING: Final = frozenset({429, 502, 503, 504})
"""Statuses of a proxy without an api node behind it, or of a node that starts, stops or is full."""

CHUNK_BYTES: Final = 1 << 18


class Http:
    """The client's HTTP connections.

    Args:
        url: the api, as in `http://127.0.0.1:8000`, or its `/graphql`.
        token: sent as `Authorization: Bearer`; None for none.
        patience_seconds: how long one request is repeated.

    Raises:
        BadProxy: the environment names a proxy that cannot be used.
    """

    def __init__(self, url: str, token: str | None, patience_seconds: float) -> None:
        self.url = api_url(url)
        self._authorization = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._patience_seconds = patience_seconds
        self._client = open_http(self.url)
        self._elsewhere: httpx.AsyncClient | None = None
        """For blobs at other origins, to which another way may lead."""
        self._silent = True
        """Whether the api has not answered yet, nor the user been told so."""

    async def close(self) -> None:
        await self._client.aclose()
        if self._elsewhere is not None:
            await self._elsewhere.aclose()

    async def ask(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The data of a query or mutation.

        Raises:
            Refused: the api refuses it, and repeating it would not help or has not for the client's patience.
            ApiUnavailable: the api did not answer for the client's patience.
        """
        patience = Patience(self._patience_seconds, self.url)
        while True:
            try:
                return await self._ask_once({"query": query, "variables": dict(variables or {})})
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise _no_api(self.url, error) from error
            except httpx.TransportError as error:
                pause = patience.pause_seconds(error)
                self._tell_of_silence(error)
            except Refused as refused:
                if refused.code not in RETRIABLE and refused.code not in _PASSING_CODES:
                    raise
                pause = patience.pause_seconds(refused, asked_seconds(refused))
            await asyncio.sleep(pause)

    def _tell_of_silence(self, error: Exception) -> None:
        """Says at once where nobody seems to be, as a wrong port is the likely cause; later failures pass by."""
        if self._silent:
            self._silent = False
            logger.warning(
                "%s does not answer (%s); trying for %g s", self.url, str(error) or type(error).__name__,
                self._patience_seconds,
            )  # fmt: skip

    async def _ask_once(self, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self._client.post(self.url, json=body, headers=self._authorization)
        self._silent = False
        told = _json_object(answer)
        if told is not None and told.get("errors"):
            raise refusal(told["errors"], _status_code(answer) if answer.is_error else "ERROR")
        if told is None or not isinstance(told.get("data"), dict):
            raise _http_refusal(answer, answer.text)
        return dict(told["data"])

    async def chunks(self, blob: Blob) -> AsyncGenerator[bytes, None]:
        """The bytes of a blob in order; after a broken connection it goes on where it was.

        Raises:
            Refused: there is no such blob any more.
            ApiUnavailable: the api did not answer for the client's patience.
        """
        url = blob_url(self.url, blob.url)
        # A blob may lie elsewhere (a signed URL of a bucket), where our token is nobody's business.
        headers = self._authorization if urlsplit(url)[:2] == urlsplit(self.url)[:2] else {}
        patience = Patience(self._patience_seconds, url)
        offset = 0
        while offset < blob.size_bytes:
            try:
                async with aclosing(self._from(url, offset, headers)) as parts:
                    async for part in parts:
                        offset += len(part)
                        patience.reset()
                        yield part
                if offset >= blob.size_bytes:
                    return
                pause = patience.pause_seconds(
                    ConnectionError(f"{url} ended after {offset} of {blob.size_bytes} bytes")
                )
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise _no_api(url, error) from error
            except httpx.TransportError as error:
                pause = patience.pause_seconds(error)
            except Refused as refused:
                if refused.code not in RETRIABLE and refused.code not in _PASSING_CODES:
                    raise
                pause = patience.pause_seconds(refused, asked_seconds(refused))
            await asyncio.sleep(pause)

    def _client_for(self, url: str) -> httpx.AsyncClient:
        if is_loopback(url) == is_loopback(self.url):
            return self._client
        self._elsewhere = self._elsewhere or open_http(url)
        return self._elsewhere

    async def _from(self, url: str, offset: int, headers: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        # A compressed download could not be continued at an offset of the blob.
        asked = {**headers, "Accept-Encoding": "identity", "Range": f"bytes={offset}-"}
        async with self._client_for(url).stream("GET", url, headers=asked) as answer:
            if answer.status_code not in (200, 206):
                raise _http_refusal(answer, (await answer.aread()).decode(errors="replace"))
            # 200: the range was not heard, and what we have comes once more.
            skip = offset if answer.status_code == 200 else 0
            async for part in answer.aiter_raw(CHUNK_BYTES):
                if len(part) > skip:
                    yield part[skip:]
                skip = max(0, skip - len(part))


def api_url(url: str) -> str:
    """The `/graphql` of an api of which only the origin may be given; any other path is a proxy's.

    Raises:
        ApiUnavailable: the text is no URL.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _no_api(url, error) from error
    path = "/graphql" if parts.path in ("", "/") else parts.path.removesuffix("/")
    return urlunsplit(parts._replace(path=path)) if path.endswith("/graphql") else url


def blob_url(api: str, url: str) -> str:
    """Where a blob is: its path is below the place where the api's `/graphql` is, which a proxy may have moved."""
    if url.startswith("/") and urlsplit(api).path.endswith("/graphql"):
        return urljoin(api, urlsplit(api).path.removesuffix("/graphql") + url)
    return urljoin(api, url)


def _status_code(answer: httpx.Response) -> str:
    return f"HTTP_{answer.status_code}"


_PASSING_CODES: Final = frozenset(f"HTTP_{status}" for status in PASSING)


def _json_object(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        told = answer.json()
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def _http_refusal(answer: httpx.Response, text: str) -> Refused:
    """What an answer says that is no GraphQL answer; plain HTTP routes tell `{"error": ..., "code": ...}`."""
    told = _json_object(answer) or {}
    after = answer.headers.get("retry-after", "")
    extensions = {"retryAfterSeconds": int(after)} if after.isdecimal() else {}
    words = told.get("error") or text[:300] or answer.reason_phrase
    return Refused(str(told.get("code") or _status_code(answer)), f"{answer.url} answered {words}", extensions)


def _no_api(url: str, error: Exception) -> ApiUnavailable:
    return ApiUnavailable(f"{url!r} is no address of an api: {error}")
