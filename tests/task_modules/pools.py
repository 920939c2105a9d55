"""Task types of pools."""

from __future__ import annotations

import os
import time
from typing import cast

import dask
import psutil

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


@task(needs=Needs(memory_gib=0.2))
def growing(gib: float) -> str:
    """Lets its worker process grow to a size, and stays so in the pool `small`."""
    pool, size = os.environ["DASK_GRAPHQL_POOL"], int(gib * 2**30) - psutil.Process().memory_info().rss
    kept = b"x" * size
    if pool == "small":
        time.sleep(60)
    del kept
    return pool
