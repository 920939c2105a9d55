"""The health checks of containers: what hangs is not healthy, what is busy is."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.controller.fleets.local import LocalFleet
from cluster.controller.reconciler import Controller
from cluster.settings import Settings, load_settings
from cluster.system.liveness import Liveness, liveness_loop
from tests.places import ROOT


def health_of(settings: Settings, role: str) -> str:
    """What the check of the container says; empty if the node is healthy."""
    check = [sys.executable, "-I", "-S", str(ROOT / "docker" / "healthcheck.py"), role]
    done = subprocess.run(
        check, env=settings.environment(), check=False, capture_output=True, text=True, timeout=20
    )  # fmt: skip
    assert done.returncode == bool(done.stderr)
    return done.stderr


@pytest.fixture
def local(tmp_path: Path) -> Settings:
    return load_settings({}, data_dir=tmp_path)


@pytest.fixture
def process(request: pytest.FixtureRequest) -> Iterator[int]:
    """A process that runs this program."""
    with subprocess.Popen([sys.executable, "-c", request.param]) as running:
        yield running.pid
        running.kill()


def silent_for(settings: Settings, role: str, seconds: float, process: int) -> None:
    """A node that gave its last sign of life long ago."""
    path = Liveness(settings, role).path
    path.write_text(str(process))
    os.utime(path, (time.time() - seconds,) * 2)


@pytest.mark.parametrize("role", ["scheduler", "worker"])
async def test_a_node_is_healthy_while_its_event_loop_runs(local: Settings, role: str) -> None:
    loop = liveness_loop(local, role)
    loop.start()
    while not Liveness(local, role).path.exists():
        await asyncio.sleep(0.01)
    assert health_of(local, role) == ""
    await loop.close()


def test_an_api_node_that_accepts_and_does_not_answer_is_healthy_if_it_is_busy(local: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        api = replace(local, port=busy.getsockname()[1])
        assert "not healthy" in health_of(api, "api")
        Liveness(local, "api").beat()
        assert health_of(api, "api") == ""
    assert "refused" in health_of(api, "api")


@pytest.mark.parametrize("process", ["while True: pass"], indirect=True)
def test_a_node_that_is_busy_is_healthy_for_a_quarter_of_an_hour(local: Settings, process: int) -> None:
    silent_for(local, "scheduler", 600, process)
    assert health_of(local, "scheduler") == ""
    silent_for(local, "scheduler", 1_000, process)
    assert "no sign of life for 100" in health_of(local, "scheduler")


@pytest.mark.parametrize("process", ["import time; time.sleep(60)"], indirect=True)
def test_a_node_that_hangs_is_not_healthy(local: Settings, process: int) -> None:
    silent_for(local, "controller", 120, process)
    assert "it uses 0% of a CPU" in health_of(local, "controller")


def test_a_node_that_has_ended_or_never_began_is_not_healthy(local: Settings) -> None:
    assert "not healthy" in health_of(local, "controller")
    silent_for(local, "controller", 120, 2**22 + 1)
    assert "not healthy" in health_of(local, "controller")


async def test_a_controller_that_reaches_nothing_is_healthy_because_its_loop_goes_round(local: Settings) -> None:
    unreachable = replace(local, redis_url="redis://127.0.0.1:1/0")
    controller = Controller(unreachable, LocalFleet(unreachable))
    await controller.round()
    assert health_of(local, "controller") == ""
    await controller.store.close()
