"""JSON Web Tokens: verified with the keys of an OpenID Connect issuer, or of a JWKS file.

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

import jwt

from cluster.errors import ServiceUnavailable, SettingError
from cluster.settings import Settings, variable_of
from graphql_api.auth.provider import TIMEOUT_SECONDS, discover, endpoint, get_bounded

logger = logging.getLogger(__name__)

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
LEEWAY_SECONDS: Final = 30.0
"""Tolerated difference between the clocks of issuer and node."""
KEY_CACHE_SECONDS: Final = 600.0
"""How long the issuer's keys are used before they are fetched again."""
MIN_FETCH_INTERVAL_SECONDS: Final = 30.0
"""Minimum interval between two requests to the issuer, however many tokens name unknown keys."""
MAX_TOKEN_CHARACTERS: Final = 8_192


class TokenVerifier:
    """Verifies JWTs.

    Raises:
        SettingError: the JWKS file cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._issuer = settings.oidc_issuer
        self._audience = settings.jwt_audience
        self._max_age_seconds = settings.jwt_max_age_seconds
        self._file = Path(settings.jwks_file) if settings.jwks_file else None
        self._keys: dict[str | None, Any] = {}
        self._read_at = self._fetched_at = float("-inf")
        self._fetch_lock = asyncio.Lock()
        if self._file is not None:
            try:
                self._keys = _key_set(self._file.read_bytes())
                if not self._keys:
                    raise ValueError("it has no usable public key")
            except (OSError, ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
                raise SettingError(variable_of("jwks_file"), str(self._file), f"a JWKS file ({error})") from None

    async def claims(self, token: str) -> dict[str, Any] | None:
        """The claims of a valid token; None for any other.

        Raises:
            ServiceUnavailable: the issuer's keys could not be fetched yet.
        """
        if len(token) > MAX_TOKEN_CHARACTERS:
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
            if self.expires_at(claims) <= time.time():
                raise jwt.ExpiredSignatureError("it is older than JWT_MAX_AGE_SECONDS")
        except (jwt.PyJWTError, TypeError, ValueError, OverflowError) as error:
            logger.debug("refused a token: %s", error)
            return None
        return claims

    def expires_at(self, claims: dict[str, Any]) -> float:
        """When a token expires, in seconds since 1970, with the leeway: at its `exp`, or JWT_MAX_AGE_SECONDS after its
        `iat` if that is earlier. One without `iat` may be of any age, so it expires at once if its `exp` is further
        ahead than that."""
        expires = float(claims["exp"])
        if self._max_age_seconds:
            if "iat" in claims:
                expires = min(expires, float(claims["iat"]) + self._max_age_seconds)
            elif expires > time.time() + self._max_age_seconds:
                expires = float("-inf")
        return expires + LEEWAY_SECONDS

    async def _key(self, key_id: str | None) -> Any:
        if self._file is None:
            now = time.monotonic()
            stale = now - self._read_at > KEY_CACHE_SECONDS
            if (stale or key_id not in self._keys) and now - self._fetched_at > MIN_FETCH_INTERVAL_SECONDS:
                await self._fetch_keys()
            if self._read_at == float("-inf"):
                raise ServiceUnavailable("tokens cannot be verified now: the issuer does not respond; try again")
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    async def _fetch_keys(self) -> None:
        import httpx

        async with self._fetch_lock:
            if time.monotonic() - self._fetched_at <= MIN_FETCH_INTERVAL_SECONDS:
                return
            try:
                async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, follow_redirects=False) as client:
                    document = await discover(client, self._issuer)
                    self._keys = _key_set(await get_bounded(client, endpoint(document, "jwks_uri")))
                    self._read_at = time.monotonic()
            except (
                # InvalidURL and ImportError: the environment names a proxy that cannot be used.
                httpx.HTTPError, httpx.InvalidURL, ImportError, ValueError, KeyError, TypeError, AttributeError,
                jwt.PyJWTError,
            ) as error:  # fmt: skip
                logger.warning("cannot fetch the keys of %s: %s", self._issuer, error)
            finally:
                self._fetched_at = time.monotonic()


def _key_set(jwks: bytes) -> dict[str | None, Any]:
    """The public keys of a JWKS (RFC 7517) by `kid`."""
    listed = json.loads(jwks)["keys"]
    try:
        keys = jwt.PyJWKSet(listed).keys
    except jwt.PyJWKSetError:
        if not isinstance(listed, list):
            raise
        # The issuer has withdrawn all its keys, or all that can be used here: the old ones must not be used on.
        return {}
    # With a symmetric key, anyone who can read the key set could make tokens.
    return {key.key_id: key for key in keys if key.key_type in ("RSA", "EC", "OKP")}
