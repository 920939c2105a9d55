"""Task types whose function takes several tasks at once, beside ones that take one."""

import time

from dask_graphql import Batch, BigInt, task

CALL_SECONDS = 0.005
"""What one call costs, however many inputs it has: as of a model on a GPU."""


@task(batch=Batch(max_size=32, wait_ms=20))
def together(n: list[BigInt]) -> list[list[BigInt]]:
    """The number, and how many numbers were in the call."""
    time.sleep(CALL_SECONDS)
    return [[number, len(n)] for number in n]


@task
def alone(n: BigInt) -> list[BigInt]:
    """The same for one number."""
    time.sleep(CALL_SECONDS)
    return [n, 1]
