"""What proxies say of a request: the client's address, and the scheme, host and path that the client used.

Only proxies in TRUSTED_PROXIES are believed, as anyone can write these headers. `X-Forwarded-For` and `-Proto` are read
by uvicorn's middleware, which knows chains of proxies; `-Host` and `-Prefix`, which uvicorn ignores, are read here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from cluster.errors import SettingError
from cluster.settings import Settings, variable_of
from cluster.settings.parsers import is_root_path

PROXY_HOST: Final = "dask_graphql.proxy_host"
"""The place in a scope of the Host header that a proxy sent, if the scope has the host that its client used instead."""
BAD_PREFIX: Final = "dask_graphql.bad_prefix"
"""Whether a proxy sent an X-Forwarded-Prefix that cannot be one, in a scope."""


class ForwardedHeaders:
    """Lets a request appear as its client sent it, whatever trusted proxies it came through.

    The scope's `root_path` is the prefix under which the client reaches the API: X-Forwarded-Prefix, else ROOT_PATH,
    else the path of PUBLIC_URL. A proxy may remove it from the path of a request or not; the scope's `path` begins with
    it either way (ASGI specification, "HTTP connection scope").

    Args:
        app: serves the request.
        is_proxy: whether an address is one of TRUSTED_PROXIES.
        own: the first segments of the paths that the app serves, which no prefix may begin with: a request for
            `/graphql/graphql` would have two meanings.

    Raises:
        SettingError: ROOT_PATH or the path of PUBLIC_URL begins with one of them.
    """

    def __init__(self, app: ASGIApp, settings: Settings, is_proxy: Callable[[str], bool], own: Collection[str]) -> None:
        self._own = frozenset(own)
        self._root_path = settings.base_path
        if _first(self._root_path) in self._own:
            name = "root_path" if settings.root_path else "public_url"
            served = ", ".join(f"/{segment}" for segment in sorted(self._own))
            raise SettingError(variable_of(name), getattr(settings, name), f"a path that does not begin with {served}")
        self._is_proxy = is_proxy
        trusted = settings.trusted_proxies
        self._app = cast(ASGIApp, ProxyHeadersMiddleware(cast(Any, app), trusted)) if trusted else app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        prefix = self._root_path
        client = scope.get("client")
        if client and self._is_proxy(client[0]):
            prefix = self._read_headers(scope) or prefix
        if prefix:
            path = scope["path"]
            scope["root_path"] = prefix
            if path != prefix and not path.startswith(f"{prefix}/"):
                scope["path"] = prefix + path
        await self._app(scope, receive, send)

    def _read_headers(self, scope: Scope) -> str:
        """Puts the host that the client used in place of the one that the proxy used; returns the forwarded prefix."""
        host, prefix = b"", ""
        for name, value in scope["headers"]:
            if name == b"x-forwarded-host":
                # Of a list, the last is what the nearest proxy appended.
                host = value.rpartition(b",")[2].strip()
            elif name == b"x-forwarded-prefix":
                prefix = value.decode("latin-1").strip().rstrip("/")
        if host:
            sent = [value for name, value in scope["headers"] if name == b"host"]
            scope[PROXY_HOST] = sent[0].decode("latin-1") if sent else ""
            scope["headers"] = [item for item in scope["headers"] if item[0] != b"host"] + [(b"host", host)]
        if prefix and (not is_root_path(prefix) or _first(prefix) in self._own):
            scope[BAD_PREFIX] = True
            return ""
        return prefix


def _first(path: str) -> str:
    return path.lstrip("/").partition("/")[0]
