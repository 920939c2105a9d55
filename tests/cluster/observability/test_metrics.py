"""Metrics: every node of a running system exposes its own, and those in dashboards and alerts exist."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from cluster.errors import SettingError
from cluster.observability.exposition import Exposition
from cluster.observability.metric_declaration import DECLARED
from cluster.observability.metrics_server import response, serve_metrics
from cluster.settings import load_settings
from cluster.system.child_processes import Child
from dask_graphql.dev_system import free_port
from tests.places import ROOT
from tests.system import System

OPS = ROOT / "ops"
ROLES = ("scheduler", "controller", "worker")


class Watched(System):
    """A system whose every node has a port for its metrics, with one worker beside the controller's."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, min_workers=0, max_workers=1)
        self.metrics_ports = {role: free_port() for role in ROLES}

    async def start(self, role: str, node: int = 0) -> Child:
        settings = self.settings
        self.settings = replace(settings, metrics_port=self.metrics_ports.get(role, 0))
        try:
            return await super().start(role, node)
        finally:
            self.settings = settings

    async def text(self, role: str) -> str:
        """Reads a node's metrics."""
        port = self.ports[0] if role == "api" else self.metrics_ports[role]
        async with httpx.AsyncClient(timeout=10) as client:
            found = await client.get(f"http://127.0.0.1:{port}/metrics")
        assert found.status_code == 200
        assert found.headers["content-type"].startswith("text/plain; version=0.0.4")
        return found.text

    async def samples(self, role: str) -> dict[str, float]:
        """Each sample by its name and labels as `name{label=value}`."""
        return {
            sample.name + "".join(f"{{{key}={value}}}" for key, value in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(await self.text(role))
            for sample in family.samples
        }

    async def reaches(self, role: str, holds: Callable[[dict[str, float]], bool]) -> dict[str, float]:
        """Returns the samples once they satisfy the condition."""
        async with asyncio.timeout(20):
            while not holds(samples := await self.samples(role)):
                await asyncio.sleep(0.1)
        return samples


@pytest.fixture(scope="module")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    async with Watched(tmp_path_factory.mktemp("watched")) as system:
        await system.start("worker")
        await system.reaches("scheduler", lambda samples: samples["dask_graphql_scheduler_workers"] == 1)
        yield system


async def run(system: System, mutation: str) -> None:
    """Submits a task and waits for its end."""
    [submission] = (await system.ask(f"mutation {{ {mutation} {{ taskId }} }}")).values()
    await system.result(submission["taskId"])


async def test_a_task_is_counted_where_each_of_its_steps_happens(watched: Watched) -> None:
    before = await watched.samples("api")
    await run(watched, "submitFibonacci(n: 901)")
    await watched.ask("mutation { submitFibonacci(n: 901) { taskId } }")
    api = await watched.samples("api")
    assert api["dask_graphql_submissions_total{outcome=NEW}{task=fibonacci}"] == 1
    assert api["dask_graphql_submissions_total{outcome=CACHED}{task=fibonacci}"] == 1
    assert (
        api["dask_graphql_dispatches_total{outcome=sent}"] == before["dask_graphql_dispatches_total{outcome=sent}"] + 1
    )
    assert api["dask_graphql_deliveries_total{kind=final}"] >= 1
    assert api["dask_graphql_delivery_seconds_count"] >= 1
    assert api["dask_graphql_tasks{state=SUCCEEDED}"] == 1
    assert api["dask_graphql_queue_depth{task=fibonacci}"] == 0
    assert api["dask_graphql_operations_total{type=mutation}"] >= 2
    assert api["dask_graphql_http_requests_total{route=/graphql}{status=200}"] >= 2
    # The result is delivered before it is counted.
    worker = await watched.reaches(
        "worker", lambda samples: "dask_graphql_attempts_total{outcome=SUCCEEDED}{task=fibonacci}" in samples
    )
    assert worker["dask_graphql_attempts_total{outcome=SUCCEEDED}{task=fibonacci}"] == 1
    assert worker["dask_graphql_run_seconds_count{task=fibonacci}"] == 1
    assert worker["dask_graphql_wait_seconds_count{task=fibonacci}"] == 1
    assert 0 <= worker["dask_graphql_wait_seconds_sum{task=fibonacci}"] < 20


@pytest.mark.slow
async def test_the_counts_of_a_dead_worker_process_are_kept(watched: Watched) -> None:
    await run(watched, "submitFibonacci(n: 902)")
    count = "dask_graphql_attempts_total{outcome=SUCCEEDED}{task=fibonacci}"
    before = (await watched.reaches("worker", lambda samples: count in samples))[count]
    # The dead process's nanny counts it, or the scheduler if the nanny is gone too. A worker of the controller may have
    # run it; its metrics are not read.
    lost = "dask_graphql_attempts_lost_total{cause=worker_died}"
    n = 0
    async with asyncio.timeout(60):
        while not sum([(await watched.samples(role)).get(lost, 0) for role in ("scheduler", "worker")]):
            n += 1
            await run(watched, f"submitDeadly(n: {n})")
    assert (await watched.samples("worker"))[count] == before
    # The controller may have started a worker meanwhile, which runs some of them.
    async with asyncio.timeout(30):
        n = 10_000
        while (await watched.samples("worker"))[count] <= before:
            n += 1
            await run(watched, f"submitFibonacci(n: {n})")


async def test_dashboards_and_alerts_use_only_metrics_that_a_running_system_has(watched: Watched) -> None:
    await run(watched, "submitFibonacci(n: 904)")
    await watched.post("{ no }")
    told: set[str] = {"up"}
    for role in ("api", *ROLES):
        told |= {name.partition("{")[0] for name in await watched.samples(role)}
    for source, expression in expressions():
        used = set(re.findall(r"\b(?:dask_graphql|process)_\w+|\bup\b", expression))
        assert used, f"{source}: {expression} uses none of our metrics"
        assert used <= told, f"{source}: {used - told} in {expression}"


async def test_each_node_exposes_the_metrics_that_it_counts_and_no_others(watched: Watched) -> None:
    await run(watched, "submitFibonacci(n: 905)")
    for role in ("api", *ROLES):
        families = {
            f"{family.name}_total" if family.type == "counter" else family.name
            for family in text_string_to_metric_families(await watched.text(role))
        }
        shown = {name for name in families if name.startswith("dask_graphql_")}
        expected = {item.name for item in DECLARED if role in item.roles}
        # A metric with open label values appears with its first count.
        assert shown <= expected
        assert {item.name for item in DECLARED if role in item.roles and not item.labels} <= shown


def test_expressions_are_well_formed() -> None:
    functions = {"sum", "max", "min", "rate", "increase", "histogram_quantile", "absent"}
    for source, expression in expressions():
        bare = re.sub(r'"[^"]*"', '""', expression)
        for opening, closing in ("()", "{}", "[]"):
            assert bare.count(opening) == bare.count(closing), f"{source}: {expression}"
        called = set(re.findall(r"([a-z_]+)\s*\(", bare)) - {"by", "or", "and"}
        assert called <= functions, f"{source}: {called - functions}"
        for selected, labels in re.findall(r"(dask_graphql_\w+?)(?:_bucket)?\{([^}]*)\}", expression):
            [declared] = [item for item in DECLARED if item.name == selected]
            assert set(re.findall(r"(\w+)\s*[=!]", labels)) <= set(declared.labels), f"{source}: {expression}"


def test_every_alert_says_what_it_means_and_what_to_do() -> None:
    for rule in rules():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"].keys() == {"summary", "action"}


async def test_a_metrics_port_that_is_taken_stops_the_node() -> None:
    settings = load_settings({}, metrics_port=free_port())
    async with serve_metrics(settings, "controller"):
        with pytest.raises(SettingError, match="METRICS_PORT"):
            async with serve_metrics(settings, "controller"):
                pass


async def test_a_silent_client_does_not_block_others() -> None:
    settings = load_settings({}, metrics_port=free_port())
    async with serve_metrics(settings, "controller"):
        silent = [await asyncio.open_connection("127.0.0.1", settings.metrics_port) for _ in range(10)]
        async with httpx.AsyncClient() as client:
            found = await client.get(f"http://127.0.0.1:{settings.metrics_port}/metrics")
            assert "dask_graphql_controller_acts" in found.text
        for _, writer in silent:
            writer.close()


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /metrics HTTP/1.1", b"200"),
        (b"GET /metrics?name=x HTTP/1.1", b"200"),
        (b"HEAD /metrics HTTP/1.1", b"200"),
        (b"GET / HTTP/1.1", b"404"),
        (b"POST /metrics HTTP/1.1", b"405"),
        (b"nonsense", b"405"),
    ],
)
def test_the_port_serves_one_path(request_line: bytes, status: bytes) -> None:
    head = response(request_line + b"\r\n\r\n", Exposition("controller").text)
    assert head.startswith(b"HTTP/1.1 " + status) or (request_line == b"nonsense" and head.startswith(b"HTTP/1.1 4"))


def expressions() -> list[tuple[str, str]]:
    """Every PromQL expression in ops/, with its place."""
    board = json.loads((OPS / "grafana-dashboard.json").read_text())
    shown = [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel.get("targets", ())]
    return [*shown, *((rule["alert"], rule["expr"]) for rule in rules())]


def rules() -> list[dict[str, dict[str, str]]]:
    groups = yaml.safe_load((OPS / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]
