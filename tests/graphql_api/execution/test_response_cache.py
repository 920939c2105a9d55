"""Shared answers: nobody gets one that was made for somebody who sees more, under another name, or some time ago."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from graphql import GraphQLObjectType

from cluster.attempt_errors import error
from cluster.settings import Settings
from cluster.task_types.registry import load_registry
from graphql_api.auth.callers import Scope
from graphql_api.execution.document_cache import LIVE_FIELDS, DocumentCache
from graphql_api.execution.persisted_operations import PersistedOperations
from graphql_api.schema.builder import make_schema
from graphql_api.strawberry_internals import core_schema
from tests.system import RedisServer
from tests.tenants import World, world

SAME_WHENEVER_ASKED = {
    "id", "taskId", "name", "version", "input", "retries", "state", "attempt", "run", "runAttempt", "seq", "result",
    "output", "partial", "error", "logs", "attempts", "progress", "message", "data", "waiting", "submittedBy",
    "cancelledBy", "submissions", "worker", "pool", "tags", "runKey", "submittedAt", "startedAt", "finishedAt",
    "expiresAt",
}  # fmt: skip
"""The fields of a task that has ended which depend on its record and on who asks, and on nothing else."""


@pytest.fixture
async def open_house(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Tenants share their tasks, and no PUBLIC_URL says what links begin with."""
    folder = tmp_path_factory.mktemp("shared")
    async with world(redis_server, folder, tenants="shared", allowed_hosts=("*",)) as made:
        yield made


async def result_of(world: World, credential: str, task_id: str, fields: str, **headers: str) -> dict[str, Any]:
    query = f'subscription {{ taskResult(taskId: "{task_id}") {{ {fields} }} }}'
    got = await world.post(credential, query, Accept="text/event-stream", **headers)
    [data] = [line for line in got.text.splitlines() if line.startswith('data: {"data"')]
    task: dict[str, Any] = json.loads(data.removeprefix("data: "))["data"]["taskResult"]
    return task


async def test_each_gets_its_own_links_names_and_details_of_an_error(open_house: World) -> None:
    member, admin = await open_house.key("member"), await open_house.key("admin", frozenset({Scope.ADMIN}))
    done, failed = [(await open_house.submit(member, name))["taskId"] for name in ("done", "failed")]
    await open_house.end(done)
    await open_house.store.run(open_house.store.calls.start(failed, 1, "worker"))
    broken = {**error("TASK_FAILED", "it broke", "ValueError"), "traceback": "in line 7"}
    await open_house.store.run(open_house.store.calls.fail(failed, 1, broken))
    image = "result { ... on Portrait { image { url href } } }"
    links = [await result_of(open_house, who, done, image) for who in (member, admin, member)]
    tokens = [link["result"]["image"]["href"].partition("token=")[2] for link in links]
    assert tokens[0] != tokens[1]
    details = "submittedBy error { message traceback }"
    for who, name, traceback in ((admin, "member", "in line 7"), (member, "member", None)):
        task = await result_of(open_house, who, failed, details)
        assert (task["submittedBy"], task["error"]["traceback"]) == (name, traceback)
    stranger = await open_house.key("stranger")
    assert (await result_of(open_house, stranger, failed, details))["submittedBy"] is None


async def test_links_and_paths_are_those_of_the_name_that_the_client_used(open_house: World) -> None:
    member = await open_house.key("member")
    done = (await open_house.submit(member, "done"))["taskId"]
    await open_house.end(done)
    for host in ("evil.example", "api.example"):
        image = "result { ... on Portrait { image { href } } }"
        task = await result_of(open_house, member, done, image, Host=host)
        assert task["result"]["image"]["href"].startswith(f"http://{host}/blobs/")


def test_every_field_of_a_task_is_known_to_change_or_not_once_it_has_ended() -> None:
    schema = core_schema(make_schema(load_registry()))
    task = schema.type_map["Task"]
    assert isinstance(task, GraphQLObjectType)
    fields = task.fields.keys()
    assert fields - LIVE_FIELDS == SAME_WHENEVER_ASKED, (
        "a new field of Task: add it to SAME_WHENEVER_ASKED, or to LIVE_FIELDS if its value may change after the end"
    )


@pytest.mark.parametrize("fields", ["otherVersions { taskId }", "result { ... on Portrait { image { href } } }"])
def test_an_answer_with_a_field_that_changes_is_not_kept(fields: str) -> None:
    documents = DocumentCache(Settings(), PersistedOperations(Settings()))
    text = f'subscription {{ taskResult(taskId: "a") {{ ...T }} }} fragment T on Task {{ state {fields} }}'
    assert not documents.parse_cached(text).operation(None).shared
