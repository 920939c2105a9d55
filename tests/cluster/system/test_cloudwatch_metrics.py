"""Metrics in the embedded metric format: what is chosen, what a minute adds, and that a log line has it."""

from __future__ import annotations

import io
import json
import logging
from bisect import bisect_left
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from cluster.observability.logs import set_up_logging
from cluster.observability.metric_declaration import DECLARED, ROLES, RUNS
from cluster.settings import load_settings
from cluster.system.cloudwatch_metrics import (
    CHOSEN,
    MAX_VALUES,
    PREFIX,
    LastMinute,
    embedded,
    publish_metrics,
    quantiles,
)

NEVER_SET = 4
"""How many values a label has whose values are not declared: the outcomes of attempts."""


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_what_is_chosen_exists_and_is_about_sixty_metrics() -> None:
    declared = {item.family.removeprefix(PREFIX): item for item in DECLARED}
    assert CHOSEN.keys() <= declared.keys()
    number = 0
    for name, label in CHOSEN.items():
        item = declared[name]
        assert not label or label in item.labels, name
        values = (
            {sample.labels[label] for family in item.metric.collect() for sample in family.samples} if label else {}
        )
        number += len(item.roles) * (max(len(values), NEVER_SET) if label else 1)
    assert 50 <= number <= 60
    # The line has these fields beside the metrics.
    assert not {"time", "level", "logger", "message", "role", "node", "exception"} & CHOSEN.keys()
    assert {role for item in DECLARED for role in item.roles} == set(ROLES)


def test_a_minute_has_what_was_counted_in_it_and_gauges_as_they_are() -> None:
    registry, minute = CollectorRegistry(), LastMinute()
    attempts = Counter(f"{PREFIX}attempts", "-", ("task", "outcome"), registry=registry)
    tasks = Gauge(f"{PREFIX}tasks", "-", ("state",), registry=registry)
    other = Counter(f"{PREFIX}pruned", "-", registry=registry)
    waits = Histogram(f"{PREFIX}wait_seconds", "-", ("task",), buckets=RUNS, registry=registry)

    def work(times: int) -> None:
        for name in ("a", "b"):
            attempts.labels(name, "FAILED").inc(times)
            waits.labels(name).observe(0.3)
        tasks.labels("QUEUED").set(times)
        other.inc()

    work(3)
    assert minute.take(registry.collect()) == {
        "attempts_FAILED": 6, "tasks_QUEUED": 3, "wait_seconds": [0.3125, 0.4375],
    }  # fmt: skip
    assert minute.take(registry.collect()) == {"attempts_FAILED": 0, "tasks_QUEUED": 3}
    work(1)
    assert minute.take(registry.collect())["attempts_FAILED"] == 2


def test_what_is_not_known_is_left_out_of_the_line() -> None:
    registry = CollectorRegistry()
    Gauge(f"{PREFIX}queue_oldest_seconds", "-", registry=registry).set(float("nan"))
    Gauge(f"{PREFIX}sockets_open", "-", registry=registry).set(3)
    assert LastMinute().take(registry.collect()) == {"sockets_open": 3}


@given(st.lists(st.integers(0, 500), min_size=len(RUNS), max_size=len(RUNS)))
def test_quantiles_are_spread_as_the_observations(counts: list[int]) -> None:
    buckets = dict(zip(RUNS, map(float, counts), strict=True))
    values = quantiles(buckets, MAX_VALUES)
    total = sum(counts)
    assert len(values) == min(total, MAX_VALUES)
    assert values == sorted(values)
    below: float = 0
    for bound, count in buckets.items():
        below += count
        share = below / total if total else 0
        at_most = sum(bisect_left(RUNS, value) <= RUNS.index(bound) for value in values)
        assert abs(at_most - share * len(values)) <= 1


def test_what_is_beyond_the_last_bound_is_at_it() -> None:
    assert quantiles({0.1: 0.0, 1.0: 0.0, float("inf"): 2.0}, 100) == [1.0, 1.0]


@pytest.mark.usefixtures("logging_as_before")
async def test_a_line_of_the_log_has_the_metrics_whatever_its_level() -> None:
    settings = load_settings({}, cloudwatch_namespace="shop/nodes", log_format="json", log_level="ERROR")
    stream = io.StringIO()
    set_up_logging(settings, "controller", "c1", stream)
    async with publish_metrics(settings, "controller", clock=lambda: 1_700_000_000.5):
        pass
    (line,) = map(json.loads, stream.getvalue().splitlines())
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert line["_aws"]["Timestamp"] == 1_700_000_000_500
    assert (directive["Namespace"], directive["Dimensions"], line["role"]) == ("shop/nodes", [["role"]], "controller")
    names = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
    assert names.keys() <= line.keys()
    assert {"fleet_workers_running", "fleet_problem", "redis_failures"} <= names.keys()
    assert names["fleet_cost_usd_per_hour"] == "None"
    assert not {name for name in names if name.startswith(("submissions", "attempts"))}


async def test_without_a_namespace_nothing_is_written(caplog: pytest.LogCaptureFixture) -> None:
    async with publish_metrics(load_settings({}), "worker"):
        pass
    assert caplog.records == []


def test_a_metric_of_seconds_has_that_unit() -> None:
    (directive,) = embedded({"run_seconds": [0.5], "errors": 2.0}, "n", 1.0)["_aws"]["CloudWatchMetrics"]
    assert [metric["Unit"] for metric in directive["Metrics"]] == ["Seconds", "Count"]
