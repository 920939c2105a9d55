"""Terraform as the tests run it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parent.parent.parent
SOURCES: Final = ROOT / "terraform"

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
