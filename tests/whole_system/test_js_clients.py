"""The JavaScript clients of frontends and the audits of GraphQL over HTTP, against a real api."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.node import CLIENTS, command, environment
from tests.places import ROOT
from tests.system import System

DOCS = ROOT / "docs" / "clients.md"
SCRIPTS = ["graphql-ws.mjs", "legacy.mjs", "graphql-sse.mjs", "apollo.mjs", "urql.mjs"]


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


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_docs_show_the_settings_that_were_tested(script: str) -> None:
    text = (CLIENTS / script).read_text()
    snippet = text.partition("// [docs]\n")[2].partition("// [/docs]")[0].strip()
    assert snippet
    assert snippet in DOCS.read_text()
