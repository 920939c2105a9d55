"""terraform/: its form, its plans, its permissions, and a whole life of it against an emulated AWS."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.settings import PREFIX, Settings, variable_of
from tests.aws.emulated_api import EmulatedAws
from tests.aws.permissions import WILDCARDS, Statement, statements_of, wildcard_faults

ROOT = Path(__file__).parent.parent.parent
SOURCES = ROOT / "terraform"
FLEET = variable_of("fleet")
VARIABLE = re.compile(r'^variable "([a-z_0-9]+)"', re.MULTILINE)
OUTPUT = re.compile(r'^output "([a-z_0-9]+)"', re.MULTILINE)

needs_terraform = pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not installed")


@dataclass
class Terraform:
    """A copy of terraform/ with a state of its own."""

    folder: Path
    environment: dict[str, str]

    def run(self, *arguments: str, expected: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["terraform", f"-chdir={self.folder}", *arguments],
            env=self.environment, check=False, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode in expected, f"terraform {arguments[0]}: {done.stdout[-4_000:]}{done.stderr[-4_000:]}"
        return done

    def with_variables(self, **variables: object) -> Terraform:
        """The same folder and state, with other variables."""
        more = {
            f"TF_VAR_{key}": value if isinstance(value, str) else json.dumps(value) for key, value in variables.items()
        }
        return Terraform(self.folder, {**self.environment, **more})

    def plan(self, *arguments: str) -> dict[str, Any]:
        """A plan as Terraform shows it in JSON."""
        self.run("plan", "-input=false", "-no-color", "-out=test.tfplan", *arguments)
        shown: dict[str, Any] = json.loads(self.run("show", "-json", "test.tfplan").stdout)
        return shown

    def outputs(self) -> dict[str, Any]:
        found = json.loads(self.run("output", "-json").stdout)
        return {name: item["value"] for name, item in found.items()}


def a_copy(folder: Path, environment: Mapping[str, str]) -> Terraform:
    shutil.copytree(
        SOURCES, folder, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars", "backend.tf")
    )
    terraform = Terraform(folder, {**os.environ, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1", **environment})
    terraform.run("init", "-input=false", "-no-color", "-backend=false")
    return terraform


@pytest.fixture(scope="module")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    """For what needs no API."""
    return a_copy(tmp_path_factory.mktemp("terraform") / "copy", {})


@dataclass
class Deployment:
    """What was applied to the emulation, once for all tests of this module."""

    aws: EmulatedAws
    terraform: Terraform
    plan: dict[str, Any]
    outputs: dict[str, Any]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("deployment")
    with EmulatedAws(folder / "aws") as aws:
        terraform = a_copy(folder / "copy", {**aws.environment, "TF_VAR_image_tag": "v1"})
        plan = terraform.plan()
        terraform.run("apply", "-input=false", "-no-color", "-parallelism=30", "test.tfplan")
        yield Deployment(aws, terraform, plan, terraform.outputs())


# The sources ----------------------------------------------------------------------------------------------------------


@needs_terraform
def test_the_sources_are_formatted() -> None:
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive", "-diff", str(SOURCES)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@needs_terraform
@pytest.mark.timeout(120)
def test_the_sources_are_valid(terraform: Terraform) -> None:
    terraform.run("validate", "-no-color")


@needs_terraform
@pytest.mark.timeout(300)
@pytest.mark.parametrize("file", sorted(path.name for path in (SOURCES / "tests").glob("*.tftest.hcl")))
def test_terraforms_own_tests_pass(terraform: Terraform, file: str) -> None:
    assert "0 failed" in terraform.run("test", "-no-color", f"-filter=tests/{file}").stdout


def test_every_variable_and_output_is_in_the_readme_and_no_other() -> None:
    page = (SOURCES / "README.md").read_text()
    inputs, outputs = page.partition("## Outputs")[::2]
    row = re.compile(r"^\| `([a-z_0-9]+)` \|", re.MULTILINE)
    assert row.findall(inputs.partition("## Inputs")[2]) == VARIABLE.findall((SOURCES / "variables.tf").read_text())
    assert row.findall(outputs) == OUTPUT.findall((SOURCES / "outputs.tf").read_text())


@pytest.mark.parametrize("module", sorted((SOURCES / "modules").iterdir()), ids=lambda path: path.name)
def test_every_module_has_the_same_files_and_says_what_its_variables_mean(module: Path) -> None:
    assert {"main.tf", "variables.tf", "outputs.tf", "versions.tf"} <= {path.name for path in module.iterdir()}
    for file, name in (("variables.tf", "variable"), ("outputs.tf", "output")):
        blocks = re.split(rf'^{name} "', (module / file).read_text(), flags=re.MULTILINE)[1:]
        for block in blocks:
            assert "description" in block, f"{module.name}: {name} {block.split(chr(34))[0]} has no description"


# Against the emulation ------------------------------------------------------------------------------------------------


@needs_terraform
@pytest.mark.timeout(300)
def test_a_second_plan_is_empty(deployment: Deployment) -> None:
    deployment.terraform.run("plan", "-input=false", "-no-color", "-detailed-exitcode")


@needs_terraform
@pytest.mark.timeout(300)
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


@needs_terraform
@pytest.mark.timeout(300)
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


@needs_terraform
@pytest.mark.timeout(300)
def test_nodes_are_told_settings_that_exist_and_no_secret_in_plain_text(deployment: Deployment) -> None:
    known = {variable_of(name) for name in Settings.__dataclass_fields__}
    secret = {variable_of(name) for name in ("redis_url", "tls_ca", "tls_cert", "tls_key")}
    ecs = deployment.aws.client("ecs")
    for node in ("api", "scheduler", "controller", "worker"):
        definition = ecs.describe_task_definition(taskDefinition=f"dask-graphql-{node}")["taskDefinition"]
        (container,) = definition["containerDefinitions"]
        plain = {item["name"]: item["value"] for item in container["environment"]}
        assert all(name.startswith(PREFIX) for name in plain)
        if "fleet" not in Settings.__dataclass_fields__:
            # This version's controller has local processes alone.
            plain = {name: value for name, value in plain.items() if not name.startswith((FLEET, f"{PREFIX}ECS_"))}
        assert plain.keys() <= known, f"{node} would refuse to start"
        assert {item["name"] for item in container["secrets"]} == secret
        assert not plain.keys() & secret
        assert container["entryPoint"] + container["command"] == ["dask-graphql", node]
        assert container["name"] == node
    assert container["stopTimeout"] == 120


@needs_terraform
@pytest.mark.timeout(300)
def test_the_state_holds_no_secret(deployment: Deployment) -> None:
    state = (deployment.terraform.folder / "terraform.tfstate").read_text()
    assert "rediss://" not in state
    assert "BEGIN" not in state
    assert all(not token for token in re.findall(r'"auth_token": "([^"]*)"', state))


@needs_terraform
@pytest.mark.timeout(300)
def test_redis_and_the_bucket_are_closed_and_encrypted(deployment: Deployment) -> None:
    (group,) = deployment.aws.client("elasticache").describe_replication_groups()["ReplicationGroups"]
    assert (group["TransitEncryptionEnabled"], group["AtRestEncryptionEnabled"], group["MultiAZ"]) == (
        True, True, "enabled",
    )  # fmt: skip
    s3, bucket = deployment.aws.client("s3"), deployment.outputs["results_bucket"]
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket=bucket)["Policy"]
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert rule["Expiration"]["Days"] == 2  # a result is kept for a day, and S3 counts whole days from the write


@needs_terraform
@pytest.mark.timeout(300)
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


@needs_terraform
@pytest.mark.timeout(300)
def test_a_new_image_tag_touches_only_task_definitions_and_services(deployment: Deployment) -> None:
    services = ("api", "scheduler", "controller")
    changes = deployment.terraform.with_variables(image_tag="v2").plan()["resource_changes"]
    touched = {c["address"]: c["change"]["actions"] for c in changes if c["change"]["actions"] != ["no-op"]}
    read = {address for address, actions in touched.items() if actions == ["read"]}
    assert touched.keys() - read == {
        *(f"module.{node}.module.node.aws_ecs_task_definition.this" for node in (*services, "worker")),
        *(f"module.{node}.aws_ecs_service.this" for node in services),
    }
    for node in services:
        assert touched[f"module.{node}.aws_ecs_service.this"] == ["update"]


# Deployed by the script, and taken away (last, since nothing is left) -------------------------------------------------


def script(deployment: Deployment, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "aws" / "deploy.py"), *arguments],
        env={**deployment.terraform.environment, "TERRAFORM_DIR": str(deployment.terraform.folder),
             "DEPLOY_POLL_SECONDS": "0.2"},
        check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@needs_terraform
@pytest.mark.timeout(300)
def test_the_script_writes_the_secrets_once_and_anew_when_asked(deployment: Deployment) -> None:
    manager = deployment.aws.client("secretsmanager")

    def values() -> tuple[str, str]:
        return (
            manager.get_secret_value(SecretId="dask-graphql/redis-url")["SecretString"],
            manager.get_secret_value(SecretId="dask-graphql/dask-tls")["SecretString"],
        )

    assert script(deployment, "secrets").returncode == 0
    url, tls = values()
    assert re.fullmatch(rf"rediss://:[0-9a-f]{{64}}@{re.escape(deployment.outputs['redis_address'])}/0", url)
    assert {name: text.split("\n")[0] for name, text in json.loads(tls).items()} == {
        "ca": "-----BEGIN CERTIFICATE-----",
        "cert": "-----BEGIN CERTIFICATE-----",
        "key": "-----BEGIN PRIVATE KEY-----",
    }  # fmt: skip
    assert script(deployment, "secrets").returncode == 0
    assert values() == (url, tls)
    assert script(deployment, "secrets", "--rotate", "redis").returncode == 0
    assert values()[0] != url
    assert values()[1] == tls
    deployment.terraform.run("plan", "-input=false", "-no-color", "-detailed-exitcode")


@needs_terraform
@pytest.mark.timeout(300)
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
    done = script(deployment, "destroy", "--yes")
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    calls = deployment.aws.calls()
    assert calls["StopTask"] == 1, task
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
