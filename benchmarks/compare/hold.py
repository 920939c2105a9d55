"""Holds a system of one tree up for the comparison: runs with that tree's environment and imports only that tree.

    PYTHONPATH=TREE python -P hold.py FOLDER

Prints one line of JSON with the addresses of the api node and of Redis when all are ready; ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.system import System


async def hold(folder: Path) -> None:
    async with System(
        folder, min_workers=2, max_workers=2, sockets_per_client=100_000, connections_per_address=100_000
    ) as system:
        print(json.dumps({"url": system.url, "redis": system.redis.url}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(hold(Path(sys.argv[1])))
