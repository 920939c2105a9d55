"""Traces: one from the mutation to the delivered result, received by a collector; none unless asked for."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cluster.errors import SettingError
from cluster.observability import tracing
from tests.places import ROOT
from tests.system import System

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"


class Collector:
    """Receives spans as OTLP over HTTP (protobuf), as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    import gzip

                    body = gzip.decompress(body)
                collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, request: Any) -> None:
        for resource in request.resource_spans:
            service = next(
                item.value.string_value for item in resource.resource.attributes if item.key == "service.name"
            )
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans.append(
                        {
                            "name": span.name, "service": service, "trace": span.trace_id.hex(),
                            "id": span.span_id.hex(), "parent": span.parent_span_id.hex(),
                            "failed": span.status.code == 2, "links": [link.trace_id.hex() for link in span.links],
                            "ms": (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6,
                            "began": span.start_time_unix_nano,
                        }
                    )  # fmt: skip

    def of(self, trace: str) -> dict[str, dict[str, Any]]:
        """The spans of a trace by their names."""
        return {span["name"]: span for span in self.spans if span["trace"] == trace}

    def tree(self, trace: str) -> str:
        """A trace as humans read it."""
        spans = sorted((span for span in self.spans if span["trace"] == trace), key=lambda span: span["began"])
        ids = {span["id"] for span in spans}

        def below(parent: str, depth: int) -> Iterator[str]:
            for span in spans:
                if span["parent"] == parent or (not depth and span["parent"] not in ids):
                    yield f"{'  ' * depth + span['name']:<27} {span['service']:<20} {span['ms']:4.1f} ms"
                    yield from below(span["id"], depth + 1)

        return "\n".join(below("", 0))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector for the processes that are started from here on."""
    collector = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    yield collector
    collector.close()


async def submit(system: System, mutation: str, trace: str) -> str:
    """Submits as a caller that traces. Returns the task id."""
    async with httpx.AsyncClient(headers={"traceparent": f"00-{trace}-{CALLER}-01"}) as client:
        answer = await client.post(system.url, json={"query": f"mutation {{ {mutation} {{ taskId }} }}"})
    [submission] = answer.json()["data"].values()
    return str(submission["taskId"])


def without_times(tree: str) -> list[str]:
    return [re.sub(r" +[\d.]+ ms$", "", line) for line in tree.strip().splitlines()]


@pytest.mark.slow
async def test_one_trace_goes_from_the_mutation_to_the_delivered_result(
    collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with System(tmp_path_factory.mktemp("traced"), max_workers=1, log_format="json") as system:
        task_id = await submit(system, "submitFibonacci(n: 1000000)", TRACE)
        await system.result(task_id)
        names = {"POST /graphql", "submit fibonacci", "dispatch", "run fibonacci", "deliver"}
        async with asyncio.timeout(20):
            while set(collector.of(TRACE)) != names:
                await asyncio.sleep(0.05)
        again = await submit(system, "submitFibonacci(n: 1000000)", "2" * 32)
        assert again == task_id
        failing = await submit(system, 'submitFailing(message: "traced")', "1" * 32)
        await system.result(failing)
        async with asyncio.timeout(20):
            while "run failing" not in collector.of("1" * 32):
                await asyncio.sleep(0.05)
            while "submit fibonacci" not in collector.of("2" * 32):
                await asyncio.sleep(0.05)
        assert await system.ask(f'{{ task(taskId: "{task_id}") {{ state }} }}') == {"task": {"state": "SUCCEEDED"}}
    page = (ROOT / "docs" / "operations.md").read_text()
    shown = page.partition("tests/cluster/observability/test_tracing.py -->\n```text\n")[2].partition("```")[0]
    tree = collector.tree(TRACE)
    assert without_times(tree) == without_times(shown), f"the page shows another trace than\n{tree}"
    spans = collector.of(TRACE)
    assert spans["POST /graphql"]["parent"] == CALLER
    assert spans["submit fibonacci"]["parent"] == spans["POST /graphql"]["id"]
    for name in ("dispatch", "run fibonacci", "deliver"):
        assert spans[name]["parent"] == spans["submit fibonacci"]["id"]
    assert {spans[name]["service"] for name in names - {"run fibonacci"}} == {"dask-graphql-api"}
    assert spans["run fibonacci"]["service"] == "dask-graphql-worker"
    assert collector.of("2" * 32)["submit fibonacci"]["links"] == [TRACE]
    assert collector.of("1" * 32)["run failing"]["failed"]
    assert not spans["run fibonacci"]["failed"]
    # The worker's log names the trace too.
    assert f'"traceId":"{"1" * 32}"' in (system.folder / "controller.log").read_text()


def test_without_tracing_opentelemetry_need_not_be_installed() -> None:
    program = """
import os, sys
for name in [name for name in os.environ if name.startswith("OTEL_")]:
    del os.environ[name]

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Missing())
import graphql_api.serve, cluster.worker.node
from cluster.observability import tracing
tracing.set_up_tracing("api")
with tracing.span("submit", parent="00-%032x-%016x-01" % (1, 2)) as span:
    assert span.traceparent.startswith("00-")
os.environ["OTEL_TRACES_EXPORTER"] = "otlp"
try:
    tracing.set_up_tracing("api")
except tracing.SettingError as error:
    assert "dask-graphql[otel]" in str(error)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"}, False),
    ],
)
def test_the_standard_variables_decide(environment: dict[str, str], expected: bool) -> None:
    assert tracing.requested(environment) == expected


@pytest.mark.parametrize(
    ("variable", "value"), [("OTEL_TRACES_EXPORTER", "zipkin"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]
)
def test_unsupported_tracing_settings_stop_the_node(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingError, match=variable):
        tracing.set_up_tracing("api")
    assert not tracing.enabled()
