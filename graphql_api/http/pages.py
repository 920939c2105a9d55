"""The web pages: the console at `/`, GraphiQL for browsers at `/graphql`, and their files under `/static/`.

npm builds them from graphql_api/console: with `make console` in a clone, or during the build of a wheel or a source
distribution (scripts/build_backend.py). An api without them serves everything else, so a missing page is not an error;
it says how to build the pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Scope

from graphql_api.auth.sign_in import SignIn
from graphql_api.http.starlette_internals import CompressedFiles, NotModifiedResponse

DIST: Final = Path(__file__).parent.parent / "console" / "dist"
"""The folder of the built pages."""

CONTENT_SECURITY_POLICY: Final = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "worker-src 'self'",
        # Monaco, the editor of GraphiQL, positions its lines by style attributes and adds its theme as a style element.
        "style-src 'self' 'unsafe-inline'",
        # The style sheets of GraphiQL and Monaco contain fonts and icons as data: URLs. The console shows images from
        # data: URLs in results, and from blobs that it fetched with a credential.
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        # In CSP level 3 this covers the WebSocket of the same host too; `ws:` would allow every host.
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)


def policy_for(origins: Sequence[str]) -> str:
    """The policy of a page that also connects to other origins: of the provider that it signs in with."""
    return CONTENT_SECURITY_POLICY.replace("connect-src 'self'", " ".join(["connect-src 'self'", *origins]))


SECURITY_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

IMMUTABLE: Final = "public, max-age=31536000, immutable"
"""For files in assets/: their names contain a hash of their content, so the content of a name never changes."""

REVALIDATE: Final = "no-cache"
"""For everything else: cached but revalidated, so that a new version of the api shows its new pages at once."""

DAY: Final = "public, max-age=86400"
"""For the icon, which hardly ever changes and has no hash in its name."""

NOT_BUILT: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>dask-graphql</title>
<h1>The web pages were not built</h1>
<p>The api itself works: send GraphQL to <code>/graphql</code>.</p>
<p>To build the pages, run <code>make console</code> in the clone (it needs npm packages) and load this page again.</p>
"""


def page_routes(dist: Path = DIST) -> list[BaseRoute]:
    """The routes of the console (`/`), the icon (`/favicon.ico`) and the files of both pages (`/static/`).

    Args:
        dist: the folder of the built pages; it need not exist (yet).
    """

    async def console(request: Request) -> Response:
        sign_in: SignIn = request.app.state.sign_in
        return page(dist / "index.html", request.headers, await sign_in.origins())

    async def favicon(request: Request) -> Response:
        return icon(dist / "favicon.ico")

    return [
        Route("/", console),
        Route("/favicon.ico", favicon),
        Route("/auth/config", auth_config),
        Mount("/static", PageFiles(directory=dist, check_dir=False), name="static"),
    ]


async def auth_config(request: Request) -> Response:
    """`/auth/config`: how a page's callers authenticate, and how people sign in. Not secret, as every page has it."""
    sign_in: SignIn = request.app.state.sign_in
    described = await sign_in.described() if sign_in.offered else None
    required = request.app.state.authenticator.required
    return JSONResponse({"authentication": "required" if required else "none", "signIn": described})


def graphiql_page(origins: Sequence[str], dist: Path = DIST) -> Response:
    """GraphiQL, the response of `/graphql` to a browser's GET.

    Args:
        origins: other origins that it connects to: where it renews a token.
    """
    return page(dist / "graphiql.html", origins=origins)


def page(file: Path, request_headers: Headers | None = None, origins: Sequence[str] = ()) -> Response:
    """The response with a page, or with instructions if it was not built.

    Args:
        file: the page in the folder of the built pages.
        request_headers: if given, a browser that has this version gets 304 Not Modified.
        origins: other origins that the page connects to.
    """
    # `/graphql` is GraphiQL or the api depending on Accept: without Vary a cache would mix them up.
    headers = {**SECURITY_HEADERS, "Cache-Control": REVALIDATE, "Vary": "Accept"}
    headers["Content-Security-Policy"] = policy_for(origins)
    try:
        status = file.stat()
    except FileNotFoundError:
        return HTMLResponse(NOT_BUILT, headers={**headers, "Cache-Control": "no-store"})
    response = FileResponse(file, headers=headers, stat_result=status)
    if request_headers is not None and request_headers.get("if-none-match") == response.headers["etag"]:
        return NotModifiedResponse(response.headers)
    return response


def icon(file: Path) -> Response:
    """The icon, which browsers and feed readers request from every origin, whatever its pages say.

    Args:
        file: the icon in the folder of the built pages.
    """
    headers = {**SECURITY_HEADERS, "Cache-Control": DAY, "Cross-Origin-Resource-Policy": "cross-origin"}
    try:
        status = file.stat()
    except FileNotFoundError:
        # Not 404, which a browser would log as an error on a page that works.
        return Response(status_code=204, headers={**headers, "Cache-Control": "no-store"})
    return FileResponse(file, headers=headers, media_type="image/x-icon", stat_result=status)


class PageFiles(CompressedFiles):
    """The files of the pages, with security and cache headers.

    The build writes a `.gz`, and mostly a `.br`, next to every large text file, so that no node compresses the same
    megabytes per visitor.
    """

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        freshness = IMMUTABLE if path.startswith("assets/") else REVALIDATE
        response.headers.update({**SECURITY_HEADERS, "Cache-Control": freshness, "Vary": "Accept-Encoding"})
        return response
