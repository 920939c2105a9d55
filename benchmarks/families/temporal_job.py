"""The job with Temporal: python -m benchmarks.families.temporal_job worker, or JOB COUNT"""

import asyncio
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from benchmarks.families.work import square


@activity.defn
def part(job: str, n: int) -> int:
    """One child."""
    return square(n)


@workflow.defn
class Total:
    """The parent."""

    @workflow.run
    async def run(self, job: str, count: int) -> int:
        # After this time, a child whose worker died is run again. What runs for longer is run twice.
        limit = timedelta(seconds=10)
        children = [workflow.execute_activity(part, args=[job, n], start_to_close_timeout=limit) for n in range(count)]
        return sum(await asyncio.gather(*children))


async def work() -> None:
    """The worker."""
    with ThreadPoolExecutor(4) as threads:
        await Worker(
            await Client.connect(os.environ["FAMILY_TEMPORAL"]), task_queue="job", workflows=[Total], activities=[part],
            activity_executor=threads, max_concurrent_activities=4,
        ).run()  # fmt: skip


async def run(job: str, count: int) -> None:
    """Submits the parent and waits for it."""
    client = await Client.connect(os.environ["FAMILY_TEMPORAL"])
    began = time.monotonic()
    found = await client.execute_workflow(Total.run, args=[job, count], id=f"total-{job}", task_queue="job")
    print(found, time.monotonic() - began)


if __name__ == "__main__":
    asyncio.run(work() if sys.argv[1] == "worker" else run(sys.argv[1], int(sys.argv[2])))
