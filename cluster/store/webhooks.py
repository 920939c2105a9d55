"""The registered webhooks, in Redis: where the ends of tasks that meet a filter are delivered.

One hash holds them all, by id, and the generations of the accounts' own secrets, which sign the deliveries to URLs that
a submission named. No secret is stored but the root secret, from which all are derived.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import orjson

from cluster.store.async_store import Store
from cluster.store.record import TaskState
from cluster.store.task_filter import TaskFilter

WEBHOOKS_CHANGED: Final = "webhooks"
"""The message on the channel of all nodes after a change."""
WEBHOOK_ID: Final = re.compile(r"wh_[0-9a-f]{24}")
ROTATION_SECONDS: Final = 86_400.0
"""How long a rotated secret still signs beside its successor."""


@dataclass(frozen=True, slots=True)
class Secret:
    """The state of one secret; its value follows from the root secret, its subject and the generation.

    Attributes:
        generation: how often it was rotated.
        rotated_at: when last, milliseconds since 1970.
    """

    generation: int = 0
    rotated_at: int = 0

    def current(self, root: bytes, subject: str) -> str:
        """The secret as a receiver gets it: `whsec_` and the base64 of 32 bytes (Standard Webhooks 1.0.0)."""
        return _derive(root, subject, self.generation)

    def valid(self, root: bytes, subject: str, now: float) -> list[str]:
        """The secrets that sign at this time (seconds since 1970), the newest first."""
        found = [self.current(root, subject)]
        if self.generation and now * 1000 < self.rotated_at + ROTATION_SECONDS * 1000:
            found.append(_derive(root, subject, self.generation - 1))
        return found

    def rotated(self, now: float) -> Secret:
        return Secret(self.generation + 1, round(now * 1000))


def _derive(root: bytes, subject: str, generation: int) -> str:
    # No tenant's name has a space, so no tenant's salt, which is derived from the same root, is ever a secret.
    digest = hmac.new(root, f"webhook {subject} {generation}".encode(), hashlib.sha256).digest()
    return "whsec_" + base64.b64encode(digest).decode()


def account_subject(account: str) -> str:
    """What names the secret of an account, in the hash and in its derivation."""
    return f"account:{account}"


@dataclass(frozen=True, slots=True)
class Webhook:
    """A registered webhook.

    Attributes:
        webhook_id: `wh_` and 24 hex digits.
        account: whose it is.
        tenant: whose tasks it is told of, if tenants are isolated; else empty.
        url: where deliveries are posted.
        where: which tasks.
        created_at: milliseconds since 1970.
        created_by: the text of the actor that registered it.
        disabled_at: when its receiver answered 410 Gone, milliseconds since 1970; None while it is told.
    """

    webhook_id: str
    account: str
    tenant: str
    url: str
    where: TaskFilter
    created_at: int
    created_by: str = ""
    disabled_at: int | None = None
    secret: Secret = field(default_factory=Secret)

    @classmethod
    def new(cls, account: str, tenant: str, url: str, where: TaskFilter, now: float, created_by: str) -> Webhook:
        return cls(f"wh_{secrets.token_hex(12)}", account, tenant, url, where, round(now * 1000), created_by)

    def dump(self) -> bytes:
        return orjson.dumps(asdict(self), default=sorted)

    @classmethod
    def load(cls, text: bytes) -> Webhook:
        """Reads a stored webhook. Ignores what a later release has added."""
        raw = orjson.loads(text)
        where = {name: raw["where"].get(name) for name in TaskFilter.__dataclass_fields__}
        if where["states"] is not None:
            where["states"] = frozenset(map(TaskState, where["states"]))
        for name in ("names", "ids", "tags", "error_codes"):
            if where[name] is not None:
                where[name] = frozenset(where[name])
        secret = Secret(**{name: raw["secret"][name] for name in Secret.__dataclass_fields__})
        plain = {name: raw.get(name) for name in cls.__dataclass_fields__ if name not in ("where", "secret")}
        return cls(**plain, where=TaskFilter(**where), secret=secret)


@dataclass(frozen=True, slots=True)
class WebhookTable:
    """All webhooks by id, and the accounts' secrets by account."""

    webhooks: dict[str, Webhook] = field(default_factory=dict)
    secrets: dict[str, Secret] = field(default_factory=dict)
    by_tenant: dict[str, list[Webhook]] = field(default_factory=dict)
    """Those that are told, as every submission looks for its tenant's."""

    def of(self, account: str) -> list[Webhook]:
        """The webhooks of an account, oldest first."""
        return sorted((item for item in self.webhooks.values() if item.account == account), key=_age)

    def secret_of(self, account: str) -> Secret:
        return self.secrets.get(account, Secret())


def _age(webhook: Webhook) -> tuple[int, str]:
    return webhook.created_at, webhook.webhook_id


async def read_webhooks(store: Store) -> WebhookTable:
    """All that is stored."""
    raw = await store.command("HGETALL", store.calls.webhooks_key)
    pairs = raw.items() if isinstance(raw, dict) else zip(raw[::2], raw[1::2], strict=True)
    table = WebhookTable()
    for name, text in pairs:
        kind, _, account = name.decode().partition(":")
        if kind == "account":
            table.secrets[account] = Secret(**orjson.loads(text))
        else:
            webhook = table.webhooks[name.decode()] = Webhook.load(text)
            if webhook.disabled_at is None:
                table.by_tenant.setdefault(webhook.tenant, []).append(webhook)
    return table


async def add_webhook(store: Store, webhook: Webhook) -> None:
    """Registers a webhook on all nodes."""
    await store.command("HSET", store.calls.webhooks_key, webhook.webhook_id, webhook.dump())
    await announce(store)


async def change_webhook(store: Store, webhook_id: str, **changes: Any) -> Webhook | None:
    """Changes attributes of a webhook on all nodes; two changes at once both count. Returns None if it is gone."""
    while True:
        old = await store.command("HGET", store.calls.webhooks_key, webhook_id)
        if not old:
            return None
        webhook = replace(Webhook.load(old), **changes)
        if await store.run(store.calls.replace_field(store.calls.webhooks_key, webhook_id, old, webhook.dump())):
            await announce(store)
            return webhook


async def change_account_secret(store: Store, account: str, secret: Secret) -> None:
    """Stores the secret of an account on all nodes."""
    await store.command("HSET", store.calls.webhooks_key, account_subject(account), orjson.dumps(secret))
    await announce(store)


async def remove_webhook(store: Store, webhook_id: str) -> bool:
    """Removes a webhook on all nodes; False if there is none."""
    removed = await store.command("HDEL", store.calls.webhooks_key, webhook_id)
    await announce(store)
    return bool(removed)


async def announce(store: Store) -> None:
    await store.command("PUBLISH", store.calls.all_channel, WEBHOOKS_CHANGED)
