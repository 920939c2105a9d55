"""The task tokens that were revoked one by one. Redis keeps the id of each until it would have ended by itself, and
every api node knows them all, so that checking a token costs no look-up."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from cluster.api_node.announced_cache import AnnouncedCache
from cluster.errors import BadInput
from cluster.store.async_store import Store

TOKENS_CHANGED: Final = "tokens"
"""The message on the channel of all nodes after a token was revoked."""
MAX_PER_ACCOUNT: Final = 1_000
"""Revoked tokens of one account that have not ended yet, at most."""
MAX_REVOKED: Final = 20_000
"""The same of all accounts: every node reads them all."""


class RevokedTokens(AnnouncedCache[dict[str, str]]):
    """The accounts of the revoked tokens, by the tokens' ids.

    Args:
        now: the time in seconds since 1970, by a clock that the nodes share.
        on_change: called when a token was revoked.
    """

    def __init__(self, store: Store, now: Callable[[], float], on_change: Callable[[], None] = lambda: None) -> None:
        super().__init__("revoked tokens", TOKENS_CHANGED, self._read_all, {}, on_change)
        self._store = store
        self._now = now

    async def has(self, token_ids: Collection[str]) -> bool:
        """Whether one of these tokens was revoked.

        Raises:
            StoreUnavailable: this node does not know the revoked tokens yet, and Redis does not answer.
        """
        if not self.is_read:
            await self.refresh()
        return self.knows(token_ids)

    def knows(self, token_ids: Collection[str]) -> bool:
        """As `has`, as of the last read."""
        return not self.value.keys().isdisjoint(token_ids)

    async def add(self, token_id: str, account: str, expires_at: int) -> None:
        """Revokes a token on all nodes, which close its connections.

        Args:
            account: the token's.
            expires_at: when the token ends by itself, in seconds since 1970.

        Raises:
            BadInput: so many tokens are revoked that the nodes keep no more.
            StoreUnavailable: Redis does not answer.
        """
        known = await self.refresh()
        if len(known) >= MAX_REVOKED or list(known.values()).count(account) >= MAX_PER_ACCOUNT:
            raise BadInput(
                f"a tenant has at most {MAX_PER_ACCOUNT:,} revoked tokens that have not ended yet, and all of them at "
                f"most {MAX_REVOKED:,}: revoke the API key that made them instead",
                limit=MAX_PER_ACCOUNT,
            )
        key = self._store.calls.revoked_tokens_key
        await self._store.commands(
            [
                ("ZREMRANGEBYSCORE", key, "-inf", f"({self._now():.3f}"),
                ("ZADD", key, expires_at, f"{token_id} {account}"),
            ]
        )
        await self._store.command("PUBLISH", self._store.calls.all_channel, TOKENS_CHANGED)
        await self.refresh()

    async def _read_all(self) -> dict[str, str]:
        key = self._store.calls.revoked_tokens_key
        members = await self._store.command("ZRANGEBYSCORE", key, f"{self._now():.3f}", "+inf")
        return dict(member.decode().split(" ", 1) for member in members)
