"""A worker's name without a word from outside: of its ECS task, as the controller makes it, or a random one."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from cluster.worker_name import METADATA, own_name, worker_name

ARN = "arn:aws:ecs:eu-central-1:123456789012:task/workers/0f1e2d3c4b5a69788796a5b4c3d2e1f0"


class Metadata(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert self.path == "/v4/abc/task"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"Cluster": "workers", "TaskARN": ARN}).encode())

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


def test_an_ecs_task_takes_its_name_from_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), Metadata) as server:
        Thread(target=server.handle_request, daemon=True).start()
        monkeypatch.setenv(METADATA, f"http://127.0.0.1:{server.server_port}/v4/abc")
        assert own_name() == worker_name(ARN) == "worker-0f1e2d3c4b5a6978"


def test_elsewhere_names_are_never_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(METADATA, raising=False)
    assert len({own_name() for _ in range(100)}) == 100
