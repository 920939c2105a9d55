"""The whole life of the system on an emulated AWS: deployed by the script, inspected, updated, and removed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from cluster.settings import PREFIX, load_settings, variable_of
from tests.aws.deployment import Deployment
from tests.aws.emulated_api import EmulatedAws
from tests.aws.permissions import WILDCARDS, Statement, statements_of, wildcard_faults
from tests.aws.terraform import a_copy, needs_terraform

LEAST_RESOURCES = 130

pytestmark = [needs_terraform, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("deployment")
    # The emulation reports one running task for every service, so one is requested.
    with EmulatedAws(folder / "aws", {"MOTO_ECS_SERVICE_RUNNING": "1"}) as aws:
        deployed = Deployment(
            aws,
            a_copy(
                folder / "copy",
                {
                    **aws.environment,
                    "TF_VAR_image_tag": "v1",
                    "TF_VAR_api_min": "1",
                    "TF_VAR_settings": '{"OTEL_SDK_DISABLED": "true"}',
                },
            ),
        )
        deployed.log = deployed.script("deploy", "--tag", "v1", "--skip-images", "--yes")
        yield deployed


def test_the_first_deployment_makes_everything_in_order(deployment: Deployment) -> None:
    order = [
        "module.redis[0].aws_elasticache_replication_group.this: Creation complete",
        "wrote Dask's TLS material",
        "Redis has a new AUTH token",
        "module.api.aws_ecs_service.this: Creation complete",
        "services: steady",
        "Redis now requires the newest AUTH token",
    ]
    places = [deployment.log.find(text) for text in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)
    assert len(deployment.terraform.run("state", "list").stdout.splitlines()) >= LEAST_RESOURCES


def test_a_second_plan_is_empty_though_aws_runs_a_newer_redis(deployment: Deployment) -> None:
    elasticache = deployment.aws.client("elasticache")
    group = deployment.outputs["redis_replication_group_id"]
    elasticache.modify_replication_group(ReplicationGroupId=group, EngineVersion="8.1", ApplyImmediately=True)
    members = elasticache.describe_cache_clusters()["CacheClusters"]
    assert {member["EngineVersion"] for member in members} == {"8.1.0"}
    deployment.terraform.run("plan", "-input=false", "-no-color", "-detailed-exitcode")


def test_permissions_are_the_least(deployment: Deployment) -> None:
    # Read from what the API was given, in which every ARN is known.
    statements = statements_of(deployment.aws.client("iam"))
    assert {statement.role for statement in statements} == {
        f"dask-graphql-{name}" for name in (
            "api", "worker", "controller", "api-execution", "worker-execution", "controller-execution",
            "scheduler-execution",
        )
    }  # fmt: skip
    assert wildcard_faults(statements) == []
    used = {(statement.kind, action) for statement in statements for action in statement.actions}
    assert set(WILDCARDS) <= used, "an allowed wildcard that nobody uses any more"


def test_the_controller_may_start_and_stop_workers_here_and_nothing_else(deployment: Deployment) -> None:
    cluster = deployment.outputs["cluster_arn"]
    mine = {s.sid: s for s in statements_of(deployment.aws.client("iam")) if s.role == "dask-graphql-controller"}
    arn = cluster.split(":cluster/")[0]
    here = {"ArnEquals": {"ecs:cluster": cluster}}
    role = "arn:aws:iam::123456789012:role/dask-graphql-worker"
    assert mine == {
        "StartWorkers": Statement(
            "dask-graphql-controller", "StartWorkers", ("ecs:RunTask",),
            (f"{arn}:task-definition/dask-graphql-worker:*",), here,
        ),
        "SeeAndStopTasks": Statement(
            "dask-graphql-controller", "SeeAndStopTasks", ("ecs:DescribeTasks", "ecs:StopTask"),
            (f"{arn}:task/dask-graphql/*",), here,
        ),
        "FindTasks": Statement("dask-graphql-controller", "FindTasks", ("ecs:ListTasks",), ("*",), here),
        "TagWorkers": Statement(
            "dask-graphql-controller", "TagWorkers", ("ecs:TagResource",), (f"{arn}:task/dask-graphql/*",),
            {"StringEquals": {"ecs:CreateAction": "RunTask"}},
        ),
        "PassRoles": Statement(
            "dask-graphql-controller", "PassRoles", ("iam:PassRole",), (role, f"{role}-execution"),
            {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        ),
    }  # fmt: skip


def test_nodes_are_told_settings_that_exist_and_no_secret_in_plain_text(deployment: Deployment) -> None:
    secret = {variable_of(name) for name in ("redis_url", "tls_ca", "tls_cert", "tls_key")}
    ecs = deployment.aws.client("ecs")
    for node in ("api", "scheduler", "controller", "worker"):
        definition = ecs.describe_task_definition(taskDefinition=f"dask-graphql-{node}")["taskDefinition"]
        (container,) = definition["containerDefinitions"]
        plain = {item["name"]: item["value"] for item in container["environment"]}
        assert plain.pop("OTEL_SDK_DISABLED") == "true"
        assert all(name.startswith(PREFIX) for name in plain)
        # Refuses unknown variables, invalid values, and values that contradict each other.
        load_settings(
            {**plain, **dict.fromkeys(secret, "PEM"), variable_of("redis_url"): "rediss://:token@redis:6379/0"}
        )
        assert {item["name"] for item in container["secrets"]} == secret
        assert not plain.keys() & secret
        assert container["entryPoint"] + container["command"] == ["dask-graphql", node]
        assert container["name"] == node
    assert container["stopTimeout"] == 120


def test_the_state_holds_no_secret(deployment: Deployment) -> None:
    state = (deployment.terraform.folder / "terraform.tfstate").read_text()
    assert "rediss://" not in state
    assert "BEGIN" not in state
    assert all(not token for token in re.findall(r'"auth_token": "([^"]*)"', state))


def test_redis_and_the_bucket_are_closed_and_encrypted(deployment: Deployment) -> None:
    (group,) = deployment.aws.client("elasticache").describe_replication_groups()["ReplicationGroups"]
    assert (group["TransitEncryptionEnabled"], group["AtRestEncryptionEnabled"], group["MultiAZ"]) == (
        True, True, "enabled",
    )  # fmt: skip
    s3, bucket = deployment.aws.client("s3"), deployment.outputs["results_bucket"]
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket=bucket)["Policy"]
    rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    expiring = {rule["Filter"]["Prefix"]: rule["Expiration"]["Days"] for rule in rules if "Expiration" in rule}
    # A result is kept for a day, and S3 counts whole days from the write. Uploads may be in use for longer.
    assert expiring == {f"results/{digit}": 2 for digit in "0123456789abcdef"}
    assert [rule["Filter"]["Prefix"] for rule in rules if "AbortIncompleteMultipartUpload" in rule] == ["results/"]


def test_only_the_load_balancer_is_open_and_only_known_parts_talk(deployment: Deployment) -> None:
    ec2 = deployment.aws.client("ec2")
    groups = {
        g["GroupId"]: g["GroupName"].removeprefix("dask-graphql-")
        for g in ec2.describe_security_groups()["SecurityGroups"]
        if g["GroupName"].startswith("dask-graphql-")
    }
    flows = set()
    for rule in ec2.describe_security_group_rules()["SecurityGroupRules"]:
        to = groups.get(rule["GroupId"])
        if to and not rule["IsEgress"] and rule["IpProtocol"] == "tcp":
            source = rule.get("CidrIpv4") or groups[rule["ReferencedGroupInfo"]["GroupId"]]
            flows.add((source, to, rule["FromPort"], rule["ToPort"]))
    nodes = ("api", "scheduler", "controller", "worker")
    assert flows == {
        ("0.0.0.0/0", "entry", 80, 80),
        ("entry", "api", 8000, 8000),
        *((node, "scheduler", 8786, 8786) for node in ("api", "controller", "worker")),
        *((node, "worker", 1024, 65535) for node in ("scheduler", "worker")),
        *((node, "redis", 6379, 6379) for node in nodes),
        *((node, "endpoints", 443, 443) for node in (*nodes, "instance")),
    }


def test_a_new_image_tag_touches_only_task_definitions_and_services(deployment: Deployment) -> None:
    services = ("api", "scheduler", "controller")
    changes = deployment.terraform.with_variables(image_tag="v2").plan()["resource_changes"]
    touched = {c["address"]: c["change"]["actions"] for c in changes if c["change"]["actions"] != ["no-op"]}
    read = {address for address, actions in touched.items() if actions == ["read"]}
    assert touched.keys() - read == {
        *(f"module.{node}_node.aws_ecs_task_definition.this" for node in services),
        "module.worker.aws_ecs_task_definition.this",
        *(f"module.{node}.aws_ecs_service.this" for node in services),
    }
    for node in services:
        assert touched[f"module.{node}.aws_ecs_service.this"] == ["update"]


def test_an_update_of_the_api_alone_leaves_the_compute_plane_as_it_is(deployment: Deployment) -> None:
    plan = deployment.terraform.with_variables(image_tag="v2", compute_image_tag="v1").plan()
    touched = {c["address"]: c["change"]["actions"] for c in plan["resource_changes"]}
    changed = {address for address, actions in touched.items() if actions not in (["no-op"], ["read"])}
    assert changed == {"module.api_node.aws_ecs_task_definition.this", "module.api.aws_ecs_service.this"}


def test_a_plan_that_loses_redis_is_refused(deployment: Deployment) -> None:
    said = deployment.refused("deploy", "--tag", "v1", "--skip-images", "--yes", redis_engine="redis")
    assert "loses data, so nothing was applied" in said
    assert "module.redis[0].aws_elasticache_replication_group.this would be replaced, because of engine" in said
    (group,) = deployment.aws.client("elasticache").describe_replication_groups()["ReplicationGroups"]
    assert group["Engine"] == "valkey"


def test_a_rollback_by_ecs_is_no_success(deployment: Deployment) -> None:
    ecs, cluster = deployment.aws.client("ecs"), deployment.outputs["cluster_arn"]
    deployed = deployment.outputs["task_definition_arns"]["api"]
    before = ecs.describe_task_definition(taskDefinition=deployed)["taskDefinition"]
    same = {name: before[name] for name in ("family", "containerDefinitions", "cpu", "memory", "networkMode")}
    other = ecs.register_task_definition(**same)["taskDefinition"]["taskDefinitionArn"]
    # What the circuit breaker does, when the tasks of the new revision do not start.
    ecs.update_service(cluster=cluster, service="api", taskDefinition=other)
    assert "api: ECS rolled back from" in deployment.refused("wait")
    ecs.update_service(cluster=cluster, service="api", taskDefinition=deployed)
    assert "services: steady" in deployment.script("wait")


# Removal (last, because nothing is left) ------------------------------------------------------------------------------


def test_secrets_stay_as_they_are_until_they_are_rotated(deployment: Deployment) -> None:
    manager = deployment.aws.client("secretsmanager")

    def values() -> tuple[str, str]:
        return (
            manager.get_secret_value(SecretId="dask-graphql/redis-url")["SecretString"],
            manager.get_secret_value(SecretId="dask-graphql/dask-tls")["SecretString"],
        )

    def stages() -> list[set[str]]:
        found = manager.describe_secret(SecretId="dask-graphql/redis-url")["VersionIdsToStages"]
        return sorted((set(names) for names in found.values()), key=sorted)

    url, tls = values()
    assert re.fullmatch(rf"rediss://:[0-9a-f]{{64}}@{re.escape(deployment.outputs['redis_address'])}/0", url)
    assert {name: text.split("\n")[0] for name, text in json.loads(tls).items()} == {
        "ca": "-----BEGIN CERTIFICATE-----",
        "cert": "-----BEGIN CERTIFICATE-----",
        "key": "-----BEGIN PRIVATE KEY-----",
    }
    deployment.script("secrets")
    assert values() == (url, tls)
    assert stages() == [{"AWSCURRENT", "DEMANDED"}]
    deployment.script("secrets", "--rotate", "redis")
    assert values()[0] != url
    assert values()[1] == tls
    assert {"AWSCURRENT"} in stages()  # Redis takes both, until every node has the new one
    again = deployment.script("deploy", "--tag", "v1", "--skip-images", "--yes")
    assert "0 added, 0 changed, 0 destroyed" in again
    assert "Redis now requires the newest AUTH token" in again
    assert {"AWSCURRENT", "DEMANDED"} in stages()


def test_destroy_stops_the_workers_first_and_leaves_nothing(deployment: Deployment) -> None:
    ecs, outputs = deployment.aws.client("ecs"), deployment.outputs
    network = {
        "awsvpcConfiguration": {
            "subnets": outputs["subnet_ids"], "securityGroups": [outputs["worker_security_group_id"]],
        }
    }  # fmt: skip
    (task,) = ecs.run_task(
        cluster=outputs["cluster_arn"], taskDefinition=outputs["worker_task_definition_arn"], startedBy="a controller",
        capacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT", "weight": 1}], networkConfiguration=network,
    )["tasks"]  # fmt: skip
    done = deployment.script("destroy", "--yes")
    assert deployment.aws.calls()["StopTask"] == 1, task
    assert "Destroy complete!" in done
    assert json.loads(deployment.terraform.run("show", "-json").stdout).get("values") is None
    (cluster,) = ecs.describe_clusters(clusters=[outputs["cluster_arn"]])["clusters"]
    assert cluster["status"] == "INACTIVE"
    assert ecs.list_task_definitions()["taskDefinitionArns"] == []
    for service, action, key in (
        ("elbv2", "describe_load_balancers", "LoadBalancers"),
        ("elasticache", "describe_replication_groups", "ReplicationGroups"),
        ("ecr", "describe_repositories", "repositories"), ("secretsmanager", "list_secrets", "SecretList"),
        ("logs", "describe_log_groups", "logGroups"), ("ec2", "describe_nat_gateways", "NatGateways"),
        ("cloudwatch", "describe_alarms", "MetricAlarms"), ("s3", "list_buckets", "Buckets"),
        ("servicediscovery", "list_namespaces", "Namespaces"), ("sns", "list_topics", "Topics"),
    ):  # fmt: skip
        left = [
            item for item in getattr(deployment.aws.client(service), action)()[key] if item.get("State") != "deleted"
        ]
        assert left == [], f"{service} still has {left}"
