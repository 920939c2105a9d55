"""Who may: API keys and JWTs on every transport, scopes, tenants, revocation, rates."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from cluster.errors import SettingError
from cluster.settings import Settings, check_public, load_settings
from cluster.store.async_store import Store
from dask_graphql import AsyncClient, Refused
from graphql_api.auth.authenticate import Authenticator
from graphql_api.auth.callers import Scope
from graphql_api.auth.connections import ConnectionRegistry
from graphql_api.auth.keys import list_keys, revoke_key
from graphql_api.auth.tokens import LEEWAY_SECONDS
from tests.system import Socket, System

READ = frozenset({Scope.READ})
USER = frozenset({Scope.SUBMIT, Scope.READ, Scope.CANCEL})
SUBMIT = "mutation($n: Int!) { submitFibonacci(n: $n) { taskId outcome } }"
LIST = "{ tasks(first: 100) { edges { node { taskId } } } }"
PRIVATE = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())


def token(key: Any = PRIVATE, **claims: Any) -> str:
    """A JWT as an issuer would make it."""
    body = {
        "sub": "anna", "org": "acme", "aud": "dask", "exp": time.time() + 600, "scope": "openid submit read", **claims,
    }  # fmt: skip
    return jwt.encode(body, key, algorithm="ES256", headers={"kid": "one"})


@pytest.fixture(scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """A system with authentication, tenants kept apart, and tokens of our own issuer."""
    folder = tmp_path_factory.mktemp("guarded")
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(PRIVATE.public_key()))
    jwks = folder / "jwks.json"
    jwks.write_text(json.dumps({"keys": [{**public, "kid": "one", "use": "sig", "alg": "ES256"}]}))
    async with System(
        folder, authentication="required", tenants="isolated", jwks_file=str(jwks), jwt_audience="dask",
        jwt_tenant_claim="org", min_workers=1, max_workers=1, legacy_websocket=True,
    ) as running:  # fmt: skip
        yield running


async def refused_http(system: System, headers: dict[str, str]) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.post(system.url, json={"query": "{ taskTypes { name } }"}, headers=headers)


async def close_code(url: str, protocol: str, init: dict[str, Any], headers: dict[str, str] | None = None) -> int:
    """What a WebSocket is closed with after its connection_init, or 0 where it is let in."""
    address = url.replace("http", "ws", 1)
    async with connect(address, subprotocols=[protocol], additional_headers=headers) as socket:  # type: ignore[list-item]
        await socket.send(json.dumps({"type": "connection_init", **init}))
        with contextlib.suppress(ConnectionClosed):
            while json.loads(await socket.recv())["type"] != "connection_ack":
                pass
            return 0
        await socket.wait_closed()
        assert socket.close_code is not None
        return socket.close_code


def signed_by_a_public_key(claims: dict[str, Any]) -> str:
    """A JWT whose maker takes the issuer's public key, which everybody has, for a secret of HS256."""
    public = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = {"alg": "HS256", "kid": "one", "typ": "JWT"}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (head, claims)]
    signature = base64.urlsafe_b64encode(hmac.digest(public, b".".join(parts), "sha256")).rstrip(b"=")
    return b".".join([*parts, signature]).decode()


BAD = {
    "nothing": "",
    "no key": "secret",
    "an unknown key": "dgk_" + "0" * 12 + "_" + "a" * 43,
    "a token of another issuer": token(OTHER),
    "an expired token": token(exp=time.time() - 60),
    "a token for another audience": token(aud="other"),
    "a token without an end": jwt.encode({"sub": "a", "org": "b", "aud": "dask"}, PRIVATE, "ES256", {"kid": "one"}),
    "a token without signature": jwt.encode({"sub": "a", "aud": "dask", "exp": time.time() + 9}, "", "none"),
    "a token without tenant": token(org=""),
    "a token of another algorithm": signed_by_a_public_key(
        {"sub": "anna", "org": "acme", "aud": "dask", "exp": time.time() + 600, "scope": "submit read"}
    ),
}


