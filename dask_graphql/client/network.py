"""The way to an api: through the proxies of the environment, but never to a loopback address."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

import httpx

from dask_graphql.client.errors import ClientError

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 30.0
PROXY_VARIABLES: Final = "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in capitals or small letters"


class BadProxy(ClientError):
    """What the environment says of proxies cannot be used; the message says why, and which variables say it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"the proxies of the environment ({PROXY_VARIABLES}) cannot be used: {error}")


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine itself, where no proxy leads."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def open_http(url: str) -> httpx.AsyncClient:
    """A client of HTTP for this URL.

    Raises:
        BadProxy: a proxy is named that cannot be used.
    """
    try:
        return httpx.AsyncClient(
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS), trust_env=not is_loopback(url)
        )
    except (httpx.InvalidURL, ValueError, ImportError) as error:
        # An IPv6 address in NO_PROXY, an unknown scheme, SOCKS without the package for it.
        raise BadProxy(error) from error
