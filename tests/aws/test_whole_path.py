"""The whole path on one machine: deployed by the script and the real Terraform, each node started from its own task
definition as registered, work sent through the api, and then everything that goes wrong on AWS.

After each fault every accepted task has ended right, the fleet is within its bounds, and ECS runs no worker that the
controller does not know. The log (`pytest -s`) tells what was seen, and the bill.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from dask_graphql import AsyncClient
from tests.aws.agents import Agents, Container
from tests.aws.deployment import Deployment
from tests.aws.emulated_api import EmulatedAws
from tests.aws.terraform import a_copy, needs_terraform

pytestmark = [needs_terraform, pytest.mark.timeout(600)]

NAME = "dask-graphql"
WORKER = f"{NAME}-worker"
MOST = 4
FLEET = """{ cluster { schedulerEpoch workers { name }
  fleet { wanted launching launchSeconds running retiring reason problem costPerHour
    decisions { started stopped reason } } } }"""


@dataclass
class Cloud:
    """The deployed system, and a client of it."""

    deployment: Deployment
    agents: Agents
    folder: Path
    key: str = ""
    begun: float = field(default_factory=time.monotonic)
    _numbers: Any = field(default_factory=lambda: itertools.count())

    @property
    def aws(self) -> EmulatedAws:
        return self.deployment.aws

    def say(self, *words: object) -> None:
        seconds, dollars = self.agents.bill(WORKER)
        print(
            f"{time.monotonic() - self.begun:6.1f} s |", *words, f"| bill: {seconds:.0f} s, ${dollars:.4f}", flush=True
        )

    async def script(self, *arguments: str) -> str:
        return await asyncio.to_thread(self.deployment.script, *arguments)

    def client(self) -> AsyncClient:
        return AsyncClient(self.agents.url(), token=self.key)

    def inputs(self, count: int, seconds: float) -> list[dict[str, Any]]:
        """Tasks that were never computed before."""
        return [{"folder": str(self.folder), "n": next(self._numbers), "seconds": seconds} for _ in range(count)]

    async def fleet(self) -> dict[str, Any]:
        async with httpx.AsyncClient(timeout=30) as client:
            headers = {"Authorization": f"Bearer {self.key}"}
            answer = (await client.post(self.agents.url(), json={"query": FLEET}, headers=headers)).json()
        assert "errors" not in answer, answer
        cluster: dict[str, Any] = answer["data"]["cluster"]
        return {**(cluster["fleet"] or {}), "names": {worker["name"] for worker in cluster["workers"]},
                "epoch": cluster["schedulerEpoch"]}  # fmt: skip

    def workers(self) -> list[Container]:
        """The workers that ECS runs and bills, without those that were asked to stop."""
        return [
            c
            for c in self.agents.running(WORKER)
            if c.task["desiredStatus"] == "RUNNING" and not c.interrupted and not c.overridden
        ]

    async def until(self, what: str, condition: Any, seconds: float = 120.0) -> None:
        """Polls until a condition holds that only other processes can bring about."""
        try:
            async with asyncio.timeout(seconds):
                while not await condition():
                    assert len(self.workers()) <= MOST, "more workers than the maximum"
                    await asyncio.sleep(0.2)
        except TimeoutError:
            controller = self.agents.running(f"{NAME}-controller")
            log = controller[-1].log.read_text()[-3_000:] if controller else "no controller"
            raise AssertionError(f"{what} did not come in {seconds:g} s: {await self.fleet()}\n{log}") from None

    async def at_rest(self) -> None:
        """Whether the controller, the scheduler and ECS agree on the running workers."""

        async def agree() -> bool:
            fleet, living = await self.fleet(), self.agents.running(WORKER)
            return (
                fleet.get("running") == len(living) == len(fleet["names"])
                and not fleet["launching"]
                and not fleet["retiring"]
            )

        await self.until("agreement about the fleet", agree)


@pytest.fixture(scope="module")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cloud]:
    folder = tmp_path_factory.mktemp("cloud")
    variables = {
        "TF_VAR_image_tag": "v1", "TF_VAR_api_min": "1", "TF_VAR_max_workers": str(MOST), "TF_VAR_spot_share": "0.5",
        "TF_VAR_task_modules": '["tests.task_modules.samples"]', "TF_VAR_plain_http": "true",
    }  # fmt: skip
    # What the emulation says of every service; the agents play them.
    with EmulatedAws(folder / "aws", {"MOTO_ECS_SERVICE_RUNNING": "1"}) as aws:
        deployment = Deployment(aws, a_copy(folder / "copy", {**aws.environment, **variables}))
        async with Agents(aws, NAME, folder / "tasks") as agents:
            cloud = Cloud(deployment, agents, folder)
            deployment.log = await cloud.script("deploy", "--tag", "v1", "--skip-images", "--yes")
            cloud.say("deployed")
            cloud.key = (await cloud.script("key", "tests")).strip().splitlines()[-1]

            async def serves() -> bool:
                return any(c.healthy and c.service for c in agents.running(f"{NAME}-api"))

            async with asyncio.timeout(120):
                while not await serves():
                    await asyncio.sleep(0.2)
            yield cloud


async def test_every_node_runs_from_its_own_task_definition(cloud: Cloud) -> None:
    async def one_worker() -> bool:
        return len((await cloud.fleet())["names"]) == 1

    await cloud.until("the first worker", one_worker)
    for node in ("api", "scheduler", "controller", "worker"):
        (container,) = [c for c in cloud.agents.running(f"{NAME}-{node}") if c.service or node == "worker"]
        assert container.container["name"] == node
        assert container.runs
    # Found by its name in Cloud Map alone, with TLS; Redis by ElastiCache's, with TLS and a token.
    (worker,) = cloud.workers()
    environment = {item["name"]: item["value"] for item in worker.container["environment"]}
    assert environment["DASK_GRAPHQL_SCHEDULER"] == f"tls://scheduler.{NAME}.internal:8786"
    cloud.say("all nodes run")


async def test_a_burst_scales_out_and_idleness_scales_in(cloud: Cloud) -> None:
    async with cloud.client() as client:
        inputs = cloud.inputs(100, 0.5)
        handles = await client.submit_many("slow", inputs)
        most = 0

        async def bought() -> bool:
            nonlocal most
            most = max(most, len(cloud.workers()))
            return most == MOST

        await cloud.until("the whole fleet", bought)
        cloud.say(f"{MOST} workers for the burst")
        assert [await handle.result(120) for handle in handles] == [item["n"] for item in inputs]
    cloud.say("100 results")
    # In addition, a task that looks like one of the fleet and never registers. It is billed, so it must be stopped.
    subnets, group = cloud.deployment.outputs["subnet_ids"], cloud.deployment.outputs["worker_security_group_id"]
    (stray,) = cloud.aws.client("ecs").run_task(
        cluster=NAME, taskDefinition=WORKER, startedBy=f"{NAME}/dg", launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": subnets, "securityGroups": [group]}},
        overrides={"containerOverrides": [{"name": "worker", "command": ["worker", "--name", "a-stranger"]}]},
    )["tasks"]  # fmt: skip

    async def alone() -> bool:
        gone = (
            not cloud.agents.containers[stray["taskArn"]].living
            if stray["taskArn"] in cloud.agents.containers
            else False
        )
        return gone and len(cloud.agents.running(WORKER)) == 1

    await cloud.until("one worker, and no stray", alone, 180)
    await cloud.at_rest()
    fleet = await cloud.fleet()
    assert any("did not connect" in decision["reason"] for decision in fleet["decisions"])
    assert fleet["launchSeconds"] > cloud.agents.delay_seconds
    assert fleet["costPerHour"] == pytest.approx(0.04937, rel=0.01) or fleet["costPerHour"] == pytest.approx(
        0.0148, rel=0.01
    )
    cloud.say("back to 1")


async def load(cloud: Cloud, count: int = 40, seconds: float = 0.5) -> tuple[AsyncClient, list[Any]]:
    client = cloud.client()
    return client, await client.submit_many("slow", cloud.inputs(count, seconds))


async def all_end(cloud: Cloud, client: AsyncClient, handles: list[Any], what: str) -> None:
    try:
        for handle in handles:
            assert (await handle.final(180))["state"] == "SUCCEEDED"
    finally:
        await client.close()
    await cloud.at_rest()
    cloud.say(what)


async def test_a_controller_that_is_killed_mid_launch_buys_nothing_twice(cloud: Cloud) -> None:
    client, handles = await load(cloud, 60)

    async def launching() -> bool:
        return any(c.child is None for c in cloud.workers())

    await cloud.until("a launch", launching)
    (controller,) = cloud.agents.running(f"{NAME}-controller")
    cloud.agents.kill(controller)
    calls = cloud.aws.calls()["RunTask"]
    await all_end(cloud, client, handles, "controller killed mid-launch")
    assert cloud.agents.running(f"{NAME}-controller") != [controller]
    assert cloud.aws.calls()["RunTask"] - calls <= MOST, "the next one went on with what ran"


async def test_workers_that_are_killed_are_replaced(cloud: Cloud) -> None:
    client, handles = await load(cloud)
    victims = [worker for worker in cloud.workers() if worker.runs]
    assert victims
    for worker in victims:
        cloud.agents.kill(worker)
    await all_end(cloud, client, handles, f"{len(victims)} workers killed")


async def test_spot_that_is_taken_back_in_mass_loses_no_work(cloud: Cloud) -> None:
    client, handles = await load(cloud, 60)

    async def spots() -> bool:
        return any(c.task.get("capacityProviderName") == "FARGATE_SPOT" and c.runs for c in cloud.workers())

    await cloud.until("Spot workers", spots)
    # No Spot is left either: what replaces them is on demand.
    cloud.aws.control(no_capacity=["FARGATE_SPOT"])
    taken = [c for c in cloud.workers() if c.task.get("capacityProviderName") == "FARGATE_SPOT" and c.runs]
    for worker in taken:
        cloud.agents.interrupt(worker)
    await all_end(cloud, client, handles, f"{len(taken)} Spot workers taken back")
    cloud.aws.control(no_capacity=[])


async def test_refused_and_throttled_starts_are_told_and_got_over(cloud: Cloud) -> None:
    for worker in cloud.workers():
        cloud.agents.kill(worker)
    cloud.aws.control(no_capacity=["FARGATE", "FARGATE_SPOT"], throttled={"DescribeTasks": 3, "ListTasks": 2})
    client, handles = await load(cloud, 20)

    async def told() -> bool:
        return "apacity" in ((await cloud.fleet()).get("problem") or "")

    await cloud.until("a word about the capacity", told)
    cloud.say("no capacity:", (await cloud.fleet())["problem"])
    cloud.aws.control(no_capacity=[], throttled={"RunTask": 3})
    await all_end(cloud, client, handles, "capacity is back, and RunTask was throttled")


async def test_a_replaced_scheduler_keeps_the_workers_and_gets_the_open_tasks(cloud: Cloud) -> None:
    """Though the resolver remembers that its name was gone: nodes find it by what it writes to Redis."""
    client, handles = await load(cloud, 40, 1.0)
    before, old = await cloud.fleet(), {worker.arn for worker in cloud.workers() if worker.runs}
    (scheduler,) = cloud.agents.running(f"{NAME}-scheduler")
    began = time.monotonic()
    cloud.agents.kill(scheduler)

    async def replaced() -> bool:
        fleet = await cloud.fleet()
        return fleet["epoch"] not in (None, before["epoch"]) and bool(fleet["names"])

    await cloud.until("a new scheduler with workers", replaced)
    cloud.say(f"scheduler replaced, with workers after {time.monotonic() - began:.1f} s")
    assert old & {worker.arn for worker in cloud.workers()}, "workers that ran join the next scheduler"
    await all_end(cloud, client, handles, "all tasks of the replaced scheduler ended")


async def test_an_update_replaces_every_node_while_tasks_are_open(cloud: Cloud) -> None:
    client, handles = await load(cloud, 30, 1.0)
    ids = [handle.task_id for handle in handles]
    old = {arn for arn, container in cloud.agents.containers.items() if container.living}
    await client.close()
    await cloud.script("deploy", "--tag", "v2", "--skip-images", "--yes")

    async def replaced() -> bool:
        living = {
            c.arn
            for node in ("api", "scheduler", "controller", "worker")
            for c in cloud.agents.running(f"{NAME}-{node}")
        }
        return bool(living) and living.isdisjoint(old) and any(c.healthy for c in cloud.agents.running(f"{NAME}-api"))

    async with asyncio.timeout(180):
        while not await replaced():
            await asyncio.sleep(0.2)
    # Another api node, the same tasks.
    async with cloud.client() as other:
        for task_id in ids:
            assert (await other.task(task_id).final(120))["state"] == "SUCCEEDED"
    await cloud.at_rest()
    assert all(worker.container["image"].endswith(":v2") for worker in cloud.workers())
    cloud.say("updated to v2")


async def test_a_destroy_stops_what_runs_and_leaves_nothing(cloud: Cloud) -> None:
    """Runs last, because nothing is left."""
    await cloud.script("destroy", "--yes")
    ended = [container for container in cloud.agents.containers.values() if not container.runs]
    assert len(ended) == len(cloud.agents.containers)
    clusters = cloud.aws.client("ecs").describe_clusters(clusters=[NAME])["clusters"]
    assert [cluster["status"] for cluster in clusters] == ["INACTIVE"]
    cloud.say(f"destroyed; {len(ended)} tasks in all, calls: {dict(cloud.aws.calls())}")
