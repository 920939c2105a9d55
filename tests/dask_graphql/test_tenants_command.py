"""`dask-graphql tenants` and `dask-graphql usage`, against an api node."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

from click.testing import CliRunner, Result

from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.tenant_policies import TenantPolicy, change_policy, list_policies
from dask_graphql.cli import command
from graphql_api.auth.callers import Scope
from graphql_api.auth.keys import create_key
from tests.api_node import api_node


async def test_a_policy_that_is_set_is_listed_told_by_usage_and_removed(settings: Settings, store: Store) -> None:
    settings = replace(settings, authentication="required")
    keys = {
        name: (await create_key(store, name, name, scopes, None))[0]
        for name, scopes in {"acme": frozenset({Scope.SUBMIT, Scope.READ}), "boss": frozenset(Scope)}.items()
    }

    async def run(*words: str) -> Result:
        return await asyncio.to_thread(CliRunner(env=settings.environment()).invoke, command, words)

    async with api_node(settings) as url:

        async def usage(key: str, *words: str) -> list[dict[str, Any]]:
            shown = await run("usage", "--json", "--url", url, "--token", keys[key], *words)
            assert shown.exit_code == 0, shown.output
            return [json.loads(line) for line in shown.output.splitlines()]

        assert (await usage("acme"))[0]["weight"] == 1
        done = await run("tenants", "set", "acme", "--weight", "2.5", "--queue-limit", "7")
        assert done.exit_code == 0, done.output
        await run("tenants", "set", "acme", "--max-bytes", "5000")
        assert (await run("tenants", "list")).output == "acme weight=2.5 queue_limit=7 max_bytes=5000\n"
        await run("submit", "fibonacci", "n=30", "--url", url, "--token", keys["acme"])
        async with asyncio.timeout(10):
            while (await usage("acme"))[0]["byteLimit"] != "5000":
                pass
        [own] = await usage("acme")
        assert own.pop("bytes") == str(1_500 + len('{"n":30}'))
        assert own == {
            "account": "acme", "openTasks": 1, "openTaskLimit": 7, "byteLimit": "5000", "weight": 2.5,
            "maxRunning": None, "submissionsPerMinute": None, "operationsPerMinute": settings.operations_per_minute,
        }  # fmt: skip
        assert [row["account"] for row in await usage("boss", "--all")] == ["acme"]
        assert (await usage("boss", "--account", "acme"))[0]["openTasks"] == 1
        for words in (["--all"], ["--account", "boss"]):
            refused = await run("usage", "--url", url, "--token", keys["acme"], *words)
            assert refused.exit_code != 0
        table = await run("usage", "--url", url, "--token", keys["acme"])
        assert "1 of 7" in table.output
    assert (await run("tenants", "remove", "acme")).exit_code == 0
    assert (await run("tenants", "remove", "acme")).exit_code == 2
    assert (await run("tenants", "list")).output == ""
    for wrong in (["acme"], ["a b", "--weight", "1"], ["acme", "--weight", "0"]):
        assert (await run("tenants", "set", *wrong)).exit_code != 0


async def test_changes_of_one_policy_at_once_all_count(store: Store) -> None:
    limits = ("max_running", "queue_limit", "max_bytes", "submissions_per_minute", "operations_per_minute")
    await change_policy(store, "acme", weight=2.5)
    await asyncio.gather(*(change_policy(store, "acme", **{limit: 7}) for limit in limits))
    assert await list_policies(store) == {"acme": TenantPolicy(2.5, 7, 7, 7, 7, 7)}
