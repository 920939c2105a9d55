"""Terraform as the tests run it, with the providers that the machine has or may download."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.outside import missing
from tests.places import ROOT

SOURCES: Final = ROOT / "terraform"
INIT: Final = ("init", "-input=false", "-no-color", "-backend=false")
INIT_SECONDS: Final = 240
"""The AWS provider is a download of some hundred MB."""
CANNOT_BE_HAD: Final = re.compile(
    r"Failed to query available provider packages|Failed to install provider|Unsupported Terraform Core version"
)
PLUGIN_DIR: Final = "TESTS_TERRAFORM_PLUGIN_DIR"
"""A folder of providers (`terraform providers mirror` fills one), where Terraform itself would not look."""

needs_terraform = pytest.mark.usefixtures("terraform_installed")


@dataclass
class Terraform:
    """A copy of terraform/ with its own state."""

    folder: Path
    environment: dict[str, str]

    def start(self, *arguments: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["terraform", f"-chdir={self.folder}", *arguments],
            env=self.environment, check=False, capture_output=True, text=True, timeout=seconds,
        )  # fmt: skip

    def run(self, *arguments: str, expected: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
        done = self.start(*arguments)
        assert done.returncode in expected, f"terraform {arguments[0]}: {done.stdout[-4_000:]}{done.stderr[-4_000:]}"
        return done

    def with_variables(self, **variables: object) -> Terraform:
        """The same folder and state, with other variables."""
        more = {
            f"TF_VAR_{key}": value if isinstance(value, str) else json.dumps(value) for key, value in variables.items()
        }
        return Terraform(self.folder, {**self.environment, **more})

    def plan(self, *arguments: str) -> dict[str, Any]:
        """A plan in Terraform's JSON form."""
        self.run("plan", "-input=false", "-no-color", "-out=test.tfplan", *arguments)
        shown: dict[str, Any] = json.loads(self.run("show", "-json", "test.tfplan").stdout)
        return shown

    def outputs(self) -> dict[str, Any]:
        found = json.loads(self.run("output", "-json").stdout)
        return {name: item["value"] for name, item in found.items()}


def a_copy(folder: Path, environment: Mapping[str, str]) -> Terraform:
    """A copy of terraform/ that is initialised. Where no providers can be had the test is skipped with what Terraform
    said, or fails under TESTS_STRICT.

    Args:
        environment: variables beside those of this process.
    """
    shutil.copytree(
        SOURCES,
        folder,
        ignore=shutil.ignore_patterns(
            ".terraform*", "terraform.d", "*.tfstate*", "*.tfvars", "backend.tf", "provider.tf"
        ),
    )
    # One of the folders in which Terraform looks for providers is next to the sources.
    if (SOURCES / "terraform.d").is_dir():
        (folder / "terraform.d").symlink_to(SOURCES / "terraform.d")
    terraform = Terraform(folder, {**os.environ, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1", **environment})
    initialise(terraform)
    return terraform


def initialise(terraform: Terraform) -> None:
    """`terraform init`, with providers from wherever they are; `terraform` has the variables that found them then."""
    said = ""
    for more in provider_variables(terraform.environment):
        attempt = Terraform(terraform.folder, {**terraform.environment, **more})
        try:
            done = attempt.start(*INIT, seconds=INIT_SECONDS)
        except subprocess.TimeoutExpired:
            said = said or f"terraform init took more than {INIT_SECONDS} s"
            continue
        if done.returncode == 0:
            terraform.environment = attempt.environment
            return
        assert CANNOT_BE_HAD.search(done.stderr), f"terraform init: {done.stdout[-4_000:]}{done.stderr[-4_000:]}"
        said = said or " ".join(done.stderr.split())[:300]
    missing(f"Terraform has no providers here: {said}; {PLUGIN_DIR} may name a folder of them")


def provider_variables(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Variables to try `terraform init` with, in this order: for the folder that we were told; none, by which Terraform
    looks into all its own places and the registry; and for its cache, which it reads only if the registry answers."""
    options = environment.get("TF_CLI_ARGS_init", "")
    if folder := environment.get(PLUGIN_DIR):
        yield {"TF_CLI_ARGS_init": f"-plugin-dir={folder} {options}"}
        return
    yield {}
    if folder := environment.get("TF_PLUGIN_CACHE_DIR") or cache_of_the_configuration(environment):
        # Without the cache, because Terraform would copy each provider onto itself.
        yield {
            "TF_CLI_ARGS_init": f"-plugin-dir={folder} {options}",
            "TF_PLUGIN_CACHE_DIR": "",
            "TF_CLI_CONFIG_FILE": os.devnull,
        }


def cache_of_the_configuration(environment: Mapping[str, str]) -> str:
    """`plugin_cache_dir` of the user's configuration of Terraform, if any."""
    file = Path(environment.get("TF_CLI_CONFIG_FILE") or Path.home() / ".terraformrc")
    text = file.read_text() if file.is_file() else ""
    found = re.search(r'^\s*plugin_cache_dir\s*=\s*"([^"]+)"', text, re.MULTILINE)
    return os.path.expandvars(found[1]) if found else ""
