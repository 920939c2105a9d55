"""What a worker reads from its ECS task: the name by which the controller knows it, and its memory."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from cluster.system.ecs_metadata import current_ecs_task, random_worker_name, worker_name
from cluster.worker.node import NANNY_BYTES, worker_memory_bytes

ARN = "arn:aws:ecs:eu-central-1:123456789012:task/workers/0f1e2d3c4b5a69788796a5b4c3d2e1f0"


class Metadata(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert self.path == "/v4/abc/task"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(
            json.dumps({"Cluster": "workers", "TaskARN": ARN, "Limits": {"CPU": 1, "Memory": 2048}}).encode()
        )

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


def test_an_ecs_task_knows_its_name_and_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), Metadata) as server:
        Thread(target=server.handle_request, daemon=True).start()
        monkeypatch.setenv("ECS_CONTAINER_METADATA_URI_V4", f"http://127.0.0.1:{server.server_port}/v4/abc")
        task = current_ecs_task()
    assert task is not None
    assert worker_name(task.arn) == "worker-0f1e2d3c4b5a6978"
    assert task.memory_bytes == 2 * 2**30


def test_outside_ecs_there_is_no_task_and_names_are_unique(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ECS_CONTAINER_METADATA_URI_V4", raising=False)
    assert current_ecs_task() is None
    assert len({random_worker_name() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("asked", "task", "machine", "given"),
    [
        (5, 2**31, 2**33, 5),  # the setting wins
        (0, 2**31, 2**33, 2**31 - NANNY_BYTES),  # of the task, and not of the machine that it runs on
        (0, None, 2**33, 2**33 - NANNY_BYTES),
        (0, 2**33, 2**31, 2**31 - NANNY_BYTES),
        (0, None, NANNY_BYTES, NANNY_BYTES // 2),
    ],
)
def test_a_worker_process_may_take_what_its_nanny_leaves(
    asked: int, task: int | None, machine: int, given: int
) -> None:
    assert worker_memory_bytes(asked, task, machine) == given
