"""Task types of pools."""

from __future__ import annotations

import os
import time
from typing import cast

import dask

from dask_graphql import Graph, Needs, task


@task(pool="small")
def held(n: int, seconds: float = 0.0) -> str:
    """Runs in the pool `small`; returns the pool of its worker."""
    time.sleep(seconds)
    return os.environ["DASK_GRAPHQL_POOL"]


@task(needs=Needs(memory_gib=0.4))
def larger(n: int) -> str:
    """Needs more memory than a worker of `small` has."""
    return os.environ["DASK_GRAPHQL_POOL"]


@task
def elsewhere(n: int) -> str:
    """Runs in the default pool."""
    return os.environ["DASK_GRAPHQL_POOL"]


@task(pool="small")
def parts(count: int) -> Graph[list[str]]:
    """A graph whose parts return the pool of their worker."""
    return cast("Graph[list[str]]", dask.delayed(list)([dask.delayed(_pool, pure=False)(n) for n in range(count)]))


def _pool(_: int) -> str:
    return os.environ["DASK_GRAPHQL_POOL"]
