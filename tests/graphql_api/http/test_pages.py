"""The web pages, from a folder as the build leaves it: no Node, no browser, no network."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cluster.settings import Settings
from graphql_api.auth.sign_in import SignIn
from graphql_api.http.pages import CONTENT_SECURITY_POLICY, DIST, graphiql_page, page_routes
from tests.browser import need_pages

CODE = b"console.log('hello');\n" * 200


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """What `make console` builds, in small."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<title>console</title>")
    (tmp_path / "graphiql.html").write_text("<title>GraphiQL</title>")
    (tmp_path / "favicon.svg").write_text("<svg/>")
    (tmp_path / "favicon.ico").write_bytes(b"icon")
    (tmp_path / "assets" / "index-a1b2c3d4.js").write_bytes(CODE)
    (tmp_path / "assets" / "index-a1b2c3d4.js.gz").write_bytes(gzip.compress(CODE))
    return tmp_path


def client_of(dist: Path) -> httpx.AsyncClient:
    async def graphql(_: Request) -> Response:
        return graphiql_page((), dist)

    app = Starlette(routes=[Route("/graphql", graphql), *page_routes(dist)])
    app.state.sign_in = SignIn(Settings())
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test")


@pytest.fixture
def client(dist: Path) -> httpx.AsyncClient:
    return client_of(dist)


@pytest.mark.parametrize(("path", "title"), [("/", "console"), ("/graphql", "GraphiQL")])
async def test_each_page_comes_as_html_from_its_own_origin_only(
    client: httpx.AsyncClient, path: str, title: str
) -> None:
    answer = await client.get(path)
    assert answer.status_code == 200
    assert f"<title>{title}</title>" in answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "Accept" in answer.headers["vary"]


async def test_the_icon_is_served_and_cached(client: httpx.AsyncClient) -> None:
    answer = await client.get("/favicon.ico")
    assert (answer.status_code, answer.content) == (200, b"icon")
    assert answer.headers["content-type"] == "image/x-icon"
    assert answer.headers["cache-control"] == "public, max-age=86400"


async def test_without_built_pages_the_icon_is_empty_but_not_an_error(tmp_path: Path) -> None:
    answer = await client_of(tmp_path / "none").get("/favicon.ico")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["cache-control"] == "no-store"


def test_the_icon_is_one_and_small() -> None:
    icon = (DIST.parent / "public" / "favicon.ico").read_bytes()
    assert icon.startswith(b"\0\0\1\0"), "the header of a Windows icon"
    assert len(icon) < 4_096


def test_the_policy_names_no_other_host_and_runs_no_inline_script() -> None:
    assert "//" not in CONTENT_SECURITY_POLICY
    assert "*" not in CONTENT_SECURITY_POLICY
    assert "script-src 'self';" in CONTENT_SECURITY_POLICY
    assert "unsafe-eval" not in CONTENT_SECURITY_POLICY


async def test_an_unchanged_page_is_revalidated_but_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await client.get("/")
    assert first.headers["cache-control"] == "no-cache"
    again = await client.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_only_files_with_a_hash_in_their_name_are_cached_for_ever(
    client: httpx.AsyncClient,
) -> None:
    hashed = await client.get("/static/assets/index-a1b2c3d4.js")
    assert hashed.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (await client.get("/static/favicon.svg")).headers["cache-control"] == "no-cache"


async def test_a_browser_that_accepts_gzip_gets_the_compressed_copy(client: httpx.AsyncClient) -> None:
    packed = await client.get("/static/assets/index-a1b2c3d4.js", headers={"Accept-Encoding": "gzip, br"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(CODE)
    assert packed.content == CODE
    plain = await client.get("/static/assets/index-a1b2c3d4.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == CODE
    for answer in (packed, plain):
        assert answer.headers["content-type"].startswith("text/javascript")
        assert answer.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("path", ["/static/assets/gone.js", "/static/", "/static/%2e%2e/pages.py", "/static/assets"])
async def test_what_is_not_a_file_of_the_pages_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


async def test_without_built_pages_a_page_says_how_to_build_them(tmp_path: Path) -> None:
    client = client_of(tmp_path / "none")
    for path in ("/", "/graphql"):
        answer = await client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
        assert "make console" in answer.text
        assert answer.headers["cache-control"] == "no-store"
    assert (await client.get("/static/assets/index-a1b2c3d4.js")).status_code == 404


@pytest.mark.parametrize("path", ["/", "/graphql"])
async def test_the_built_pages_load_only_files_that_are_served(path: str) -> None:
    need_pages()
    client = client_of(DIST)
    html = (await client.get(path)).text
    links = re.findall(r'(?:src|href)="([^"]+)"', html)
    files = [link for link in links if link != "graphql"]
    assert files
    for link in files:
        # Relative, as a proxy may serve the pages under any path.
        assert link.startswith("./static/")
        assert (await client.get(link.removeprefix("."))).status_code == 200
    assert "<script>" not in html
