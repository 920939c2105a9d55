"""Authentication: turns a credential into a caller, for HTTP, both WebSocket protocols and event streams alike."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from cluster.errors import Unauthenticated
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.root_secret import root_secret
from cluster.system.background import BackgroundLoop
from graphql_api.auth.callers import (
    JWT_PREFIX,
    TOKEN_NAME,
    Caller,
    Scope,
    address_caller_name,
    jwt_caller_name,
    parse_scopes,
    tenant_name,
)
from graphql_api.auth.connections import ConnectionRegistry
from graphql_api.auth.keys import KEY, KEYS_CHANGED, KeyRing
from graphql_api.auth.task_tokens import PREFIX, TaskTokens

if TYPE_CHECKING:
    from graphql_api.auth.tokens import TokenVerifier

logger = logging.getLogger(__name__)

HOW_TO_AUTHENTICATE: Final = (
    "send `Authorization: Bearer <API key, JWT or task token>`, in a header or in a WebSocket's connection_init payload"
)

CHECK_SECONDS: Final = 5.0
"""Interval of the check that closes the connections of expired and revoked credentials."""


class Authenticator:
    """Authenticates the requests of one api node, and closes connections whose credential expired or was revoked."""

    def __init__(self, settings: Settings, store: Store, sockets: ConnectionRegistry) -> None:
        self.required = settings.authentication == "required"
        self._isolated = settings.tenants == "isolated"
        self._tenant_claim = settings.jwt_tenant_claim
        self._tenant_prefix = "" if settings.jwt_tenants_share_keys else JWT_PREFIX
        self._default_scopes = parse_scopes(settings.jwt_default_scopes)
        self._store = store
        self._sockets = sockets
        self._salt: bytes | None = None
        self.keys = KeyRing(store)
        self.task_tokens = TaskTokens(settings, store, self.keys.now, self.keys.mark_stale)
        self._verifier: TokenVerifier | None = None
        if settings.oidc_issuer or settings.jwks_file:
            # Imported only if needed: its libraries take a sixteenth of an api node's start.
            from graphql_api.auth.tokens import TokenVerifier

            self._verifier = TokenVerifier(settings)
        self.loop = BackgroundLoop("credential watch", self._close_connections)
        self.loops = [self.loop, self.task_tokens.revoked.loop]
        self._watching = False

    def start(self) -> None:
        if self.required:
            self._watch()

    def _watch(self) -> None:
        """Starts to close the connections of credentials that end."""
        if not self._watching:
            self._watching = True
            self.keys.mark_stale()
            self.loop.start()
            self.task_tokens.revoked.loop.start()

    async def close(self) -> None:
        await self.loop.close()
        await self.task_tokens.revoked.loop.close()

    def on_broadcast(self, message: str) -> None:
        """Handles a message to all nodes."""
        if message == KEYS_CHANGED:
            self.keys.mark_stale()
        self.task_tokens.revoked.on_broadcast(message)

    async def caller(self, credential: str | None, address: str) -> Caller:
        """The caller with this credential.

        Args:
            credential: the value of an Authorization header, or the bare key.
            address: the client's address, which names the caller if no authentication is required.

        Raises:
            Unauthenticated: the credential is missing, unknown, expired or revoked.
            ServiceUnavailable, StoreUnavailable: it cannot be checked now.
        """
        text = _bare(credential) if credential else ""
        if text.startswith(PREFIX):
            # Also where none is required, so that a page gets there what it will get elsewhere.
            made = await self._by_task_token(text)
            self._watch()
            return replace(await self._with_salt(made) if self.required else made, address=address)
        if not self.required:
            name = address_caller_name(address)
            return Caller(name, account=name, address=address)
        if not text:
            raise Unauthenticated(f"a credential is required: {HOW_TO_AUTHENTICATE}")
        if KEY.fullmatch(text):
            key = await self.keys.find(text)
            if key is None:
                raise Unauthenticated("the API key is unknown, expired or revoked")
            made = Caller(
                f"key:{key.key_id}", key.scopes, key.tenant, "", key.key_id, key.expires_at, key.tenant, key.name
            )
        elif self._verifier is not None:
            made = await self._by_token(text)
        else:
            raise Unauthenticated(f"the credential is not an API key: {HOW_TO_AUTHENTICATE}")
        return replace(await self._with_salt(made), address=address)

    def is_valid(self, caller: Caller) -> bool:
        """Whether a caller's credential is still valid."""
        if caller.key_id is not None and not self.keys.is_valid(caller.key_id):
            return False
        if self.task_tokens.revoked.knows(caller.token_ids):
            return False
        now = time.time() if caller.confinement is None else self.keys.now()
        return caller.expires_at is None or caller.expires_at > now

    async def _by_token(self, text: str) -> Caller:
        assert self._verifier is not None
        claims = await self._verifier.claims(text)
        if claims is None:
            raise Unauthenticated("the token is not valid: expired, for another audience, or signed by an unknown key")
        try:
            tenant = self._tenant_prefix + tenant_name(_text_claim(claims, self._tenant_claim))
        except ValueError:
            raise Unauthenticated(f"the token has no usable claim {self._tenant_claim!r}") from None
        try:
            subject = _text_claim(claims, "sub")
            name = jwt_caller_name(subject)
        except ValueError:
            raise Unauthenticated("the token has no usable claim 'sub'") from None
        expires_at = self._verifier.expires_at(claims)
        scopes = parse_scopes(_scope_words(claims)) or self._default_scopes
        return Caller(name, scopes, tenant, "", None, expires_at, tenant, subject)

    async def _by_task_token(self, text: str) -> Caller:
        claims = await self.task_tokens.read(text)
        if claims is None or await self.task_tokens.revoked.has(claims.token_ids):
            raise Unauthenticated("the task token is not valid: forged, expired or revoked; make another one")
        tenant, title, scopes = "", claims.creator, claims.scopes
        if self.required:
            if claims.creator.startswith("address:"):
                raise Unauthenticated("the task token was made while no authentication was required")
            tenant = claims.account
            if claims.key_id is not None:
                key = await self.keys.find_by_id(claims.key_id)
                if key is None:
                    raise Unauthenticated(
                        "the API key that the task token was made with is unknown, expired or revoked"
                    )
                title = key.name
                scopes = scopes if Scope.ADMIN in key.scopes else scopes & key.scopes
        return Caller(
            f"{TOKEN_NAME}{claims.creator}", scopes, tenant, "", claims.key_id, claims.expires_at, claims.account,
            f"task token of {title}", "", claims.confinement, claims.token_ids,
        )  # fmt: skip

    async def _with_salt(self, caller: Caller) -> Caller:
        if not self._isolated:
            return replace(caller, tenant="")
        if self._salt is None:
            self._salt = await root_secret(self._store)
        salt = hmac.new(self._salt, caller.tenant.encode(), hashlib.sha256).hexdigest()[:32]
        return replace(caller, salt=salt)

    async def _close_connections(self) -> None:
        """Closes the connections of revoked keys and tokens, and of expired credentials."""
        if await self.keys.refresh_after(CHECK_SECONDS) and await self.task_tokens.refresh():
            await self._sockets.end(lambda caller: caller.confinement is not None)
        await self._sockets.end(lambda caller: not self.is_valid(caller))


