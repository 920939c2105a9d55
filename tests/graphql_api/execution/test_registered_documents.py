"""Apollo's automatic persisted queries: a client sends a document once, with its hash, and the hash from then on."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.settings import Settings, load_settings
from graphql_api.execution.persisted_operations import PersistedOperations
from graphql_api.execution.registered_documents import MAX_DOCUMENTS, SHARE, RegisteredDocuments
from tests.api_node import api_node
from tests.system import RedisServer, Socket

TEXT = "{ taskTypes { name } }"


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def named(text: str, sha256: str | None = None) -> dict[str, Any]:
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": sha256 or hash_of(text)}}}


@pytest.fixture(scope="module")
async def url(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    settings = load_settings(
        {},
        redis_url=redis_server.url,
        key_prefix=f"t{uuid.uuid4().hex[:8]}",
        data_dir=tmp_path_factory.mktemp("registered"),
        log_level="WARNING",
    )
    async with api_node(settings) as url:
        yield url


async def test_a_document_is_registered_once_and_then_called_by_its_hash_on_every_transport(url: str) -> None:
    text = "query A { taskTypes { name } }"
    async with httpx.AsyncClient() as client:
        first = await client.post(url, json=named(text))
        assert first.status_code == 200
        [error] = first.json()["errors"]
        assert error == {"message": "PersistedQueryNotFound", "extensions": {"code": "PERSISTED_QUERY_NOT_FOUND"}}
        assert (await client.post(url, json={"query": text, **named(text)})).json()["data"]["taskTypes"]
        assert (await client.post(url, json=named(text))).json()["data"]["taskTypes"]
        shown = {"extensions": json.dumps(named(text)["extensions"])}
        assert (await client.get(url, params=shown)).json()["data"]["taskTypes"]
        assert (await client.post(url, json={"documentId": f"sha256:{hash_of(text)}"})).json()["data"]["taskTypes"]
    async with Socket.open(url) as socket:
        await socket.send({"id": "1", "type": "subscribe", "payload": named(text)})
        assert json.loads(await socket.connection.recv())["payload"]["data"]["taskTypes"]


async def test_a_hash_that_is_not_the_documents_own_is_refused_and_nothing_is_kept(url: str) -> None:
    other = "{ cluster { waiting } }"
    async with httpx.AsyncClient() as client:
        refused = await client.post(url, json={"query": TEXT, **named(other)})
        assert refused.json()["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_MISMATCH"
        unknown = await client.post(url, json=named(other))
    assert unknown.json()["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"


def refusal(persisted: PersistedOperations, request: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(Exception) as caught:
        persisted.check(persisted.resolve(request)["query"])
    return caught.value.code, str(caught.value)  # type: ignore[attr-defined]


def test_a_node_that_registers_none_says_so_and_serves_whole_documents() -> None:
    persisted = PersistedOperations(replace(Settings(), registered_document_bytes=0))
    code, message = refusal(persisted, named(TEXT))
    assert (code, message) == ("PERSISTED_QUERY_NOT_SUPPORTED", "PersistedQueryNotSupported")
    assert persisted.resolve({"query": TEXT, **named(TEXT)})["query"] == TEXT
    assert refusal(persisted, named(TEXT))[0] == "PERSISTED_QUERY_NOT_SUPPORTED"


def test_nobody_registers_a_document_beside_those_of_the_operator(tmp_path: Path) -> None:
    file = tmp_path / "operations.json"
    file.write_text(json.dumps({hash_of(TEXT): TEXT}))
    only = replace(Settings(), persisted_operations=str(file), persisted_operations_only=True)
    persisted = PersistedOperations(only)
    other = "{ cluster { waiting } }"
    assert refusal(persisted, {"query": other, **named(other)})[0] == "PERSISTED_OPERATION_NOT_FOUND"
    assert refusal(persisted, named(other))[0] == "PERSISTED_OPERATION_NOT_FOUND"
    assert persisted.resolve(named(TEXT))["query"] == TEXT


@given(st.lists(st.text(max_size=40), max_size=60), st.integers(0, 9_000))
def test_what_is_registered_is_bounded_and_always_the_right_document(texts: list[str], max_bytes: int) -> None:
    documents = RegisteredDocuments(max_bytes)
    for text in texts:
        assert documents.register(hash_of(text), text)
        assert documents.size_bytes <= max_bytes
    for text in texts:
        assert documents.find(hash_of(text)) in (None, text)


def test_the_documents_used_last_are_kept() -> None:
    documents = RegisteredDocuments(10_000_000)
    for number in range(MAX_DOCUMENTS):
        documents.register(hash_of(str(number)), str(number))
    assert documents.find(hash_of("0")) == "0"
    documents.register(hash_of("new"), "new")
    assert len(documents) == MAX_DOCUMENTS
    assert documents.find(hash_of("0")) == "0"
    assert documents.find(hash_of("1")) is None


def test_a_large_document_drops_no_others() -> None:
    documents = RegisteredDocuments(SHARE * 1_000)
    assert documents.register(hash_of("a"), "a")
    large = "b" * 1_000
    assert documents.register(hash_of(large), large)
    assert documents.find(hash_of(large)) is None
    assert documents.find(hash_of("a")) == "a"


@pytest.mark.parametrize("text", ["\ud800", "a\udfff?"])
def test_a_text_without_utf_8_takes_no_other_documents_place(text: str) -> None:
    documents = RegisteredDocuments(10_000)
    replaced = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    assert not documents.register(replaced, text)
    assert documents.register(hash_of(text), text)
