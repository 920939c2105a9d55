"""Every route: requests for other hosts and of foreign origins are refused, and every response says what browsers may
do with it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette

from cluster.settings import Settings, load_settings
from graphql_api.transport.host_check import HostCheck, Hosts
from graphql_api.transport.origin_check import Origins
from tests.api_node import api_node
from tests.system import RedisServer

PATHS = (
    "/graphql", "/graphql/", "/graphql?query={__typename}", "/", "/healthz", "/readyz", "/metrics", "/favicon.ico",
    "/static/favicon.svg", "/static/none", f"/blobs/{'0' * 32}/1/x", "/files/x", "/nothing",
)  # fmt: skip
HANDSHAKE = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "graphql-transport-ws",
}  # fmt: skip


@pytest.fixture(scope="module")
async def api(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an api node with the default settings, but for a site that may use it."""
    settings = load_settings(
        {},
        redis_url=redis_server.url,
        key_prefix=f"t{uuid.uuid4().hex[:8]}",
        data_dir=tmp_path_factory.mktemp("guard"),
        allowed_origins=("https://app.example",),
        log_level="WARNING",
    )
    async with api_node(settings) as url, httpx.AsyncClient(base_url=url.removesuffix("/graphql")) as client:
        yield client


@pytest.mark.parametrize("path", PATHS)
async def test_a_request_for_another_host_is_refused_on_every_route(api: httpx.AsyncClient, path: str) -> None:
    port = api.base_url.port
    for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "0.0.0.0", "127.0.0.1.evil.example"):
        assert (await api.get(path, headers={"Host": host})).status_code == 421, host
    for method in ("POST", "OPTIONS", "HEAD"):
        assert (await api.request(method, path, headers={"Host": "evil.example"})).status_code == 421, method
    for host in ("localhost", f"LOCALHOST:{port}", "127.0.0.1", f"[::1]:{port}", "localhost.", "127.0.0.2"):
        assert (await api.get(path, headers={"Host": host})).status_code != 421, host


