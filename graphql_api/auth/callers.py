"""Callers: who makes a request, which scopes they have, and whose tasks they see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from cluster.errors import Forbidden
from cluster.store.actor import Actor
from cluster.store.record import Record

TENANT_LIMIT: Final = 128


class Scope(StrEnum):
    """What a caller may do. `admin` includes the other scopes, sees all tenants' tasks, and may read `/metrics`."""

    SUBMIT = "submit"
    READ = "read"
    CANCEL = "cancel"
    ADMIN = "admin"


EVERYTHING: Final = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated maker of a request.

    Attributes:
        name: for limits and logs: `key:<id>`, `jwt:<subject>` or `address:<ip>`.
        scopes: what the caller may do.
        tenant: whose tasks the caller sees; empty if tenants share tasks.
        salt: the tenant's `salt` in the pre-images of its task ids; empty if tenants share tasks.
        key_id: id of the API key; None for other credentials.
        expires_at: when the credential expires, in seconds since 1970; None: never.
        account: whose quotas and fair share the caller uses: the credential's tenant, even where tenants share tasks;
            `address:<ip>` without authentication. Text without spaces.
        title: for people: the name of the API key, or the subject of the JWT; empty without a credential.
        address: the client's address.
    """

    name: str
    scopes: frozenset[Scope] = EVERYTHING
    tenant: str = ""
    salt: str = ""
    key_id: str | None = None
    expires_at: float | None = None
    account: str = ""
    title: str = ""
    address: str = ""

    @property
    def actor(self) -> Actor:
        """The caller as records and the audit log name it."""
        return Actor(self.name, self.account, self.title or self.address, self.address)

    @property
    def anonymous(self) -> bool:
        """Whether the caller has no credential, because none is required: it has all scopes, and only an address."""
        return self.name.startswith("address:")

    def require(self, scope: Scope) -> None:
        """Checks that the caller has a scope.

        Raises:
            Forbidden: it does not.
        """
        if scope not in self.scopes and Scope.ADMIN not in self.scopes:
            held = ", ".join(sorted(self.scopes)) or "none"
            raise Forbidden(f"this requires the scope {scope.value!r}; the credential has {held}", scope=scope.value)

    def can_see(self, record: Record) -> bool:
        """Whether the task belongs to the caller's tenant, or tenants share tasks."""
        return record.tenant == self.tenant or Scope.ADMIN in self.scopes or not self.tenant


def parse_scopes(words: Iterable[str]) -> frozenset[Scope]:
    """The known scopes among `words`; others, which belong to other systems, are ignored."""
    known = {scope.value: scope for scope in Scope}
    return frozenset(known[word] for word in words if word in known)


def address_account(address: str) -> str:
    """The account of a client without a credential."""
    return f"address:{quote(address, safe='.:')[:TENANT_LIMIT]}"


def tenant_name(text: str) -> str:
    """A tenant as in records and keys: percent-encoded, at most TENANT_LIMIT characters.

    Raises:
        ValueError: the name is empty or too long.
    """
    tenant = quote(text, safe="@:|")
    if not 0 < len(tenant) <= TENANT_LIMIT:
        raise ValueError(f"a tenant has 1 to {TENANT_LIMIT} characters, not {text[:40]!r}")
    return tenant
