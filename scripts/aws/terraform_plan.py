"""What a plan of Terraform would do, read from its JSON form (`terraform show -json`)."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

KEEPS_DATA: Final = ("aws_elasticache_replication_group", "aws_s3_bucket", "aws_secretsmanager_secret")
"""Types of resources whose contents are nowhere else."""
NODE: Final = r".*module\.(\w+?)(?:_node)?\.aws_ecs_task_definition\.this"
"""Address of a node's task definition (terraform/main.tf)."""


def changes_of(plan: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What the plan does to each resource, by address."""
    for resource in plan.get("resource_changes", ()):
        if resource["change"]["actions"] not in (["no-op"], ["read"]):
            yield resource["address"], resource


def losses(plan: Mapping[str, Any]) -> list[str]:
    """The resources with data that a plan would delete or replace, a line each with the reason."""
    found = []
    for address, resource in changes_of(plan):
        actions = resource["change"]["actions"]
        if "delete" not in actions or resource["type"] not in KEEPS_DATA:
            continue
        why = ", ".join(".".join(map(str, path)) for path in resource["change"].get("replace_paths") or ())
        what = "replaced" if "create" in actions else "destroyed"
        found.append(f"{address} would be {what}" + (f", because of {why}" if why else ""))
    return found


def replaced_nodes(plan: Mapping[str, Any]) -> list[str]:
    """The nodes beside the api whose task definition a plan changes: they would be replaced."""
    found = (re.fullmatch(NODE, address) for address, _ in changes_of(plan))
    return sorted({match[1] for match in found if match and match[1] != "api"})


def variables(plan: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the variables, defaults too. What came from the environment is text, also if it means a number."""
    return {name: _meant(item.get("value")) for name, item in plan.get("variables", {}).items()}


def _meant(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def resources(plan: Mapping[str, Any]) -> Counter[str]:
    """How many resources of each type there are once the plan is applied."""

    def modules(module: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        yield module
        for child in module.get("child_modules", ()):
            yield from modules(child)

    root = plan.get("planned_values", {}).get("root_module", {})
    return Counter(
        resource["type"]
        for module in modules(root)
        for resource in module.get("resources", ())
        if resource["mode"] == "managed"
    )


def summary(plan: Mapping[str, Any]) -> str:
    """Such as `2 to add, 1 to change, 0 to destroy`; a replaced resource counts as added and as destroyed."""
    counts = Counter(action for _, resource in changes_of(plan) for action in resource["change"]["actions"])
    return f"{counts['create']} to add, {counts['update']} to change, {counts['delete']} to destroy"
