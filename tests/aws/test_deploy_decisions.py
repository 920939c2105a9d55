"""What the deploy script decides from a plan of Terraform and from what ECS says of a service."""

from __future__ import annotations

import importlib.util
import io
import re
from types import ModuleType
from typing import Any, Final

import pytest

from tests.places import ROOT

FOLDER: Final = ROOT / "scripts" / "aws"
V1: Final = "arn:aws:ecs:us-east-1:123456789012:task-definition/dask-graphql-api:1"
V2: Final = "arn:aws:ecs:us-east-1:123456789012:task-definition/dask-graphql-api:2"


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


terraform_plan, rollouts = module("terraform_plan"), module("rollouts")


def change(address: str, kind: str, *actions: str, because: str = "") -> dict[str, Any]:
    paths = [[because]] if because else []
    return {"address": address, "type": kind, "change": {"actions": list(actions), "replace_paths": paths}}


GROUP: Final = "module.redis[0].aws_elasticache_replication_group.this"


@pytest.mark.parametrize(
    ("changed", "lost"),
    [
        (change(GROUP, "aws_elasticache_replication_group", "no-op"), []),
        (change(GROUP, "aws_elasticache_replication_group", "update"), []),
        (change("module.api.aws_ecs_service.this", "aws_ecs_service", "delete", "create"), []),
        (
            change(GROUP, "aws_elasticache_replication_group", "delete", "create", because="engine_version"),
            [f"{GROUP} would be replaced, because of engine_version"],
        ),
        (
            change("module.results.aws_s3_bucket.this", "aws_s3_bucket", "delete"),
            ["module.results.aws_s3_bucket.this would be destroyed"],
        ),
    ],
)
def test_a_plan_that_deletes_what_holds_data_is_told_apart(changed: dict[str, Any], lost: list[str]) -> None:
    assert terraform_plan.losses({"resource_changes": [changed]}) == lost


def test_a_plan_is_summed_up_as_terraform_does() -> None:
    plan = {
        "resource_changes": [
            change("a", "x", "create"), change("b", "x", "update"), change("c", "x", "delete", "create"),
            change("d", "x", "no-op"), change("e", "x", "read"),
        ]
    }  # fmt: skip
    assert terraform_plan.summary(plan) == "2 to add, 1 to change, 1 to destroy"
    assert terraform_plan.summary({}) == "0 to add, 0 to change, 0 to destroy"


@pytest.mark.parametrize(("answer", "confirmed"), [("yes\n", True), ("y\n", False), ("\n", False), ("", None)])
def test_a_plan_is_applied_if_somebody_says_yes(
    answer: str, confirmed: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    deploy = module("deploy")
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    if confirmed is None:
        with pytest.raises(deploy.Failed, match="nobody is there to confirm"):
            deploy.confirmed("? ")
    else:
        assert deploy.confirmed("? ") is confirmed


def service(*deployments: dict[str, Any], running: int = 2, events: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "serviceName": "api", "runningCount": running, "desiredCount": 2, "deployments": list(deployments),
        "events": [{"message": text} for text in events],
    }  # fmt: skip


def test_a_plan_says_which_nodes_beside_the_api_it_would_replace() -> None:
    def change(address: str, *actions: str) -> dict[str, Any]:
        return {"address": address, "type": "", "change": {"actions": list(actions)}}

    definition = "aws_ecs_task_definition.this"
    changes = [
        change(f"module.api_node.{definition}", "create", "delete"),
        change("module.api.aws_ecs_service.this", "update"),
        change(f"module.controller_node.{definition}", "no-op"),
    ]
    assert terraform_plan.replaced_nodes({"resource_changes": changes}) == []
    changes += [change(f"module.{name}.{definition}", "create", "delete") for name in ("scheduler_node", "worker")]
    assert terraform_plan.replaced_nodes({"resource_changes": changes}) == ["scheduler", "worker"]


def deployment(revision: str, state: str, reason: str = "", status: str = "PRIMARY") -> dict[str, Any]:
    return {"status": status, "taskDefinition": revision, "rolloutState": state, "rolloutStateReason": reason}


def test_a_service_that_runs_what_was_deployed_is_done() -> None:
    assert rollouts.rollout_of(service(deployment(V2, "COMPLETED")), V2) == ("", "", "")


@pytest.mark.parametrize(
    "unfinished",
    [
        service(deployment(V2, "IN_PROGRESS")),
        service(deployment(V2, "COMPLETED"), running=1),
        # The old one drains; which comes first in the list is not said.
        service(deployment(V1, "COMPLETED", status="ACTIVE"), deployment(V2, "COMPLETED")),
        # ECS goes back to the old one, and is not there yet.
        service(deployment(V1, "IN_PROGRESS"), deployment(V2, "FAILED", status="ACTIVE")),
    ],
)
def test_a_service_that_is_not_there_yet_is_awaited(unfinished: dict[str, Any]) -> None:
    rollout = rollouts.rollout_of(unfinished, V2)
    assert rollout.pending.startswith("api ")
    assert not rollout.gave_up
    assert not rollout.rolled_back


def test_a_rollback_is_no_success_though_the_service_is_steady() -> None:
    back = service(
        deployment(V1, "COMPLETED", "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1."),
        events=("(service api) has reached a steady state.", "(task 2) failed container health checks.", "c", "d"),
    )
    rollout = rollouts.rollout_of(back, V2)
    assert rollout.rolled_back.startswith(
        "ECS rolled back from dask-graphql-api:2 to dask-graphql-api:1: ECS deployment"
    )
    assert "failed container health checks" in rollout.rolled_back
    assert "\n  d" not in rollout.rolled_back


def test_a_deployment_that_ecs_gave_up_says_why() -> None:
    rollout = rollouts.rollout_of(service(deployment(V2, "FAILED", "tasks failed to start")), V2)
    assert rollout.gave_up == "tasks failed to start"


def test_every_alarm_has_a_row_that_says_what_to_do_and_no_row_is_left_over() -> None:
    rows = set(re.findall(r'<a id="alarm-([a-z-]+)"></a>`\1`', (ROOT / "docs" / "aws.md").read_text()))
    source = (ROOT / "terraform" / "modules" / "observability" / "main.tf").read_text()
    groups = {"down": ("scheduler", "controller"), "log-errors": ("api", "scheduler", "controller", "worker")}
    alarms = set(re.findall(r'^      "([a-z-]+)" = \{', source, re.MULTILINE))
    alarms |= set(re.findall(r'"(redis-[a-z]+)-\$\{index', source))
    for suffix, nodes in groups.items():
        assert f'"${{node}}-{suffix}"' in source
        alarms |= {f"{node}-{suffix}" for node in nodes}
    assert rows == alarms
