"""Task tokens: short-lived credentials for some tasks, or for one download, which any api node checks by itself.

A token is `dgt_<claims>.<signature>`: base64url of JSON, and of its HMAC-SHA256 (RFC 2104). It names no algorithm and
has one purpose, so unlike a JWT (RFC 8725, sections 2.1 and 2.8) it can be taken for nothing else, nor anything else
for it: JWTs are only accepted with asymmetric keys of an issuer, and never begin with `dgt_`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from cluster.errors import StoreUnavailable
from cluster.settings import Settings
from cluster.store.async_store import Store
from graphql_api.auth.callers import TOKEN_NAME, Caller, Scope, parse_scopes
from graphql_api.auth.confinement import Confinement
from graphql_api.auth.revoked_tokens import RevokedTokens

logger = logging.getLogger(__name__)

PREFIX: Final = "dgt_"
TOKEN: Final = re.compile(r"dgt_([A-Za-z0-9_-]{1,8000})\.([A-Za-z0-9_-]{43})")
GRANTED: Final = (Scope.READ, Scope.CANCEL, Scope.SUBMIT)
"""The scopes that a token may have."""
PURPOSE: Final = b"dask-graphql task token, version 1"
"""What the signing key is derived for, so that no other use of a secret can sign a token."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says.

    Attributes:
        creator: the name of the caller that made it.
        account: the creator's.
        key_id: the creator's API key, with which the token ends; None if it had none.
        expires_at: seconds since 1970.
        nonce: random, so that no two tokens have the same text; empty in the tokens of links.
        made_with: id of the task token with which a link was made; empty for other credentials.
        token_id: what the token is revoked by; empty until it is read.
    """

    creator: str
    account: str
    key_id: str | None
    scopes: frozenset[Scope]
    confinement: Confinement
    expires_at: int
    nonce: str = ""
    made_with: str = ""
    token_id: str = ""

    @property
    def token_ids(self) -> tuple[str, ...]:
        """The tokens that this one ends with."""
        return tuple(filter(None, (self.token_id, self.made_with)))

    def dump(self) -> bytes:
        confined = self.confinement
        named = {
            "by": self.creator, "acc": self.account, "key": self.key_id, "scp": sorted(self.scopes),
            "ids": sorted(confined.task_ids), "tag": confined.tag, "run": sorted(confined.names), "get": confined.path,
            "exp": self.expires_at, "jti": self.nonce, "via": self.made_with,
        }  # fmt: skip
        return orjson.dumps({name: value for name, value in named.items() if value})

    @classmethod
    def load(cls, text: bytes) -> Claims:
        raw: dict[str, Any] = orjson.loads(text)
        confinement = Confinement(
            frozenset(raw.get("ids", ())), raw.get("tag", ""), frozenset(raw.get("run", ())), raw.get("get", "")
        )
        return cls(
            raw["by"], raw["acc"], raw.get("key"), parse_scopes(raw.get("scp", ())), confinement, raw["exp"],
            raw.get("jti", ""), raw.get("via", ""), _encode(hashlib.sha256(text).digest()[:16]),
        )  # fmt: skip


class TaskTokens:
    """Signs and reads the tokens of all nodes that share a Redis, or TASK_TOKEN_SECRETS.

    Args:
        now: the time in seconds since 1970, by a clock that the nodes share.
        on_revoked: called when a token was revoked by itself.

    Attributes:
        revoked: the tokens that were, which `read` does not ask for.
    """

    def __init__(
        self, settings: Settings, store: Store, now: Callable[[], float], on_revoked: Callable[[], None] = lambda: None
    ) -> None:
        self.revoked = RevokedTokens(store, now, on_revoked)
        self._store = store
        self._now = now
        self._configured = bool(settings.task_token_secrets)
        self._keys = [_signing_key(secret) for secret in settings.task_token_secrets]

    async def issue(
        self,
        creator: Caller,
        scopes: Iterable[Scope],
        confinement: Confinement,
        seconds: float,
        *,
        steady_seconds: float = 0.0,
    ) -> Issued:
        """Makes a token that can do no more than its creator, and ends no later.

        Args:
            steady_seconds: for so long the same token is made again; it may end so much earlier.

        Raises:
            StoreUnavailable: the secret is in Redis, which does not answer.
        """
        await self._load()
        now = self._now()
        ends = now + seconds - (now % steady_seconds if steady_seconds else 0.0)
        if creator.expires_at is not None:
            ends = min(ends, creator.expires_at)
        claims = Claims(
            creator.name.removeprefix(TOKEN_NAME), creator.account, creator.key_id,
            frozenset(scope for scope in scopes if creator.has(scope)), confinement, int(ends),
            "" if steady_seconds else secrets.token_hex(8), *creator.token_ids[:1],
        )  # fmt: skip
        payload = _encode(claims.dump())
        return Issued(f"{PREFIX}{payload}.{_signature(self._keys[0], payload)}", claims.expires_at, claims.scopes)

    async def read(self, text: str) -> Claims | None:
        """What a token says; None if it is not valid: forged, expired, or signed with a secret that is gone.

        Raises:
            StoreUnavailable: the secret is in Redis, which does not answer.
        """
        match = TOKEN.fullmatch(text)
        if match is None:
            return None
        await self._load()
        payload, signature = match.groups()
        # Of the texts, as several texts decode to the same bytes.
        if not any(hmac.compare_digest(_signature(key, payload), signature) for key in self._keys):
            return None
        claims = Claims.load(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return claims if claims.expires_at > self._now() else None

    async def refresh(self) -> bool:
        """Reads the secret again; returns whether it has changed, and with it all tokens have ended."""
        if self._configured or not self._keys:
            return False
        before = self._keys
        try:
            self._keys = [await self._kept_key()]
        except StoreUnavailable as error:
            logger.debug("cannot read the secret of task tokens: %s", error)
        return self._keys != before

    async def _load(self) -> None:
        if not self._keys:
            self._keys = [await self._kept_key()]

    async def _kept_key(self) -> bytes:
        place = self._store.calls.task_token_secret_key
        await self._store.command("SET", place, secrets.token_hex(32), "NX")
        return _signing_key((await self._store.command("GET", place)).decode())


@dataclass(frozen=True, slots=True)
class Issued:
    """A token for a client. `expires_at` is seconds since 1970."""

    text: str
    expires_at: int
    scopes: frozenset[Scope]


async def revoke_tokens(store: Store) -> None:
    """Ends all tokens that are signed with the secret in Redis, by replacing it."""
    await store.command("SET", store.calls.task_token_secret_key, secrets.token_hex(32))


def _signing_key(secret: str) -> bytes:
    return hmac.digest(secret.encode(), PURPOSE, "sha256")


def _signature(key: bytes, payload: str) -> str:
    # By the name of the algorithm, for which OpenSSL does it all: a callable costs 17 µs more.
    return _encode(hmac.digest(key, payload.encode(), "sha256"))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
