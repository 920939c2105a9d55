"""HTTP connections: the environment's proxies are used, except for loopback addresses."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

import httpx

from dask_graphql.client.errors import ClientError

CONNECT_TIMEOUT_SECONDS: Final = 5.0
READ_TIMEOUT_SECONDS: Final = 30.0
PROXY_VARIABLES: Final = "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in upper or lower case"


class BadProxy(ClientError):
    """The environment's proxy settings cannot be used; the message says why and names the variables."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"the proxy settings of the environment ({PROXY_VARIABLES}) cannot be used: {error}")


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine itself, which no proxy can reach."""
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
    """An HTTP client for this URL.

    Raises:
        BadProxy: the environment names a proxy that cannot be used.
    """
    try:
        return httpx.AsyncClient(
            timeout=httpx.Timeout(READ_TIMEOUT_SECONDS, connect=CONNECT_TIMEOUT_SECONDS), trust_env=not is_loopback(url)
        )
    except (httpx.InvalidURL, ValueError, ImportError) as error:
        # For example an IPv6 address in NO_PROXY, an unknown scheme, or SOCKS without its package.
        raise BadProxy(error) from error
