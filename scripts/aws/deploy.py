#!/usr/bin/env python3
"""Deploys the system to AWS and removes it again. Terraform (terraform/) does everything in between.

    scripts/aws/deploy.py deploy --tag v1     images, secrets, apply, wait: the first time and for every update
    scripts/aws/deploy.py deploy --tag v2 --api-only     replaces the api nodes alone
    scripts/aws/deploy.py images --tag v1     builds and pushes the four images
    scripts/aws/deploy.py secrets             writes missing secrets; --rotate redis|tls replaces one
    scripts/aws/deploy.py wait                waits until every service is steady
    scripts/aws/deploy.py key NAME            creates an API key with a task in the cluster, and prints it
    scripts/aws/deploy.py keys list           runs `dask-graphql keys ...` there: list, revoke ID, create NAME --days 90
    scripts/aws/deploy.py state --region R    keeps Terraform's state in S3, in a bucket that it makes
    scripts/aws/deploy.py destroy             stops the workers, which Terraform does not know, and destroys the rest

It needs boto3, `terraform`, AWS credentials and, for images, `docker`. Variables come from terraform/*.tfvars or
TF_VAR_*. Secrets are created here and stored only in Secrets Manager and ElastiCache: no plan or state contains one.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import secrets as random_secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import boto3
import costs
import quotas
import remote_state
import terraform_plan
from botocore.exceptions import ClientError
from rollouts import rollout_of
from terraform_plan import losses, replaced_nodes, summary

ROOT: Final = Path(__file__).resolve().parent.parent.parent
TERRAFORM: Final = Path(os.environ.get("TERRAFORM_DIR", ROOT / "terraform"))
NODES: Final = ("api", "scheduler", "worker", "controller")
BEFORE_NODES: Final = ("module.images", "module.redis", "module.cluster.aws_secretsmanager_secret.dask_tls")
"""The resources that must exist before a node can start: the places of images and secrets."""
DEMANDED: Final = "DEMANDED"
"""Stage of the secret's version whose token Redis requires."""
IMAGE_TAG: Final = "TF_VAR_image_tag"
COMPUTE_IMAGE_TAG: Final = "TF_VAR_compute_image_tag"
BUILDER: Final = "dask-graphql"
"""Name of the builder of images."""
WAIT_SECONDS: Final = 1_200.0
LOG_SECONDS: Final = 60.0
POLL_SECONDS: Final = float(os.environ.get("DEPLOY_POLL_SECONDS", "5"))


class Failed(Exception):
    """A failure that the user can act on."""


def run(*command: str, **options: Any) -> None:
    print("+", *command, flush=True)
    if subprocess.run(command, check=False, **options).returncode:
        raise Failed(f"this failed: {' '.join(command)}")


def terraform(*arguments: str) -> None:
    run("terraform", f"-chdir={TERRAFORM}", *arguments)


def apply(approved: bool, may_lose_data: bool, *options: str, api_only: bool = False) -> None:
    """Plans, shows the plan, and carries out exactly that one.

    Raises:
        Failed: it would delete or replace what holds data, or, with `api_only`, another node, or was not approved.
    """
    with tempfile.TemporaryDirectory() as folder:
        plan = f"{folder}/plan"
        terraform("plan", "-input=false", f"-out={plan}", *options)
        shown = subprocess.run(
            ["terraform", f"-chdir={TERRAFORM}", "show", "-json", plan], check=True, capture_output=True, text=True
        )
        read = json.loads(shown.stdout)
        if (lost := losses(read)) and not may_lose_data:
            raise Failed(
                "this plan loses data, so nothing was applied:\n  " + "\n  ".join(lost) + "\nFind out what was changed "
                "(docs/aws.md, Restore Redis). If it is meant: --allow-data-loss"
            )
        if api_only and (nodes := replaced_nodes(read)):
            raise Failed(
                f"this plan replaces more than the api, so nothing was applied: {', '.join(nodes)}. A variable has "
                "changed that they depend on: deploy without --api-only"
            )
        if not options:
            say_cost_and_quotas(read)
        if not approved and not confirmed(f"Apply this plan ({summary(read)})? Only 'yes' applies it: "):
            raise Failed("nothing was applied")
        terraform("apply", "-input=false", plan)