@pytest.mark.parametrize("path", PATHS)
async def test_a_request_of_a_foreign_origin_is_refused_on_every_route(api: httpx.AsyncClient, path: str) -> None:
    own = str(api.base_url).rstrip("/")
    for origin in ("https://evil.example", "null", "http://127.0.0.1", "http://app.example", f"{own}.evil.example"):
        for method in ("GET", "POST", "OPTIONS"):
            answer = await api.request(method, path, headers={"Origin": origin})
            assert answer.status_code == 403, origin
            assert "access-control-allow-origin" not in answer.headers
    assert (await api.get(path, headers={"Origin": own})).status_code != 403
    answer = await api.get(path, headers={"Origin": "https://app.example"})
    assert answer.status_code != 403
    assert answer.headers["access-control-allow-origin"] == "https://app.example"


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}])
async def test_a_websocket_for_another_host_or_of_a_foreign_origin_is_refused(
    api: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    assert (await api.get("/graphql", headers={**HANDSHAKE, **headers})).status_code == 403


@pytest.mark.parametrize("path", PATHS)
async def test_every_response_has_headers_that_bound_what_browsers_do_with_it(
    api: httpx.AsyncClient, path: str
) -> None:
    for headers in ({}, {"Accept": "text/html"}, {"Host": "evil.example"}, {"Origin": "https://evil.example"}):
        for method in ("GET", "POST", "HEAD"):
            shown = (await api.request(method, path, headers=headers)).headers
            assert shown["content-security-policy"].startswith("default-src 'none'")
            assert shown["x-content-type-options"] == "nosniff"
            assert shown["referrer-policy"] == "no-referrer"
            if path != "/favicon.ico":
                assert shown["cross-origin-resource-policy"] == "same-origin"
            assert "cache-control" in shown
            for name in ("content-security-policy", "cache-control", "x-content-type-options"):
                assert len(shown.get_list(name)) == 1


async def test_responses_with_data_are_stored_nowhere(api: httpx.AsyncClient) -> None:
    query = {"query": "{ caller { name } }"}
    for answer in (
        await api.post("/graphql", json=query),
        await api.post("/graphql", json=query, headers={"Accept": "text/event-stream"}),
        await api.get("/graphql", params=query),
    ):
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "private, no-store"
        assert {"Authorization", "X-API-Key"} <= {part.strip() for part in answer.headers["vary"].split(",")}
    for path in ("/readyz", "/metrics", f"/blobs/{'0' * 32}/1/x"):
        assert (await api.get(path)).headers["cache-control"] == "private, no-store"


OPEN = Settings(host="0.0.0.0", allow_public=True)


@pytest.mark.parametrize(
    ("settings", "host", "address", "allowed"),
    [
        (Settings(), "", "127.0.0.1", True),
        (Settings(), "localhost:8000", "127.0.0.1", True),
        (Settings(), "[::1]:8000", "127.0.0.1", True),
        (Settings(host="::1"), "localhost", "::1", True),
        # A foreign name that its owner's DNS lets point to this machine, with a credential of its own or not.
        (Settings(), "evil.example:8000", "127.0.0.1", False),
        (Settings(authentication="required"), "evil.example", "127.0.0.1", False),
        (Settings(allowed_hosts=("tunnel.example",)), "tunnel.example", "127.0.0.1", True),
        (Settings(allowed_hosts=("tunnel.example",)), "localhost", "127.0.0.1", True),
        (Settings(allowed_hosts=("tunnel.example",)), "evil.example", "127.0.0.1", False),
        (OPEN, "api.example", "10.0.0.7", True),
        # What a load balancer's health checks send, and a probe in the container.
        (Settings(host="0.0.0.0", allowed_hosts=("api.example",)), "10.0.0.7:8000", "10.0.0.7", True),
        (Settings(host="0.0.0.0", allowed_hosts=("api.example",)), "localhost:8000", "127.0.0.1", True),
        (Settings(host="0.0.0.0", allowed_hosts=("api.example",)), "API.example.:443", "10.0.0.7", True),
        (Settings(host="0.0.0.0", allowed_hosts=("api.example",)), "localhost:8000", "10.0.0.7", False),
        (Settings(host="0.0.0.0", allowed_hosts=("api.example",)), "10.0.0.8", "10.0.0.7", False),
        (Settings(host="::", allowed_hosts=("api.example",)), "[2001:DB8::0:7]:8000", "2001:db8::7", True),
        (Settings(host="0.0.0.0", allowed_hosts=("*.example",)), "a.b.example", "10.0.0.7", True),
        (Settings(host="0.0.0.0", allowed_hosts=("*.example",)), "example", "10.0.0.7", False),
        (Settings(host="0.0.0.0", allowed_hosts=("*.example",)), "evilexample", "10.0.0.7", False),
        (Settings(allowed_hosts=("*",)), "any.example", "127.0.0.1", True),
    ],
)
def test_a_host_is_allowed_or_refused(settings: Settings, host: str, address: str, allowed: bool) -> None:
    assert Hosts(settings).check(host, address) is (HostCheck.OURS if allowed else HostCheck.FOREIGN)


@pytest.mark.parametrize("settings", [Settings(), OPEN])
@pytest.mark.parametrize("host", ["[", "a b", "a:b", "x" * 301])
def test_a_malformed_host_is_told_from_a_foreign_one(settings: Settings, host: str) -> None:
    assert Hosts(settings).check(host, "127.0.0.1") is HostCheck.MALFORMED


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "allowed"),
    [
        (None, "api.example", "http", True),
        ("https://api.example", "api.example", "https", True),
        ("https://api.example", "API.example", "wss", True),
        ("http://localhost:8000", "localhost:8000", "http", True),
        ("http://localhost:8000", "localhost:8000", "ws", True),
        # A proxy that ends TLS and is not trusted.
        ("https://api.example", "api.example", "http", True),
        # A page that anyone on the way can have written.
        ("http://api.example", "api.example", "https", False),
        ("http://api.example", "api.example", "wss", False),
        ("https://api.example:8443", "api.example", "https", False),
        ("https://evil.example", "api.example", "https", False),
        ("ftp://api.example", "api.example", "https", False),
        ("https://", "", "https", False),
        ("null", "null", "https", False),
    ],
)
def test_an_origin_is_allowed_or_refused(origin: str | None, host: str, scheme: str, allowed: bool) -> None:
    assert Origins(Settings()).allows(origin, host, scheme) is allowed
    assert Origins(Settings(allowed_origins=("*",))).allows(origin, host, scheme)


async def test_a_request_without_a_host_is_served(api: httpx.AsyncClient) -> None:
    place = urlsplit(str(api.base_url))
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert b" 200 " in await reader.readline()
    writer.close()


@pytest.mark.parametrize("path", ["/", "/static/favicon.svg"])
async def test_a_304_leaves_the_headers_of_the_stored_response_as_they_are(api: httpx.AsyncClient, path: str) -> None:
    first = await api.get(path)
    again = await api.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    changed = {name for name, value in again.headers.items() if first.headers.get(name, value) != value}
    assert changed <= {"date"}


@pytest.mark.parametrize(("allowed", "status"), [(("*",), 200), (("x-request-id",), 200), ((), 400)])
@pytest.mark.parametrize("path", ["/graphql", "/blobs/x", "/files", "/tables/x", "/arrays/x", "/files/x", "/healthz"])
async def test_a_preflight_request_is_answered_on_every_route_by_the_setting(
    path: str, allowed: tuple[str, ...], status: int
) -> None:
    settings = Settings(allowed_origins=("https://app.example",), allowed_headers=allowed)
    ask = {"Access-Control-Request-Method": "POST", "Origin": "https://app.example"}
    app = Origins(settings).middleware(Starlette())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.example") as client:
        own = {**ask, "Access-Control-Request-Headers": "authorization, range, traceparent"}
        assert (await client.options(path, headers=own)).status_code == 200
        answer = await client.options(path, headers={**ask, "Access-Control-Request-Headers": "x-request-id"})
    assert answer.status_code == status
    assert ("x-request-id" in answer.headers["access-control-allow-headers"]) == (status == 200)
