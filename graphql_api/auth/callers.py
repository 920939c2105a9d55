"""Callers: who makes a request, which scopes they have, and whose tasks they see."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from cluster.errors import Forbidden
from cluster.store.actor import Actor
from cluster.store.record import Record
from graphql_api.auth.confinement import Confinement

TENANT_LIMIT: Final = 128
"""Maximum number of characters of a tenant's name, percent-encoded."""
SUBJECT_LIMIT: Final = 100
"""Maximum number of characters of a JWT's subject in its caller's name; a longer one is cut and gets a hash."""
JWT_PREFIX: Final = "jwt/"
"""In front of the tenants that JWTs name. No name of a key's tenant begins with it, as `/` is percent-encoded."""

ADDRESS_CHARACTERS: Final = 64
"""Maximum number of characters of an IP address: 45 (RFC 4291), and the name of an interface in Linux."""
ADDRESSES_KEPT: Final = 1_000
"""Number of addresses that are not parsed again."""
UNKNOWN_ADDRESS: Final = "address:unknown"
TOKEN_NAME: Final = "token:"  # noqa: S105 - a prefix of names
"""In front of the creator's name in that of a caller with a task token."""


class Scope(StrEnum):
    """What a caller may do. `admin` includes the other scopes, sees all tenants' tasks, and may read `/metrics`.
    `priority` allows a priority above 0 beside `submit`."""

    SUBMIT = "submit"
    PRIORITY = "priority"
    READ = "read"
    CANCEL = "cancel"
    ADMIN = "admin"


EVERYTHING: Final = frozenset(Scope)
SCOPES: Final = {scope.value: scope for scope in Scope}
"""By their words."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated maker of a request.

    Attributes:
        name: for limits and logs: `key:<id>`, `jwt:<subject>` or `address:<ip>`; with a task token, `token:` and the
            name of its creator.
        scopes: what the caller may do.
        tenant: whose tasks the caller sees; empty if tenants share tasks.
        salt: the tenant's `salt` in the pre-images of its task ids; empty if tenants share tasks.
        key_id: id of the API key, or of the one that the task token was made with; None for other credentials.
        expires_at: when the credential expires, in seconds since 1970; None: never.
        account: whose quotas and fair share the caller uses: the credential's tenant, even where tenants share tasks;
            `address:<ip>` without authentication. Text without spaces.
        title: for people: the name of the API key, or the subject of the JWT; empty without a credential.
        address: the client's address.
        confinement: which of the tenant's tasks a task token is for; None for other credentials, which are for all.
        token_ids: of a task token, its id and that of the one it was made with: it ends if one of them is revoked.
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
    confinement: Confinement | None = None
    token_ids: tuple[str, ...] = ()

    @property
    def actor(self) -> Actor:
        """The caller as records and the audit log name it."""
        return Actor(self.name, self.account, self.title or self.address, self.address)

    @property
    def view(self) -> Hashable:
        """What the caller sees: callers with the same view get the same answer about a record that does not change."""
        return self.tenant_seen, self.salt, self.account, self.scopes, self.confinement

    @property
    def anonymous(self) -> bool:
        """Whether the caller has no credential, because none is required: it has all scopes, and only an address."""
        return self.name.startswith("address:")

    def has(self, scope: Scope) -> bool:
        """Whether the caller has a scope, by itself or with `admin`."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def can_name(self, actor: Actor) -> bool:
        """Whether the caller may know who did something: admins may, and callers of the same tenant (without
        authentication: of the same address)."""
        return actor.account == self.account or (Scope.ADMIN in self.scopes and not self.anonymous)

    def require(self, scope: Scope) -> None:
        """Checks that the caller has a scope.

        Raises:
            Forbidden: it does not.
        """
        if not self.has(scope):
            held = ", ".join(sorted(self.scopes)) or "none"
            raise Forbidden(f"this requires the scope {scope.value!r}; the credential has {held}", scope=scope.value)

    @property
    def tenant_seen(self) -> str | None:
        """The only tenant whose tasks the caller sees; None for all."""
        return None if not self.tenant or Scope.ADMIN in self.scopes else self.tenant

    def can_see(self, record: Record) -> bool:
        """Whether the task belongs to the caller's tenant, or tenants share tasks; and a task token is for it."""
        confined = self.confinement
        return self.tenant_seen in (None, record.tenant) and (confined is None or confined.covers(record))

    def can_list(self, record: Record) -> bool:
        """Whether the caller may find the task without knowing its id, and end it if its scopes allow that."""
        return self.can_see(record) and (self.confinement is None or self.confinement.owns(record))

    def require_unconfined(self, what: str) -> None:
        """Checks that the caller may do what is not about single tasks.

        Raises:
            Forbidden: it has a task token.
        """
        if self.confinement is not None:
            raise Forbidden(f"a task token is for its tasks only: {what} needs an API key or a JWT")

    def require_submit(self, name: str) -> None:
        """Checks that the caller may submit tasks of this type.

        Raises:
            Forbidden: it may not.
        """
        self.require(Scope.SUBMIT)
        if self.confinement is not None and name not in self.confinement.names:
            raise Forbidden(f"this task token may not submit {name}: its `names` are what it may submit")


