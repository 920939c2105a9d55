"""What the deploy script decides from a plan of Terraform and from what ECS says of a service."""

from __future__ import annotations

import ast
import graphlib
import io
import os
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from tests.aws.deployment import script_module
from tests.places import ROOT

FOLDER: Final = ROOT / "scripts" / "aws"
V1: Final = "arn:aws:ecs:us-east-1:123456789012:task-definition/dask-graphql-api:1"
V2: Final = "arn:aws:ecs:us-east-1:123456789012:task-definition/dask-graphql-api:2"


terraform_plan, rollouts, costs, quotas, remote_state, worker_pools = (
    script_module(name) for name in ("terraform_plan", "rollouts", "costs", "quotas", "remote_state", "worker_pools")
)


def test_the_modules_of_the_script_import_each_other_one_way() -> None:
    own = {path.stem: path for path in FOLDER.glob("*.py")}
    imports = {name: _imported(path) & own.keys() for name, path in own.items()}
    order = list(graphlib.TopologicalSorter(imports).static_order())  # raises CycleError
    assert order[-1] == "deploy"
    assert {name for name, path in own.items() if len(path.read_text().splitlines()) > 150} == set()


def _imported(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


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
    script = script_module("plan_and_apply")
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    if confirmed is None:
        with pytest.raises(script.Failed, match="nobody is there to confirm"):
            script.confirmed("? ")
    else:
        assert script.confirmed("? ") is confirmed


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


def test_workers_of_an_older_revision_are_listed_with_how_long_they_run() -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    tasks = [
        {"taskArn": f"arn:aws:ecs:r:1:task/c/{name}", "taskDefinitionArn": revision, **times}
        for name, revision, times in (
            ("new", V2, {"startedAt": now}),
            ("starts", V1, {"createdAt": now - timedelta(seconds=30)}),
            ("busy", V1, {"createdAt": now - timedelta(days=9), "startedAt": now - timedelta(minutes=185)}),
        )
    ]
    assert script_module("old_workers").lines_of_old(tasks, V2, now) == [
        "busy of dask-graphql-api:1 for 3 h 5 min", "starts of dask-graphql-api:1 for 30 s",
    ]  # fmt: skip


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


DEFAULTS: Final[dict[str, Any]] = {
    "region": "us-east-1", "architecture": "X86_64", "internal": False, "min_workers": 1, "max_workers": 100,
    "spot_share": 0.8, "worker_cpu": 1024, "worker_memory_mib": 2048, "ec2_capacity": None, "api_min": 2, "api_max": 10,
    "api_cpu": 256, "api_memory_mib": 1024, "scheduler_cpu": 512, "scheduler_memory_mib": 1024, "controller_cpu": 256,
    "controller_memory_mib": 512, "redis_engine": "valkey", "redis_node_type": "cache.t4g.small", "redis_members": 2,
}  # fmt: skip
MADE: Final = {
    "aws_elasticache_replication_group": 1, "aws_nat_gateway": 1, "aws_subnet": 4, "aws_vpc_endpoint": 1,
}  # fmt: skip


def test_the_estimate_is_the_arithmetic_of_the_page() -> None:
    page = (ROOT / "docs" / "aws.md").read_text()
    rows = {row[0].strip("* "): row[-1].strip("* ") for row in re.findall(r"^\| (.+?) \|.*\| (.+?) \|$", page, re.M)}
    text = costs.text(DEFAULTS, MADE)
    idle = sum(price for _, price in costs.estimate(DEFAULTS, MADE))
    assert f"{idle:.3f}" == f"{float(rows['idle, no worker** (`min_workers = 0`)'].split('**')[0]):.3f}"
    assert f"without a worker: ${idle:.4f} an hour, about $146 a month" in text
    [pool] = worker_pools.pools_of(DEFAULTS)
    assert f"{costs.worker_hour(replace(pool, spot_share=0), 'X86_64'):.4f}" == rows["1 worker (1 vCPU, 2 GB)"]
    assert f"{100 * costs.worker_hour(pool, 'X86_64'):.2f}" == rows["100 workers, `spot_share = 0.8`"]
    assert costs.workers(DEFAULTS) == ["  workers: $0.0217 an hour each; 1 to 100: $0.02 to $2.17"]


def test_a_price_that_is_not_known_is_said_to_be_unknown() -> None:
    text = costs.text({**DEFAULTS, "redis_node_type": "cache.x2.huge", "ec2_capacity": {"max_instances": 3}}, MADE)
    assert re.search(r"Redis, 2 x cache\.x2\.huge +\?", text)
    assert "and what is unknown (?)" in text
    assert "workers:" not in text


@pytest.mark.parametrize(
    ("more", "without"),
    [
        ({"aws_nat_gateway": 3}, {}),
        ({"aws_vpc_endpoint": 6}, {}),
        ({"aws_wafv2_web_acl": 1}, {}),
        ({}, {"internal": True}),
    ],
)
def test_what_a_plan_buys_more_costs_more(more: dict[str, int], without: dict[str, Any]) -> None:
    def idle(variables: dict[str, Any], made: dict[str, int]) -> float:
        return float(sum(price for _, price in costs.estimate(variables, made)))

    assert idle(DEFAULTS, {**MADE, **more}) > idle({**DEFAULTS, **without}, MADE) or without
    assert not without or idle({**DEFAULTS, **without}, MADE) < idle(DEFAULTS, MADE)


def test_metrics_in_cloudwatch_cost_what_their_variable_says() -> None:
    rows = dict(costs.estimate({**DEFAULTS, "cloudwatch_metrics": True}, MADE))
    assert rows.keys() - dict(costs.estimate(DEFAULTS, MADE)).keys() == {"CloudWatch metrics"}
    assert rows["CloudWatch metrics"] == pytest.approx(18 / 730)  # $18 a month: docs/aws.md


BIG: Final = {"cpu": "4096", "memory_mib": 30720, "max_workers": 10, "spot_share": 0.5}
"""A pool as a plan has it: without what was not given, and as text what was given as text."""
GPU: Final = {
    "cpu": 4096, "memory_mib": 15360, "max_workers": 4, "min_workers": None, "capacity": "ec2", "gpu": 1,
    "instance_types": ["g5.xlarge", "g6.xlarge"], "price_per_hour": 1.006,
}  # fmt: skip


def test_each_pool_has_its_own_price_and_all_pools_are_added_up() -> None:
    each = (4 * 0.04048 + 30 * 0.004445) * (0.5 + 0.5 * 0.3)
    assert costs.workers({**DEFAULTS, "pools": {"big": BIG}, "max_cost_per_hour_usd": 3}) == [
        "  workers of the pool default: $0.0217 an hour each; 1 to 100: $0.02 to $2.17",
        f"  workers of the pool big: ${each:.4f} an hour each; 0 to 10: $0.00 to ${10 * each:.2f}",
        f"  workers of all pools: $0.02 to ${10 * each + 2.1725:.2f} an hour",
        "  max_cost_per_hour_usd keeps all workers below $3.00 an hour",
    ]
    arm = costs.workers({**DEFAULTS, "architecture": "ARM64", "pools": {"big": BIG}})
    assert f"pool big: ${(4 * 0.03238 + 30 * 0.00356) * 0.65:.4f} an hour each" in arm[1]
    gpus = costs.workers({**DEFAULTS, "pools": {"gpu": GPU}})
    assert "  workers of the pool gpu: $1.0060 an hour each; 0 to 4: $0.00 to $4.02" in gpus
    unpriced = costs.workers({**DEFAULTS, "pools": {"gpu": {**GPU, "price_per_hour": 0}}})
    assert unpriced[-1] == "  workers of all pools: $0.02 to $2.17 an hour; of gpu no price is known"


def test_the_quotas_of_a_plan_are_those_of_all_pools_each_where_it_runs() -> None:
    default = {quota.code: quota.wanted for quota in quotas.wanted(DEFAULTS)}
    more = {quota.code: quota.wanted for quota in quotas.wanted({**DEFAULTS, "pools": {"big": BIG, "gpu": GPU}})}
    assert {code: vcpus - default.get(code, 0) for code, vcpus in more.items()} == {
        "L-3032A538": pytest.approx(20), "L-36FBB829": pytest.approx(20), "L-DB2E81BA": 16,
    }  # fmt: skip


def test_the_defaults_of_a_pool_are_those_of_the_variable() -> None:
    source = (ROOT / "terraform" / "variables.tf").read_text()
    declared = source.partition('variable "pools"')[2].partition("description")[0]
    found = dict(re.findall(r"(\w+) += optional\(\w+(?:\(\w+\))?, \"?([\w.]+)\"?\)", declared))
    known = {name: str(value) for name, value in worker_pools.OPTIONAL.items() if name in found}
    assert {"min_workers", "max_workers", "spot_share"} <= known.keys()
    assert known == {name: found[name] for name in known}


def test_a_quota_that_is_too_small_is_told_before_anything_is_bought() -> None:
    on_demand, spot = quotas.wanted(DEFAULTS)
    # 20 workers, twice ten api nodes of a quarter, the scheduler, two controllers.
    assert (on_demand.wanted, spot.wanted) == (pytest.approx(20 + 5 + 0.5 + 0.5), 80)
    values = {on_demand.code: 6.0, spot.code: 100.0}
    (line,) = quotas.shortfalls([on_demand, spot], lambda quota: values[quota.code])
    assert "takes up to 26, and the account has 6" in line
    assert "--quota-code L-3032A538 --desired-value 26" in line
    (first, _) = quotas.shortfalls([on_demand, spot], lambda _: None)
    assert "could not be looked up" in first
    assert [each.code for each in quotas.wanted({**DEFAULTS, "ec2_capacity": {"max_instances": 3}})] == [on_demand.code]


def test_variables_of_a_plan_are_what_they_mean_though_the_environment_gives_text() -> None:
    given = {"max_workers": {"value": "4"}, "name": {"value": "dask-graphql"}, "internal": {"value": True}}
    assert terraform_plan.variables({"variables": given}) == {
        "max_workers": 4,
        "name": "dask-graphql",
        "internal": True,
    }


def test_resources_are_counted_in_all_modules() -> None:
    def module_of(*resources: str, **children: Any) -> dict[str, Any]:
        return {"resources": [{"type": kind, "mode": "managed"} for kind in resources], **children}

    root = module_of("a", child_modules=[module_of("b", "b", child_modules=[module_of("a")])])
    root["resources"].append({"type": "b", "mode": "data"})
    assert terraform_plan.resources({"planned_values": {"root_module": root}}) == {"a": 2, "b": 2}


def test_a_backend_file_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    assert remote_state.write_backend(tmp_path, "state", "eu-central-1")
    assert remote_state.write_backend(tmp_path, "state", "eu-central-1")
    assert not remote_state.write_backend(tmp_path, "another", "eu-central-1")
    text = (tmp_path / "backend.tf").read_text()
    assert re.search(r'bucket += "state"', text)
    assert re.search(r"use_lockfile += true", text)


def test_an_environment_has_variables_state_and_name_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = script_module("terraform_cli")
    monkeypatch.setattr(script, "TERRAFORM", tmp_path)
    for name in ("TF_WORKSPACE", "TF_VAR_name", "TF_CLI_ARGS_plan", "TF_CLI_ARGS_destroy"):
        monkeypatch.setenv(name, "")  # restored in the end
        monkeypatch.delenv(name)
    with pytest.raises(script.Failed, match=r"no file .*staging\.tfvars"):
        script.use_environment("staging")
    file = tmp_path / "environments" / "staging.tfvars"
    file.parent.mkdir()
    file.write_text("")
    script.use_environment("staging")
    assert {name: os.environ[name] for name in ("TF_WORKSPACE", "TF_VAR_name")} == {
        "TF_WORKSPACE": "staging", "TF_VAR_name": "dask-graphql-staging",
    }  # fmt: skip
    assert {os.environ[f"TF_CLI_ARGS_{command}"] for command in ("plan", "destroy")} == {f"-var-file={file}"}


@pytest.mark.parametrize("small", [True, False])
def test_images_are_compressed_by_zstd_where_docker_can(small: bool) -> None:
    what = ("--platform", "linux/arm64", "--target", "worker")
    commands = script_module("images").image_commands("registry/worker:v1", what, small)
    assert all(word in commands[0] for word in (*what, str(ROOT)))
    if small:
        ((*_, output),) = [command[: command.index("--output") + 2] for command in commands]
        assert {"name=registry/worker:v1", "push=true", "compression=zstd", "force-compression=true"} <= {
            *output.split(",")
        }
    else:
        assert commands[1] == ("docker", "push", "registry/worker:v1")
