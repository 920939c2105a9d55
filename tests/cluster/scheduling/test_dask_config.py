"""Our Dask settings override Dask's defaults and leave the others unchanged; the user's settings win."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import dask
import httpx
import orjson
import pytest
from distributed import Client, Scheduler, Worker
from distributed.scheduler import TaskGroup

from cluster.scheduling.dask_internals import drop_spans
from tests.polling import until

SHOW = """
import sys, orjson
from pathlib import Path
from cluster.scheduling.dask_config import configure_dask, keep_dask_in
keep_dask_in(Path(sys.argv[1]))
configure_dask(Path(sys.argv[1]) / "scratch", pages=sys.argv[2] == "True")
import dask, distributed
print(orjson.dumps([dask.config.get(key) for key in sys.argv[3:]]).decode())
"""
ENVIRON = "distributed.nanny.pre-spawn-environ"


def configured(folder: Path, *keys: str, pages: bool = False, **variables: str) -> list[object]:
    """The values that one of our processes finds in Dask's configuration."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DASK_")}
    answer = subprocess.run(
        [sys.executable, "-c", SHOW, str(folder), str(pages), *keys], env={**environment, **variables}, check=True,
        capture_output=True, timeout=60,
    )  # fmt: skip
    return list(orjson.loads(answer.stdout))


def test_our_settings_override_the_defaults_of_dask(tmp_path: Path) -> None:
    interval, length, folder, environ = configured(
        tmp_path, "distributed.worker.profile.interval", "distributed.admin.log-length", "temporary-directory", ENVIRON
    )
    assert (interval, length, folder) == ("100ms", 1000, str(tmp_path / "scratch"))
    assert isinstance(environ, dict)
    # Dask's own variables of a worker process are kept.
    assert environ["MALLOC_MMAP_THRESHOLD_"] == 32 * 2**20
    assert "OMP_NUM_THREADS" in environ


@pytest.mark.parametrize("pages", [False, True])
def test_profiles_are_kept_only_if_the_dashboard_shows_them(tmp_path: Path, pages: bool) -> None:
    assert configured(tmp_path, "distributed.worker.profile.enabled", pages=pages) == [pages]


def test_the_system_monitor_keeps_five_minutes(tmp_path: Path) -> None:
    length, interval = configured(
        tmp_path, "distributed.admin.system-monitor.log-length", "distributed.admin.system-monitor.interval"
    )
    assert (length, interval) == (600, "500ms")


HELD, RELEASED = threading.Event(), threading.Event()


def hold() -> None:
    HELD.set()
    RELEASED.wait(60)


async def test_a_scheduler_that_is_never_idle_keeps_nothing_of_graphs_that_have_ended(tmp_path: Path) -> None:
    key = "distributed.diagnostics.computations.max-history"
    with dask.config.set({key: configured(tmp_path, key)[0]}):
        async with (
            Scheduler(host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0") as scheduler,
            Worker(scheduler.address, nthreads=2, dashboard_address="127.0.0.1:0") as worker,
            Client(scheduler.address, asynchronous=True, set_as_default=False) as client,
        ):
            # They keep every group, too.
            drop_spans(scheduler)
            drop_spans(worker)
            holding = client.submit(hold, key="holding", pure=False)
            try:
                await asyncio.to_thread(HELD.wait, 60)
                for number in range(5):
                    assert await client.submit(abs, -number, key=f"part{number}-{number:032x}", pure=False) == number
                await until(lambda: list(scheduler.tasks) == ["holding"])
                gc.collect()
                groups = [group.name for group in gc.get_objects() if isinstance(group, TaskGroup)]
                assert [name for name in groups if name.startswith("part")] == []
            finally:
                RELEASED.set()
            await holding


PAGES = ("/info/main/workers.html", "/info/main/logs.html", "/info/call-stacks", "/json/identity.json", "/status",
         "/json/index.html", "/statics/css/base.css", "/individual-plots.json")  # fmt: skip


async def test_the_http_servers_of_dask_serve_health_and_metrics_and_no_page(tmp_path: Path) -> None:
    keys = [f"distributed.{role}.http.routes" for role in ("scheduler", "worker")]
    with dask.config.set(dict(zip(keys, configured(tmp_path, *keys), strict=True))):
        async with (
            Scheduler(host="127.0.0.1", port=0, dashboard=False, dashboard_address="127.0.0.1:0") as scheduler,
            Worker(scheduler.address, nthreads=1, dashboard=False, dashboard_address="127.0.0.1:0") as worker,
            httpx.AsyncClient(trust_env=False) as client,
        ):
            for node in (scheduler, worker):
                base = f"http://127.0.0.1:{node.http_server.port}"
                found = {path: (await client.get(base + path)).status_code for path in ("/health", "/metrics", *PAGES)}
                assert found == {"/health": 200, "/metrics": 200, **dict.fromkeys(PAGES, 404)}


def test_pages_are_left_where_there_is_a_dashboard(tmp_path: Path) -> None:
    [routes] = configured(tmp_path, "distributed.scheduler.http.routes", pages=True)
    assert isinstance(routes, list)
    assert "distributed.http.scheduler.info" in routes


@pytest.mark.parametrize("value", ["20ms", "1s"])
def test_the_settings_of_the_user_win(tmp_path: Path, value: str) -> None:
    key = "distributed.worker.profile.interval"
    assert configured(tmp_path, key, DASK_DISTRIBUTED__WORKER__PROFILE__INTERVAL=value) == [value]
