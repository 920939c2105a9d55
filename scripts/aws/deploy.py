#!/usr/bin/env python3
"""Deploys the system to AWS and removes it again. Terraform (terraform/) does everything in between.

    scripts/aws/deploy.py deploy --tag v1     images, secrets, apply, wait: the first time and for every update
    scripts/aws/deploy.py deploy --tag v2 --api-only     replaces the api nodes alone
    scripts/aws/deploy.py deploy --tag v2 --drain        waits, too, until the workers of before have ended their tasks
    scripts/aws/deploy.py images --tag v1     builds and pushes the four images
    scripts/aws/deploy.py secrets             writes missing secrets; --rotate redis|tls replaces one
    scripts/aws/deploy.py wait                waits until every service is steady; --drain, as above
    scripts/aws/deploy.py key NAME            creates an API key with a task in the cluster, and prints it
    scripts/aws/deploy.py keys list           runs `dask-graphql keys ...` there: list, revoke ID, create NAME --days 90
    scripts/aws/deploy.py state --region R    keeps Terraform's state in S3, in a bucket that it makes
    scripts/aws/deploy.py destroy             stops the workers, which Terraform does not know, and destroys the rest

It needs boto3, `terraform`, AWS credentials and, for images, `docker`. Variables come from terraform/*.tfvars or
TF_VAR_*. Secrets are created here and stored only in Secrets Manager and ElastiCache: no plan or state contains one.
"""

from __future__ import annotations

import argparse

from api_keys import run_in_cluster
from botocore.exceptions import ClientError
from deployment import deploy
from images import push_images
from node_secrets import write_secrets
from old_workers import DRAIN_SECONDS, wait_for_old_workers
from remote_state import keep_state_in_s3
from removal import destroy
from services import wait_for_services
from shell import Failed
from terraform_cli import outputs, use_environment


def parser() -> argparse.ArgumentParser:
    """The command line."""
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
    commands.choices["deploy"].add_argument(
        "--allow-data-loss",
        action="store_true",
        help="apply a plan that deletes Redis, the bucket or a secret",
    )
    commands.add_parser("secrets").add_argument("--rotate", choices=["redis", "tls"])
    commands.add_parser("wait")
    for name in ("deploy", "wait"):
        commands.choices[name].add_argument(
            "--drain",
            metavar="SECONDS",
            nargs="?",
            type=float,
            const=DRAIN_SECONDS,
            help="wait, too, until no worker of an older revision runs: they end the tasks that they have, and get no "
            f"more. For so long at most ({DRAIN_SECONDS:.0f}); then say which still run",
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
    return parser


def main() -> None:
    given = parser().parse_args()
    approve = ["-auto-approve"] if getattr(given, "yes", False) else []
    try:
        if given.environment:
            use_environment(given.environment)
        if given.command == "state":
            keep_state_in_s3(given.bucket, given.region)
        elif given.command == "deploy":
            deploy(
                given.tag,
                given.build_arg,
                given.yes,
                given.allow_data_loss,
                given.skip_images,
                given.api_only,
                given.drain,
            )
        elif given.command == "images":
            push_images(outputs(), given.tag, given.build_arg)
        elif given.command == "secrets":
            write_secrets(outputs(), given.rotate)
        elif given.command == "wait":
            found = outputs()
            wait_for_services(found)
            if given.drain is not None:
                wait_for_old_workers(found, given.drain)
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
