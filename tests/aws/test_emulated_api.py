"""The emulation behaves like ECS in everything that the fleet depends on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws.deployment import script_module
from tests.aws.emulated_api import EmulatedAws
from tests.aws.service_rollouts import MIN_FAILURES, ServiceRollouts, ServiceTask

CLUSTER = "fleet"


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedAws]:
    with EmulatedAws(tmp_path_factory.mktemp("aws")) as emulated:
        ecs, ec2 = emulated.client("ecs"), emulated.client("ec2")
        ecs.create_cluster(clusterName=CLUSTER, capacityProviders=["FARGATE", "FARGATE_SPOT"])
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
        group = ec2.create_security_group(GroupName="worker", Description="worker", VpcId=vpc)["GroupId"]
        ecs.register_task_definition(
            family="worker", networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
            containerDefinitions=[{"name": "worker", "image": "worker:1"}],
        )  # fmt: skip
        emulated.network = {"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [group]}}  # type: ignore[attr-defined]
        yield emulated


def run(aws: EmulatedAws, **more: Any) -> dict[str, Any]:
    options = {
        "taskDefinition": "worker",
        "capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
        **more,
    }
    answer: dict[str, Any] = aws.client("ecs").run_task(
        cluster=CLUSTER, networkConfiguration=aws.network, **options,  # type: ignore[attr-defined]
    )  # fmt: skip
    return answer


def described(aws: EmulatedAws, arn: str) -> dict[str, Any]:
    (task,) = aws.client("ecs").describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"]
    found: dict[str, Any] = task
    return found


def listed(aws: EmulatedAws, **filters: str) -> list[str]:
    found: list[str] = aws.client("ecs").list_tasks(cluster=CLUSTER, **filters)["taskArns"]
    return found


def test_a_task_lives_as_its_agent_says(aws: EmulatedAws) -> None:
    ecs = aws.client("ecs")
    (task,) = run(aws, startedBy="one", tags=[{"key": "worker", "value": "w1"}])["tasks"]
    arn = task["taskArn"]
    assert (task["lastStatus"], task["desiredStatus"], task["capacityProviderName"]) == (
        "PROVISIONING", "RUNNING", "FARGATE_SPOT",
    )  # fmt: skip
    assert described(aws, arn)["lastStatus"] == "PROVISIONING"
    ecs.submit_task_state_change(cluster=CLUSTER, task=arn, status="RUNNING")
    assert described(aws, arn)["lastStatus"] == "RUNNING"
    assert listed(aws, startedBy="one") == [arn]
    ecs.stop_task(cluster=CLUSTER, task=arn, reason="scaled down")
    stopping = described(aws, arn)
    assert (stopping["lastStatus"], stopping["desiredStatus"]) == ("RUNNING", "STOPPED")
    assert listed(aws, startedBy="one") == []
    assert listed(aws, startedBy="one", desiredStatus="STOPPED") == [arn]
    ecs.submit_task_state_change(
        cluster=CLUSTER, task=arn, status="STOPPED",
        containers=[{"containerName": "worker", "exitCode": 143, "status": "STOPPED"}],
    )  # fmt: skip
    ended = described(aws, arn)
    assert (ended["lastStatus"], ended["stopCode"], ended["stoppedReason"], ended["containers"][0]["exitCode"]) == (
        "STOPPED", "UserInitiated", "scaled down", 143,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("Your Spot Task was interrupted.", "SpotInterruption"),
        ("CannotPullContainerError: not found", "TaskFailedToStart"),
        ("", "EssentialContainerExited"),
    ],
)
def test_a_task_that_ends_by_itself_says_why(aws: EmulatedAws, reason: str, code: str) -> None:
    (task,) = run(aws)["tasks"]
    aws.client("ecs").submit_task_state_change(cluster=CLUSTER, task=task["taskArn"], status="STOPPED", reason=reason)
    assert described(aws, task["taskArn"])["stopCode"] == code


def test_a_provider_without_capacity_starts_nothing_and_another_of_the_strategy_does(aws: EmulatedAws) -> None:
    aws.control(no_capacity=["FARGATE_SPOT"])
    answer = run(aws)
    assert answer["tasks"] == []
    assert "Capacity is unavailable" in answer["failures"][0]["reason"]
    both = [{"capacityProvider": name, "weight": 1} for name in ("FARGATE_SPOT", "FARGATE")]
    assert run(aws, capacityProviderStrategy=both)["tasks"][0]["capacityProviderName"] == "FARGATE"
    aws.control(no_capacity=[])
    assert run(aws)["tasks"]


def test_actions_are_throttled_as_often_as_was_asked_and_counted(aws: EmulatedAws) -> None:
    before = aws.calls()["ListTasks"]
    aws.control(throttled={"ListTasks": 1})
    listed(aws)  # the client tries again by itself
    assert aws.calls()["ListTasks"] == before + 2
    aws.control(throttled={"ListTasks": -1})
    with pytest.raises(ClientError, match="ThrottlingException"):
        listed(aws)
    aws.control(throttled={})
    listed(aws)


def test_run_task_is_refused_with_the_codes_given(aws: EmulatedAws) -> None:
    aws.control(refused_run_tasks=["AccessDeniedException"])
    with pytest.raises(ClientError) as caught:
        run(aws)
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"
    assert run(aws)["tasks"]


def test_the_same_client_token_starts_a_task_once(aws: EmulatedAws) -> None:
    first, second = (run(aws, clientToken="worker-1")["tasks"][0]["taskArn"] for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"overrides": {"containerOverrides": [{"name": "dask-worker"}]}}, "is not a container"),
        ({"count": 11}, "between 1 and 10"),
        ({"startedBy": "x" * 129}, "too long"),
        ({"launchType": "FARGATE"}, "both"),
        ({"capacityProviderStrategy": [{"capacityProvider": "other"}]}, "not associated"),
    ],
)
def test_what_ecs_refuses_is_refused(aws: EmulatedAws, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message):
        run(aws, **more)


def test_started_by_stands_alone_when_tasks_are_listed(aws: EmulatedAws) -> None:
    with pytest.raises(ClientError, match="cannot be combined"):
        listed(aws, startedBy="one", family="worker")


def test_what_was_just_started_or_stopped_does_not_show_yet(aws: EmulatedAws) -> None:
    ecs = aws.client("ecs")
    aws.control(describe_lag_seconds=30)
    (task,) = run(aws, startedBy="late")["tasks"]
    arn = task["taskArn"]
    assert ecs.describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"] == []
    aws.control(describe_lag_seconds=0, stop_lag_seconds=30)
    ecs.submit_task_state_change(cluster=CLUSTER, task=arn, status="RUNNING")
    ecs.stop_task(cluster=CLUSTER, task=arn)
    assert described(aws, arn)["desiredStatus"] == "RUNNING"
    assert listed(aws, startedBy="late") == [arn]
    aws.control(stop_lag_seconds=0)
    assert described(aws, arn)["desiredStatus"] == "STOPPED"


def test_a_hundred_tasks_are_read_at_once_and_no_more(aws: EmulatedAws) -> None:
    with pytest.raises(ClientError, match="100"):
        aws.client("ecs").describe_tasks(cluster=CLUSTER, tasks=["none"] * 101)


def test_a_service_whose_new_revision_does_not_start_is_rolled_back_as_the_deploy_script_reads_it(
    aws: EmulatedAws,
) -> None:
    ecs, rollout_of = aws.client("ecs"), script_module("rollouts").rollout_of
    name, network = "api", aws.network  # type: ignore[attr-defined]
    like = ecs.describe_task_definition(taskDefinition="worker")["taskDefinition"]
    same = {key: like[key] for key in ("containerDefinitions", "cpu", "memory", "networkMode")}
    registered = [ecs.register_task_definition(family=name, **same)["taskDefinition"] for _ in range(2)]
    v1, v2 = (definition["taskDefinitionArn"] for definition in registered)

    def service() -> dict[str, Any]:
        (found,) = ecs.describe_services(cluster=CLUSTER, services=[name])["services"]
        return dict(found)

    def start() -> str:
        primary = service()["deployments"][0]
        return str(
            run(aws, taskDefinition=primary["taskDefinition"], group=f"service:{name}", startedBy=primary["id"])[
                "tasks"
            ][0]["taskArn"]
        )

    def submit(task: str, status: str) -> None:
        ecs.submit_task_state_change(cluster=CLUSTER, task=task, status=status)

    aws.control(rollouts=True)
    ecs.create_service(
        cluster=CLUSTER, serviceName=name, taskDefinition=v1, desiredCount=1, launchType="FARGATE",
        networkConfiguration=network,
        deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": True}},
    )  # fmt: skip
    assert rollout_of(service(), v1).pending == "api 0/1"
    first = start()
    submit(first, "RUNNING")
    assert rollout_of(service(), v1) == ("", "", "")
    # The new one starts beside the old one, and ends again and again.
    ecs.update_service(cluster=CLUSTER, service=name, taskDefinition=v2)
    for failed in range(2):
        submit(start(), "STOPPED")
        now = service()
        assert [(each["status"], each["failedTasks"]) for each in now["deployments"]] == [
            ("PRIMARY", failed + 1), ("ACTIVE", 0),
        ]  # fmt: skip
        assert rollout_of(now, v2).pending == "api 1/1"
    submit(start(), "STOPPED")
    back = service()
    assert back["taskDefinition"] == v1
    assert rollout_of(back, v2).rolled_back.startswith(
        "ECS rolled back from api:2 to api:1: ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/"
    )
    # A deployment of the same revision replaces its tasks; there is nothing to go back to if it is the first one.
    ecs.update_service(cluster=CLUSTER, service=name, forceNewDeployment=True)
    assert rollout_of(service(), v1).pending
    submit(start(), "RUNNING")
    assert rollout_of(service(), v1).pending, "the old task still runs"
    ecs.stop_task(cluster=CLUSTER, task=first)
    submit(first, "STOPPED")
    assert rollout_of(service(), v1) == ("", "", "")


def test_a_first_deployment_that_does_not_start_has_failed() -> None:
    rollouts, now = ServiceRollouts(), datetime.now(UTC)
    rollouts.begin("api:1", now)
    tasks = [ServiceTask(rollouts.primary.id, "STOPPED", "TaskFailedToStart")] * MIN_FAILURES
    rollouts.observe(tasks, 1, {"enable": True, "rollback": True}, now)
    service = {"serviceName": "api", "runningCount": 0, "desiredCount": 1, "deployments": rollouts.described(tasks, 1)}
    gave_up = script_module("rollouts").rollout_of(service, "api:1").gave_up
    assert gave_up == "ECS deployment circuit breaker: tasks failed to start."


def test_the_deploy_script_waits_for_workers_of_an_older_revision_and_tells_which_still_run(
    aws: EmulatedAws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable, value in aws.environment.items():
        monkeypatch.setenv(variable, value)
    ecs, script = aws.client("ecs"), script_module("old_workers")
    (task,) = run(aws)["tasks"]
    found = {
        "region": "us-east-1", "cluster_arn": CLUSTER, "worker_family": "worker",
        "worker_task_definition_arn": task["taskDefinitionArn"].replace(":1", ":2"),
    }  # fmt: skip
    told = rf"still run tasks(.*\n)+  {task['taskArn'].rpartition('/')[2]} of worker:1 for \d+ s"
    with pytest.raises(script.Failed, match=told):
        script.wait_for_old_workers(found, 0.0)
    for arn in listed(aws, family="worker"):
        ecs.stop_task(cluster=CLUSTER, task=arn)
    script.wait_for_old_workers(found, 0.0)
    assert capsys.readouterr().out.endswith("workers of an older revision: none\n")
