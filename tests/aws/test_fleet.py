"""The fleet of ECS tasks, on the emulated API, and through it with real workers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.controller.fleets import ecs as fleets
from cluster.controller.fleets import ecs_cluster, start_pauses
from cluster.controller.fleets.ecs import POLL_SECONDS, EcsFleet
from cluster.controller.fleets.fleet import FleetUnavailable
from cluster.settings import Settings, load_settings
from cluster.settings.pools import DEFAULT_POOL, pools
from cluster.store.async_store import Store
from cluster.store.leader_lease import LEASE_SECONDS
from cluster.system.child_processes import Child
from cluster.system.ecs_metadata import worker_name
from tests.aws.emulated_api import MACHINE_PROVIDER, EmulatedAws
from tests.aws.launcher import Launcher, launched
from tests.system import RedisServer, System

CLUSTER = "workers"
Make = Callable[[Settings], EcsFleet]


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedAws]:
    with EmulatedAws(tmp_path_factory.mktemp("aws")) as emulated, pytest.MonkeyPatch.context() as patch:
        for name, value in emulated.environment.items():
            patch.setenv(name, value)
        ecs = emulated.client("ecs")
        ecs.create_cluster(clusterName=CLUSTER, capacityProviders=["FARGATE", "FARGATE_SPOT"])
        ecs.register_task_definition(
            family="worker", networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
            containerDefinitions=[{"name": "worker", "image": "worker:1"}],
        )  # fmt: skip
        yield emulated


@pytest.fixture
def settings(aws: EmulatedAws, redis_url: str, request: pytest.FixtureRequest) -> Settings:
    """A separate fleet for each test, by its key prefix."""
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/20")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="w", Description="w", VpcId=vpc)["GroupId"]
    return load_settings(
        {}, redis_url=redis_url, fleet="ecs", ecs_cluster=CLUSTER, ecs_task_definition="worker", ecs_subnets=(subnet,),
        ecs_security_groups=(group,), key_prefix=f"t{abs(hash(request.node.name)) % 10**8}.x",
    )  # fmt: skip


@pytest.fixture
async def fleet_of() -> AsyncIterator[Callable[[Settings], EcsFleet]]:
    """Creates fleets, and closes them at the end."""
    made: list[EcsFleet] = []

    def make(settings: Settings) -> EcsFleet:
        made.append(EcsFleet(settings))
        return made[-1]

    yield make
    for fleet in made:
        await fleet.close()


def started_by(settings: Settings) -> str:
    return "dask-graphql/" + settings.key_prefix.replace(".", "_")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch, aws: EmulatedAws) -> None:
    """Every read is a poll, and calls fail only if a test requests it."""
    monkeypatch.setattr(fleets, "POLL_SECONDS", 0.0)
    aws.control(no_capacity=[], throttled={}, refused_run_tasks=[], list_lag_seconds=0, describe_lag_seconds=0,
                stop_lag_seconds=0)  # fmt: skip


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The fleet's clock, which stands still: one number."""
    now = [1_000.0]
    for module in (fleets, ecs_cluster):
        monkeypatch.setattr(module, "monotonic", lambda: now[0])
    return now


async def test_a_later_controller_finds_what_an_earlier_one_started(
    aws: EmulatedAws, settings: Settings, fleet_of: Make
) -> None:
    first = fleet_of(settings)
    assert await first.start(3) == 3
    names = set(await first.list_workers())
    assert len(names) == 3
    await first.close()
    # The next controller knows only what ECS knows.
    second = fleet_of(settings)
    assert set(await second.list_workers()) == names
    other = fleet_of(replace(settings, key_prefix="another"))
    assert await other.list_workers() == {}
    await second.stop(list(names)[:2])
    assert len(await second.list_workers()) == 1