def say_cost_and_quotas(plan: dict[str, Any]) -> None:
    values = terraform_plan.variables(plan)
    print(costs.text(values, terraform_plan.resources(plan)))
    asked = quotas.looked_up(boto3.client("service-quotas", region_name=values["region"]))
    for line in quotas.shortfalls(quotas.wanted(values), asked):
        print(f"quota: {line}", flush=True)


def prepare() -> None:
    """Gives the folder a provider, unless it has one: as a module it must not have any."""
    file = TERRAFORM / "provider.tf"
    if not file.exists():
        shutil.copy(TERRAFORM / "provider.tf.example", file)


def confirmed(question: str) -> bool:
    try:
        return input(question) == "yes"
    except EOFError:
        raise Failed("nobody is there to confirm the plan: --yes applies it without a question") from None


def outputs() -> dict[str, Any]:
    """Terraform's outputs by name; those of resources that do not exist yet are missing."""
    done = subprocess.run(
        ["terraform", f"-chdir={TERRAFORM}", "output", "-json"], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise Failed(f"terraform output: {done.stderr.strip()}")
    return {name: item["value"] for name, item in json.loads(done.stdout).items()}


def client(service: str, found: dict[str, Any]) -> Any:
    return boto3.client(service, region_name=found["region"])  # type: ignore[call-overload]


def waited(what: str) -> Iterator[None]:
    """Yields at each poll until the caller stops, and raises Failed after WAIT_SECONDS."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        yield
        time.sleep(POLL_SECONDS)
    raise Failed(f"timed out after {WAIT_SECONDS:.0f} s while waiting for {what}")


# Images ---------------------------------------------------------------------------------------------------------------


def push_images(found: dict[str, Any], tag: str, build_arguments: list[str], nodes: Sequence[str] = NODES) -> None:
    """Builds and pushes the images that their repositories lack: a tag never changes its image."""
    ecr = client("ecr", found)
    missing = [node for node in nodes if not has_image(ecr, f"{found['name']}/{node}", tag)]
    if not missing:
        print(f"all images already have the tag {tag}")
        return
    login(ecr, found["repositories"][NODES[0]].split("/")[0])
    platform = "linux/arm64" if found["architecture"] == "ARM64" else "linux/amd64"
    arguments = [word for item in build_arguments for word in ("--build-arg", item)]
    small = has_builder()
    for node in missing:
        image = f"{found['repositories'][node]}:{tag}"
        what = ("--platform", platform, "--target", node, *arguments)
        for command in image_commands(image, what, small):
            run(*command)


def has_builder() -> bool:
    """Whether Docker has a builder that compresses as it is told to. It is made at the first build."""

    def works(*words: str) -> bool:
        return subprocess.run(["docker", "buildx", *words], check=False, capture_output=True).returncode == 0

    return works("inspect", BUILDER) or works("create", "--name", BUILDER, "--driver", "docker-container")


def image_commands(image: str, what: tuple[str, ...], small: bool) -> list[tuple[str, ...]]:
    """What builds and pushes an image. `small`: its layers are compressed by zstd, which Fargate unpacks faster than
    gzip; that takes a builder of its own (docs.docker.com, "Image and registry exporters")."""
    if not small:
        return [("docker", "build", "-t", image, *what, str(ROOT)), ("docker", "push", image)]
    output = f"type=image,name={image},push=true,oci-mediatypes=true,compression=zstd,force-compression=true"
    # Without provenance a tag is one image, and no index that counts as several in the repository.
    build = ("docker", "buildx", "build", "--builder", BUILDER, "--provenance=false", "--output", output)
    return [(*build, *what, str(ROOT))]


def has_image(ecr: Any, repository: str, tag: str) -> bool:
    try:
        ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
    except ecr.exceptions.ImageNotFoundException:
        return False
    return True


def login(ecr: Any, registry: str) -> None:
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    # On standard input: an argument would be visible in the list of processes.
    run("docker", "login", "--username", user, "--password-stdin", registry, input=password, text=True)


# Secrets --------------------------------------------------------------------------------------------------------------


def write_secrets(found: dict[str, Any], rotate: str | None) -> None:
    """Writes the secrets that have no value yet, and a new value for `rotate`."""
    manager = client("secretsmanager", found)
    if rotate == "tls" or value_of(manager, found["dask_tls_secret_arn"]) is None:
        manager.put_secret_value(SecretId=found["dask_tls_secret_arn"], SecretString=json.dumps(dask_tls()))
        print("wrote Dask's TLS material")
    if found.get("redis_replication_group_id") is None:
        print("Redis is your own: its secret is unchanged")
    elif rotate == "redis" or value_of(manager, found["redis_url_secret_arn"]) is None:
        set_redis_token(manager, found)


def value_of(manager: Any, secret: str) -> str | None:
    try:
        return str(manager.get_secret_value(SecretId=secret)["SecretString"])
    except manager.exceptions.ResourceNotFoundException:
        return None


def dask_tls() -> dict[str, str]:
    """A new authority and one certificate of it, from `dask-graphql certificates`."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "dask_graphql", "certificates", "--out", folder],
            cwd=ROOT, check=False, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise Failed(f"dask-graphql certificates: {done.stderr.strip()}")
        lines = dict(line.split("=", 1) for line in done.stdout.splitlines())
        return {name: Path(lines[f"DASK_GRAPHQL_TLS_{name.upper()}"]).read_text() for name in ("ca", "cert", "key")}


def set_redis_token(manager: Any, found: dict[str, Any]) -> None:
    """Sets a new AUTH token. Redis accepts the old and the new one (ROTATE) until `deploy` has replaced the nodes and
    requires the new one (SET)."""
    token = random_secrets.token_hex(32)
    modify_token(found, token, "ROTATE")
    manager.put_secret_value(
        SecretId=found["redis_url_secret_arn"], SecretString=f"rediss://:{token}@{found['redis_address']}/0"
    )
    print("Redis has a new AUTH token")


def require_token(found: dict[str, Any]) -> None:
    """Makes Redis accept only the newest token, and no client without one, once every node has it. This happens once
    for each token; a stage of the secret's version records it.

    Nodes read secrets when they start: services whose tasks are older than the token are deployed again. Workers are
    the controller's, and may run for hours: while an older one runs, both tokens stay valid."""
    if found.get("redis_replication_group_id") is None:
        return
    manager, secret = client("secretsmanager", found), found["redis_url_secret_arn"]
    stages: dict[str, list[str]] = manager.describe_secret(SecretId=secret)["VersionIdsToStages"]
    demanded = next((version for version, names in stages.items() if DEMANDED in names), None)
    current = next(version for version, names in stages.items() if "AWSCURRENT" in names)
    if demanded == current:
        return
    since = version_date(manager, secret, current)
    if renewed := services_older_than(found, since):
        ecs = client("ecs", found)
        for service in renewed:
            ecs.update_service(cluster=found["cluster_arn"], service=service, forceNewDeployment=True)
        print("deployed again for the new AUTH token:", ", ".join(renewed))
        wait_for_services(found)
    if workers := tasks_older_than(found, since, family=found["worker_family"]):
        print(f"Redis accepts the old AUTH token too, for {len(workers)} running workers: `deploy` again when they end")
        return
    url = value_of(manager, secret) or ""
    modify_token(found, url.removeprefix("rediss://:").split("@")[0], "SET")
    options = {"RemoveFromVersionId": demanded} if demanded else {}
    manager.update_secret_version_stage(SecretId=secret, VersionStage=DEMANDED, MoveToVersionId=current, **options)
    print("Redis now requires the newest AUTH token")


def version_date(manager: Any, secret: str, version: str) -> datetime:
    pages = manager.list_secret_version_ids(SecretId=secret, MaxResults=100)["Versions"]
    return next((each["CreatedDate"] for each in pages if each["VersionId"] == version), datetime.now(UTC))


def services_older_than(found: dict[str, Any], since: datetime) -> list[str]:
    """The services with a task that started before a time."""
    return [name for name in found["services"] if tasks_older_than(found, since, serviceName=name)]


def tasks_older_than(found: dict[str, Any], since: datetime, **which: str) -> list[str]:
    """The tasks of a service or family that started before a time."""
    ecs, cluster = client("ecs", found), found["cluster_arn"]
    tasks = describe(ecs, cluster, list_tasks(ecs, cluster, **which))
    return [task["taskArn"] for task in tasks if (task.get("startedAt") or task["createdAt"]) < since]


def modify_token(found: dict[str, Any], token: str, strategy: str) -> None:
    elasticache, group = client("elasticache", found), found["redis_replication_group_id"]
    for _ in waited(f"Redis {group} to be available"):
        state = elasticache.describe_replication_groups(ReplicationGroupId=group)["ReplicationGroups"][0]
        if state["Status"] == "available":
            break
    elasticache.modify_replication_group(
        ReplicationGroupId=group, AuthToken=token, AuthTokenUpdateStrategy=strategy, ApplyImmediately=True
    )


# Services -------------------------------------------------------------------------------------------------------------


def wait_for_services(found: dict[str, Any]) -> None:
    """Waits until each service runs only what was deployed. A deployment that ECS gave up is retried once.

    Raises:
        Failed: a service does not start, or ECS has rolled it back.
    """
    ecs = client("ecs", found)
    retried: set[str] = set()
    for _ in waited("all services to be steady"):
        pending, rolled_back = [], []
        for service in ecs.describe_services(cluster=found["cluster_arn"], services=found["services"])["services"]:
            name = service["serviceName"]
            rollout = rollout_of(service, found.get("task_definition_arns", {}).get(name))
            if rollout.gave_up:
                if name in retried:
                    raise Failed(f"{name} does not start: {rollout.gave_up}\nSee the log group /{found['name']}/{name}")
                retried.add(name)
                ecs.update_service(cluster=found["cluster_arn"], service=name, forceNewDeployment=True)
                pending.append(name)
            elif rollout.pending:
                pending.append(rollout.pending)
            elif rollout.rolled_back:
                rolled_back.append(f"{name}: {rollout.rolled_back}\nSee the log group /{found['name']}/{name}")
        if rolled_back and not pending:
            raise Failed("this was not deployed, and the system runs what it ran before:\n" + "\n".join(rolled_back))
        print("services:", ", ".join(pending) or "steady", flush=True)
        if not pending:
            return


def settled_lines(logs: Any, where: dict[str, str]) -> list[str]:
    """The lines of a task that has ended. CloudWatch has them a moment later, not all at once, and none of a command
    that prints nothing: what two looks in a row find is taken for all, and nothing after LOG_SECONDS."""
    end, lines = time.monotonic() + LOG_SECONDS, list[str]()
    while time.monotonic() < end:
        before = lines
        try:
            lines = [event["message"] for event in logs.get_log_events(**where, startFromHead=True)["events"]]
        except logs.exceptions.ResourceNotFoundException:
            lines = []
        if lines and lines == before:
            break
        time.sleep(POLL_SECONDS)
    return lines


def run_in_cluster(found: dict[str, Any], command: list[str]) -> str:
    """Runs `dask-graphql COMMAND` with a task in the cluster, because only nodes can reach Redis. Its output is read
    from the task's log, which is then deleted, as it may hold a key.

    Raises:
        Failed: ECS did not run the task, or the command failed.
    """
    ecs, logs = client("ecs", found), client("logs", found)
    api = ecs.describe_services(cluster=found["cluster_arn"], services=["api"])["services"][0]
    answer = ecs.run_task(
        cluster=found["cluster_arn"], taskDefinition=api["taskDefinition"], launchType="FARGATE", count=1,
        startedBy="dask-graphql-key", networkConfiguration=api["networkConfiguration"],
        overrides={"containerOverrides": [{"name": "api", "command": command}]},
    )  # fmt: skip
    if not answer["tasks"]:
        raise Failed(f"ECS did not run the task: {answer['failures']}")
    arn = answer["tasks"][0]["taskArn"]
    for _ in waited("the task to end"):
        task = ecs.describe_tasks(cluster=found["cluster_arn"], tasks=[arn])["tasks"][0]
        if task["lastStatus"] == "STOPPED":
            break
    where = {"logGroupName": f"/{found['name']}/api", "logStreamName": f"api/api/{arn.rpartition('/')[2]}"}
    lines = settled_lines(logs, where)
    code = next((each.get("exitCode") for each in task["containers"] if each["name"] == "api"), None)
    text = "\n".join(lines)
    if lines:
        logs.delete_log_stream(**where)
    if code != 0:
        raise Failed(f"dask-graphql {' '.join(command)} ended with {code}: {task.get('stoppedReason', '')}\n{text}")
    return text


# Removal --------------------------------------------------------------------------------------------------------------


def drain(found: dict[str, Any]) -> None:
    """Stops the controller, which would replace workers, and then every worker. Terraform does not know the workers,
    and ECS refuses to delete a cluster that runs tasks."""
    ecs, cluster = client("ecs", found), found["cluster_arn"]
    try:
        ecs.update_service(cluster=cluster, service="controller", desiredCount=0)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("ServiceNotFoundException", "ServiceNotActiveException"):
            raise
    for _ in waited("the controller to stop"):
        if not list_tasks(ecs, cluster, serviceName="controller"):
            break
    for _ in waited("the workers to stop"):
        workers = list_tasks(ecs, cluster, family=found["worker_family"])
        for task in workers:
            ecs.stop_task(cluster=cluster, task=task, reason="the system is destroyed")
        stopping = [
            task["taskArn"]
            for task in describe(ecs, cluster, list_tasks(ecs, cluster, "STOPPED", family=found["worker_family"]))
            if task["lastStatus"] != "STOPPED"
        ]
        print(f"workers: asked {len(workers)} to stop, {len(stopping)} stopping", flush=True)
        if not workers and not stopping:
            return


def list_tasks(ecs: Any, cluster: str, status: str = "RUNNING", **which: str) -> list[str]:
    pages = ecs.get_paginator("list_tasks").paginate(cluster=cluster, desiredStatus=status, **which)
    return [arn for page in pages for arn in page["taskArns"]]


def describe(ecs: Any, cluster: str, tasks: list[str]) -> list[dict[str, Any]]:
    return [
        task
        for first in range(0, len(tasks), 100)
        for task in ecs.describe_tasks(cluster=cluster, tasks=tasks[first : first + 100])["tasks"]
    ]


def deregister_task_definitions(found: dict[str, Any]) -> None:
    """Deregisters all revisions. Terraform leaves old ones registered, for rollbacks."""
    ecs = client("ecs", found)
    for node in NODES:
        pages = ecs.get_paginator("list_task_definitions").paginate(familyPrefix=f"{found['name']}-{node}")
        for arn in [arn for page in pages for arn in page["taskDefinitionArns"]]:
            if arn.split("/")[1].rpartition(":")[0] == f"{found['name']}-{node}":
                ecs.deregister_task_definition(taskDefinition=arn)


# Commands -------------------------------------------------------------------------------------------------------------


def deploy(
    tag: str, build_arguments: list[str], approved: bool, may_lose_data: bool, skip_images: bool, api_only: bool
) -> None:
    os.environ.update({IMAGE_TAG: tag})
    prepare()
    terraform("init", "-input=false")
    found = outputs()
    if api_only:
        if "compute_image_tag" not in found:
            raise Failed("--api-only is for a system that runs: deploy all of it first")
        os.environ.update({COMPUTE_IMAGE_TAG: found["compute_image_tag"]})
    if "repositories" not in found or "dask_tls_secret_arn" not in found:
        apply(approved, may_lose_data, *(f"-target={target}" for target in BEFORE_NODES))
        # A targeted apply writes the outputs of the resources that exist.
        found = outputs()
    if not skip_images:
        push_images(found, tag, build_arguments, NODES[:1] if api_only else NODES)
    write_secrets(found, None)
    apply(approved, may_lose_data, api_only=api_only)
    found = outputs()
    wait_for_services(found)
    require_token(found)
    print(found["next_commands"])


def keep_state_in_s3(bucket: str | None, region: str) -> None:
    """Makes the bucket of the state and moves the state there."""
    account = boto3.client("sts", region_name=region).get_caller_identity()["Account"]
    bucket = bucket or remote_state.bucket_name(account, region)
    made = remote_state.make_bucket(boto3.client("s3", region_name=region), bucket, region)
    print(f"{'made' if made else 'found'} the bucket {bucket}: with versions, closed to the public")
    if not remote_state.write_backend(TERRAFORM, bucket, region):
        raise Failed(
            f"{TERRAFORM}/backend.tf says something else: delete it first, if the state is to move to {bucket}"
        )
    prepare()
    terraform("init", "-input=false", "-migrate-state", "-force-copy")
    print("the state is there: commit backend.tf, so that others find it")


def use_environment(name: str) -> None:
    """Makes Terraform act on a system of its own: another state, other variables, another name.

    Raises:
        Failed: it has no variables.
    """
    file = TERRAFORM / "environments" / f"{name}.tfvars"
    if not file.is_file():
        raise Failed(f"no file {file}: it holds the variables of the environment {name}")
    os.environ["TF_WORKSPACE"] = name
    os.environ.setdefault("TF_VAR_name", f"dask-graphql-{name}")
    for command in ("plan", "destroy"):
        variable = f"TF_CLI_ARGS_{command}"
        os.environ[variable] = f"{os.environ.get(variable, '')} -var-file={file}".strip()


def destroy(approve: list[str]) -> None:
    prepare()
    found = outputs()
    if found.get("cluster_arn"):
        drain(found)
    # Terraform requires a value for a variable without a default even to destroy.
    os.environ.setdefault(IMAGE_TAG, found.get("image_tag", "none"))
    terraform("destroy", "-input=false", *approve)
    if "region" in found:
        deregister_task_definitions(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--environment",
        metavar="NAME",
        help="one of several systems, whose variables are in terraform/environments/NAME.tfvars",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("deploy", "images"):
        command = commands.add_parser(name)
        command.add_argument(
            "--tag", required=True, help="a tag that was never used for other images, such as a commit's hash"
        )
        command.add_argument(
            "--build-arg", action="append", default=[], help="passed to docker build, such as TASK_PACKAGES=tasks"
        )
    commands.choices["deploy"].add_argument(
        "--skip-images", action="store_true", help="the images were pushed elsewhere"
    )
    commands.choices["deploy"].add_argument(
        "--api-only",
        action="store_true",
        help="replace the api nodes alone: for changes that concern no task; work that runs goes on",
    )
    commands.add_parser("secrets").add_argument("--rotate", choices=["redis", "tls"])
    commands.add_parser("wait")
    commands.choices["deploy"].add_argument(
        "--allow-data-loss",
        action="store_true",
        help="apply a plan that deletes Redis, the bucket or a secret",
    )
    commands.add_parser("key").add_argument("name")
    commands.add_parser("keys").add_argument("command_line", nargs=argparse.REMAINDER)
    commands.add_parser("destroy")
    state = commands.add_parser("state")
    state.add_argument("--region", required=True, help="of the bucket")
    state.add_argument("--bucket", help="its name; by default made of the account's number and the region")
    for name in ("deploy", "destroy"):
        commands.choices[name].add_argument(
            "--yes", action="store_true", help="do not ask for confirmation before Terraform acts"
        )
    given = parser.parse_args()
    approve = ["-auto-approve"] if getattr(given, "yes", False) else []
    try:
        if given.environment:
            use_environment(given.environment)
        if given.command == "state":
            keep_state_in_s3(given.bucket, given.region)
        elif given.command == "deploy":
            deploy(given.tag, given.build_arg, given.yes, given.allow_data_loss, given.skip_images, given.api_only)
        elif given.command == "images":
            push_images(outputs(), given.tag, given.build_arg)
        elif given.command == "secrets":
            write_secrets(outputs(), given.rotate)
        elif given.command == "wait":
            wait_for_services(outputs())
        elif given.command == "key":
            print(run_in_cluster(outputs(), ["keys", "create", given.name]))
        elif given.command == "keys":
            print(run_in_cluster(outputs(), ["keys", *given.command_line]))
        else:
            destroy(approve)
    except (Failed, ClientError, KeyError) as error:
        missing = f"no output {error}: deploy first" if isinstance(error, KeyError) else error
        raise SystemExit(f"deploy.py: {missing}") from None


if __name__ == "__main__":
    main()
