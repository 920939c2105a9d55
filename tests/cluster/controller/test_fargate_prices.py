"""Prices of Fargate: of the region and the processor, or of the settings."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.controller.fargate_prices import fargate_prices, known_regions
from cluster.controller.fleets.ecs import EcsFleet
from cluster.controller.fleets.ecs_cluster import WorkerTask
from cluster.errors import SettingError
from cluster.settings import Settings, load_settings
from cluster.settings.pools import pools


def ecs(**more: object) -> Settings:
    return load_settings(
        {},
        fleet="ecs",
        ecs_cluster="c",
        ecs_task_definition="w:1",
        ecs_subnets=("s",),
        ecs_security_groups=("g",),
        **more,
    )


def test_a_worker_costs_what_its_region_and_its_processor_cost() -> None:
    virginia, sao_paulo = fargate_prices(ecs(), "us-east-1"), fargate_prices(ecs(), "sa-east-1")
    assert virginia is not None
    assert sao_paulo is not None
    assert virginia.worker_hour(1, 2) == pytest.approx(0.04048 + 2 * 0.004445)
    assert sao_paulo.worker_hour(1, 2) == pytest.approx(0.0696 + 2 * 0.0076)
    # AWS's list has 0.03238 and 0.00356 for it.
    assert virginia.worker_hour(1, 2, arm64=True) == pytest.approx(0.03238 + 2 * 0.00356, rel=0.001)
    assert virginia.worker_hour(1, 2, spot=True) == pytest.approx(0.3 * virginia.worker_hour(1, 2))


def test_prices_of_the_settings_win_and_are_those_of_the_processor_that_runs() -> None:
    own = fargate_prices(ecs(ecs_vcpu_hour_price=0.03, ecs_gb_hour_price=0.003), "nowhere-1")
    assert own is not None
    assert own.worker_hour(1, 1, arm64=True) == own.worker_hour(1, 1) == pytest.approx(0.033)
    half = fargate_prices(ecs(ecs_vcpu_hour_price=0.03), "us-east-1")
    assert half is not None
    assert half.worker_hour(1, 1) == pytest.approx(0.03 + 0.004445)


def test_every_region_of_the_table_has_both_prices() -> None:
    assert len(known_regions()) > 20
    for region in known_regions():
        prices = fargate_prices(ecs(), region)
        assert prices is not None
        assert 0.03 < prices.vcpu_hour < 0.1
        assert 0.08 < prices.gb_hour / prices.vcpu_hour < 0.13


def test_an_unknown_region_has_no_cost_and_no_ceiling(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_REGION", "mars-north-1")
    with caplog.at_level(logging.WARNING):
        fleet = EcsFleet(ecs())
    assert fleet.cost_per_hour is None
    assert "mars-north-1" in caplog.text
    with pytest.raises(SettingError, match=r"ECS_VCPU_HOUR_PRICE.*mars-north-1.*us-east-1"):
        EcsFleet(ecs(max_cost_per_day=5.0))
    EcsFleet(ecs(max_cost_per_day=5.0, ecs_vcpu_hour_price=0.05, ecs_gb_hour_price=0.005))


@pytest.mark.parametrize("more", [{"fleet": "local"}, {"ecs_capacity": "ec2"}])
def test_a_ceiling_where_no_prices_are_known_is_a_wrong_setting(more: dict[str, str]) -> None:
    with pytest.raises(SettingError, match="MAX_COST_PER_HOUR"):
        load_settings(
            {}, **{"fleet": "ecs", "ecs_cluster": "c", "ecs_task_definition": "w", "ecs_subnets": ("s",),
                   "ecs_security_groups": ("g",), "max_cost_per_hour": 1.0, **more},
        )  # fmt: skip


def worker(name: str, pool: str = "", **task: Any) -> WorkerTask:
    """A worker as ECS shows it; with nothing more, one that it only lists yet."""
    environment = [{"name": "DASK_GRAPHQL_POOL", "value": pool}] if pool else []
    overrides = {"containerOverrides": [{"name": "worker", "environment": environment}]}
    return WorkerTask({"taskArn": f"arn:aws:ecs:us-east-1:1:task/c/{name}", "overrides": overrides, **task})


def test_a_pool_costs_what_its_workers_do_by_their_size_processor_and_capacity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    arm = [{"name": "ecs.cpu-architecture", "value": "arm64"}]
    declared = """{
        "big": {"cpu": 4, "memory_gib": 30, "max_workers": 9, "spot_share": 0.5},
        "arm": {"cpu": 2, "memory_gib": 8, "max_workers": 9, "capacity": "fargate_arm64"},
        "gpu": {"cpu": 4, "memory_gib": 15, "gpu": 1, "max_workers": 9, "capacity": "ec2", "price_per_hour": 1.5}}"""
    fleet = EcsFleet(ecs(pools=pools(declared)))
    prices = fargate_prices(ecs(), "us-east-1")
    assert prices is not None
    workers = [
        worker("a", cpu="1024", memory="2048"),
        # Of a pool that is not declared any more: nothing costs unseen.
        worker("b", "gone", cpu="8192", memory="61440"),
        worker("c", "big", cpu="4096", memory="30720", capacityProviderName="FARGATE"),
        worker("d", "big", cpu="4096", memory="30720", capacityProviderName="FARGATE_SPOT"),
        worker("e", "big"),
        worker("f", "arm", cpu="2048", memory="8192", attributes=arm),
        worker("g", "arm"),
        worker("h", "gpu", containerInstanceArn="arn:aws:ecs:us-east-1:1:container-instance/c/m"),
        worker("i", "gpu"),
    ]
    fleet._cluster = SimpleNamespace(workers={each.name: each for each in workers})  # type: ignore[assignment]
    costs = {
        "default": prices.worker_hour(1, 2) + prices.worker_hour(8, 60),
        "big": 2.3 * prices.worker_hour(4, 30),
        "arm": 2 * prices.worker_hour(2, 8, arm64=True),
        "gpu": 1.5,
    }
    assert {pool: fleet.cost_of(pool) for pool in costs} == {pool: pytest.approx(cost) for pool, cost in costs.items()}
    assert fleet.cost_per_hour == pytest.approx(sum(costs.values()))
    # A machine of a pool that is not declared any more has no price here.
    lost = worker("j", "gone", containerInstanceArn="arn:aws:ecs:us-east-1:1:container-instance/c/m")
    fleet._cluster.workers[lost.name] = lost  # type: ignore[union-attr]
    assert (fleet.cost_of("default"), fleet.cost_per_hour) == (None, None)
