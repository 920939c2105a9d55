"""Shows Terraform's plan with its cost and the quotas that it needs, asks, and carries out exactly that plan."""

from __future__ import annotations

import json
import subprocess
import tempfile
from typing import Any

import boto3
import costs
import quotas
import terraform_plan
from shell import Failed
from terraform_cli import TERRAFORM, terraform


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
        if (lost := terraform_plan.losses(read)) and not may_lose_data:
            raise Failed(
                "this plan loses data, so nothing was applied:\n  " + "\n  ".join(lost) + "\nFind out what was changed "
                "(docs/aws.md, Restore Redis). If it is meant: --allow-data-loss"
            )
        if api_only and (nodes := terraform_plan.replaced_nodes(read)):
            raise Failed(
                f"this plan replaces more than the api, so nothing was applied: {', '.join(nodes)}. A variable has "
                "changed that they depend on: deploy without --api-only"
            )
        if not options:
            say_cost_and_quotas(read)
        if not approved and not confirmed(f"Apply this plan ({terraform_plan.summary(read)})? Only 'yes' applies it: "):
            raise Failed("nothing was applied")
        terraform("apply", "-input=false", plan)


def say_cost_and_quotas(plan: dict[str, Any]) -> None:
    values = terraform_plan.variables(plan)
    print(costs.text(values, terraform_plan.resources(plan)))
    asked = quotas.looked_up(boto3.client("service-quotas", region_name=values["region"]))
    for line in quotas.shortfalls(quotas.wanted(values), asked):
        print(f"quota: {line}", flush=True)


def confirmed(question: str) -> bool:
    try:
        return input(question) == "yes"
    except EOFError:
        raise Failed("nobody is there to confirm the plan: --yes applies it without a question") from None
