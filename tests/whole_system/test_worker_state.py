"""A worker makes its states before it takes tasks, and says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from dask_graphql import Client
from dask_graphql.testing import running_system
from tests.polling import until

pytestmark = pytest.mark.slow

QUERY = """{ cluster { workers { name state startingSeconds problem } fleet { launching problem } } }"""


def workers(client: Client) -> list[dict[str, Any]]:
    answer = httpx.post(client.url, json={"query": QUERY}, timeout=10).json()
    return list(answer["data"]["cluster"]["workers"])


async def test_a_worker_is_starting_until_its_states_are_made_and_shows_why_they_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATEFUL_FOLDER", str(tmp_path))
    (tmp_path / "broken").touch()
    with running_system("tests.task_modules.stateful", max_workers=1) as client:
        handle = client.submit("state_and_process", n=1)
        await until(lambda: any(worker["state"] == "STARTING" for worker in workers(client)), seconds=30)
        await until(lambda: any(worker["problem"] for worker in workers(client)), seconds=30)
        [problem] = {worker["problem"] for worker in workers(client) if worker["problem"]}
        assert "the worker state tests.task_modules.stateful.made cannot be made: OSError: the model" in problem
        (tmp_path / "broken").unlink()
        n, made_in, used_in = handle.result(timeout=60)
        assert (n, made_in) == (1, used_in)
        assert "RUNNING" in {worker["state"] for worker in workers(client)}
