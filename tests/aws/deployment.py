"""The system, deployed to the emulation."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from tests.aws.emulated_api import EmulatedAws
from tests.aws.terraform import Terraform
from tests.places import ROOT


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
        done = subprocess.run(
            [sys.executable, str(ROOT / "scripts" / "aws" / "deploy.py"), *arguments],
            env={**self.terraform.environment, "TERRAFORM_DIR": str(self.terraform.folder),
                 "DEPLOY_POLL_SECONDS": "0.2", "TF_CLI_ARGS_apply": "-parallelism=30",
                 "TF_CLI_ARGS_destroy": "-parallelism=30"},
            check=False, capture_output=True, text=True, timeout=390,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-4_000:]
        return done.stdout
