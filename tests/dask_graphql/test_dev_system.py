"""The local system's own steps, without the system."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import redis

from cluster.system.child_processes import start_child, stop_children
from dask_graphql import redis_server
from dask_graphql.dev_processes import CannotStart, DevProcesses
from dask_graphql.dev_system import free_port, make_private
from dask_graphql.redis_server import private_redis, redis_binary, redis_command, wait_for_redis

KEYS = 10_000
STEPS = 1_024
"""Redis answers once in so many commands of its file."""


def write_file(folder: Path) -> None:
    """A Redis file of KEYS commands."""
    words = (["SET", f"key:{n}", "x" * 100] for n in range(KEYS))
    text = "".join(f"*{len(w)}\r\n" + "".join(f"${len(part)}\r\n{part}\r\n" for part in w) for w in words)
    (folder / "appendonly.aof").write_text("*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n" + text)


async def test_a_long_file_is_waited_for_as_long_as_redis_loads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    write_file(tmp_path)
    # 0.15 s for each of the 10 steps.
    monkeypatch.setattr(redis_server, "START_SECONDS", 0.5)
    monkeypatch.setattr(redis_server, "LOADING_SECONDS", 0.5)
    command = [*redis_command(redis_binary(), tmp_path, port), "--key-load-delay", str(int(0.15e6 / STEPS))]
    child = await start_child("redis", command)
    try:
        began = time.monotonic()
        await wait_for_redis(f"redis://127.0.0.1:{port}", child, asyncio.Event())
        assert time.monotonic() - began > 2 * 0.5
        with redis.Redis(port=port) as client:
            assert client.dbsize() == KEYS
    finally:
        await stop_children([child], 5)
    assert "of the kept records (" in capsys.readouterr().out


async def test_a_redis_that_makes_no_progress_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_server, "START_SECONDS", 0.3)
    child = await start_child("redis", ["sleep", "30"])
    try:
        with pytest.raises(CannotStart, match="does not respond"):
            await wait_for_redis(f"redis://127.0.0.1:{free_port()}", child, asyncio.Event())
    finally:
        await stop_children([child], 5)


async def test_a_start_that_waits_for_redis_can_be_stopped() -> None:
    child = await start_child("redis", ["sleep", "30"])
    stop = asyncio.Event()
    try:
        waiting = asyncio.create_task(wait_for_redis(f"redis://127.0.0.1:{free_port()}", child, stop))
        await asyncio.sleep(0)
        stop.set()
        await asyncio.wait_for(waiting, 3)
    finally:
        await stop_children([child], 5)


CONNECT_AS_NOBODY = "import os, socket, sys; os.setuid(65534); socket.socket(socket.AF_UNIX).connect(sys.argv[1])"


async def test_its_redis_is_on_a_socket_that_no_other_user_can_open(tmp_path: Path) -> None:
    make_private(tmp_path)
    server = private_redis(redis_binary(), tmp_path, free_port)
    child = await start_child("redis", server.command)
    try:
        await wait_for_redis(server.url, child, asyncio.Event())
        socket = tmp_path / "redis.sock"
        assert [stat.filemode(path.stat().st_mode) for path in (tmp_path, socket)] == ["drwx------", "srwx------"]
        connections = psutil.Process(child.process.pid).net_connections("inet")
        assert [one for one in connections if one.status == "LISTEN"] == []
        if os.geteuid() == 0:
            command = [sys.executable, "-c", CONNECT_AS_NOBODY, str(socket)]
            refused = subprocess.run(command, capture_output=True, text=True, check=False)
            assert "PermissionError" in refused.stderr
    finally:
        await stop_children([child], 5)


async def test_a_folder_whose_path_is_too_long_for_a_socket_gets_a_redis_with_a_password(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 103)
    make_private(folder)
    server = private_redis(redis_binary(), folder, free_port)
    child = await start_child("redis", server.command)
    try:
        await wait_for_redis(server.url, child, asyncio.Event())
        parts = urlsplit(server.url)
        assert parts.password
        assert len(parts.password) == 64
        assert parts.password not in f"{server.command} {server.shown}"
        assert stat.filemode((folder / "redis.conf").stat().st_mode) == "-rw-------"
        with (
            redis.Redis(port=parts.port or 0) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.get("key")
    finally:
        await stop_children([child], 5)


def test_a_data_folder_is_closed_to_others_and_one_that_all_share_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o755)
    make_private(folder)
    assert stat.filemode(folder.stat().st_mode) == "drwx------"
    folder.chmod(0o1777)
    with pytest.raises(CannotStart, match="a folder of its own"):
        make_private(folder)
    assert stat.filemode(folder.stat().st_mode) == "drwxrwxrwt"


SAYS = "import sys, time; print('up', flush=True); time.sleep(600)"


def _lines(file: Path) -> int:
    return file.read_text().count("up")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_process_that_ends_is_restarted_and_the_others_keep_running(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stop = asyncio.Event()
    async with DevProcesses(tmp_path, first_pause_seconds=0.01) as parts:
        for role in ("redis", "api"):
            await parts.start(role, [sys.executable, "-c", SAYS])
        keeping = asyncio.ensure_future(parts.until(stop))
        redis_pid = parts._children["redis"].process.pid
        starts = partial(_lines, tmp_path / "api.log")
        for times in (1, 2):
            await until(partial(lambda times: starts() == times, times))
            parts._children["api"].process.kill()
        await until(lambda: starts() == 3)
        stop.set()
        await keeping
        assert parts._children["redis"].process.pid == redis_pid
        processes = [child.process for child in parts._children.values()]
    assert all(process.returncode is not None for process in processes)
    assert caplog.messages[0] == "api was killed by signal 9; restarting it in 0.0 s\n  api: up"
    assert len(caplog.messages) == 2


async def test_a_process_that_keeps_ending_is_restarted_ever_later_and_stops_with_the_system(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stop = asyncio.Event()
    async with DevProcesses(tmp_path, first_pause_seconds=0.01) as parts:
        await parts.start("api", [sys.executable, "-c", "import sys; sys.exit(3)"])
        keeping = asyncio.ensure_future(parts.until(stop))
        await until(lambda: len(caplog.messages) >= 4)
        stop.set()
        await keeping
    pauses = [message.partition("restarting it in ")[2].partition(" s")[0] for message in caplog.messages[:4]]
    assert pauses == ["0.0", "0.0", "0.0", "0.1"]
    assert caplog.messages[0].startswith("api ended with exit code 3; ")
