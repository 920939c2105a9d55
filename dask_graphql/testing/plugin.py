"""The pytest plugin: the fixture `dask_graphql_system` and its settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    # pytest imports this module at every start, also where no test needs a system.
    from dask_graphql.client.sync_client import Client


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        "dask_graphql_task_modules", "Importable task modules of the fixture dask_graphql_system.", "args", default=[]
    )


@pytest.fixture(scope="session")
def dask_graphql_system(request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client of a real system with the task modules of the ini option `dask_graphql_task_modules`. All tests of a run
    (with pytest-xdist: of a process) share the system."""
    from dask_graphql.testing.system import running_system

    with running_system(*request.config.getini("dask_graphql_task_modules")) as client:
        yield client
