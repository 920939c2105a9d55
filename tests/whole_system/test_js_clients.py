"""The JavaScript clients of frontends and the audits of GraphQL over HTTP, against a real api."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from cluster.settings import load_settings
from cluster.task_types.task_id import canonical_json, task_id
from tests.api_node import api_node
from tests.node import CLIENTS, command, environment
from tests.places import ROOT
from tests.system import RedisServer, System

DOCS = ROOT / "docs" / "clients.md"
SCRIPTS = ["graphql-ws.mjs", "legacy.mjs", "graphql-sse.mjs", "apollo.mjs", "apollo-http.mjs", "urql.mjs"]


SNIPPETS = ["socket.mjs", "task-id.mjs", *(script for script in SCRIPTS if script != "graphql-ws.mjs")]


async def run(script: str, *words: str) -> Any:
    """Runs a script; returns the JSON that it prints last."""
    env = await asyncio.to_thread(environment)
    process = await asyncio.create_subprocess_exec(
        *command(script, *words), env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return json.loads(out.splitlines()[-1])


@pytest.mark.slow
async def test_every_audit_of_graphql_over_http_is_ok(system: System) -> None:
    audits = await run("audit.mjs", system.url)
    assert len(audits) >= 61
    assert [audit for audit in audits if audit["status"] != "ok"] == []


@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_client_queries_submits_subscribes_and_gets_refusals(system: System, script: str) -> None:
    seen = await run(script, system.url)
    assert "fibonacci" in [item["name"] for item in seen["types"]["taskTypes"]]
    assert seen["submitted"]["submitFibonacci"]["outcome"] in ("NEW", "CACHED", "JOINED")
    record = seen["result"]["taskResult"]
    assert record["state"] == "SUCCEEDED"
    assert record["result"]["n"] == seen["n"]
    assert "nothing" in seen["refused"][0]["message"]
    if script == "apollo-http.mjs":
        assert seen["items"] == 1
        # The hash, then the document; later the hash alone.
        assert (seen["registered"], seen["again"]) == ([False, True], [False])


@pytest.mark.slow
async def test_a_client_waits_through_a_restart_of_the_api(tmp_path: Path) -> None:
    env = await asyncio.to_thread(environment)
    async with System(tmp_path, min_workers=1, max_workers=1) as system:
        slow = "mutation($f: String!) { submitSlow(folder: $f, n: 1, seconds: 6) { taskId } }"
        task_id = (await system.ask(slow, {"f": str(tmp_path)}))["submitSlow"]["taskId"]
        process = await asyncio.create_subprocess_exec(
            *command("reconnect.mjs", system.url, task_id), env=env, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        assert (await process.stdout.readline()).strip() == b"waiting"
        await system.kill("api0")
        await system.start("api", 0)
        seen = json.loads(await process.stdout.readline())
        assert seen["connections"] >= 2
        assert seen["state"] == "SUCCEEDED"
        assert await process.wait() == 0


async def test_a_client_with_a_credential_that_is_not_valid_stops_and_says_so(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    settings = load_settings(
        {}, redis_url=redis_server.url, key_prefix=f"t{uuid.uuid4().hex[:8]}", data_dir=tmp_path,
        authentication="required", log_level="ERROR",
    )  # fmt: skip
    async with api_node(settings) as url:
        seen = await run("graphql-ws.mjs", url, "dgk_none")
    assert seen["code"] == 4403


async def test_the_ids_that_a_client_computes_are_those_of_the_api() -> None:
    inputs: list[Any] = [
        {"n": 90}, {"a": {"10": 1, "9": 2, "": 3, "a": [{"2": None, "1": [True]}]}}, {"x": "ü \u2028 \U0001f600"},
        {"y": -0.5, "\ufb33": 1, "\U0001f600": 2, "\u20ac": 3},
    ]  # fmt: skip
    cases = [("any_task", "2", given) for given in inputs]
    env = await asyncio.to_thread(environment)
    process = await asyncio.create_subprocess_exec(
        *command("task-id.mjs"), env=env, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate(json.dumps(cases).encode())
    assert json.loads(out) == [task_id(name, version, canonical_json(given)) for name, version, given in cases]


@pytest.mark.parametrize("script", SNIPPETS)
def test_the_docs_show_the_settings_that_were_tested(script: str) -> None:
    text = (CLIENTS / script).read_text()
    snippet = text.partition("// [docs]\n")[2].partition("// [/docs]")[0].strip()
    assert snippet
    assert snippet in DOCS.read_text()
