"""The job with Celery: python -m benchmarks.families.celery_job JOB COUNT"""

import os
import sys
import time

from celery import Celery, chord

from benchmarks.families.work import square

# Acknowledged late, with a visibility timeout that is short and looked at every ten seconds, so that what a dead worker
# had is run again. What runs for longer than that is run twice.
app = Celery("job", broker=os.environ["FAMILY_REDIS"], backend=os.environ["FAMILY_REDIS"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_transport_options={"visibility_timeout": 10, "unacked_restore_throttle": 1},
    broker_connection_retry_on_startup=True,
)


@app.task(name="part")
def part(job: str, n: int) -> int:
    """One child."""
    return square(n)


@app.task(name="total")
def total(parts: list[int]) -> int:
    """What follows the children."""
    return sum(parts)


def run(job: str, count: int) -> None:
    """Submits the canvas, which is the parent, and waits for it."""
    began = time.monotonic()
    parts = chord(part.s(job, n) for n in range(count))
    print(parts(total.s()).get(timeout=300, interval=0.01), time.monotonic() - began)


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]))
