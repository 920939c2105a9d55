"""A pool of GPUs on the emulation: deployed by Terraform, played by the controller's fleet, and removed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.controller.fleets.ecs import EcsFleet
from cluster.settings import load_settings
from cluster.system.ecs_metadata import worker_name
from tests.aws.deployment import Deployment
from tests.aws.emulated_api import MACHINE_PROVIDER, EmulatedAws
from tests.aws.permissions import deployer_may, statements_of, wildcard_faults
from tests.aws.terraform import a_copy, needs_terraform
from tests.system import RedisServer

PROVIDER = "dask-graphql-pool-gpu"
IMAGE = "/aws/service/ecs/optimized-ami/amazon-linux-2023/gpu/recommended/image_id"
POOL = {
    "cpu": 4096, "memory_mib": 14500, "gpu": 1, "max_workers": 4, "capacity": "ec2", "price_per_hour": 1.01,
    "instance_types": ["g5.xlarge", "g6.xlarge"],
}  # fmt: skip

pytestmark = [needs_terraform, pytest.mark.timeout(900), pytest.mark.nightly]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("gpus")
    moto = {"MOTO_ECS_SERVICE_RUNNING": "1"}  # it reports that each service runs one task
    with EmulatedAws(folder / "aws", moto) as aws:
        variables = {
            "image_tag": "v1", "api_min": "1", "plain_http": "true", "authentication": "none", "internal": "true",
            "pools": json.dumps({"gpu": POOL}),
        }  # fmt: skip
        environment = {f"TF_VAR_{name}": value for name, value in variables.items()}
        deployed = Deployment(aws, a_copy(folder / "copy", {**aws.environment, **environment}))
        deployed.log = deployed.script("deploy", "--tag", "v1", "--skip-images", "--yes")
        yield deployed


def test_a_second_plan_is_empty(deployment: Deployment) -> None:
    deployment.terraform.run("plan", "-input=false", "-no-color", "-detailed-exitcode")


def test_machines_may_be_of_the_cluster_and_the_controller_may_start_their_workers(deployment: Deployment) -> None:
    statements = statements_of(deployment.aws.client("iam"))
    assert wildcard_faults(statements) == [f"{PROVIDER} FindEcs: ecs:DiscoverPollEndpoint on every resource"]
    (start,) = [statement for statement in statements if statement.sid == "StartWorkers"]
    assert [resource.rpartition("/")[2] for resource in start.resources] == [
        "dask-graphql-worker-gpu:*", "dask-graphql-worker:*",
    ]  # fmt: skip
    (see,) = [statement for statement in statements if statement.sid == "SeeMachinesThatDrain"]
    assert see.resources == (deployment.outputs["cluster_arn"],)
    launched = deployment.aws.client("ec2").describe_launch_template_versions(LaunchTemplateName=PROVIDER)
    template = launched["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    assert template["ImageId"] == deployment.aws.client("ssm").get_parameter(Name=IMAGE)["Parameter"]["Value"]
    assert template["MetadataOptions"]["HttpTokens"] == "required"


async def test_the_controller_has_workers_with_gpus_there(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in deployment.aws.environment.items():
        monkeypatch.setenv(name, value)
    ecs, cluster = deployment.aws.client("ecs"), deployment.outputs["cluster_arn"]
    redis = RedisServer(tmp_path)
    redis.start()
    fleet = EcsFleet(load_settings(controllers_environment(ecs), redis_url=redis.url, tls_ca="", tls_cert="",
                                   tls_key="", scheduler="tcp://127.0.0.1:8786"))  # fmt: skip
    try:
        assert await fleet.start(1, "gpu") == 1
        (name,) = await fleet.list_workers()
        assert (fleet.pool_of(name), fleet.cost_of("gpu")) == ("gpu", 0.0)
        machine = register(deployment.aws, cluster)
        fleet._poll_at = 0.0
        assert await fleet.list_workers() == {name: False}
        (task,) = tasks_of_gpus(ecs, cluster)
        assert worker_name(task["taskArn"]) == name
        assert (task["containerInstanceArn"], task["launchType"]) == (machine, "EC2")
        assert (fleet.cost_of("gpu"), fleet.outdated) == (1.01, frozenset())
        ecs.update_container_instances_state(cluster=cluster, containerInstances=[machine], status="DRAINING")
        fleet._poll_at = 0.0
        await fleet.list_workers()
        assert fleet.leaving == {name: False}
        assert fleet.problem == ""
    finally:
        await fleet.close()
        redis.stop()


def test_destroy_stops_workers_with_gpus_too(deployment: Deployment) -> None:
    ecs, cluster = deployment.aws.client("ecs"), deployment.outputs["cluster_arn"]
    (task,) = tasks_of_gpus(ecs, cluster)
    (machine,) = ecs.list_container_instances(cluster=cluster)["containerInstanceArns"]
    # The container ends; and its machine leaves the cluster, as the group deletes it.
    ecs.submit_task_state_change(cluster=cluster, task=task["taskArn"], status="STOPPED", reason="the test ends")
    ecs.deregister_container_instance(cluster=cluster, containerInstance=machine, force=True)
    assert "Destroy complete!" in deployment.script("destroy", "--yes")
    assert {action for action in deployment.aws.actions() if not deployer_may(action)} <= {"ecs:ListContainerInstances"}
    assert ecs.list_task_definitions()["taskDefinitionArns"] == []
    assert deployment.aws.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"] == []
    assert deployment.aws.client("ec2").describe_launch_templates()["LaunchTemplates"] == []


def controllers_environment(ecs: Any) -> dict[str, str]:
    """The settings that Terraform gives the controller, but the secret ones."""
    definition = ecs.describe_task_definition(taskDefinition="dask-graphql-controller")["taskDefinition"]
    (container,) = definition["containerDefinitions"]
    return {item["name"]: item["value"] for item in container["environment"]}


def tasks_of_gpus(ecs: Any, cluster: str) -> list[dict[str, Any]]:
    """The tasks of the pool's own family that run."""
    arns = ecs.list_tasks(cluster=cluster, family="dask-graphql-worker-gpu")["taskArns"]
    return list(ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"]) if arns else []


def register(aws: EmulatedAws, cluster: str) -> str:
    """Registers a machine with a GPU, as its agent does once the group has it."""
    (instance,) = aws.client("ec2").run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1)["Instances"]
    machine = aws.client("ecs").register_container_instance(
        cluster=cluster,
        instanceIdentityDocument=json.dumps({"instanceId": instance["InstanceId"]}),
        totalResources=[
            {"name": "MEMORY", "type": "INTEGER", "integerValue": 15_400},
            {"name": "GPU", "type": "STRINGSET", "stringSetValue": ["GPU-0"]},
        ],
        attributes=[{"name": MACHINE_PROVIDER, "value": PROVIDER}],
    )
    return str(machine["containerInstance"]["containerInstanceArn"])
