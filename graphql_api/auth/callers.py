"""A caller: who makes a request, what they may, and whose tasks they see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from cluster.errors import Forbidden
from cluster.store.record import Record

TENANT_LIMIT: Final = 128


class Scope(StrEnum):
    """What a caller may do. `admin` includes the others, sees all tenants' tasks, and reads `/metrics`."""

    SUBMIT = "submit"
    READ = "read"
    CANCEL = "cancel"
    ADMIN = "admin"


EVERYTHING: Final = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request.

    Attributes:
        name: who, for limits and logs: `key:<id>`, `jwt:<subject>` or `address:<ip>`.
        scopes: what they may.
        tenant: whose tasks they see; empty where tenants share.
        salt: the tenant's member of its task ids' pre-images; empty where tenants share.
        key_id: of the API key, if that is what they showed.
        expires_at: when the credential ends, in seconds since 1970; None for never.
    """

    name: str
    scopes: frozenset[Scope] = EVERYTHING
    tenant: str = ""
    salt: str = ""
    key_id: str | None = None
    expires_at: float | None = None

    def require(self, scope: Scope) -> None:
        """Returns if the caller has the scope.

        Raises:
            Forbidden: it has not.
        """
        if scope not in self.scopes and Scope.ADMIN not in self.scopes:
            held = ", ".join(sorted(self.scopes)) or "none"
            raise Forbidden(f"this needs the scope {scope.value!r}; the credential has {held}", scope=scope.value)

    def can_see(self, record: Record) -> bool:
        """Whether a task is one of the caller's own, or tenants share."""
        return record.tenant == self.tenant or Scope.ADMIN in self.scopes or not self.tenant


def parse_scopes(words: Iterable[str]) -> frozenset[Scope]:
    """The scopes among words; others, which belong to other systems, are passed over."""
    known = {scope.value: scope for scope in Scope}
    return frozenset(known[word] for word in words if word in known)


def tenant_name(text: str) -> str:
    """A tenant as it stands in records and keys: without blanks, at most TENANT_LIMIT characters.

    Raises:
        ValueError: the text is empty or too long.
    """
    tenant = quote(text, safe="@:|")
    if not 0 < len(tenant) <= TENANT_LIMIT:
        raise ValueError(f"a tenant is 1 to {TENANT_LIMIT} characters, not {text[:40]!r}")
    return tenant
