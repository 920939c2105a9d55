"""Tables and arrays of many files when a worker dies while they are written, and when nobody needs them any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.system import System
from tests.whole_system.test_faults import kill_worker
from tests.whole_system.test_tables import made

TABLE = "mutation($f: String!) { task: submitMakeGatedPartitions(rows: 60, partitions: 6, folder: $f) { taskId } }"


async def until(condition: Callable[[], Any], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


def files_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
async def test_a_worker_that_dies_while_partitions_are_written_leaves_nothing_behind(
    broken: System, tmp_path: Path
) -> None:
    task_id = (await broken.ask(TABLE, {"f": str(tmp_path)}))["task"]["taskId"]
    blobs = broken.settings.data_dir / "blobs" / task_id
    await until(lambda: len(files_of(blobs / "1")) == 5)
    task = (await broken.ask(f'{{ task(taskId: "{task_id}") {{ worker }} }}'))["task"]
    kill_worker(broken, task["worker"])
    (tmp_path / "gate").touch()
    fields = "state attempt result { ... on Table { rowCount fileId rows(limit: 1, offset: 59) parts { rowCount } } }"
    record = await broken.result(task_id, fields)
    assert (record["state"], record["attempt"]) == ("SUCCEEDED", 2)
    assert (record["result"]["rowCount"], record["result"]["rows"][0]["number"]) == ("60", 59)
    expected = sorted([*(f"result.{n}.parquet" for n in range(6)), "result.schema", "result"])
    await until(lambda: files_of(blobs) == expected)
    await broken.ready()


@pytest.mark.slow
async def test_all_files_of_a_table_or_an_array_go_when_nobody_needs_them(broken: System) -> None:
    blobs = broken.settings.data_dir / "blobs"
    before = set(blobs.iterdir()) if blobs.exists() else set()
    places = blobs / "uploads"

    async def passed_on(make: str, kind: str, use: str, fields: str, files: int) -> None:
        given = await made(broken, make, f"... on {kind} {{ fileId }}")
        known = set(places.iterdir()) if places.exists() else set()
        await made(broken, use % given["fileId"], fields)
        [place] = set(places.iterdir()) - known
        assert len(files_of(place)) == files, "the parts, and what describes them"

    make = "submitMakePartitions(rows: 50, partitions: 3, options: { ttlSeconds: 4 })"
    use = 'submitDescribeTable(table: "%s", options: { ttlSeconds: 1 })'
    await passed_on(make, "Table", use, "... on TableFacts { files }", 5)
    make = "submitMakeChunks(rows: 4, columns: 4, chunk: 2, options: { ttlSeconds: 4 })"
    use = 'submitSumArray(array: "%s", options: { ttlSeconds: 1 })'
    await passed_on(make, "Array", use, "... on SumArrayResult { value }", 7)
    await until(lambda: set(blobs.iterdir()) - before <= {places} and not list(places.iterdir()))
