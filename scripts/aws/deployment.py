"""The steps of a deployment, in their order; each is a module. A step first checks what exists, so after a failure all
are just run again.

1. plan_and_apply: Terraform, with what is said of its plan (terraform_plan, costs, quotas)
2. images
3. node_secrets, with redis_token
4. plan_and_apply again, of the nodes
5. services: waits for what ECS makes of it (rollouts)
6. old_workers: waits for their last tasks, if that is wanted
"""

from __future__ import annotations

import os
from typing import Final

from images import NODES, push_images
from node_secrets import write_secrets
from old_workers import wait_for_old_workers
from plan_and_apply import apply
from redis_token import require_token
from services import wait_for_services
from shell import Failed
from terraform_cli import COMPUTE_IMAGE_TAG, IMAGE_TAG, outputs, prepare, terraform

BEFORE_NODES: Final = ("module.images", "module.redis", "module.cluster.aws_secretsmanager_secret.dask_tls")
"""The resources that must exist before a node can start: the places of images and secrets."""


def deploy(
    tag: str,
    build_arguments: list[str],
    approved: bool,
    may_lose_data: bool,
    skip_images: bool,
    api_only: bool,
    drain_seconds: float | None = None,
) -> None:
    """Deploys the system, or updates it, and waits until it serves.

    Args:
        build_arguments: of `docker build`, such as `TASK_PACKAGES=tasks`.
        approved: nobody is asked before Terraform acts.
        may_lose_data: a plan that deletes what holds data is applied.
        skip_images: they are in the repositories.
        api_only: only the api nodes are replaced.
        drain_seconds: how long to wait until no worker of an older revision runs; None for not at all.

    Raises:
        Failed: a step failed; what the steps before did stays.
    """
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
    if drain_seconds is not None:
        wait_for_old_workers(found, drain_seconds)
    require_token(found)
    print(found["next_commands"])
