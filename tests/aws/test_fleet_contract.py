"""The contract of every fleet, of local processes and of ECS tasks, with real workers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cluster.controller.fleets import ecs
from cluster.controller.fleets.ecs import EcsFleet
from cluster.controller.fleets.fleet import Fleet
from cluster.controller.fleets.local import LocalFleet
from cluster.scheduling.scheduler_client import SchedulerClient, SchedulerUnavailable
from cluster.settings import Settings
from tests.aws.emulated_api import EmulatedAws
from tests.aws.launcher import Launcher, launched
from tests.system import System


@dataclass
class Place:
    """A fleet, with ways to inspect and kill its workers."""

    make: Callable[[], Fleet]
    scheduler: SchedulerClient
    kill_one: Callable[[], None]
    processes: Callable[[], int]

    async def registered(self) -> set[str]:
        try:
            return {worker["name"] for worker in (await self.scheduler.call("dask_graphql_load"))["workers"]}
        except SchedulerUnavailable:
            return set()


@pytest.fixture(params=["local", "ecs"])
async def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    monkeypatch.setattr(ecs, "POLL_SECONDS", 0.2)
    system = System(tmp_path)
    system.redis.start()
    scheduler = SchedulerClient(system.settings)
    try:
        await system.start("scheduler")
        scheduler.start()
        async with contextlib.AsyncExitStack() as stack:
            if request.param == "local":
                yield local_place(system.settings, scheduler)
            else:
                aws = stack.enter_context(EmulatedAws(tmp_path / "aws"))
                for name, value in aws.environment.items():
                    monkeypatch.setenv(name, value)
                told = ecs_settings(aws, system.settings)
                started_by = "dask-graphql/" + told.key_prefix
                launcher = await stack.enter_async_context(
                    launched(Launcher(aws.client("ecs"), "workers", started_by, system.settings))
                )
                yield ecs_place(told, scheduler, launcher)
    finally:
        await scheduler.close()
        await system.__aexit__(None, None, None)


def local_place(settings: Settings, scheduler: SchedulerClient) -> Place:
    fleets: list[LocalFleet] = []

    def make() -> LocalFleet:
        fleets.append(LocalFleet(settings))
        return fleets[-1]

    def children() -> list[Any]:
        every = [worker.child for fleet in fleets for worker in fleet._workers.values()]
        return [child for child in every if child.process.returncode is None]

    return Place(make, scheduler, lambda: children()[0].process.kill(), lambda: len(children()))


def ecs_place(settings: Settings, scheduler: SchedulerClient, launcher: Launcher) -> Place:
    def children() -> list[Any]:
        return [child for child in launcher.children.values() if child.process.returncode is None]

    return Place(lambda: EcsFleet(settings), scheduler, lambda: children()[0].process.kill(), lambda: len(children()))


def ecs_settings(aws: EmulatedAws, settings: Settings) -> Settings:
    client, ec2 = aws.client("ecs"), aws.client("ec2")
    client.create_cluster(clusterName="workers", capacityProviders=["FARGATE"])
    client.register_task_definition(
        family="worker", networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
        containerDefinitions=[{"name": "worker", "image": "worker:1"}],
    )  # fmt: skip
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/20")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="w", Description="w", VpcId=vpc)["GroupId"]
    return replace(
        settings, fleet="ecs", ecs_cluster="workers", ecs_task_definition="worker", ecs_subnets=(subnet,),
        ecs_security_groups=(group,),
    )  # fmt: skip


async def until(what: str, condition: Callable[[], Any]) -> None:
    try:
        async with asyncio.timeout(60):
            while not await condition():
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"{what} did not come") from None


async def test_a_fleet_keeps_its_contract(place: Place) -> None:
    fleet = place.make()
    await fleet.on_leadership_acquired()
    assert await fleet.list_workers() == {}
    # Started ones count at once, and register under the names that the fleet gave them.
    assert await fleet.start(2) == 2
    names = set(await fleet.list_workers())
    assert len(names) == 2

    async def all_registered() -> bool:
        return await place.registered() == names

    await until("registration under the told names", all_registered)
    assert all((await fleet.list_workers()).values()), "what registered runs"
    assert fleet.problem == ""
    # A dead worker is no longer a member, and its name is not reused.
    place.kill_one()

    async def one_left() -> bool:
        return len(await fleet.list_workers()) == 1

    await until("the loss of a worker", one_left)
    assert await fleet.start(1) == 1
    (new,) = set(await fleet.list_workers()) - names
    # A stopped worker ends; stopping it again, or stopping an unknown one, is not an error.
    await fleet.stop([new, "nobody"])
    await fleet.stop([new])
    assert new not in await fleet.list_workers()

    async def one_process() -> bool:
        return place.processes() == 1

    await until("the end of a stopped worker", one_process)
    # No worker runs unknown: after a controller ends, its workers are gone, or the next controller finds them.
    await fleet.close()
    later = place.make()
    await later.on_leadership_acquired()
    found = await later.list_workers()
    assert len(found) == place.processes()
    await later.stop(list(found))

    async def nothing() -> bool:
        return place.processes() == 0 and not await later.list_workers()

    await until("an empty fleet", nothing)
    await later.close()
