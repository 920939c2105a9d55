"""What a page needs to sign people in with the provider of OIDC_ISSUER: authorization code and PKCE, without a secret.

The page talks to the provider itself (RFC 7636; for browsers, draft-ietf-oauth-browser-based-apps, section 6.3) and
sends this api the token that it gets. An api node takes no part in it, and holds no session.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from cluster.errors import ServiceUnavailable
from cluster.settings import Settings
from graphql_api.auth.provider import TIMEOUT_SECONDS, discover, endpoint

logger = logging.getLogger(__name__)

KEPT_SECONDS: Final = 600.0
"""How long the provider's document is used before it is fetched again."""
RETRY_SECONDS: Final = 5.0
"""Minimum interval between two requests to a provider that does not answer."""
UNAVAILABLE: Final = "the sign-in provider does not respond; try again"


class SignIn:
    """The sign-in of one api node."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[str, Any] | None = None
        self._tried_at = float("-inf")
        self._lock = asyncio.Lock()

    @property
    def offered(self) -> bool:
        """Whether pages offer it."""
        return bool(self._settings.oidc_client_id)

    async def described(self) -> dict[str, Any]:
        """What a page needs of the provider, as JSON.

        Raises:
            ServiceUnavailable: the provider does not answer, or not as one that signs in by code and PKCE.
        """
        async with self._lock:
            wait = KEPT_SECONDS if self._known is not None else RETRY_SECONDS
            if time.monotonic() - self._tried_at > wait:
                self._tried_at = time.monotonic()
                self._known = await self._fetch() or self._known
        if self._known is None:
            raise ServiceUnavailable(UNAVAILABLE, retryAfterSeconds=round(RETRY_SECONDS))
        return self._known

    async def origins(self) -> list[str]:
        """The origins that a page must be let connect to: where it gets its tokens."""
        try:
            return [_origin((await self.described())["tokenEndpoint"])] if self.offered else []
        except ServiceUnavailable:
            return []

    async def _fetch(self) -> dict[str, Any] | None:
        # Imported only if needed, as in tokens.py.
        import httpx

        settings = self._settings
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, follow_redirects=False) as client:
                document = await discover(client, settings.oidc_issuer)
            found = {
                "issuer": document["issuer"],
                "authorizationEndpoint": endpoint(document, "authorization_endpoint"),
                "tokenEndpoint": endpoint(document, "token_endpoint"),
                "endSessionEndpoint": (
                    endpoint(document, "end_session_endpoint") if document.get("end_session_endpoint") else None
                ),
                # RFC 9207: then a response without `iss` is a mix-up too.
                "namesIssuer": document.get("authorization_response_iss_parameter_supported") is True,
                "clientId": settings.oidc_client_id,
                "scope": settings.oidc_scopes,
                "token": settings.oidc_token,
                "parameters": dict(parse_qsl(settings.oidc_parameters)),
            }
        # InvalidURL and ImportError: the environment names a proxy that cannot be used.
        except (httpx.HTTPError, httpx.InvalidURL, ImportError, ValueError, KeyError) as error:
            logger.warning("cannot offer to sign in with %s: %s", settings.oidc_issuer, error)
            return None
        return found


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
