"""What roles may do, read back from IAM; and the wildcards that are allowed, each with its reason."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

from tests.places import ROOT

DEPLOYER: Final = ROOT / "terraform" / "modules" / "deployer" / "policies.tf"
SIGNED: Final = {"monitoring": "cloudwatch"}
"""Services whose requests are signed under another name than IAM's."""

WILDCARDS: Final = {
    ("execution", "ecr:GetAuthorizationToken"): "the action knows no resource: the token is the account's",
    ("task", "ecs:ListTasks"): "the action knows container instances only, which Fargate has none of; a condition "
    "names the cluster",
}
"""(kind of role, action) -> why its resource is `*`."""
NARROW: Final = (":*", "/*")
"""How a resource may end: any stream of one log group, any revision of one family, any object below one prefix, any
task of one cluster."""


@dataclass(frozen=True)
class Statement:
    """One statement of a role's inline policy."""

    role: str
    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return "execution" if self.role.endswith("-execution") else "task"


def statements_of(iam: Any) -> list[Statement]:
    """All statements of all inline policies; no role has other policies."""
    found = []
    for role in iam.list_roles()["Roles"]:
        name = role["RoleName"]
        assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            for item in document["Statement"]:
                assert item["Effect"] == "Allow"
                assert "NotAction" not in item
                assert "NotResource" not in item
                found.append(
                    Statement(
                        name, item["Sid"], listed(item["Action"]), listed(item["Resource"]), item.get("Condition", {})
                    )
                )
    return found


def listed(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(sorted(value))


def wildcard_faults(statements: list[Statement]) -> list[str]:
    """The permissions that are wider than necessary."""
    faults = []
    for statement in statements:
        for action in statement.actions:
            if "*" in action:
                faults.append(f"{statement.role} {statement.sid}: the action {action}")
            for resource in statement.resources:
                if resource == "*":
                    if (statement.kind, action) not in WILDCARDS:
                        faults.append(f"{statement.role} {statement.sid}: {action} on every resource")
                elif "*" in resource.removesuffix("*") or (resource.endswith("*") and not resource.endswith(NARROW)):
                    faults.append(f"{statement.role} {statement.sid}: {action} on {resource}")
    return faults


def deployer_may(action: str) -> bool:
    """Whether the deployer's policies name an action, such as `ecs:RunTask`."""
    service, _, name = action.partition(":")
    named = re.findall(r'"([a-z0-9-]+:[A-Za-z*]+)"', DEPLOYER.read_text())
    return any(fnmatchcase(f"{SIGNED.get(service, service)}:{name}", pattern) for pattern in named)
