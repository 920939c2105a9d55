"""The whole life of the system on an emulated AWS: deployed by the script, inspected, updated, and removed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.settings import PREFIX, load_settings, variable_of
from tests.aws.deployment import Deployment
from tests.aws.emulated_api import EmulatedAws
from tests.aws.permissions import WILDCARDS, Statement, deployer_may, statements_of, wildcard_faults
from tests.aws.terraform import Terraform, a_copy, needs_terraform

LEAST_RESOURCES = 150
ROLE_PATH = "/services/"
BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"
TASK_ENVIRONMENT = {"HF_HOME": "/tmp/hf"}
OWN_SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:my-database-AbCdEf"
OWN_PARAMETER = "arn:aws:ssm:us-east-1:123456789012:parameter/my/token"
TASK_SECRETS = {"DATABASE_URL": f"{OWN_SECRET}:url::", "TOKEN": OWN_PARAMETER}

pytestmark = [needs_terraform, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("deployment")
    # The emulation reports one running task for every service, so one is requested.
    # ACM proves a name after a second, as nobody asks Route 53 for its record.
    moto = {"MOTO_ECS_SERVICE_RUNNING": "1", "MOTO_ACM_VALIDATION_WAIT": "1"}
    with EmulatedAws(folder / "aws", moto) as aws:
        zone = aws.client("route53").create_hosted_zone(Name="example.com", CallerReference="tests")["HostedZone"]["Id"]
        deployed = Deployment(
            aws,
            a_copy(
                folder / "copy",
                {
                    **aws.environment,
                    "TF_VAR_image_tag": "v1",
                    "TF_VAR_api_min": "1",
                    "TF_VAR_settings": '{"OTEL_SDK_DISABLED": "true"}',
                    "TF_VAR_domain": json.dumps({"name": "api.example.com", "zone_id": zone.rpartition("/")[2]}),
                    "TF_VAR_access_log_days": "7",
                    "TF_VAR_firewall": "{}",
                    "TF_VAR_kms_key_arn": aws.client("kms").create_key()["KeyMetadata"]["Arn"],
                    "TF_VAR_role_path": ROLE_PATH,
                    "TF_VAR_permissions_boundary_arn": BOUNDARY,
                    "TF_VAR_task_environment": json.dumps(TASK_ENVIRONMENT),
                    "TF_VAR_task_secrets": json.dumps(TASK_SECRETS),
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
    role = f"arn:aws:iam::123456789012:role{ROLE_PATH}dask-graphql-worker"
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
        secrets = {item["name"]: item["valueFrom"] for item in container["secrets"]}
        assert plain.pop("OTEL_SDK_DISABLED") == "true"
        # What tasks bring, on workers alone.
        assert {name: plain.pop(name, None) for name in TASK_ENVIRONMENT} == (
            TASK_ENVIRONMENT if node == "worker" else dict.fromkeys(TASK_ENVIRONMENT)
        )
        assert {name: secrets.pop(name, None) for name in TASK_SECRETS} == (
            TASK_SECRETS if node == "worker" else dict.fromkeys(TASK_SECRETS)
        )
        assert all(name.startswith(PREFIX) for name in plain)
        # Refuses unknown variables, invalid values, and values that contradict each other.
        load_settings(
            {**plain, **dict.fromkeys(secret, "PEM"), variable_of("redis_url"): "rediss://:token@redis:6379/0"}
        )
        assert secrets.keys() == secret
        assert not plain.keys() & secret
        assert container["entryPoint"] + container["command"] == ["dask-graphql", node]
        assert container["name"] == node
    assert container["stopTimeout"] == 120


def test_only_workers_may_read_what_tasks_bring(deployment: Deployment) -> None:
    statements = statements_of(deployment.aws.client("iam"))
    readers = {statement.role for statement in statements if {OWN_SECRET, OWN_PARAMETER} & {*statement.resources}}
    assert readers == {"dask-graphql-worker-execution"}
    parameters = [s for s in statements if s.actions == ("ssm:GetParameters",)]
    assert [s.resources for s in parameters] == [(OWN_PARAMETER,)]


def test_roles_stay_in_their_path_and_boundary(deployment: Deployment) -> None:
    iam = deployment.aws.client("iam")
    roles = [iam.get_role(RoleName=role["RoleName"])["Role"] for role in iam.list_roles()["Roles"]]
    assert {(role["Path"], role["PermissionsBoundary"]["PermissionsBoundaryArn"]) for role in roles} == {
        (ROLE_PATH, BOUNDARY)
    }


def test_a_key_of_ones_own_encrypts_all_that_is_kept_and_nodes_use_it_through_its_service_only(
    deployment: Deployment,
) -> None:
    aws, key = deployment.aws, deployment.aws.client("kms").list_keys()["Keys"][0]["KeyArn"]
    assert {secret["KmsKeyId"] for secret in aws.client("secretsmanager").list_secrets()["SecretList"]} == {key}
    assert {group["kmsKeyId"] for group in aws.client("logs").describe_log_groups()["logGroups"]} == {key}
    repositories = aws.client("ecr").describe_repositories()["repositories"]
    assert {each["encryptionConfiguration"]["kmsKey"] for each in repositories} == {key}
    encryption = aws.client("s3").get_bucket_encryption(Bucket=deployment.outputs["results_bucket"])
    (rule,) = encryption["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    users = [s for s in statements_of(aws.client("iam")) if key in s.resources]
    assert {s.role for s in users if "kms:GenerateDataKey" in s.actions} == {"dask-graphql-api", "dask-graphql-worker"}
    assert all("kms:ViaService" in s.conditions["StringEquals"] for s in users)


def test_ecs_events_of_stopped_tasks_are_kept(deployment: Deployment) -> None:
    events = deployment.aws.client("events")
    (rule,) = events.list_rules()["Rules"]
    assert json.loads(rule["EventPattern"])["detail"] == {
        "clusterArn": [deployment.outputs["cluster_arn"]], "lastStatus": ["STOPPED"],
    }  # fmt: skip
    (target,) = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    assert target["Arn"].endswith(":log-group:/aws/events/dask-graphql-stopped-tasks")


def test_the_script_says_what_the_plan_costs_and_what_the_account_lacks(deployment: Deployment) -> None:
    assert re.search(r"without a worker: \$0\.\d+ an hour, about \$\d+ a month", deployment.log)
    assert "Fargate vCPUs on demand: this system takes up to 26" in deployment.log


def test_the_bucket_of_the_state_has_versions_and_is_closed(deployment: Deployment, tmp_path: Path) -> None:
    s3 = deployment.aws.client("s3")
    elsewhere = Deployment(deployment.aws, Terraform(tmp_path, deployment.terraform.environment))
    (tmp_path / "provider.tf.example").touch()
    name = "dask-graphql-state-123456789012-us-east-1"
    elsewhere.script("state", "--region", "us-east-1")
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    assert all(s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"].values())
    assert (
        json.loads((tmp_path / ".terraform" / "terraform.tfstate").read_text())["backend"]["config"]["bucket"] == name
    )
    assert "found the bucket" in elsewhere.script("state", "--region", "us-east-1")
    s3.delete_bucket(Bucket=name)


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
        *(("0.0.0.0/0", "entry", port, port) for port in (80, 443)),
        ("entry", "api", 8000, 8000),
        *((node, "scheduler", 8786, 8786) for node in ("api", "controller", "worker")),
        *((node, "worker", 1024, 65535) for node in ("scheduler", "worker")),
        *((node, "redis", 6379, 6379) for node in nodes),
        *((node, "endpoints", 443, 443) for node in (*nodes, "instance")),
    }


def test_clients_reach_the_api_by_its_name_with_https_and_plain_http_only_leads_there(deployment: Deployment) -> None:
    assert deployment.outputs["url"] == "https://api.example.com"
    assert "curl https://api.example.com/readyz" in deployment.outputs["next_commands"]
    balancers, route53 = deployment.aws.client("elbv2"), deployment.aws.client("route53")
    (balancer,) = balancers.describe_load_balancers()["LoadBalancers"]
    listeners = balancers.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    actions = {listener["Port"]: listener["DefaultActions"][0]["Type"] for listener in listeners}
    assert actions == {80: "redirect", 443: "forward"}
    (certificate,) = deployment.aws.client("acm").list_certificates()["CertificateSummaryList"]
    assert (certificate["DomainName"], certificate["Status"]) == ("api.example.com", "ISSUED")
    (zone,) = route53.list_hosted_zones_by_name(DNSName="example.com")["HostedZones"][:1]
    records = route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    (alias,) = [record for record in records if record["Type"] == "A"]
    assert alias["Name"] == "api.example.com."
    assert alias["AliasTarget"]["DNSName"].removesuffix(".") == balancer["DNSName"]


def test_a_node_keeps_connections_longer_than_the_load_balancer_and_believes_its_subnets(
    deployment: Deployment,
) -> None:
    balancers, ec2 = deployment.aws.client("elbv2"), deployment.aws.client("ec2")
    (balancer,) = balancers.describe_load_balancers()["LoadBalancers"]
    found = balancers.describe_load_balancer_attributes(LoadBalancerArn=balancer["LoadBalancerArn"])["Attributes"]
    attributes = {item["Key"]: item["Value"] for item in found}
    definition = deployment.aws.client("ecs").describe_task_definition(taskDefinition="dask-graphql-api")
    (container,) = definition["taskDefinition"]["containerDefinitions"]
    told = load_settings(
        {item["name"]: item["value"] for item in container["environment"] if item["name"].startswith(PREFIX)}
    )
    assert told.keep_alive_seconds > int(attributes["idle_timeout.timeout_seconds"])
    stands_in = [zone["SubnetId"] for zone in balancer["AvailabilityZones"]]
    ranges = {subnet["CidrBlock"] for subnet in ec2.describe_subnets(SubnetIds=stands_in)["Subnets"]}
    assert set(told.trusted_proxies.split(",")) == ranges
    assert attributes["access_logs.s3.bucket"] == "dask-graphql-access-logs-123456789012"
    (firewall,) = deployment.aws.client("wafv2").list_web_acls(Scope="REGIONAL")["WebACLs"]
    assert firewall["Name"] == "dask-graphql"


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


@pytest.mark.nightly
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
    # Nobody enforces it there, so it is compared: the least that the deployer may do contains all that it did.
    assert {action for action in deployment.aws.actions() if not deployer_may(action)} == set()
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
