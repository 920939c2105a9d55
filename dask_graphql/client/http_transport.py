"""Requests over HTTP, repeated while the api is unavailable: submitting the same input again gives the same task."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx

from dask_graphql.client.codec import Blob
from dask_graphql.client.errors import ApiUnavailable, Refused, refusal
from dask_graphql.client.network import is_loopback, open_http
from dask_graphql.client.retry import RETRYABLE_CODES, RetryBudget, retry_after_seconds
from dask_graphql.client.uploads import OnProgress, Source

logger = logging.getLogger(__name__)

TRANSIENT_STATUSES: Final = frozenset({429, 502, 503, 504})
"""Statuses of a proxy whose api node is missing, or of a node that is starting, stopping or full."""

CHUNK_BYTES: Final = 1 << 18

CREATE_UPLOAD: Final = """mutation($sha256: String!, $size: BigInt!, $type: String!, $name: String!) {
  createUpload(sha256: $sha256, sizeBytes: $size, mediaType: $type, name: $name) {
    present method url headers { name value } } }"""


class HttpTransport:
    """The client's HTTP connections.

    Args:
        url: the api, such as `http://127.0.0.1:8000`, or its `/graphql`.
        token: sent as `Authorization: Bearer`; None to send none.
        patience_seconds: how long to repeat one request.
        connect_seconds: the same until the api has responded once; None: as long.

    Raises:
        BadProxy: the environment names a proxy that cannot be used.
    """

    def __init__(
        self, url: str, token: str | None, patience_seconds: float, *, connect_seconds: float | None = None
    ) -> None:
        self.url = api_url(url)
        self._authorization = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._patience_seconds = patience_seconds
        self._connect_seconds = patience_seconds if connect_seconds is None else connect_seconds
        self._responded = False
        self._client = open_http(self.url)
        self._other_origins_client: httpx.AsyncClient | None = None
        """For blobs at other origins, which may need a proxy where the api does not, or the reverse."""
        self._reaches_blob_store = True
        self._never_answered = True
        """The api has not responded yet, and no warning of that was logged."""

    async def close(self) -> None:
        await self._client.aclose()
        if self._other_origins_client is not None:
            await self._other_origins_client.aclose()

    async def execute(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Executes a query or mutation and returns its data.

        Raises:
            Refused: the api refuses it, and repeating it cannot help or did not help within `patience_seconds`.
            ApiUnavailable: the api did not respond within `patience_seconds`.
        """
        budget = RetryBudget(self._patience_seconds if self._responded else self._connect_seconds, self.url)
        while True:
            try:
                return await self._execute_once({"query": query, "variables": dict(variables or {})})
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise _bad_api_url(self.url, error) from error
            except httpx.TransportError as error:
                pause = budget.pause_seconds(error)
                self._warn_unreachable_once(error)
            except Refused as refused:
                if refused.code not in RETRYABLE_CODES and refused.code not in TRANSIENT_CODES:
                    raise
                pause = budget.pause_seconds(refused, retry_after_seconds(refused))
            await asyncio.sleep(pause)

    def _warn_unreachable_once(self, error: Exception) -> None:
        """Warns at once if the first request gets no response: a wrong port is the likely cause."""
        if self._never_answered and self._connect_seconds > 0:
            self._never_answered = False
            logger.warning(
                "%s does not respond (%s); retrying for %g s", self.url, str(error) or type(error).__name__,
                self._connect_seconds,
            )  # fmt: skip

    async def _execute_once(self, body: dict[str, Any]) -> dict[str, Any]:
        response = await self._client.post(self.url, json=body, headers=self._authorization)
        self._never_answered = False
        self._responded = True
        payload = _json_object(response)
        if payload is not None and payload.get("errors"):
            raise refusal(payload["errors"], _status_code(response) if response.is_error else "ERROR")
        if payload is None or not isinstance(payload.get("data"), dict):
            raise _http_refusal(response, response.text)
        return dict(payload["data"])

    async def chunks(self, blob: Blob) -> AsyncGenerator[bytes, None]:
        """Yields the bytes of a blob in order; resumes at the current offset after a lost connection.

        Raises:
            Refused: the blob no longer exists.
            ApiUnavailable: the api did not respond within `patience_seconds`.
        """
        url = blob_url(self.url, blob.url)
        # A blob may be at another origin (a signed URL of a bucket), which must not get our token.
        headers = self._authorization if urlsplit(url)[:2] == urlsplit(self.url)[:2] else {}
        budget = RetryBudget(self._patience_seconds, url)
        offset = 0
        while offset < blob.size_bytes:
            try:
                async with aclosing(self._download_from(url, offset, headers)) as parts:
                    async for part in parts:
                        offset += len(part)
                        budget.reset()
                        yield part
                if offset >= blob.size_bytes:
                    return
                pause = budget.pause_seconds(ConnectionError(f"{url} ended after {offset} of {blob.size_bytes} bytes"))
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise _bad_api_url(url, error) from error
            except httpx.TransportError as error:
                pause = budget.pause_seconds(error)
            except Refused as refused:
                if refused.code not in RETRYABLE_CODES and refused.code not in TRANSIENT_CODES:
                    raise
                pause = budget.pause_seconds(refused, retry_after_seconds(refused))
            await asyncio.sleep(pause)

    async def read_range(self, path: str, first: int, length: int) -> bytes:
        """Bytes of a file on the api, from `first` on; fewer if it ends before.

        Raises:
            Refused, ApiUnavailable: as `chunks`.
        """
        url = blob_url(self.url, path)
        asked = {**self._authorization, "Accept-Encoding": "identity", "Range": f"bytes={first}-{first + length - 1}"}
        budget = RetryBudget(self._patience_seconds, url)
        while True:
            try:
                response = await self._client.get(url, headers=asked)
                if response.status_code == 200:
                    return response.content[first : first + length]
                if response.status_code == 206:
                    return response.content
                raise _http_refusal(response, response.text)
            except httpx.TransportError as error:
                pause = budget.pause_seconds(error)
            except Refused as refused:
                if refused.code not in RETRYABLE_CODES and refused.code not in TRANSIENT_CODES:
                    raise
                pause = budget.pause_seconds(refused, retry_after_seconds(refused))
            await asyncio.sleep(pause)

    async def upload(self, source: Source, on_progress: OnProgress | None) -> None:
        """Sends a file, unless the api has it: to the blob store itself if that takes it, else through the api.

        Raises:
            Refused: the api refuses it: it is too long, or the caller may not upload.
            ApiUnavailable: the api did not respond within `patience_seconds`.
        """
        url = blob_url(self.url, f"/files/{source.id}")
        offer = await self._create_upload(source)
        is_present = None if offer is None else bool(offer["present"])
        if offer is not None and offer["method"] == "PUT" and self._reaches_blob_store:
            # It becomes a file when the api is asked for it.
            is_present = None if await self._send_to_blob_store(offer, source, on_progress) else False
        budget = RetryBudget(self._patience_seconds, url)
        while True:
            try:
                if await self._has(url) if is_present is None else is_present:
                    if on_progress is not None:
                        on_progress(source.size_bytes, source.size_bytes)
                    return
                is_present = None
                sent = await self._send(source, on_progress)
                if sent.is_success:
                    return
                raise _http_refusal(sent, sent.text)
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise _bad_api_url(self.url, error) from error
            except httpx.TransportError as error:
                pause = budget.pause_seconds(error)
                self._warn_unreachable_once(error)
            except Refused as refused:
                if refused.code not in RETRYABLE_CODES | {"TOO_MANY_CONNECTIONS"} | TRANSIENT_CODES:
                    raise
                pause = budget.pause_seconds(refused, retry_after_seconds(refused))
            await asyncio.sleep(pause)

    async def _create_upload(self, source: Source) -> dict[str, Any] | None:
        """What the api says of a file that is to be uploaded; None from an api that cannot be asked."""
        wanted = {"sha256": source.sha256, "size": source.size_bytes, "type": source.media_type, "name": source.name}
        try:
            offer: dict[str, Any] = (await self.execute(CREATE_UPLOAD, wanted))["createUpload"]
        except Refused as refused:
            if refused.code not in ("GRAPHQL_VALIDATION_FAILED", "PERSISTED_OPERATION_NOT_FOUND"):
                raise
            return None
        return offer

    async def _send_to_blob_store(
        self, offer: Mapping[str, Any], source: Source, on_progress: OnProgress | None
    ) -> bool:
        """Sends a file past the api. Returns False if that fails, for whatever reason: the api takes it too."""
        headers = {item["name"]: item["value"] for item in offer["headers"]}
        try:
            client = self._client_for(offer["url"])
            sent = await client.put(offer["url"], content=source.chunks(on_progress), headers=headers)
            problem = "" if sent.is_success else f"{sent.status_code} {sent.text[:200]}"
        except (httpx.TransportError, httpx.InvalidURL) as error:
            # It may be out of this network's reach: each further file would wait for that again.
            self._reaches_blob_store = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            problem = str(error) or type(error).__name__
        if problem:
            logger.info("the blob store does not take %s (%s): it is sent through the api", source.id, problem)
        return not problem

    async def _has(self, url: str) -> bool:
        """Whether the api has a file.

        Raises:
            Refused: it does not say.
        """
        head = await self._client.head(url, headers=self._authorization)
        if head.status_code not in (200, 404):
            raise _http_refusal(head, head.text)
        return head.status_code == 200

    async def _send(self, source: Source, on_progress: OnProgress | None) -> httpx.Response:
        digest = base64.b64encode(bytes.fromhex(source.sha256)).decode()
        headers = {
            **self._authorization,
            "Content-Type": source.media_type,
            "Content-Length": str(source.size_bytes),
            "Content-Digest": f"sha-256=:{digest}:",
        }
        return await self._client.post(
            blob_url(self.url, "/files"),
            params={"name": source.name},
            content=source.chunks(on_progress),
            headers=headers,
        )

    def _client_for(self, url: str) -> httpx.AsyncClient:
        if is_loopback(url) == is_loopback(self.url):
            return self._client
        self._other_origins_client = self._other_origins_client or open_http(url)
        return self._other_origins_client

    async def _download_from(self, url: str, offset: int, headers: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        # A compressed download could not be resumed at an offset of the blob.
        asked = {**headers, "Accept-Encoding": "identity", "Range": f"bytes={offset}-"}
        async with self._client_for(url).stream("GET", url, headers=asked) as response:
            if response.status_code not in (200, 206):
                raise _http_refusal(response, (await response.aread()).decode(errors="replace"))
            # 200: the server ignored the range and sends the blob from its beginning.
            skip = offset if response.status_code == 200 else 0
            async for part in response.aiter_raw(CHUNK_BYTES):
                if len(part) > skip:
                    yield part[skip:]
                skip = max(0, skip - len(part))


def api_url(url: str) -> str:
    """The URL of an api's `/graphql`, from its origin, its `/graphql`, or the path where a proxy serves it.

    Raises:
        ApiUnavailable: the string is not a URL.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _bad_api_url(url, error) from error
    path = "/graphql" if parts.path in ("", "/") else parts.path.removesuffix("/")
    return urlunsplit(parts._replace(path=path)) if path.endswith("/graphql") else url


def blob_url(api: str, url: str) -> str:
    """The URL of a download, below the path of the api's `/graphql`. A proxy may have moved that without the api's
    knowledge: then the paths that the api names lack it."""
    return urljoin(api, f"{_base_path(api)}{own_path(api, url)}" if url.startswith("/") else url)


def own_path(api: str, url: str) -> str:
    """The path of a download below that of the api's `/graphql`: `/blobs/...`, `/tables/...`, `/arrays/...`."""
    base = _base_path(api)
    return url.removeprefix(base) if url.startswith(f"{base}/") else url


def _base_path(api: str) -> str:
    path = urlsplit(api).path
    return path.removesuffix("/graphql") if path.endswith("/graphql") else ""


def _status_code(response: httpx.Response) -> str:
    return f"HTTP_{response.status_code}"


TRANSIENT_CODES: Final = frozenset(f"HTTP_{status}" for status in TRANSIENT_STATUSES)


def _json_object(response: httpx.Response) -> dict[str, Any] | None:
    try:
        payload = response.json()
    except ValueError:
        return None
    return payload if isinstance(payload, dict) else None


def _http_refusal(response: httpx.Response, text: str) -> Refused:
    """The exception for a response that is not GraphQL; plain HTTP routes send `{"error": ..., "code": ...}`."""
    payload = _json_object(response) or {}
    after = response.headers.get("retry-after", "")
    extensions = {"retryAfterSeconds": int(after)} if after.isdecimal() else {}
    reason = payload.get("error") or text[:300] or response.reason_phrase
    return Refused(str(payload.get("code") or _status_code(response)), f"{response.url} returned {reason}", extensions)


def _bad_api_url(url: str, error: Exception) -> ApiUnavailable:
    return ApiUnavailable(f"{url!r} is not the URL of an api: {error}")