def parse_scopes(words: Iterable[str]) -> frozenset[Scope]:
    """The known scopes among `words`; others, which belong to other systems, are ignored."""
    return frozenset(SCOPES[word] for word in words if word in SCOPES)


def tenant_name(text: str) -> str:
    """A tenant as in records and keys: percent-encoded but for letters, digits and `_.-~@`, so that no name can contain
    what separates the parts of a key in Redis (`:`, a space, `/`).

    Raises:
        ValueError: the name is empty, too long, or no text (a lone surrogate).
    """
    tenant = quote(text, safe="@")
    if not 0 < len(tenant) <= TENANT_LIMIT:
        raise ValueError(f"a tenant has 1 to {TENANT_LIMIT} characters, not {text[:40]!r}")
    return tenant


def stored_tenant_name(tenant: str) -> str:
    """A tenant as an API key stores it, which is percent-encoded already; earlier code left `:` and `|` as they are."""
    return quote(tenant, safe="%@")


def jwt_caller_name(subject: str) -> str:
    """The name of the caller with a JWT of this subject. Different subjects have different names.

    Raises:
        ValueError: the subject is no text (a lone surrogate).
    """
    name = quote(subject or "none", safe="@")
    if len(name) > SUBJECT_LIMIT:
        name = f"{name[:SUBJECT_LIMIT]}~{hashlib.sha256(subject.encode()).hexdigest()[:16]}"
    return f"jwt:{name}"


def parse_address(text: str) -> str | None:
    """The usual form of an IP address; None if the text, which a proxy may have forwarded, is none."""
    return _parsed_address(text)[0] if len(text) <= ADDRESS_CHARACTERS else None


def address_caller_name(address: str) -> str:
    """The name of the caller at an IP address. One network may have a whole /64 of IPv6 addresses (RFC 6177), so these
    count as one. What is no address, as a proxy may forward any text, is `address:unknown`."""
    return _parsed_address(address)[1] if len(address) <= ADDRESS_CHARACTERS else UNKNOWN_ADDRESS


@lru_cache(ADDRESSES_KEPT)
def _parsed_address(text: str) -> tuple[str | None, str]:
    """An address, and the name of the caller at it: each request asks for them, and parsing costs 10 µs."""
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return None, UNKNOWN_ADDRESS
    if not isinstance(ip, ipaddress.IPv6Address):
        return str(ip), f"address:{ip}"
    bare = ipaddress.IPv6Address(text.partition("%")[0])
    if bare.is_loopback:
        return str(ip), f"address:{bare}"
    return str(ip), f"address:{bare.ipv4_mapped or ipaddress.ip_network(f'{bare}/64', strict=False)}"
