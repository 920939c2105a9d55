"""Workers that only speak Dask's protocol: they register, say at once that each Dask task has ended, and send the
heartbeats of a worker and of its nanny. One process is hundreds of them, so that a scheduler is the limit and not the
machine. The messages are those of `distributed.Worker` (2026.8), with what ours add.

    python -m benchmarks.simulated_workers tcp://127.0.0.1:8786 100 FILE

The file says how many Dask tasks have ended so far, as 8 bytes; -1 until all workers are registered.
"""

from __future__ import annotations

import asyncio
import mmap
import struct
import sys
import time
from pathlib import Path
from typing import Any, Final

from distributed.comm import Comm, connect

from cluster.scheduling.dask_internals import SECONDS_KEY

RUN_SECONDS: Final = 0.0005
"""How long an attempt is said to have run."""
NANNY_SECONDS: Final = 5.0
"""How often the nanny of a worker tells the scheduler that the worker's process is alive."""
METRICS: Final[dict[str, Any]] = {
    "task_counts": {"executing": 1, "memory": 0},
    "bandwidth": {"total": 100_000_000, "workers": {}, "types": {}},
    "digests_total_since_heartbeat": {("execute", "run", "thread-cpu", "seconds"): 0.01, "tick-duration": 0.5},
    "managed_bytes": 0,
    "spilled_bytes": {"memory": 0, "disk": 0},
    "transfer": {
        "incoming_bytes": 0, "incoming_count": 0, "incoming_count_total": 0,
        "outgoing_bytes": 0, "outgoing_count": 0, "outgoing_count_total": 0,
    },
    "event_loop_interval": 0.02,
    "cpu": 50.0,
    "memory": 100_000_000,
    "time": 0.0,
    "host_net_io": {"read_bps": 0.0, "write_bps": 0.0},
    "host_disk_io": {"read_bps": 0.0, "write_bps": 0.0},
    "num_fds": 30,
}  # fmt: skip


class Counter:
    """A number in a file that two processes share.

    Args:
        start: what it is from now on; None to read what the other process counts.
    """

    def __init__(self, file: Path, start: int | None = None) -> None:
        if start is not None:
            file.write_bytes(struct.pack("q", start))
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), 8)

    @property
    def value(self) -> int:
        return int(struct.unpack_from("q", self._shared)[0])

    def set(self, value: int) -> None:
        struct.pack_into("q", self._shared, 0, value)


class SimulatedWorker:
    """One worker of a thread.

    Args:
        number: unique in this system; its port, on which nobody listens.
    """

    def __init__(self, scheduler: str, number: int) -> None:
        self._scheduler = scheduler
        self._name = f"simulated-{number}"
        self._address = f"tcp://127.0.0.1:{number}"

    async def register(self) -> Comm:
        """Registers, and returns the stream."""
        # What a task calls stays packed: nothing is run.
        stream = await connect(self._scheduler, deserialize=False)
        now = time.time()
        await stream.write(
            {
                "op": "register-worker", "reply": False, "address": self._address, "status": "running", "nthreads": 1,
                "name": self._name, "now": now, "resources": {}, "memory_limit": 2**30, "local_directory": "/tmp",
                "services": {}, "nanny": None, "pid": 1, "versions": {}, "metrics": METRICS, "extra": {},
                "stimulus_id": f"worker-connect-{now}", "server_id": self._name,
            },
            serializers=["msgpack"],
        )  # fmt: skip
        reply = await stream.read()
        if reply["status"] != "OK":
            raise RuntimeError(f"{self._name} is refused: {reply}")
        return stream

    async def serve(self, stream: Comm, counter: Counter) -> None:
        """Ends every Dask task as soon as it comes, and counts it."""
        while True:
            messages = await stream.read()
            now = time.time()
            ended = [self._end(each, now) for each in messages if each["op"] == "compute-task"]
            if ended:
                await stream.write(ended, serializers=["msgpack"])
                counter.set(counter.value + len(ended))

    def _end(self, task: dict[str, Any], now: float) -> dict[str, Any]:
        """The message that a Dask task has ended (`TaskFinishedMsg`)."""
        return {
            "op": "task-finished", "status": "OK", "key": task["key"], "run_id": task["run_id"], "nbytes": 16,
            "type": b"\x80\x04N.", "typename": "NoneType", "metadata": {SECONDS_KEY: [RUN_SECONDS]}, "thread": 1,
            "startstops": [{"action": "compute", "start": now - RUN_SECONDS, "stop": now}],
            "stimulus_id": f"task-finished-{now}",
        }  # fmt: skip

    async def beat(self) -> None:
        """Sends the heartbeats of the worker, as often as the scheduler wants them, and of its nanny."""
        link = await connect(self._scheduler)
        next_of_nanny = time.monotonic() + NANNY_SECONDS * (hash(self._name) % 100) / 100
        while True:
            now = time.time()
            beat = {"address": self._address, "now": now, "metrics": METRICS, "executing": {}, "extensions": {}}
            await link.write({"op": "heartbeat_worker", "reply": True, **beat})
            reply = await link.read()
            if time.monotonic() >= next_of_nanny:
                next_of_nanny += NANNY_SECONDS
                await link.write({"op": "dask_graphql_alive", "reply": True, "worker": self._address})
                await link.read()
            await asyncio.sleep(reply.get("heartbeat-interval", 1.0))


async def run(scheduler: str, count: int, file: Path) -> None:
    """Runs so many workers until the scheduler is gone, and counts what has ended in a file."""
    counter = Counter(file, -1)
    workers = [SimulatedWorker(scheduler, 10_000 + i) for i in range(count)]
    streams = [await worker.register() for worker in workers]
    counter.set(0)
    async with asyncio.TaskGroup() as group:
        for worker, stream in zip(workers, streams, strict=True):
            group.create_task(worker.serve(stream, counter))
            group.create_task(worker.beat())


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
