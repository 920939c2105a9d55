"""Prices of Fargate: of the region and the processor, or of the settings."""

from __future__ import annotations

import logging

import pytest

from cluster.controller.fargate_prices import fargate_prices, known_regions
from cluster.controller.fleets.ecs import EcsFleet
from cluster.errors import SettingError
from cluster.settings import Settings, load_settings


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
