"""docker-compose.yaml: its containers are closed, and its Redis lets workers do what workers do."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import redis.exceptions
import yaml

from cluster.settings import load_settings
from cluster.store.worker_acl import worker_rules
from cluster.system.child_processes import with_parent_death_signal
from dask_graphql.dev_system import free_port
from tests.places import ROOT
from tests.polling import until

PASSWORDS: Final = {"REDIS_PASSWORD": "s3cret", "REDIS_WORKER_PASSWORD": "w0rker"}
VARIABLE: Final = re.compile(r"\$\{(\w+):-([^}]*)\}")


def composed(variables: dict[str, str]) -> Any:
    """The file with its variables filled in, as compose does it."""
    text = (ROOT / "docker-compose.yaml").read_text()
    return yaml.safe_load(VARIABLE.sub(lambda found: variables.get(found[1]) or found[2], text))["services"]


@pytest.mark.parametrize("name", ["redis", "scheduler", "worker", "api"])
def test_a_container_cannot_change_its_image_get_privileges_or_take_the_machine(name: str) -> None:
    service = composed({})[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] <= 1024
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("variables", [{}, PASSWORDS], ids=["open", "passwords"])
def test_the_nodes_accept_their_environment(variables: dict[str, str]) -> None:
    for name in ("scheduler", "worker", "api"):
        environment = {key: str(value) for key, value in composed(variables)[name]["environment"].items()}
        settings = load_settings(environment)
        assert settings.dashboard == ""


@contextmanager
def running(binary: Path, folder: Path, variables: dict[str, str]) -> Iterator[int]:
    """The server with the command of the file; returns its port."""
    port = free_port()
    _, *options = [str(folder) if part == "/data" else part for part in composed(variables)["redis"]["command"]]
    command = [str(binary), *options, "--port", str(port), "--bind", "127.0.0.1"]
    server = subprocess.Popen(with_parent_death_signal(command), stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        server.terminate()
        server.wait(20)


@pytest.mark.every_engine
@pytest.mark.parametrize("variables", [{}, PASSWORDS], ids=["open", "passwords"])
async def test_its_redis_starts_with_a_user_for_workers(
    engine: Path, tmp_path: Path, variables: dict[str, str]
) -> None:
    services = composed(variables)
    with running(engine, tmp_path, variables) as port:
        place = f"127.0.0.1:{port}"
        urls = {name: services[name]["environment"]["DASK_GRAPHQL_REDIS_URL"] for name in ("api", "worker")}
        api, worker = (redis.Redis.from_url(url.replace("redis:6379", place)) for url in urls.values())
        with api, worker, redis.Redis(port=port) as stranger:
            await until(lambda: answers(worker))
            assert api.hset("dg:keys", "id", "hash") == 1
            assert api.config_get("maxmemory")["maxmemory"] == str(2**30)
            with pytest.raises(redis.exceptions.NoPermissionError):
                worker.hgetall("dg:keys")
            assert worker.hgetall("dg:{dg:0}:task:1") == {}
            if variables:
                with pytest.raises(redis.AuthenticationError):
                    stranger.hgetall("dg:keys")


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_the_rules_of_its_workers_are_those_that_the_command_prints() -> None:
    command = composed(PASSWORDS)["redis"]["command"]
    user = command[command.index("--user") + 1 : command.index("--dir")]
    assert user == ["worker", "on", ">w0rker", *worker_rules("dg")]
