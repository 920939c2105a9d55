"""API keys: made and revoked by `dask-graphql keys`, kept in Redis as hashes, known to every api node.

A key is `dgk_<id>_<secret>`. The secret has 256 random bits, so one SHA-256 of it is as hard to turn around as any
slow hash would be: slow hashes are for passwords that people choose (NIST SP 800-63B, section 5.1.1.2).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging
import re
import secrets
import time
from dataclasses import dataclass
from typing import Final

import orjson

from cluster.errors import StoreUnavailable
from cluster.store.async_store import Store
from graphql_api.auth.callers import Scope, parse_scopes

logger = logging.getLogger(__name__)

KEY: Final = re.compile(r"dgk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
REFRESH_SECONDS: Final = 30.0
"""How often the keys are read again; a change is told at once besides, by a word that may be lost."""
KEYS_CHANGED: Final = "keys"
"""The word on the channel of all nodes that the keys have changed."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key. `created_at` and `expires_at` are seconds since 1970; `expires_at` None is never."""

    key_id: str
    name: str
    secret_hash: str
    tenant: str
    scopes: frozenset[Scope]
    created_at: float
    expires_at: float | None

    def dump(self) -> bytes:
        return orjson.dumps(
            {
                "name": self.name, "hash": self.secret_hash, "tenant": self.tenant, "scopes": sorted(self.scopes),
                "created_at": self.created_at, "expires_at": self.expires_at,
            }
        )  # fmt: skip

    @classmethod
    def load(cls, key_id: str, text: bytes) -> ApiKey:
        raw = orjson.loads(text)
        return cls(
            key_id, raw["name"], raw["hash"], raw["tenant"], parse_scopes(raw["scopes"]), raw["created_at"],
            raw["expires_at"],
        )  # fmt: skip


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


async def create_key(
    store: Store, name: str, tenant: str, scopes: frozenset[Scope], days: float | None
) -> tuple[str, ApiKey]:
    """Makes a key; answers its text, which is kept nowhere, and what is kept of it."""
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    # By Redis's clock, which all nodes share: this machine's may be wrong.
    now = await store.server_milliseconds() / 1000
    key = ApiKey(key_id, name, _hash(secret), tenant, scopes, now, None if days is None else now + days * 86_400)
    await store.command("HSET", store.calls.keys_key, key_id, key.dump())
    await store.command("PUBLISH", store.calls.all_channel, KEYS_CHANGED)
    return f"dgk_{key_id}_{secret}", key


async def revoke_key(store: Store, key_id: str) -> bool:
    """Ends a key everywhere, open sockets included; False where there is none."""
    removed = await store.command("HDEL", store.calls.keys_key, key_id)
    await store.command("PUBLISH", store.calls.all_channel, KEYS_CHANGED)
    return bool(removed)


async def list_keys(store: Store) -> list[ApiKey]:
    """All keys, oldest first."""
    raw = await store.command("HGETALL", store.calls.keys_key)
    pairs = raw.items() if isinstance(raw, dict) else zip(raw[::2], raw[1::2], strict=True)
    return sorted((ApiKey.load(key_id.decode(), text) for key_id, text in pairs), key=lambda key: key.created_at)


class KeyRing:
    """The keys as one api node knows them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys: dict[str, ApiKey] = {}
        self._found: dict[str, ApiKey] = {}
        """What was looked up one by one since the last reading of all began."""
        self._ahead: float | None = None
        self._changed = asyncio.Event()
        self._read_at = float("-inf")

    async def find(self, text: str) -> ApiKey | None:
        """The key that a text is, if it is one and has not ended.

        Raises:
            StoreUnavailable: a key that this node has not seen yet could not be looked up.
        """
        match = KEY.fullmatch(text)
        if match is None:
            return None
        key_id, secret = match.groups()
        key = self._keys.get(key_id)
        if key is None:
            # It may have been made a moment ago.
            kept = await self._store.command("HGET", self._store.calls.keys_key, key_id)
            if kept is None:
                return None
            key = self._keys[key_id] = self._found[key_id] = ApiKey.load(key_id, kept)
        if not hmac.compare_digest(key.secret_hash, _hash(secret)):
            return None
        return None if self._over(key) else key

    def is_valid(self, key_id: str) -> bool:
        """Whether a key that was good is so still, as far as this node has heard."""
        key = self._keys.get(key_id)
        return key is not None and not self._over(key)

    def _over(self, key: ApiKey) -> bool:
        """Whether a key's time is over, by Redis's clock; by this node's own until Redis told it."""
        now = time.time() if self._ahead is None else time.monotonic() + self._ahead
        return key.expires_at is not None and key.expires_at <= now

    def mark_stale(self) -> None:
        """Somebody says that the keys have changed."""
        self._changed.set()

    async def refresh_after(self, seconds: float) -> None:
        """Returns after `seconds`, or at once after a change; the keys were read again if it was time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        if not self._changed.is_set() and time.monotonic() - self._read_at < REFRESH_SECONDS:
            return
        self._changed.clear()
        self._found.clear()
        try:
            read = {key.key_id: key for key in await list_keys(self._store)}
            # A key that was looked up meanwhile may be younger than the list.
            self._keys = read | self._found
            self._ahead = await self._store.server_milliseconds() / 1000 - time.monotonic()
            self._read_at = time.monotonic()
        except StoreUnavailable as error:
            # What was good stays good while Redis is away: callers could do nothing with it anyway.
            logger.debug("the keys cannot be read now: %s", error)
            self._read_at = float("-inf")