def _bare(credential: str) -> str:
    """A credential without the scheme of an Authorization header."""
    scheme, _, rest = credential.strip().partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else credential.strip()


def _text_claim(claims: Mapping[str, Any], name: str) -> str:
    """A claim that names something: its text, or the digits of a number; empty if it is absent.

    Raises:
        ValueError: it is anything else. (All tokens with the claim `null` would share the name "None".)
    """
    value = claims.get(name, "")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"the claim {name!r} is neither a text nor a whole number")
    return str(value)


def _scope_words(claims: Mapping[str, Any]) -> list[str]:
    """The scopes of a token: `scope` (RFC 8693, words in one string), `scp` or `permissions` (a string or a list).
    A claim of another type has none."""
    words: list[str] = []
    for name in ("scope", "scp", "permissions"):
        value = claims.get(name, "")
        if isinstance(value, str):
            words += value.split()
        elif isinstance(value, list):
            words += [item for item in value if isinstance(item, str)]
    return [word.removeprefix("dask-graphql:") for word in words]


def credential_in(payload: object) -> str | None:
    """The credential in a connection_init payload: `authorization` or `x-api-key` in any case, also in `headers`."""
    headers = payload.get("headers") if isinstance(payload, Mapping) else None
    for place in (payload, headers):
        if isinstance(place, Mapping):
            for name, value in place.items():
                if isinstance(value, str) and name.lower() in ("authorization", "x-api-key"):
                    return value
    return None
