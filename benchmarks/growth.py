"""`make bench-growth`: the same load on 1, 2 and 4 api nodes, and on 1, 2 and 4 workers.

All parts and the load share the cores of this machine. The figures show which part is the bottleneck, and that an
additional one costs the others nothing.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from benchmarks.ours import Ours, delete_records, measures
from benchmarks.timing import IN_FLIGHT
from tests.system import System

TASKS = 4_000
SIZES = ((1, 1), (1, 2), (1, 4), (2, 2), (4, 2), (4, 4))
"""Numbers of api nodes and workers."""


async def measure(apis: int, workers: int, folder: Path) -> list[float]:
    """Tasks per second with 64 in flight and in batches of 100, cached submissions per second; of all api nodes."""
    async with System(folder, api_nodes=apis, min_workers=workers, max_workers=workers) as system:
        clients = [Ours(system.url_of(number)) for number in range(apis)]
        for client in clients:
            await client.start()
        share = TASKS // apis
        figures = []
        each = [measures(client) for client in clients]
        for _ in range(2):  # the first round warms up
            figures = [
                sum(await asyncio.gather(*(one.pairs_per_second(share, IN_FLIGHT // apis) for one in each))),
                sum(await asyncio.gather(*(one.batches_per_second(share) for one in each))),
                sum(await asyncio.gather(*(one.cached_per_second(share, 16 // apis) for one in each))),
            ]
            await delete_records(system.redis.url)
        for client in clients:
            await client.close()
        return figures


def main() -> None:
    print("| api nodes | workers | 64 in flight, tasks/s | batches of 100, tasks/s | cached submissions/s |")
    print("|---|---|---|---|---|")
    for apis, workers in SIZES:
        with tempfile.TemporaryDirectory(prefix="growth-") as folder:
            os.environ["DASK_CONFIG"] = f"{folder}/dask"
            figures = asyncio.run(measure(apis, workers, Path(folder)))
        print(f"| {apis} | {workers} | " + " | ".join(f"{figure:,.0f}" for figure in figures) + " |", flush=True)


if __name__ == "__main__":
    main()
