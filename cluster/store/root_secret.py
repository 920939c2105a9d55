"""The secret of the installation, from which others are derived: made once, and kept in Redis."""

from __future__ import annotations

import secrets

from cluster.store.async_store import Store


async def root_secret(store: Store) -> bytes:
    """The secret, 32 bytes; the same on every node.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    key = store.calls.salt_key
    await store.command("SET", key, secrets.token_hex(32), "NX")
    return bytes.fromhex((await store.command("GET", key)).decode())
