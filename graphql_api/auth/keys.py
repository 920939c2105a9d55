"""API keys: created and revoked with `dask-graphql keys`, stored in Redis as hashes, cached by every api node.

A key is `dgk_<id>_<secret>`. The secret has 256 random bits, so one SHA-256 of it is as hard to reverse as any slow
hash would be: slow hashes are for passwords that people choose (NIST SP 800-63B, section 5.1.1.2).
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
from graphql_api.auth.callers import Scope, parse_scopes, stored_tenant_name

logger = logging.getLogger(__name__)

KEY: Final = re.compile(r"dgk_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
REFRESH_SECONDS: Final = 30.0
"""Interval at which all keys are read again. A change is also published at once, but that message may be lost."""
KEYS_CHANGED: Final = "keys"
"""The message on the channel of all nodes after a change of the keys."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored key. `created_at` and `expires_at` are seconds since 1970; `expires_at` None: never."""

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
            key_id, raw["name"], raw["hash"], stored_tenant_name(raw["tenant"]), parse_scopes(raw["scopes"]),
            raw["created_at"], raw["expires_at"],
        )  # fmt: skip


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


async def create_key(
    store: Store, name: str, tenant: str, scopes: frozenset[Scope], days: float | None
) -> tuple[str, ApiKey]:
    """Creates a key. Returns its text, which is not stored anywhere, and the stored key."""
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    # Redis's clock, which all nodes share: this machine's may be wrong.
    now = await store.server_milliseconds() / 1000
    key = ApiKey(key_id, name, _hash(secret), tenant, scopes, now, None if days is None else now + days * 86_400)
    await store.command("HSET", store.calls.api_keys_key, key_id, key.dump())
    await store.command("PUBLISH", store.calls.all_channel, KEYS_CHANGED)
    return f"dgk_{key_id}_{secret}", key


async def revoke_key(store: Store, key_id: str) -> bool:
    """Revokes a key on all nodes, which close its connections; False if there is no such key."""
    removed = await store.command("HDEL", store.calls.api_keys_key, key_id)
    await store.command("PUBLISH", store.calls.all_channel, KEYS_CHANGED)
    return bool(removed)


async def list_keys(store: Store) -> list[ApiKey]:
    """All keys, oldest first."""
    raw = await store.command("HGETALL", store.calls.api_keys_key)
    pairs = raw.items() if isinstance(raw, dict) else zip(raw[::2], raw[1::2], strict=True)
    return sorted((ApiKey.load(key_id.decode(), text) for key_id, text in pairs), key=lambda key: key.created_at)


class KeyRing:
    """An api node's cache of the keys."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys: dict[str, ApiKey] = {}
        self._looked_up: dict[str, ApiKey] = {}
        """Keys looked up one by one since the last read of all keys began."""
        self._clock_offset_seconds: float | None = None
        self._changed = asyncio.Event()
        self._read_at = float("-inf")

    async def find(self, text: str) -> ApiKey | None:
        """The key with this text; None if it is unknown, revoked or expired.

        Raises:
            StoreUnavailable: a key that is not cached could not be looked up.
        """
        match = KEY.fullmatch(text)
        if match is None:
            return None
        key_id, secret = match.groups()
        key = await self.find_by_id(key_id)
        return key if key is not None and hmac.compare_digest(key.secret_hash, _hash(secret)) else None

    async def find_by_id(self, key_id: str) -> ApiKey | None:
        """The key with this id; None if it is unknown, revoked or expired.

        Raises:
            StoreUnavailable: a key that is not cached could not be looked up.
        """
        key = self._keys.get(key_id)
        if key is None:
            # It may be newer than the last refresh.
            kept = await self._store.command("HGET", self._store.calls.api_keys_key, key_id)
            if kept is None:
                return None
            key = self._keys[key_id] = self._looked_up[key_id] = ApiKey.load(key_id, kept)
        return None if self._has_expired(key) else key

    def is_valid(self, key_id: str) -> bool:
        """Whether a key that was valid still is, as of the last refresh."""
        key = self._keys.get(key_id)
        return key is not None and not self._has_expired(key)

    def _has_expired(self, key: ApiKey) -> bool:
        return key.expires_at is not None and key.expires_at <= self.now()

    def now(self) -> float:
        """The time by Redis's clock, or by this node's own until Redis's is known, in seconds since 1970."""
        return time.time() if self._clock_offset_seconds is None else time.monotonic() + self._clock_offset_seconds

    def mark_stale(self) -> None:
        """Makes `refresh_after` read the keys at once: they have changed."""
        self._changed.set()

    async def refresh_after(self, seconds: float) -> bool:
        """Waits for `seconds`, or until the keys change, and reads the keys again if they changed or are too old;
        returns whether it did."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        if not self._changed.is_set() and time.monotonic() - self._read_at < REFRESH_SECONDS:
            return False
        self._changed.clear()
        self._looked_up.clear()
        try:
            read = {key.key_id: key for key in await list_keys(self._store)}
            # A key that was looked up meanwhile may be newer than the list.
            self._keys = read | self._looked_up
            self._clock_offset_seconds = await self._store.server_milliseconds() / 1000 - time.monotonic()
            self._read_at = time.monotonic()
        except StoreUnavailable as error:
            # Valid keys stay valid while Redis is unavailable: callers can do nothing with them anyway.
            logger.debug("cannot read the API keys: %s", error)
            self._read_at = float("-inf")
            return False
        return True
