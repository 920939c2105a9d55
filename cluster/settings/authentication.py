"""The settings of callers: who they are, and what they share."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.settings.declaration import SettingsGroup, setting
from cluster.settings.parsers import boolean, integer, issuer, matching, optional


@dataclass(frozen=True)
class AuthenticationSettings(SettingsGroup):
    TITLE = "Authentication and tenants"

    authentication: str = setting(
        "none",
        matching("none|required", "none or required"),
        "`required`: every caller must present an API key (`dask-graphql keys`) or a JWT (OIDC_ISSUER or JWKS_FILE).",
    )
    oidc_issuer: str = setting(
        "",
        optional(issuer),
        "Issuer of JWTs; its keys are found by OpenID Connect discovery. https://, or http:// on loopback.",
    )
    jwks_file: str = setting("", str, "File with the JSON Web Key Set that verifies JWTs, instead of discovery.")
    jwt_audience: str = setting(
        "", str, "The `aud` claim that a JWT must have. Required with OIDC_ISSUER or JWKS_FILE."
    )
    jwt_max_age_seconds: int = setting(
        86_400,
        integer(0),
        "How long a JWT may be used after it was issued (`iat`), whatever its `exp`; without `iat`, how far ahead "
        "`exp` may be. 0 for no limit.",
    )
    jwt_tenant_claim: str = setting("sub", str, "The claim of a JWT that names the caller's tenant.")
    jwt_tenants_share_keys: bool = setting(
        False,
        boolean,
        "Whether JWTs and API keys with the same tenant name share one tenant. By default JWTs have tenants of their "
        "own, whose names begin with `jwt/`.",
    )
    tenants: str = setting(
        "shared",
        matching("shared|isolated", "shared or isolated"),
        "`shared`: the same input is one task for all callers. `isolated`: one task per tenant; no tenant sees "
        "another's.",
    )
