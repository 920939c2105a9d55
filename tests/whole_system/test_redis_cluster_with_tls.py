"""A whole system on a cluster of Redis with TLS, with a user for its nodes and one with the rules for workers."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from cluster.store.worker_acl import worker_rules
from cluster.system.child_processes import Child
from tests.aws.certificates import Authority
from tests.engines import engine_binary
from tests.redis_cluster import RedisCluster, add_user, with_user
from tests.system import System

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

GATED = "mutation($f: String!, $n: Int!) { submitGated(folder: $f, n: $n) { taskId outcome } }"


class SystemOnACluster(System):
    """Scheduler, two workers and two api nodes. Workers have a user of their own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, api_nodes=2, min_workers=0)
        self.cluster = RedisCluster(
            folder, binary=engine_binary("redis-7"), replicas=True, authority=Authority(folder / "authority")
        )
        self.settings = replace(self.settings, redis_url=with_user(self.cluster.url, "node"))

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.cluster.start)
        add_user(self.cluster.servers, "node", "~*", "&*", "+@all")
        self.admit_workers()
        await self.start("scheduler")
        for node in range(2):
            await self.start("worker", node)
            await self.start("api", node)
        await self.ready()
        return self

    async def __aexit__(self, *error: object) -> None:
        await super().__aexit__(*error)
        self.cluster.stop()

    async def start(self, role: str, node: int = 0) -> Child:
        settings = self.settings
        if role == "worker":
            self.settings = replace(settings, redis_url=with_user(self.cluster.url, "worker"))
        try:
            return await super().start(role, node)
        finally:
            self.settings = settings

    def admit_workers(self) -> None:
        """Tells every primary the rules of the workers' user. No replica knows them."""
        primaries = [server for server in self.cluster.servers if server.is_primary]
        add_user(primaries, "worker", *worker_rules(self.settings.key_prefix))


@pytest.mark.timeout(300)
async def test_tasks_are_run_through_a_failover_whose_new_primary_does_not_know_the_workers_at_first(
    tmp_path: Path,
) -> None:
    async with SystemOnACluster(tmp_path) as system:
        ids = []
        for n in range(40):
            answer = await system.ask(GATED, {"f": str(tmp_path), "n": n}, node=n % 2)
            ids.append(answer["submitGated"]["taskId"])
        async with asyncio.timeout(60):
            while not list(tmp_path.glob("begun-*")):
                await asyncio.sleep(0.05)
            ends = [asyncio.ensure_future(system.result(each, "state attempt", node=0)) for each in ids]
            primaries = {system.cluster.primary_of(f"{{{system.settings.key_prefix}:{each[0]}}}") for each in ids}
            for primary in primaries:
                await asyncio.to_thread(system.cluster.fail_over, primary)
        for n in range(40):
            (tmp_path / f"gate-{n}").touch()
        # What workers have done waits on them: they may not tell it to the new primaries.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3):
                await asyncio.shield(ends[0])
        assert not any(end.done() for end in ends)
        system.admit_workers()
        async with asyncio.timeout(90):
            assert {(await end)["state"] for end in ends} == {"SUCCEEDED"}
