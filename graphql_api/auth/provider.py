"""An OpenID Connect provider as its discovery document describes it (OpenID Connect Discovery 1.0, section 4)."""

from __future__ import annotations

import json
import re
from typing import Any, Final
from urllib.parse import urlsplit

from cluster.settings.parsers import is_loopback

MAX_RESPONSE_BYTES: Final = 1_000_000
HOST: Final = re.compile(r"[A-Za-z0-9._-]+(?::[0-9]+)?|\[[0-9A-Fa-f:.]+\](?::[0-9]+)?")
"""The host and port of an endpoint, which become part of a header."""
TIMEOUT_SECONDS: Final = 5.0


async def discover(client: Any, issuer: str) -> dict[str, Any]:
    """The discovery document of an issuer.

    Args:
        client: an httpx.AsyncClient.

    Raises:
        httpx.HTTPError: the provider does not answer.
        ValueError: it answers something else, or for another issuer.
    """
    found = json.loads(await get_bounded(client, issuer.rstrip("/") + "/.well-known/openid-configuration"))
    if not isinstance(found, dict) or str(found.get("issuer", "")).rstrip("/") != issuer.rstrip("/"):
        raise ValueError(f"it names the issuer {found.get('issuer') if isinstance(found, dict) else found!r}")
    return found


def endpoint(document: dict[str, Any], name: str) -> str:
    """The URL of an endpoint in a discovery document.

    Raises:
        ValueError: it is missing, has no plain host, or is neither https nor on loopback.
    """
    address = str(document.get(name) or "")
    parts = urlsplit(address)
    if not HOST.fullmatch(parts.netloc):
        raise ValueError(f"it has no usable {name}")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise ValueError(f"its {name} is not https")
    return address


async def get_bounded(client: Any, address: str) -> bytes:
    """The body of a response.

    Raises:
        ValueError: its status is not 200, or it is longer than MAX_RESPONSE_BYTES.
    """
    body = b""
    async with client.stream("GET", address) as response:
        if response.status_code != 200:
            raise ValueError(f"{address} returned the status {response.status_code}")
        async for part in response.aiter_bytes():
            body += part
            if len(body) > MAX_RESPONSE_BYTES:
                raise ValueError(f"{address} returned more than {MAX_RESPONSE_BYTES} bytes")
    return body
