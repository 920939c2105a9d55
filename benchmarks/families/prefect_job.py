"""The job with Prefect: python -m benchmarks.families.prefect_job JOB COUNT"""

import sys
import time

from prefect import flow, task
from prefect.cache_policies import INPUTS
from prefect.task_runners import ThreadPoolTaskRunner

from benchmarks.families.work import square


# By default a result is kept for its own run of the flow only, and in memory.
@task(cache_policy=INPUTS, persist_result=True)
def part(job: str, n: int) -> int:
    """One child."""
    return square(n)


@flow(task_runner=ThreadPoolTaskRunner(max_workers=4))
def total(job: str, count: int) -> int:
    """The parent."""
    return sum(future.result() for future in [part.submit(job, n) for n in range(count)])


def run(job: str, count: int) -> None:
    """Runs the parent in this process."""
    began = time.monotonic()
    print(total(job, count), time.monotonic() - began)


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]))
