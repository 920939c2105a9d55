"""The job with dask-graphql: python -m benchmarks.families.dask_graphql_job JOB COUNT"""

import os
import sys
import time

from benchmarks.families.work import square
from dask_graphql import Client, gather, submit, task


@task
def part(job: str, n: int) -> int:
    """One child."""
    return square(n)


@task
def total(job: str, count: int) -> int:
    """The parent."""
    return sum(gather(*(submit(part, job=job, n=n) for n in range(count))))


def run(job: str, count: int) -> None:
    """Submits the parent and waits for it."""
    with Client(os.environ["FAMILY_URL"]) as client:
        began = time.monotonic()
        print(client.submit("total", job=job, count=count).result(), time.monotonic() - began)


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]))
