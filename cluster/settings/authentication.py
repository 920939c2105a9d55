"""The settings of callers: who they are, and what they share."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.settings.declaration import SettingsGroup, setting
from cluster.settings.parsers import boolean, integer, issuer, matching, optional, scopes, seconds, secrets


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
    oidc_client_id: str = setting(
        "",
        str,
        "Client id of the pages of this api at OIDC_ISSUER: a public client (authorization code with PKCE) "
        "whose redirect URI is the console's URL. The console then offers to sign in; `/auth/config` tells other pages "
        "how.",
    )
    oidc_scopes: str = setting(
        "openid profile",
        str,
        "Scopes that a page asks for to sign in; `offline_access` may give longer sessions.",
    )
    oidc_token: str = setting(
        "access_token",
        matching("access_token|id_token", "access_token or id_token"),
        "Which token a page sends to this api after it has signed in: access_token, if the issuer makes it a JWT for "
        "JWT_AUDIENCE; otherwise id_token, and then JWT_AUDIENCE is OIDC_CLIENT_ID.",
    )
    oidc_parameters: str = setting(
        "",
        str,
        "Further parameters of the request to sign in, such as audience=https://api.example.com, as in a query string.",
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
    jwt_default_scopes: tuple[str, ...] = setting(
        (),
        scopes,
        "What a JWT allows that names none of this api's scopes, such as submit,read,cancel, separated by commas. By "
        "default nothing.",
    )
    jwt_tenant_claim: str = setting("sub", str, "The claim of a JWT that names the caller's tenant.")
    jwt_tenants_share_keys: bool = setting(
        False,
        boolean,
        "Whether JWTs and API keys with the same tenant name share one tenant. By default JWTs have tenants of their "
        "own, whose names begin with `jwt/`.",
    )
    task_token_secrets: tuple[str, ...] = setting(
        (),
        secrets,
        "What signs task tokens (`createTaskToken`): texts of at least 32 random characters, separated by commas. The "
        "first one signs, all are accepted; to rotate, put a new one in front and remove the old one once its tokens "
        "have expired. By default a secret is generated and kept in Redis.",
        secret=True,
    )
    task_token_seconds: float = setting(
        900.0, seconds(1), "How long a task token and an `href` are valid that are made without `expiresIn`."
    )
    task_token_max_seconds: float = setting(
        86_400.0, seconds(1), "The longest `expiresIn` of a task token and of an `href`."
    )
    tenants: str = setting(
        "shared",
        matching("shared|isolated", "shared or isolated"),
        "`shared`: the same input is one task for all callers. `isolated`: one task per tenant; no tenant sees "
        "another's.",
    )
