"""Runs Terraform in its folder: its variables come from terraform/*.tfvars or TF_VAR_*."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from shell import ROOT, Failed, run

TERRAFORM: Final = Path(os.environ.get("TERRAFORM_DIR", ROOT / "terraform"))
IMAGE_TAG: Final = "TF_VAR_image_tag"
COMPUTE_IMAGE_TAG: Final = "TF_VAR_compute_image_tag"


def terraform(*arguments: str) -> None:
    run("terraform", f"-chdir={TERRAFORM}", *arguments)


def prepare() -> None:
    """Gives the folder a provider, unless it has one: as a module it must not have any."""
    file = TERRAFORM / "provider.tf"
    if not file.exists():
        shutil.copy(TERRAFORM / "provider.tf.example", file)


def outputs() -> dict[str, Any]:
    """Terraform's outputs by name; those of resources that do not exist yet are missing."""
    done = subprocess.run(
        ["terraform", f"-chdir={TERRAFORM}", "output", "-json"], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise Failed(f"terraform output: {done.stderr.strip()}")
    return {name: item["value"] for name, item in json.loads(done.stdout).items()}


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
