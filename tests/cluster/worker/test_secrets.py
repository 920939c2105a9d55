"""A task's environment holds no secret of ours: not its process, not what it starts, not Dask's configuration."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import redis

from cluster.settings import PREFIX, Settings, load_settings, remove_secrets, variable_of
from cluster.store.worker_acl import worker_rules
from cluster.system.tls import make_certificates
from tests.system import System

SECRETS = {
    "DASK_GRAPHQL_REDIS_URL": "redis://:hunter2@127.0.0.1:1/0",
    "DASK_GRAPHQL_SCHEDULER": "tls://127.0.0.1:8786",
    "DASK_GRAPHQL_TLS_KEY": "-----BEGIN hunter2",
    "DASK_GRAPHQL_TOKEN": "hunter2",
}
FIELDS = "state result { ... on EnvironmentResult { value } }"
SET_UP = """
import os, dask
from types import SimpleNamespace
from cluster.worker import preload
assert "hunter2" in str(dask.config.config), "Dask collects our variables"
preload._set_up = lambda worker, settings, path: print(dict(os.environ), dask.config.config, settings.redis_url)
preload.dask_setup(SimpleNamespace(name="w1"))
"""


def test_the_variables_of_secrets_are_removed_and_the_others_stay() -> None:
    environment = {**Settings(max_workers=3).environment(), "DASK_GRAPHQL_TOKEN": "x", "AWS_REGION": "eu-west-1"}
    before = set(environment)
    remove_secrets(environment)
    declared = {variable_of(item.name) for item in fields(Settings) if item.metadata["secret"]}
    assert before - set(environment) == {*declared, "DASK_GRAPHQL_TOKEN"}
    assert {"DASK_GRAPHQL_REDIS_URL", "DASK_GRAPHQL_TLS_KEY"} <= declared
    assert load_settings(environment).max_workers == 3


def test_no_setting_that_may_hold_a_secret_is_declared_without_saying_so() -> None:
    suspicious = ("password", "secret", "private key", "credential")
    open_ones = [item.name for item in fields(Settings) if not item.metadata["secret"]]
    meanings = {item.name: item.metadata["meaning"].lower() for item in fields(Settings)}
    assert [name for name in open_ones if any(word in meanings[name] for word in suspicious)] == []


def test_the_worker_process_forgets_secrets_before_it_imports_task_modules(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment |= {**SECRETS, "DASK_GRAPHQL_DATA_DIR": str(tmp_path), "DASK_CONFIG": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", SET_UP], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    # The settings still have the URL: the worker needs it.
    assert done.stdout.count("hunter2") == 1
    assert done.stdout.strip().endswith("redis://:hunter2@127.0.0.1:1/0")


async def start_worker_with_a_user_of_its_own(system: System) -> None:
    """Starts a worker that may change tasks and nothing else in Redis, in the place of the controller's."""
    await system.kill("controller")
    with redis.Redis(port=system.redis.port) as client:
        client.acl_setuser("worker", enabled=True, passwords=["+hunter2"], reset_passwords=True)
        client.execute_command("ACL", "SETUSER", "worker", *worker_rules(system.settings.key_prefix))
    everything = system.settings
    system.settings = replace(everything, redis_url=everything.redis_url.replace("://", "://worker:hunter2@"))
    await system.start("worker")
    system.settings = everything


@pytest.mark.slow
async def test_no_task_finds_a_secret_in_its_environment_even_after_its_worker_process_was_replaced(
    tmp_path: Path,
) -> None:
    """The worker has a Redis user of its own, which is enough to run tasks and to report a lost process."""
    paths = make_certificates(tmp_path / "tls", days=1)
    files: dict[str, Any] = {name: path.read_text() for name, path in paths.items()}
    key = "".join(files["tls_key"].splitlines()[1:-1])
    modules = ("tests.task_modules.environment",)
    async with System(tmp_path, tls=True, min_workers=0, max_workers=1, task_modules=modules, **files) as system:
        await start_worker_with_a_user_of_its_own(system)
        for kill_first in ("false", "true"):
            mutation = f'mutation {{ submitEnvironment(folder: "{tmp_path}", killFirst: {kill_first}) {{ taskId }} }}'
            submitted = await system.ask(mutation)
            record = await system.result(submitted["submitEnvironment"]["taskId"], FIELDS)
            assert record["state"] == "SUCCEEDED"
            process, initial, child, configuration = record["result"]["value"]
            for text in (process, initial, child):
                assert "DASK_GRAPHQL_DATA_DIR" in text or text == initial
                assert "DASK_GRAPHQL_REDIS_URL" not in text
                assert "DASK_GRAPHQL_TLS_KEY" not in text
                assert key[:40] not in text.replace("\\n", "")
                assert "hunter2" not in text
            assert "graphql" not in configuration
        assert (tmp_path / "killed").exists()