async def test_the_workers_of_several_schedulers_are_fleets_of_their_own(
    aws: EmulatedAws, settings: Settings, fleet_of: Make
) -> None:
    settings = replace(settings, schedulers=("tls://a:8786", "tls://b:8786"))
    fleets = [fleet_of(settings.of_scheduler(number)) for number in (0, 1)]
    assert [await fleet.start(count) for fleet, count in zip(fleets, (1, 2), strict=True)] == [1, 2]
    assert [len(await fleet.list_workers()) for fleet in fleets] == [1, 2]
    ecs = aws.client("ecs")
    arns = ecs.list_tasks(cluster=CLUSTER, startedBy=f"{started_by(settings)}/1")["taskArns"]
    given = [task["overrides"] for task in ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"]]
    number = {"name": "DASK_GRAPHQL_SCHEDULER_NUMBER", "value": "1"}
    assert [each["containerOverrides"][0]["environment"] for each in given] == [[number]] * 2


async def test_a_launch_whose_answer_was_lost_with_its_controller_starts_nothing_twice(
    aws: EmulatedAws, settings: Settings, fleet_of: Make
) -> None:
    first = fleet_of(settings)
    # It is killed after ECS heard of the launch and before the journal has the answer; and ECS does not list it yet.
    aws.control(list_lag_seconds=30)
    cluster = await first.cluster()
    launch = await first._journal.begin(cluster.launch_request(3, "FARGATE", settings.all_pools[DEFAULT_POOL]))
    await cluster.launch(launch.request, launch.token)
    second = fleet_of(settings)
    await second.on_leadership_acquired()
    assert len(await second.list_workers()) == 3, "known before the list shows them"
    aws.control(list_lag_seconds=0)
    assert len(await second.list_workers()) == 3
    assert len(providers(aws, settings)) == 3, "and started once"


async def test_what_was_just_started_is_known_to_the_next_controller_before_ecs_lists_it(
    aws: EmulatedAws, settings: Settings, fleet_of: Make
) -> None:
    aws.control(list_lag_seconds=30)
    first = fleet_of(settings)
    assert await first.start(12) == 12
    names = set(await first.list_workers())
    assert len(names) == 12
    second = fleet_of(settings)
    await second.on_leadership_acquired()
    assert set(await second.list_workers()) == names


async def test_what_ecs_does_not_show_yet_is_neither_lost_nor_bought_again(
    aws: EmulatedAws, settings: Settings, fleet_of: Make, clock: list[float]
) -> None:
    aws.control(list_lag_seconds=30, describe_lag_seconds=30)
    first = fleet_of(settings)
    assert await first.start(3) == 3
    names = set(await first.list_workers())
    assert len(names) == 3
    # The next controller knows them from the journal alone.
    second = fleet_of(settings)
    await second.on_leadership_acquired()
    assert set(await second.list_workers()) == names
    assert await second.start(1) == 1, "and no pause follows"
    assert first.problem == second.problem == ""
    # What ECS never shows is given up, and bought again at once.
    clock[0] += ecs_cluster.LAG_SECONDS + 1
    first._journal._launches.clear()  # its own clock has gone on by as much
    assert await first.list_workers() == {}
    assert first.problem == ""
    assert await first.start(1) == 1


async def test_what_was_stopped_does_not_come_back_while_ecs_shows_that_it_runs(
    aws: EmulatedAws, settings: Settings, fleet_of: Make
) -> None:
    fleet = fleet_of(settings)
    await fleet.start(2)
    ecs = aws.client("ecs")
    for arn in ecs.list_tasks(cluster=CLUSTER, startedBy=started_by(settings))["taskArns"]:
        ecs.submit_task_state_change(cluster=CLUSTER, task=arn, status="RUNNING")
    stopped, kept = await fleet.list_workers()
    aws.control(stop_lag_seconds=30)
    await fleet.stop([stopped])
    assert set(await fleet.list_workers()) == {kept}


async def test_a_launch_that_never_reached_ecs_is_sent_again(
    aws: EmulatedAws, settings: Settings, fleet_of: Make
) -> None:
    first = fleet_of(settings)
    cluster = await first.cluster()
    await first._journal.begin(cluster.launch_request(2, "FARGATE", settings.all_pools[DEFAULT_POOL]))
    second = fleet_of(settings)
    await second.on_leadership_acquired()
    assert len(await second.list_workers()) == 2


async def test_the_cost_is_that_of_what_runs(aws: EmulatedAws, settings: Settings, fleet_of: Make) -> None:
    fleet = fleet_of(replace(settings, ecs_spot_share=0.5))
    await fleet.start(4)
    await fleet.list_workers()
    one = 0.25 * 0.04048 + 0.5 * 0.004445
    assert fleet.cost_per_hour == pytest.approx(2 * one + 2 * one * 0.3)


async def test_workers_of_another_revision_are_outdated_and_arm64_costs_its_own_price(
    aws: EmulatedAws, settings: Settings, fleet_of: Make
) -> None:
    older = fleet_of(replace(settings, ecs_task_definition="worker:1"))
    await older.start(1)
    (old,) = await older.list_workers()
    assert older.outdated == frozenset()
    x86 = older.worker_cost_per_hour(settings.all_pools[DEFAULT_POOL])
    assert x86 is not None
    assert x86 == pytest.approx(0.25 * 0.04048 + 0.5 * 0.004445)
    arn = aws.client("ecs").register_task_definition(
        family="worker", networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
        runtimePlatform={"cpuArchitecture": "ARM64"}, containerDefinitions=[{"name": "worker", "image": "worker:1"}],
    )["taskDefinition"]["taskDefinitionArn"]  # fmt: skip
    fleet = fleet_of(replace(settings, ecs_task_definition=arn))
    assert await fleet.list_workers() == {old: False}
    await fleet.start(1)
    assert fleet.outdated == {old}
    await fleet.list_workers()
    assert fleet.cost_per_hour == pytest.approx(1.8 * x86)


async def test_500_workers_cost_few_calls(aws: EmulatedAws, settings: Settings, fleet_of: Make) -> None:
    fleet = fleet_of(settings)
    before = aws.calls()
    assert await fleet.start(500) == 500
    assert (aws.calls() - before)["RunTask"] == 50
    before = aws.calls()
    assert len(await fleet.list_workers()) == 500
    used = aws.calls() - before
    # The emulation lists all on one page, ECS 100 on each: five calls more.
    assert used["DescribeTasks"] == 5
    assert used["ListTasks"] <= 5
    assert 10 / POLL_SECONDS < 20 / 2, "half of what the account may ask in a second at most"


async def test_a_task_that_has_ended_is_no_worker(aws: EmulatedAws, settings: Settings, fleet_of: Make) -> None:
    fleet = fleet_of(settings)
    await fleet.start(2)
    ecs = aws.client("ecs")
    one, two = ecs.list_tasks(cluster=CLUSTER, startedBy=started_by(settings))["taskArns"]
    ecs.submit_task_state_change(cluster=CLUSTER, task=one, status="RUNNING")
    assert await fleet.list_workers() == {worker_name(one): True, worker_name(two): False}
    ecs.submit_task_state_change(
        cluster=CLUSTER, task=two, status="STOPPED", reason="CannotPullContainerError: no such image"
    )
    assert await fleet.list_workers() == {worker_name(one): True}
    assert "CannotPullContainerError" in fleet.problem
    # The next one would fail the same way, so it is not started at once.
    assert await fleet.start(1) == 0


async def test_without_spot_capacity_workers_are_on_demand(
    aws: EmulatedAws, settings: Settings, fleet_of: Make
) -> None:
    fleet = fleet_of(replace(settings, ecs_spot_share=0.5))
    await fleet.start(4)
    assert providers(aws, settings) == ["FARGATE", "FARGATE", "FARGATE_SPOT", "FARGATE_SPOT"]
    aws.control(no_capacity=["FARGATE_SPOT"])
    assert await fleet.start(4) == 4
    assert (providers(aws, settings)).count("FARGATE") == 6
    calls = aws.calls()["RunTask"]
    await fleet.start(2)
    assert aws.calls()["RunTask"] == calls + 1, "Spot is not asked for again at once"


def described(aws: EmulatedAws, settings: Settings) -> list[dict[str, Any]]:
    ecs = aws.client("ecs")
    arns = ecs.list_tasks(cluster=CLUSTER, startedBy=started_by(settings))["taskArns"]
    return list(ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"])


def providers(aws: EmulatedAws, settings: Settings) -> list[str]:
    ecs = aws.client("ecs")
    arns = ecs.list_tasks(cluster=CLUSTER, startedBy=started_by(settings))["taskArns"]
    return sorted(task["capacityProviderName"] for task in ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"])


async def test_workers_that_end_before_they_run_make_one_pause_however_many_they_are(
    aws: EmulatedAws, settings: Settings, fleet_of: Make, clock: list[float]
) -> None:
    fleet = fleet_of(settings)
    await fleet.start(10)
    end_all(aws, settings, "CannotPullContainerError: no such image")
    await fleet.list_workers()
    assert "10 workers" in fleet.problem
    assert await fleet.start(1) == 0
    clock[0] += start_pauses.BACKOFF_SECONDS + 0.1
    assert await fleet.start(1) == 1


async def test_spot_workers_that_are_taken_before_they_run_do_not_pause_those_on_demand(
    aws: EmulatedAws, settings: Settings, fleet_of: Make
) -> None:
    fleet = fleet_of(replace(settings, ecs_spot_share=1.0))
    await fleet.start(3)
    end_all(aws, settings, "Your Spot Task was interrupted.")
    await fleet.list_workers()
    assert "Spot" in fleet.problem
    assert await fleet.start(2) == 2
    assert providers(aws, settings) == ["FARGATE", "FARGATE"]


async def test_a_quota_of_spot_does_not_pause_those_on_demand_and_one_of_both_makes_one_pause(
    aws: EmulatedAws, settings: Settings, fleet_of: Make, clock: list[float]
) -> None:
    fleet = fleet_of(replace(settings, ecs_spot_share=1.0))
    aws.control(refused_run_tasks=["ClientException"])
    assert await fleet.start(2) == 2
    assert providers(aws, settings) == ["FARGATE", "FARGATE"]
    clock[0] += fleets.SPOT_PAUSE_SECONDS + 1
    aws.control(refused_run_tasks=["ClientException"] * 2)
    assert await fleet.start(1) == 0
    clock[0] += start_pauses.BACKOFF_SECONDS + 0.1
    assert await fleet.start(1) == 1


async def test_a_throttled_start_of_spot_workers_is_not_repeated_at_once_on_demand(
    aws: EmulatedAws, settings: Settings, fleet_of: Make
) -> None:
    fleet = fleet_of(replace(settings, ecs_spot_share=0.5))
    aws.control(throttled={"RunTask": -1})
    calls = aws.calls()["RunTask"]
    assert await fleet.start(4) == 0
    assert aws.calls()["RunTask"] == calls + 3, "one call, with the two repetitions of the client"


async def test_a_throttled_stop_is_repeated_until_ecs_takes_it(
    aws: EmulatedAws, settings: Settings, fleet_of: Make
) -> None:
    fleet = fleet_of(settings)
    await fleet.start(3)
    names = list(await fleet.list_workers())
    aws.control(throttled={"StopTask": -1})
    await fleet.stop(names[:2])
    assert "StopTask" in fleet.problem
    assert set(await fleet.list_workers()) == set(names)
    aws.control(throttled={})
    await fleet.list_workers()
    assert set(await fleet.list_workers()) == {names[2]}


async def test_a_throttled_poll_is_repeated_less_and_less_often(
    aws: EmulatedAws, settings: Settings, fleet_of: Make, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleets, "POLL_SECONDS", POLL_SECONDS)
    monkeypatch.setattr(fleets, "MAX_POLL_SECONDS", 4.0)
    fleet = fleet_of(settings)
    await fleet.start(1)
    aws.control(throttled={"ListTasks": -1})
    polls, calls = [], aws.calls()["ListTasks"]
    for _ in range(18):
        with pytest.raises(FleetUnavailable, match=r"Rate exceeded"):
            await fleet.list_workers()
        if (called := aws.calls()["ListTasks"]) != calls:
            polls.append(clock[0] - 1_000)
            calls = called
        clock[0] += 0.5
    assert polls == [0, 2, 6]
    aws.control(throttled={})
    clock[0] += fleets.MAX_POLL_SECONDS
    assert len(await fleet.list_workers()) == 1
    assert fleet.problem == ""


def end_all(aws: EmulatedAws, settings: Settings, reason: str) -> None:
    """All workers end before they run."""
    ecs = aws.client("ecs")
    for arn in ecs.list_tasks(cluster=CLUSTER, startedBy=started_by(settings))["taskArns"]:
        ecs.submit_task_state_change(cluster=CLUSTER, task=arn, status="STOPPED", reason=reason)


@pytest.mark.parametrize("fault", ["no capacity", "refused", "throttled"])
async def test_a_refused_start_is_told_and_tried_again_later(
    aws: EmulatedAws, settings: Settings, fleet_of: Make, fault: str, clock: list[float]
) -> None:
    fleet = fleet_of(settings)
    faults: dict[str, dict[str, Any]] = {
        "no capacity": {"no_capacity": ["FARGATE"]},
        "refused": {"refused_run_tasks": ["AccessDeniedException"]},
        "throttled": {"throttled": {"RunTask": -1}},
    }
    aws.control(**faults[fault])
    assert await fleet.start(2) == 0
    assert fleet.problem
    assert await fleet.list_workers() == {}, "what was refused is no worker"
    calls = aws.calls()["RunTask"]
    assert await fleet.start(2) == 0
    assert aws.calls()["RunTask"] == calls, "not again at once"
    aws.control(no_capacity=[], throttled={})
    clock[0] += start_pauses.BACKOFF_SECONDS + 0.1
    assert await fleet.start(2) == 2
    assert fleet.problem == ""


async def test_a_platform_that_does_not_answer_is_no_empty_fleet(
    aws: EmulatedAws, settings: Settings, fleet_of: Make
) -> None:
    fleet = fleet_of(settings)
    aws.control(throttled={"ListTasks": -1})
    with pytest.raises(FleetUnavailable):
        await fleet.list_workers()


def system_of(tmp_path: Path, settings: Settings, **changes: Any) -> System:
    """A system whose controller has the fleet of `settings`."""
    return System(
        tmp_path, fleet="ecs", ecs_cluster=CLUSTER, ecs_task_definition="worker", ecs_subnets=settings.ecs_subnets,
        ecs_security_groups=settings.ecs_security_groups, **changes,
    )  # fmt: skip


@pytest.mark.nightly  # tests/aws/test_whole_path.py has a burst
@pytest.mark.timeout(420)
async def test_a_burst_buys_workers_a_new_controller_goes_on_and_idleness_releases_them(
    aws: EmulatedAws, settings: Settings, fleet_of: Make, tmp_path: Path
) -> None:
    """Real scheduler, real controller, real workers: only the API that starts them is emulated."""
    system = system_of(tmp_path, settings, min_workers=1, max_workers=3)
    system.redis.start()
    fleet = fleet_of(system.settings)
    try:
        for role in ("scheduler", "api", "controller"):
            await system.start(role)
        started = started_by(system.settings)
        async with launched(Launcher(aws.client("ecs"), CLUSTER, started, system.settings)) as launcher:
            await system.ready()
            assert len(await fleet.list_workers()) == 1
            # A burst: more workers, never more than the maximum.
            many = "mutation($i: [SlowInput!]!) { submitSlowMany(inputs: $i) { taskId } }"
            inputs = [{"folder": str(tmp_path), "n": n, "seconds": 1.0} for n in range(80)]
            ids = [item["taskId"] for item in (await system.ask(many, {"i": inputs}))["submitSlowMany"]]
            async with asyncio.timeout(120):
                while len(await fleet.list_workers()) < 3:
                    await asyncio.sleep(0.2)
            bought = set(await fleet.list_workers())
            # The controller is killed; the next one starts no second fleet.
            await system.kill("controller")
            await system.start("controller")
            for task_id in ids:
                assert (await system.result(task_id))["state"] == "SUCCEEDED"
            assert set(await fleet.list_workers()) <= bought
            # A worker is taken away as Spot does: what it ran is run again, and another one is bought. It is one that
            # runs a task, so that the controller does not release it meanwhile.
            gated = "mutation($f: String!) { submitGated(folder: $f, n: 1) { taskId } }"
            later = (await system.ask(gated, {"f": str(tmp_path)}))["submitGated"]["taskId"]
            async with asyncio.timeout(60):
                while not (tmp_path / "begun-1").exists():
                    await asyncio.sleep(0.05)
            record = await system.ask("query($id: ID!) { task(taskId: $id) { worker } }", {"id": later})
            (busy,) = [
                child
                for arn, child in launcher.children.items()
                if record["task"]["worker"].startswith(worker_name(arn))
            ]
            busy.process.kill()
            (tmp_path / "gate-1").touch()
            assert (await system.result(later))["state"] == "SUCCEEDED"
            # Idle: back to the minimum.
            async with asyncio.timeout(150):
                while len(await fleet.list_workers()) > 1:
                    await asyncio.sleep(0.5)
            await system.kill("controller")
            await fleet.stop(list(await fleet.list_workers()))
            async with asyncio.timeout(30):
                while await launcher.tasks():
                    await asyncio.sleep(0.2)
    finally:
        await system.__aexit__(None, None, None)


async def test_of_two_controllers_one_acts_and_the_other_takes_over(
    aws: EmulatedAws, settings: Settings, tmp_path: Path
) -> None:
    system = system_of(tmp_path, settings, min_workers=3, max_workers=3)
    system.redis.start()
    store = Store(system.settings)
    both: list[Child] = []

    async def word() -> dict[str, Any]:
        """What a controller published last."""
        text = await store.command("GET", store.calls.fleet_key)
        return dict(json.loads(text)) if text else {}

    def workers() -> list[str]:
        return providers(aws, system.settings)

    try:
        await system.start("scheduler")
        for _ in range(2):
            await system.start("controller")
            both.append(system.children.pop("controller"))
        async with asyncio.timeout(60):
            while (await word()).get("launching") != 3:
                await asyncio.sleep(0.1)
        assert len(workers()) == 3
        # Each active controller is killed in turn: the other one continues with the same workers.
        for killed in (0, 1):
            both[killed].process.kill()
            await both[killed].process.wait()
            over = (time.time() + LEASE_SECONDS) * 1000  # by when the lease of a killed one has ended
            await system.start("controller")
            both.append(system.children.pop("controller"))
            async with asyncio.timeout(60):
                while (await word()).get("at", 0) < over:
                    await asyncio.sleep(0.1)
            assert (await word())["launching"] == 3
            assert len(workers()) == 3
    finally:
        for child in both:
            if child.process.returncode is None:
                child.process.kill()
        await store.close()
        await system.__aexit__(None, None, None)


async def test_a_pools_workers_have_its_size_its_share_of_spot_and_their_place_in_it_for_later_controllers_too(
    aws: EmulatedAws, settings: Settings, fleet_of: Make
) -> None:
    two = pools('{"big": {"cpu": 4, "memory_gib": 30, "max_workers": 5, "spot_share": 0.5}}')
    settings = replace(settings, pools=two, ecs_vcpu_hour_price=0.04, ecs_gb_hour_price=0.004)
    first = fleet_of(settings)
    assert (await first.start(1), await first.start(2, "big")) == (1, 2)
    tasks = described(aws, settings)
    assert sorted((task["cpu"], task["memory"]) for task in tasks) == [("256", "512"), *[("4096", "30720")] * 2]
    assert sorted(task["capacityProviderName"] for task in tasks if task["cpu"] == "4096") == [
        "FARGATE",
        "FARGATE_SPOT",
    ]
    on_demand = 4 * 0.04 + 30 * 0.004
    assert first.cost_of("big") == pytest.approx(on_demand * 1.3)
    assert first.cost_per_hour == pytest.approx(on_demand * 1.3 + 0.25 * 0.04 + 0.5 * 0.004)
    await first.close()
    # ECS shows them late: the journal knows which pool they belong to.
    aws.control(list_lag_seconds=30, describe_lag_seconds=30)
    second = fleet_of(settings)
    await second.on_leadership_acquired()
    seen = await second.list_workers()
    assert sorted(second.pool_of(name) for name in seen) == ["big", "big", "default"]
    aws.control(list_lag_seconds=0, describe_lag_seconds=0)
    assert sorted(second.pool_of(name) for name in await second.list_workers()) == ["big", "big", "default"]


def add_machines(aws: EmulatedAws, provider: str, *, scaling: str) -> Callable[..., str]:
    """Adds a capacity provider of machines to the cluster. What is returned registers one, as its agent does.

    Args:
        scaling: whether ECS scales the group: `ENABLED`, and then tasks wait for machines, or `DISABLED`.
    """
    ecs, ec2 = aws.client("ecs"), aws.client("ec2")
    group = f"arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:1:autoScalingGroupName/{provider}"
    ecs.create_capacity_provider(
        name=provider,
        autoScalingGroupProvider={"autoScalingGroupArn": group, "managedScaling": {"status": scaling}},
    )
    known = ecs.describe_clusters(clusters=[CLUSTER])["clusters"][0]["capacityProviders"]
    ecs.put_cluster_capacity_providers(
        cluster=CLUSTER, capacityProviders=[*known, provider], defaultCapacityProviderStrategy=[]
    )

    def register(*, gpus: int, memory_mib: int) -> str:
        (instance,) = ec2.run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1)["Instances"]
        machine = ecs.register_container_instance(
            cluster=CLUSTER,
            instanceIdentityDocument=json.dumps({"instanceId": instance["InstanceId"]}),
            totalResources=[
                {"name": "MEMORY", "type": "INTEGER", "integerValue": memory_mib},
                {"name": "GPU", "type": "STRINGSET", "stringSetValue": [f"GPU-{n}" for n in range(gpus)]},
            ],
            attributes=[{"name": MACHINE_PROVIDER, "value": provider}],
        )
        return str(machine["containerInstance"]["containerInstanceArn"])

    return register


def gpu_settings(aws: EmulatedAws, settings: Settings, provider: str, **more: Any) -> Settings:
    """A pool `gpu` on the machines of a provider, with a task definition of its own, beside the default pool."""
    definition = aws.client("ecs").register_task_definition(
        family=f"worker-{provider}", networkMode="awsvpc", requiresCompatibilities=["EC2"], cpu="4096", memory="15000",
        containerDefinitions=[
            {"name": "worker", "image": "worker:1", "resourceRequirements": [{"type": "GPU", "value": "1"}]}
        ],
    )["taskDefinition"]["taskDefinitionArn"]  # fmt: skip
    pool = {
        "cpu": 4, "memory_gib": 15_000 / 1024, "gpu": 1, "max_workers": 5, "capacity": "ec2",
        "capacity_provider": provider, **more,
    }  # fmt: skip
    return replace(
        settings, pools=pools(json.dumps({"gpu": pool})), ecs_pool_task_definitions=(f"gpu={definition}",),
        ecs_assign_public_ip=True, ecs_task_definition="worker:1",
    )  # fmt: skip


async def test_workers_with_gpus_fill_one_machine_after_another_and_have_their_own_definition_and_price(
    aws: EmulatedAws, settings: Settings, fleet_of: Make
) -> None:
    register = add_machines(aws, "gpus", scaling="ENABLED")
    first, second = (register(gpus=2, memory_mib=62_000) for _ in range(2))
    settings = gpu_settings(aws, settings, "gpus", price_per_hour=1.5)
    fleet = fleet_of(settings)
    assert (await fleet.start(3, "gpu"), await fleet.start(1)) == (3, 1)
    names = await fleet.list_workers()
    assert sorted(fleet.pool_of(name) for name in names) == ["default", "gpu", "gpu", "gpu"]
    tasks = [task for task in described(aws, settings) if task["launchType"] == "EC2"]
    assert {task["taskDefinitionArn"].rpartition("/")[2] for task in tasks} == {"worker-gpus:1"}
    assert sorted([task["containerInstanceArn"] for task in tasks].count(machine) for machine in (first, second)) == [
        1,
        2,
    ]
    assert fleet.outdated == frozenset()
    assert fleet.cost_of("gpu") == pytest.approx(3 * 1.5)
    assert fleet.cost_per_hour == pytest.approx(3 * 1.5 + 0.25 * 0.04048 + 0.5 * 0.004445)
    # A fifth one finds no GPU: ECS looks for a machine, which costs nothing yet and is told when it takes long.
    assert await fleet.start(2, "gpu") == 2
    await fleet.list_workers()
    assert fleet.cost_of("gpu") == pytest.approx(4 * 1.5)
    assert fleet.problem == ""
    unpriced = fleet_of(gpu_settings(aws, settings, "gpus"))
    await unpriced.list_workers()
    assert (unpriced.cost_of("gpu"), unpriced.cost_per_hour) == (None, None), "it is not known, and not zero"


async def test_workers_that_ecs_has_no_machine_for_are_told_and_run_when_one_comes(
    aws: EmulatedAws, settings: Settings, fleet_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    register = add_machines(aws, "coming", scaling="ENABLED")
    settings = gpu_settings(aws, settings, "coming")
    fleet = fleet_of(settings)
    await fleet.start(1, "gpu")
    (name,) = await fleet.list_workers()
    assert fleet.problem == ""
    monkeypatch.setattr(fleets, "MACHINE_SECONDS", 0.0)
    await fleet.list_workers()
    assert "1 worker of gpu: no machine for" in fleet.problem
    machine = register(gpus=1, memory_mib=15_500)
    assert await fleet.list_workers() == {name: False}
    assert fleet.problem == ""
    (task,) = described(aws, settings)
    assert task["containerInstanceArn"] == machine


async def test_a_machine_that_lacks_gpus_pauses_their_pool_alone(
    aws: EmulatedAws, settings: Settings, fleet_of: Make, clock: list[float]
) -> None:
    add_machines(aws, "fixed", scaling="DISABLED")(gpus=1, memory_mib=62_000)
    fleet = fleet_of(gpu_settings(aws, settings, "fixed"))
    assert await fleet.start(3, "gpu") == 1
    assert "No machine has room for a worker of the pool gpu: RESOURCE:GPU" in fleet.problem
    calls = aws.calls()["RunTask"]
    assert await fleet.start(1, "gpu") == 0
    assert aws.calls()["RunTask"] == calls, "it is not asked for again at once"
    assert await fleet.start(2) == 2, "and the other pool goes on"
    clock[0] += start_pauses.BACKOFF_SECONDS + 0.1
    assert await fleet.start(1, "gpu") == 0
    assert aws.calls()["RunTask"] == calls + 2, "after its pause it is"


async def test_workers_on_a_machine_that_drains_are_leaving(
    aws: EmulatedAws, settings: Settings, fleet_of: Make
) -> None:
    register = add_machines(aws, "draining", scaling="ENABLED")
    machine, _ = (register(gpus=1, memory_mib=15_500) for _ in range(2))
    fleet = fleet_of(gpu_settings(aws, settings, "draining"))
    await fleet.start(2, "gpu")
    await fleet.start(1)
    await fleet.list_workers()
    assert fleet.leaving == {}
    ecs = aws.client("ecs")
    ecs.update_container_instances_state(cluster=CLUSTER, containerInstances=[machine], status="DRAINING")
    await fleet.list_workers()
    (on_it,) = [task for task in described(aws, settings) if task.get("containerInstanceArn") == machine]
    leaving = worker_name(on_it["taskArn"])
    assert fleet.leaving == {leaving: False}
    assert on_it["desiredStatus"] == "RUNNING", "ECS itself stops no task that is of no service"
    on_spot = fleet_of(gpu_settings(aws, settings, "draining", spot_share=0.5))
    await on_spot.list_workers()
    assert on_spot.leaving == {leaving: True}
    # A read that ECS refuses is told, and what is known stays.
    aws.control(throttled={"ListContainerInstances": -1})
    assert len(await fleet.list_workers()) == 3
    assert "ListContainerInstances" in fleet.problem
    assert fleet.leaving == {leaving: False}
