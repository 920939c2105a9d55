"""JSON Web Tokens: checked with the keys of an OpenID Connect issuer, or of a JWKS file.

Rules: RFC 7519 (claims), RFC 8725 (best practices: a fixed list of asymmetric algorithms, issuer and audience checked),
OpenID Connect Discovery 1.0 (`/.well-known/openid-configuration`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import jwt

from cluster.errors import ServiceUnavailable, SettingError
from cluster.settings import Settings, variable_of

logger = logging.getLogger(__name__)

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
LEEWAY_SECONDS: Final = 30.0
"""How much the clocks of issuer and node may differ."""
KEEP_SECONDS: Final = 600.0
"""How long the issuer's keys are used before they are asked for again."""
PAUSE_SECONDS: Final = 30.0
"""Least time between two questions to the issuer, however many tokens name unknown keys."""
ANSWER_BYTES: Final = 1_000_000
LONGEST_TOKEN: Final = 8_192


class Tokens:
    """Checks JWTs."""

    def __init__(self, settings: Settings) -> None:
        self._issuer = settings.oidc_issuer
        self._audience = settings.jwt_audience
        self._file = Path(settings.jwks_file) if settings.jwks_file else None
        self._keys: dict[str | None, Any] = {}
        self._read_at = self._asked_at = float("-inf")
        self._asking = asyncio.Lock()
        if self._file is not None:
            try:
                self._keys = _key_set(self._file.read_bytes())
            except (OSError, ValueError, jwt.PyJWTError) as error:
                raise SettingError(variable_of("jwks_file"), str(self._file), f"a JWKS file ({error})") from None

    async def claims(self, token: str) -> dict[str, Any] | None:
        """The claims of a good token, else None.

        Raises:
            ServiceUnavailable: no keys could be had from the issuer yet.
        """
        if len(token) > LONGEST_TOKEN:
            return None
        try:
            key = await self._key(jwt.get_unverified_header(token).get("kid"))
            if key is None:
                return None
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=self._audience,
                issuer=self._issuer or None,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp"], "verify_iss": bool(self._issuer)},
            )
        except jwt.PyJWTError as error:
            logger.debug("a token is refused: %s", error)
            return None
        return claims

    @staticmethod
    def end_of(claims: dict[str, Any]) -> float:
        """Until when a token is good, seconds since 1970."""
        return float(claims["exp"]) + LEEWAY_SECONDS

    async def _key(self, key_id: str | None) -> Any:
        if self._file is None:
            now = time.monotonic()
            stale = now - self._read_at > KEEP_SECONDS
            if (stale or key_id not in self._keys) and now - self._asked_at > PAUSE_SECONDS:
                await self._ask()
            if self._read_at == float("-inf"):
                raise ServiceUnavailable("tokens cannot be checked now: the issuer does not answer; try again")
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    async def _ask(self) -> None:
        import httpx

        async with self._asking:
            if time.monotonic() - self._asked_at <= PAUSE_SECONDS:
                return
            try:
                async with httpx.AsyncClient(timeout=5, follow_redirects=False) as client:
                    found = json.loads(
                        await _get(client, self._issuer.rstrip("/") + "/.well-known/openid-configuration")
                    )
                    if found.get("issuer", "").rstrip("/") != self._issuer.rstrip("/"):
                        raise ValueError(f"it says that it is {found.get('issuer')!r}")
                    address = str(found["jwks_uri"])
                    if urlsplit(self._issuer).scheme == "https" and urlsplit(address).scheme != "https":
                        raise ValueError("its jwks_uri is not https")
                    self._keys = _key_set(await _get(client, address))
                    self._read_at = time.monotonic()
            except (
                # InvalidURL and ImportError: proxies of the environment that cannot be used.
                httpx.HTTPError, httpx.InvalidURL, ImportError, ValueError, KeyError, TypeError, AttributeError,
                jwt.PyJWTError,
            ) as error:  # fmt: skip
                logger.warning("the keys of %s cannot be had: %s", self._issuer, error)
            finally:
                self._asked_at = time.monotonic()


async def _get(client: Any, address: str) -> bytes:
    """A short answer.

    Raises:
        ValueError: it is none, or longer than ANSWER_BYTES.
    """
    body = b""
    async with client.stream("GET", address) as answer:
        if answer.status_code != 200:
            raise ValueError(f"{address} answers {answer.status_code}")
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > ANSWER_BYTES:
                raise ValueError(f"{address} answers more than {ANSWER_BYTES} bytes")
    return body


def _key_set(text: bytes) -> dict[str | None, Any]:
    """The public keys of a JWKS (RFC 7517) by `kid`."""
    keys = jwt.PyJWKSet.from_json(text.decode()).keys
    # A symmetric key here would let everyone who can read it make tokens.
    return {key.key_id: key for key in keys if key.key_type in ("RSA", "EC", "OKP")}
