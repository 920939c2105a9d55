"""JWTs of an OpenID Connect issuer: its keys are found by discovery, and again when they change."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cluster.errors import ServiceUnavailable
from cluster.settings import load_settings
from graphql_api.auth import tokens
from graphql_api.auth.tokens import LEEWAY_SECONDS, TokenVerifier


class Issuer(ThreadingHTTPServer):
    """An issuer on loopback with keys that may change."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.says = self.url
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.asked = 0

    def add_key(self, key_id: str) -> None:
        self.keys[key_id] = ec.generate_private_key(ec.SECP256R1())

    def token(self, key_id: str, **claims: Any) -> str:
        body = {"iss": self.url, "aud": "dask", "sub": "anna", "exp": time.time() + 60, **claims}
        return jwt.encode(body, self.keys[key_id], "ES256", {"kid": key_id})


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        issuer = self.server
        assert isinstance(issuer, Issuer)
        issuer.asked += 1
        words: dict[str, Any] = {
            "/.well-known/openid-configuration": {"issuer": issuer.says, "jwks_uri": f"{issuer.url}/keys"},
            "/keys": {
                "keys": [
                    {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())), "kid": key_id, "alg": "ES256"}
                    for key_id, key in issuer.keys.items()
                ]
            },
        }
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(words[self.path]).encode())

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as server:
        server.add_key("one")
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def tokens_of(issuer: Issuer, **changes: Any) -> TokenVerifier:
    return TokenVerifier(load_settings({}, oidc_issuer=issuer.url, jwt_audience="dask", **changes))


async def test_the_keys_of_an_issuer_are_fetched_and_cached(issuer: Issuer) -> None:
    checked = tokens_of(issuer)
    for _ in range(3):
        claims = await checked.claims(issuer.token("one"))
        assert claims is not None
        assert claims["sub"] == "anna"
    assert issuer.asked == 2
    assert await checked.claims(issuer.token("one", iss="https://other.example")) is None
    assert await checked.claims(issuer.token("one", aud="other")) is None


async def test_a_new_key_is_fetched_but_clients_cannot_trigger_a_request_for_each_token(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = tokens_of(issuer)
    assert await checked.claims(issuer.token("one"))
    issuer.add_key("two")
    assert await checked.claims(issuer.token("two")) is None
    assert issuer.asked == 2, "not asked again so soon"
    monkeypatch.setattr(tokens, "MIN_FETCH_INTERVAL_SECONDS", 0.0)
    assert await checked.claims(issuer.token("two"))


async def test_the_keys_that_an_issuer_withdraws_are_not_used_on(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked, token = tokens_of(issuer), issuer.token("one")
    assert await checked.claims(token)
    monkeypatch.setattr(tokens, "MIN_FETCH_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(tokens, "KEY_CACHE_SECONDS", 0.0)
    assert await checked.claims(token)
    issuer.keys.clear()
    assert await checked.claims(token) is None


@pytest.mark.parametrize(
    ("claims", "accepted"),
    [
        ({"iat": -3_500, "exp": 900_000}, True),
        ({"iat": -3_700, "exp": 900_000}, False),
        ({"iat": -10, "exp": -60}, False),
        ({"exp": 3_500}, True),
        ({"exp": 3_700}, False),
    ],
)
async def test_a_token_has_a_greatest_age_whatever_its_end(
    issuer: Issuer, claims: dict[str, int], accepted: bool
) -> None:
    checked = tokens_of(issuer, jwt_max_age_seconds=3_600)
    times = {name: time.time() + ahead for name, ahead in claims.items()}
    found = await checked.claims(issuer.token("one", **times))
    assert (found is not None) == accepted
    if found and "iat" in times:
        assert checked.expires_at(found) == pytest.approx(times["iat"] + 3_600 + LEEWAY_SECONDS)
    unbounded = tokens_of(issuer, jwt_max_age_seconds=0)
    assert (await unbounded.claims(issuer.token("one", **times)) is not None) == (times["exp"] > time.time())


@pytest.mark.parametrize("claims", [{"iat": None}, {"iat": [1]}, {"exp": 10**400}, {"exp": "9" * 5_000}, {"nbf": {}}])
async def test_times_that_are_none_are_refused(issuer: Issuer, claims: dict[str, Any]) -> None:
    assert await tokens_of(issuer).claims(issuer.token("one", **claims)) is None


async def test_an_unavailable_issuer_or_a_wrong_one_gives_no_keys(issuer: Issuer) -> None:
    issuer.says = "https://other.example"
    with pytest.raises(ServiceUnavailable):
        await tokens_of(issuer).claims(issuer.token("one"))
