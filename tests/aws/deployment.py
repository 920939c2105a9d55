"""The system, deployed to the emulation."""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

from tests.aws.emulated_api import EmulatedAws
from tests.aws.terraform import Terraform
from tests.places import ROOT


def script_module(name: str) -> ModuleType:
    """A module of scripts/aws, as they import each other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "scripts" / "aws")
        return importlib.import_module(name)


@dataclass
class Deployment:
    """A copy of terraform/ that scripts/aws/deploy.py deploys to the emulation."""

    aws: EmulatedAws
    terraform: Terraform
    log: str = ""
    """The output of the first deployment."""

    @property
    def outputs(self) -> dict[str, Any]:
        return self.terraform.outputs()

    def script(self, *arguments: str) -> str:
        """Runs scripts/aws/deploy.py and returns its output."""
        done = self._run(*arguments)
        assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-4_000:]
        return done.stdout

    def refused(self, *arguments: str, **variables: str) -> str:
        """Runs scripts/aws/deploy.py, which must fail, with these variables of Terraform; returns what it says."""
        done = self._run(*arguments, **{f"TF_VAR_{name}": value for name, value in variables.items()})
        assert done.returncode == 1, done.stdout[-4_000:] + done.stderr[-4_000:]
        return done.stderr

    def _run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / "scripts" / "aws" / "deploy.py"), *arguments],
            env={**self.terraform.environment, "TERRAFORM_DIR": str(self.terraform.folder),
                 "DEPLOY_POLL_SECONDS": "0.2", "TF_CLI_ARGS_apply": "-parallelism=30",
                 "TF_CLI_ARGS_destroy": "-parallelism=30", **more},
            stdin=subprocess.DEVNULL, check=False, capture_output=True, text=True, timeout=390,
        )  # fmt: skip
