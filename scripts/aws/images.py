"""Builds the images of the nodes and pushes them to the system's repositories."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Sequence
from typing import Any, Final

from aws import client
from shell import ROOT, run

NODES: Final = ("api", "scheduler", "worker", "controller")
BUILDER: Final = "dask-graphql"
"""Name of the builder of images."""


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
