"""What `dask-graphql status` shows of a cluster."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from dask_graphql.client.status_command import render


def worker(name: str, **changed: Any) -> dict[str, Any]:
    resting = {"state": "RUNNING", "startingSeconds": None, "problem": None, "threads": 1, "processing": 0}
    return {"name": name, "memoryBytes": 2**20, "memoryLimitBytes": 0} | resting | changed


def test_a_worker_that_starts_says_so_and_one_that_cannot_says_why() -> None:
    cluster: dict[str, Any] = {
        "schedulerConnected": True, "schedulerEpoch": None, "waiting": 0, "processing": 0, "tasks": [], "fleet": None,
        "workers": [
            worker("w1"), worker("w2", state="STARTING", startingSeconds=12.4),
            worker("w3", state="STARTING", startingSeconds=3.0, problem="no module named 'torch'"),
        ],
    }  # fmt: skip
    console = Console(width=120)
    with console.capture() as shown:
        console.print(render("http://x", cluster))
    lines = shown.get().splitlines()
    for name, state in (("w1", "running"), ("w2", "starting for 12 s"), ("w3", "no module named 'torch'")):
        assert any(name in line and state in line for line in lines)
