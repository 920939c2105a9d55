"""The webhooks, as an api node knows them: which of them a submission concerns, and what signs their deliveries."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from cluster.api_node.announced_cache import AnnouncedCache
from cluster.errors import BadInput, WebhookNotFound
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.root_secret import root_secret
from cluster.store.task_filter import TaskFilter
from cluster.store.webhooks import (
    WEBHOOKS_CHANGED,
    Webhook,
    WebhookTable,
    account_subject,
    add_webhook,
    change_account_secret,
    change_webhook,
    read_webhooks,
    remove_webhook,
)
from cluster.webhooks.receiver_url import check_receiver_url

MAX_PER_TENANT: Final = 500
"""Webhooks of all accounts that share tasks: the record of a task names each that may be told of it, in 45 bytes."""


class Webhooks:
    """The webhooks of all accounts.

    Attributes:
        table: as this node read it last; another node's change arrives within a moment.
        networks: the private networks that webhooks may reach.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._store = store
        self._limit = settings.webhooks_per_account
        self.table = AnnouncedCache("webhooks", WEBHOOKS_CHANGED, partial(read_webhooks, store), WebhookTable())
        self.networks = [ipaddress.ip_network(text) for text in settings.webhook_networks.split(",") if text]
        self._root: bytes | None = None

    def check_url(self, url: str, argument: str) -> str:
        """A URL that deliveries can be sent to.

        Raises:
            BadInput: it is none, or webhooks are off.
        """
        if not self._limit:
            raise BadInput("webhooks are off here (WEBHOOKS_PER_ACCOUNT)", argument=argument)
        return check_receiver_url(url, self.networks, argument)

    async def loaded(self) -> None:
        """Returns once the webhooks have been read: without them a submission would concern none.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        if not self.table.is_read:
            await self.table.refresh()

    async def latest(self, webhook_id: str) -> Webhook | None:
        """A webhook; None if there is none. One that this node does not know, or knows as disabled, is looked up: it
        may have been changed a moment ago.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        known = self.table.value.webhooks.get(webhook_id)
        if known is None or known.disabled_at is not None:
            known = (await self.table.refresh()).webhooks.get(webhook_id)
        return known

    def interested(self, tenant: str, account: str, name: str, tags: Sequence[str], url: str | None) -> list[str]:
        """To whom the end of a task is delivered that is submitted now, as its record keeps it: the registered webhooks
        that may want it, and the URL that the submission names. Whether the whole filter is met shows at the end."""
        wanted = [f"{account}|{url}"] if url else []
        wanted += [
            f"{webhook.account}|{webhook.webhook_id}"
            for webhook in self.table.value.by_tenant.get(tenant, ())
            if _may_match(webhook.where, name, tags)
        ]
        return wanted

    async def secrets(self, account: str, to: str) -> list[str]:
        """The secrets that sign a delivery, the newest first.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        root, now = await self._root_secret(), time.time()
        webhook = self.table.value.webhooks.get(to)
        if webhook is not None:
            return webhook.secret.valid(root, webhook.webhook_id, now)
        return self.table.value.secret_of(account).valid(root, account_subject(account), now)

    async def create(self, account: str, tenant: str, url: str, where: TaskFilter, created_by: str) -> Webhook:
        """Registers a webhook.

        Raises:
            BadInput: the URL cannot be used, or the account has as many webhooks as it may.
            StoreUnavailable: Redis does not answer.
        """
        self.check_url(url, "url")
        if len((await self.table.refresh()).of(account)) >= self._limit:
            raise BadInput(
                f"a tenant has at most {self._limit} webhooks (WEBHOOKS_PER_ACCOUNT): delete one", limit=self._limit
            )
        if len(self.table.value.by_tenant.get(tenant, ())) >= MAX_PER_TENANT:
            raise BadInput(f"those who share tasks have at most {MAX_PER_TENANT} webhooks", limit=MAX_PER_TENANT)
        webhook = Webhook.new(account, tenant, url, where, time.time(), created_by)
        await add_webhook(self._store, webhook)
        await self.table.refresh()
        return webhook

    async def find(self, account: str, webhook_id: str) -> Webhook:
        """A webhook of the account.

        Raises:
            WebhookNotFound: it has none with this id.
        """
        webhook = (await self.table.refresh()).webhooks.get(webhook_id)
        if webhook is None or webhook.account != account:
            raise WebhookNotFound(f"there is no webhook {webhook_id[:64]!r}")
        return webhook

    async def delete(self, account: str, webhook_id: str) -> Webhook:
        """Removes a webhook; deliveries that are due to it are dropped.

        Raises:
            WebhookNotFound: the account has none with this id.
        """
        webhook = await self.find(account, webhook_id)
        await remove_webhook(self._store, webhook_id)
        await self.table.refresh()
        return webhook

    async def enable(self, account: str, webhook_id: str) -> Webhook:
        """Tells a webhook again that was disabled because its receiver answered 410.

        Raises:
            WebhookNotFound: the account has none with this id.
        """
        await self.find(account, webhook_id)
        return await self._change(webhook_id, disabled_at=None)

    async def disable(self, webhook_id: str) -> None:
        """Tells a webhook nothing any more: its receiver answered 410."""
        await change_webhook(self._store, webhook_id, disabled_at=round(time.time() * 1000))
        await self.table.refresh()

    async def rotate(self, account: str, webhook_id: str | None) -> None:
        """Replaces the secret of a webhook, or that of the account; the old one signs beside the new one for a day.

        Raises:
            WebhookNotFound: the account has no webhook with this id.
        """
        if webhook_id is None:
            secret = (await self.table.refresh()).secret_of(account)
            await change_account_secret(self._store, account, secret.rotated(time.time()))
            await self.table.refresh()
        else:
            webhook = await self.find(account, webhook_id)
            await self._change(webhook_id, secret=webhook.secret.rotated(time.time()))

    async def _change(self, webhook_id: str, **changes: Any) -> Webhook:
        changed = await change_webhook(self._store, webhook_id, **changes)
        await self.table.refresh()
        if changed is None:
            raise WebhookNotFound(f"there is no webhook {webhook_id!r}")
        return changed

    async def _root_secret(self) -> bytes:
        if self._root is None:
            self._root = await root_secret(self._store)
        return self._root


def _may_match(where: TaskFilter, name: str, tags: Sequence[str]) -> bool:
    return (
        (where.names is None or name in where.names)
        and (where.tag is None or where.tag in tags)
        and (where.tags is None or not where.tags.isdisjoint(tags))
    )