@pytest.mark.parametrize("shown", BAD.values(), ids=BAD.keys())
async def test_an_invalid_credential_is_refused_on_every_transport(guarded: System, shown: str) -> None:
    headers = guarded.headers(shown)
    answer = await refused_http(guarded, headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    stream = await refused_http(guarded, {**headers, "Accept": "text/event-stream"})
    assert stream.status_code == 401
    code = 4403
    for protocol in ("graphql-transport-ws", "graphql-ws"):
        assert await close_code(guarded.url, protocol, {"payload": {"authorization": f"Bearer {shown}"}}) == code
        assert await close_code(guarded.url, protocol, {}, headers) == code
    async with httpx.AsyncClient() as client:
        blob = await client.get(guarded.url.replace("graphql", f"blobs/{'a' * 32}/1/x"), headers=headers)
        metrics = await client.get(guarded.url.replace("graphql", "metrics"), headers=headers)
    assert blob.status_code == metrics.status_code == 401


@pytest.mark.parametrize("kind", ["key", "token"])
async def test_a_valid_credential_is_accepted_on_every_transport(guarded: System, kind: str) -> None:
    shown = token() if kind == "token" else await guarded.make_key("good", scopes=USER)
    submitted = await guarded.ask(SUBMIT, {"n": 31}, token=shown)
    task_id = submitted["submitFibonacci"]["taskId"]
    assert (await guarded.result(task_id, token=shown))["state"] == "SUCCEEDED"
    for protocol in ("graphql-transport-ws", "graphql-ws"):
        for init in ({"payload": {"Authorization": f"Bearer {shown}"}}, {"payload": {"headers": {"x-api-key": shown}}}):
            assert await close_code(guarded.url, protocol, init) == 0
        assert await close_code(guarded.url, protocol, {}, guarded.headers(shown)) == 0
    async with httpx.AsyncClient() as client:
        answer = await client.post(
            guarded.url,
            json={"query": f'subscription {{ taskResult(taskId: "{task_id}") {{ state }} }}'},
            headers={**guarded.headers(shown), "Accept": "text/event-stream"},
        )
    assert '"state":"SUCCEEDED"' in answer.text


async def test_scopes_are_kept_apart(guarded: System) -> None:
    reader = await guarded.make_key("reader", scopes=READ)
    refused = await guarded.post(SUBMIT, {"n": 5}, token=reader)
    assert refused["errors"][0]["extensions"] == {"code": "FORBIDDEN", "scope": "submit"}
    cancel = 'mutation { cancelTask(taskId: "%s") { state } }' % ("a" * 32)
    assert (await guarded.post(cancel, token=reader))["errors"][0]["extensions"]["scope"] == "cancel"
    assert "errors" not in await guarded.post(LIST, token=reader)
    writer = await guarded.make_key("writer", scopes=frozenset({Scope.SUBMIT}))
    assert "errors" not in await guarded.post(SUBMIT, {"n": 5}, token=writer)
    for query in (
        LIST,
        "{ taskTypes { name } }",
        "{ cluster { waiting } }",
        '{ task(taskId: "%s") { name } }' % ("a" * 32),
    ):
        assert (await guarded.post(query, token=writer))["errors"][0]["extensions"]["scope"] == "read"
    async with Socket.open(guarded.url, writer) as socket:
        await socket.send(
            {
                "id": "1",
                "type": "subscribe",
                "payload": {"query": 'subscription { taskResult(taskId: "%s") { state } }' % ("a" * 32)},
            }
        )
        message = json.loads(await socket.connection.recv())
        assert "FORBIDDEN" in json.dumps(message)
    async with httpx.AsyncClient() as client:
        metrics = await client.get(guarded.url.replace("graphql", "metrics"), headers=guarded.headers(reader))
        assert metrics.status_code == 403
        metrics = await client.get(guarded.url.replace("graphql", "metrics"), headers=guarded.headers())
        assert metrics.status_code == 200


async def test_a_tenant_sees_only_its_own_tasks_and_salts_their_ids(guarded: System) -> None:
    one, two = [await guarded.make_key(name, scopes=USER) for name in ("one", "two")]
    ids = [(await guarded.ask(SUBMIT, {"n": 77}, token=key))["submitFibonacci"] for key in (one, two)]
    assert [item["outcome"] for item in ids] == ["NEW", "NEW"]
    assert ids[0]["taskId"] != ids[1]["taskId"]
    caller = (await guarded.ask("{ caller { title tenant scopes taskIdSalt } }", token=one))["caller"]
    assert caller["title"] == "one"
    salt = caller["taskIdSalt"]
    pre_image = b'{"input":{"n":77},"salt":"%s","task":"fibonacci","version":"1"}' % salt.encode()
    assert hashlib.sha256(pre_image).hexdigest()[:32] == ids[0]["taskId"]
    await guarded.result(ids[0]["taskId"], token=one)
    shown = await guarded.ask(LIST, token=two)
    assert [edge["node"]["taskId"] for edge in shown["tasks"]["edges"]] == [ids[1]["taskId"]]
    foreign = ids[0]["taskId"]
    assert (await guarded.ask(f'{{ task(taskId: "{foreign}") {{ name }} }}', token=two))["task"] is None
    cancelled = await guarded.post(f'mutation {{ cancelTask(taskId: "{foreign}") {{ state }} }}', token=two)
    assert cancelled["errors"][0]["extensions"]["code"] == "TASK_NOT_FOUND"
    everything = await guarded.ask(LIST)
    assert {item["taskId"] for item in ids} <= {edge["node"]["taskId"] for edge in everything["tasks"]["edges"]}


async def heard_out(socket: Socket, seconds: float) -> None:
    """Reads until the socket is closed; a ping may come before."""
    async with asyncio.timeout(seconds):
        while True:
            await socket.connection.recv()


async def test_a_revoked_key_is_refused_and_its_sockets_are_closed(guarded: System) -> None:
    key = await guarded.make_key("leaving", scopes=USER)
    async with Socket.open(guarded.url, key) as socket:
        await socket.send(
            {
                "id": "1",
                "type": "subscribe",
                "payload": {"query": 'subscription { taskResult(taskId: "%s") { state } }' % ("b" * 32)},
            }
        )
        store = Store(guarded.settings)
        assert await revoke_key(store, key.split("_")[1])
        assert key.split("_")[1] not in [kept.key_id for kept in await list_keys(store)]
        assert not await revoke_key(store, key.split("_")[1])
        await store.close()
        with pytest.raises(ConnectionClosed) as closed:
            await heard_out(socket, 20)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4403
    assert (await refused_http(guarded, guarded.headers(key))).status_code == 401


async def test_a_socket_is_closed_when_its_token_expires(guarded: System) -> None:
    # The node allows clocks to differ by 30 s.
    async with Socket.open(guarded.url, token(exp=time.time() - LEEWAY_SECONDS + 2)) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await heard_out(socket, 30)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4403


async def test_a_key_is_not_kept_and_an_expired_one_is_refused(guarded: System) -> None:
    key = await guarded.make_key("short", scopes=USER, days=1e-9)
    assert (await refused_http(guarded, guarded.headers(key))).status_code == 401
    store = Store(guarded.settings)
    kept = await store.command("HGETALL", store.calls.api_keys_key)
    await store.close()
    assert key.split("_", 2)[2] not in str(kept)


@pytest.mark.slow
async def test_submissions_of_one_caller_are_bounded_per_minute(tmp_path: Path) -> None:
    async with System(tmp_path, submissions_per_minute=5, min_workers=0, max_workers=1) as system:
        many = "mutation($i: [FibonacciInput!]!) { submitFibonacciMany(inputs: $i) { outcome } }"
        assert "errors" not in await system.post(many, {"i": [{"n": n} for n in range(3)]})
        async with httpx.AsyncClient() as client:
            body = {"query": many, "variables": {"i": [{"n": n} for n in range(3, 6)]}}
            answer = await client.post(system.url, json=body)
        extensions = answer.json()["errors"][0]["extensions"]
        assert extensions["code"] == "RATE_LIMITED"
        assert 0 < extensions["retryAfterSeconds"] <= 60
        assert answer.headers["retry-after"] == str(extensions["retryAfterSeconds"])
        # What was refused cost nothing.
        assert "errors" not in await system.post(many, {"i": [{"n": n} for n in range(2)]})


@pytest.mark.slow
async def test_sockets_of_one_client_are_bounded(tmp_path: Path) -> None:
    async with System(tmp_path, sockets_per_client=2, min_workers=0, max_workers=1) as system:
        async with Socket.open(system.url), Socket.open(system.url):
            with pytest.raises(Exception, match="403"):
                async with Socket.open(system.url):
                    pass
        async with Socket.open(system.url):
            pass


@pytest.mark.slow
def test_keys_are_made_listed_and_revoked_by_the_command(redis_server: Any, tmp_path: Path) -> None:
    import subprocess
    import sys

    environment = load_settings({}, redis_url=redis_server.url, key_prefix="keys", data_dir=tmp_path).environment()

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dask_graphql", "keys", *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    key = run("create", "ci", "--scopes", "submit,read", "--days", "30").stdout.strip()
    assert key.startswith("dgk_")
    listed = run("list").stdout
    assert "ci  ci  read,submit" in listed
    assert key not in listed
    key_id = key.split("_")[1]
    assert run("revoke", key_id).returncode == 0
    assert run("list").stdout == ""
    again = run("revoke", key_id)
    assert again.returncode == 2
    assert key_id in again.stderr
    assert run("create", "ci", "--scopes", "submit,fly").returncode == 2


@pytest.mark.parametrize(
    ("changes", "variable"),
    [
        ({"TENANTS": "isolated"}, "TENANTS"),
        ({"JWKS_FILE": "x", "JWT_AUDIENCE": "a", "OIDC_ISSUER": "https://i"}, "JWKS_FILE"),
        ({"OIDC_ISSUER": "https://i"}, "JWT_AUDIENCE"),
        ({"PERSISTED_OPERATIONS_ONLY": "true"}, "PERSISTED_OPERATIONS_ONLY"),
        ({"AUTHENTICATION": "perhaps"}, "AUTHENTICATION"),
    ],
)
def test_settings_that_do_not_fit_together_stop_the_node(changes: dict[str, str], variable: str) -> None:
    with pytest.raises(SettingError, match=f"DASK_GRAPHQL_{variable} "):
        load_settings({f"DASK_GRAPHQL_{name}": value for name, value in changes.items()})


def test_with_authentication_a_public_address_needs_no_other_setting() -> None:
    settings = load_settings({"DASK_GRAPHQL_HOST": "0.0.0.0", "DASK_GRAPHQL_AUTHENTICATION": "required"})
    check_public(settings)


@pytest.mark.parametrize("kind", ["key", "token"])
async def test_the_python_client_sends_its_credential_and_salts_its_ids(guarded: System, kind: str) -> None:
    shown = token() if kind == "token" else await guarded.make_key("python", scopes=USER)
    async with AsyncClient(guarded.url, shown) as client:
        handle = await client.submit("fibonacci", n=64)
        assert handle.task_id == await client.task_id("fibonacci", n=64)
        assert (await handle.result())["value"] == 10610209857723
    async with AsyncClient(guarded.url, "dgk_nonsense") as client:
        with pytest.raises(Refused) as refused:
            await client.submit("fibonacci", n=64)
    assert refused.value.code == "UNAUTHENTICATED"


async def test_a_jwt_without_a_scope_of_ours_has_the_default_ones(
    store: Store, settings: Settings, tmp_path: Path
) -> None:
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(PRIVATE.public_key()))
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps({"keys": [{**public, "kid": "one", "alg": "ES256"}]}))
    for default, scopes in (((), frozenset()), (("read",), READ)):
        changed = replace(
            settings, authentication="required", jwks_file=str(jwks), jwt_audience="dask", jwt_default_scopes=default
        )
        checked = Authenticator(changed, store, ConnectionRegistry(1))
        assert (await checked.caller(token(scope="openid"), "127.0.0.1")).scopes == scopes
        assert (await checked.caller(token(scope="submit"), "127.0.0.1")).scopes == {Scope.SUBMIT}
