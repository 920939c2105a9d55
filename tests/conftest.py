"""Real parts for the tests: a Redis of our own, and whole systems of real processes on private ports.

Nothing here is shared with another run: every port is free when it is taken, every folder is temporary.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

# Dask writes its configuration into this folder at import; the user's home is none of our business.
os.environ["DASK_CONFIG"] = tempfile.mkdtemp(prefix="dask-config-")
for _name in [name for name in os.environ if name.startswith("DASK_GRAPHQL_")]:
    del os.environ[_name]

from cluster.settings import Settings, load_settings  # noqa: E402
from cluster.store.store import Store  # noqa: E402
from tests.system import RedisServer, System  # noqa: E402


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for the tests of the store; each test has a key prefix of its own."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def settings(redis_server: RedisServer, tmp_path: Path) -> Settings:
    """Settings with a private key prefix and data folder."""
    return load_settings(
        {},
        redis_url=redis_server.url,
        key_prefix=f"t{uuid.uuid4().hex[:8]}",
        data_dir=tmp_path,
        min_workers=1,
        max_workers=2,
    )


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    store = Store(settings)
    yield store
    await store.close()


@pytest.fixture(scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """A whole system that tests share and do not break: Redis, scheduler, two workers, two api nodes."""
    async with System(tmp_path_factory.mktemp("system"), api_nodes=2, min_workers=2, max_workers=2) as running:
        yield running
