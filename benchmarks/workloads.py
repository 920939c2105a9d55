"""`make bench-workloads`: time and memory of the example workloads, and of much data in and out.

The system has two api nodes and two workers on this machine, whose cores the parts and the client share. Memory is the
resident set, read of each process twenty times a second; of a worker, that of its nanny and its process together.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from dask_graphql import Client, SubmitOptions
from tests.places import ROOT
from tests.system import System

EXAMPLES = ROOT / "examples"
SAMPLE_SECONDS = 0.05
MB = 1_000_000
FILE_BYTES = 1_000 * MB
ROLES = ("api", "worker", "scheduler", "controller", "redis")


class Memory:
    """The largest resident set of any process of each role, since `restart`."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._stopped = threading.Event()
        self.peaks: dict[str, int] = {}
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def restart(self) -> None:
        self.peaks = {}

    def close(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stopped.wait(SAMPLE_SECONDS):
            for role, processes in self._processes():
                with contextlib.suppress(psutil.NoSuchProcess):
                    used = sum(process.memory_info().rss for process in processes)
                    self.peaks[role] = max(self.peaks.get(role, 0), used)

    def _processes(self) -> Iterator[tuple[str, list[psutil.Process]]]:
        with contextlib.suppress(psutil.NoSuchProcess):
            if self._system.redis.process_id is not None:
                yield "redis", [psutil.Process(self._system.redis.process_id)]
            for name, child in self._system.children.items():
                process = psutil.Process(child.process.pid)
                yield name.rstrip("0123456789"), [process]
                if name == "controller":
                    for worker in process.children():
                        yield "worker", [worker, *worker.children(recursive=True)]


def houses_csv(rows: int) -> bytes:
    source = np.random.default_rng(1)
    area, rooms = source.uniform(40, 200, rows), source.integers(1, 8, rows)
    table = np.column_stack([area, rooms, 50 + 3 * area + 10 * rooms + source.normal(0, 20, rows)])
    text = io.BytesIO()
    np.savetxt(text, table, "%.1f", ",", header="area,rooms,price", comments="")
    return text.getvalue()


def workloads(client: Client) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each workload and what runs it to its end."""
    days: list[Any] = []
    model: list[Any] = []

    def make_days() -> str:
        days.extend(client.map("taxi_trips", [{"day": day, "trips": MB} for day in range(7)]))
        return f"{sum(day.size_bytes for day in days) / MB:.0f} MB of Parquet"

    def groupby() -> str:
        table = client.submit("fares_by_hour", days=[day.file_id for day in days]).result()
        return f"{len(table.to_pandas())} rows"

    def train() -> str:
        model.append(client.submit("train_prices", houses=houses_csv(200_000)).result())
        return f"a model of {model[0]['weights'].size_bytes} bytes, r2 {model[0]['r2']:.4f}"

    def predict() -> str:
        rows = [[float(area), 3.0] for area in range(40, 200)]
        return f"{len(client.submit('predict_prices', model=model[0]['weights'].file_id, houses=rows).result())} prices"

    def tiles() -> str:
        y, x = np.mgrid[-2:2:4096j, -2:2:4096j]
        image = b"P5 4096 4096 255\n" + (127 + 127 * np.cos(40 * np.hypot(x, y))).astype("uint8").tobytes()
        return f"{sum(1 for _ in client.submit('cut_tiles', image=image).items())} PNG tiles"

    def sweep() -> str:
        grid = [{"contacts": c / 100, "days_ill": d} for c in range(10, 60, 2) for d in range(2, 18)]
        return f"{sum(1 for _ in client.map('outbreak', grid, progress=True))} records"

    def stream() -> str:
        start, handle = time.perf_counter(), client.submit("lorenz", rows=10_000)
        items = handle.items()
        next(items)
        first = time.perf_counter() - start
        return f"{1 + sum(1 for _ in items)} rows, the first after {first:.2f} s"

    def batch() -> str:
        texts = [{"text": f"guten Morgen, ich bin Nummer {number}"} for number in range(2_000)]
        return f"{sum(1 for _ in client.map('guess_language', texts))} guesses"

    yield "7 days of 1 million trips each", make_days
    yield "groupby over their 7 Parquet files", groupby
    yield (
        "xarray: 10 years of days at 1 degree (1.9 GB) to monthly means",
        lambda: client.submit("monthly_means", years=10, degrees=1.0).result().shape,
    )
    yield "train on a CSV file of 200,000 rows", train
    yield "predict with the model file", predict
    yield "tiles of an image of 16 million pixels", tiles
    yield "sweep of 400 points", sweep
    yield "stream of 10,000 rows", stream
    yield "2,000 texts in batches", batch
    yield (
        "Monte Carlo, 8 million points in 32 parts",
        lambda: round(client.submit("estimate_pi_wide", samples=8 * MB, parts=32).result()["pi"], 4),
    )


def data_in_and_out(client: Client, system: System, folder: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Tables out and files in: what must leave the memory of api nodes as it is."""
    table: list[Any] = []
    base = client.url.removesuffix("/graphql")
    file = folder / "big.bin"

    def first_page() -> str:
        def once(seed: int) -> float:
            start = time.perf_counter()
            handle = client.submit("data_frame", rows=20_000, seed=seed, options=SubmitOptions(recompute=True))
            handle.result()
            query = "query($id: ID!) { task(taskId: $id) { result { ... on Table { rows(limit: 100) } } } }"
            answer = httpx.post(client.url, json={"query": query, "variables": {"id": handle.task_id}}).json()
            assert len(answer["data"]["task"]["result"]["rows"]) == 100
            return time.perf_counter() - start

        seconds = [once(seed) for seed in range(20)]
        return f"median {statistics.median(seconds):.3f} s, slowest {max(seconds):.3f} s of 20"

    def make() -> str:
        table.append(client.submit("many_rows", pieces=20).result())
        return f"{len(table[0]) / MB:.0f} million rows, {table[0].size_bytes / MB:.0f} MB"

    def download(kind: str) -> str:
        received = 0
        with httpx.stream("GET", base + getattr(table[0], kind), timeout=60) as answer:
            answer.raise_for_status()
            for chunk in answer.iter_raw():
                received += len(chunk)
        return f"{received / MB:.0f} MB"

    def upload() -> str:
        block = os.urandom(MB)
        with file.open("wb") as out:
            for number in range(FILE_BYTES // MB):
                out.write(number.to_bytes(8, "big") + block[8:])
        return send()

    def send() -> str:
        before, start = received(), time.perf_counter()
        client.upload(file)
        moved = (received() - before) / MB
        return f"{moved:.0f} MB received by the api in {time.perf_counter() - start:.1f} s, with the hash"

    def received() -> float:
        lines = httpx.get(f"{base}/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("dask_graphql_uploaded_bytes_total "))

    yield "20,000-row DataFrame to 100 rows of a page", first_page
    yield "10 million rows: the task", make
    for kind in ("parquet", "arrow", "csv"):
        yield f"10 million rows: {kind} download", partial(download, kind)
    yield "upload of 1 GB", upload
    yield "the same file again", send
    yield "a task that reads it", lambda: client.submit("count_bytes", file=file).result()


async def measure(folder: Path) -> None:
    """Prints a row for each workload: time, result, and the largest memory of a process of each role meanwhile."""
    modules = (*map(str, sorted(EXAMPLES.glob("*.py"))), "benchmarks.workload_tasks")
    async with System(folder, api_nodes=2, min_workers=2, max_workers=2, task_modules=modules) as system:
        memory = Memory(system)
        try:
            await asyncio.to_thread(_run_all, system, memory, folder)
        finally:
            memory.close()


def _run_all(system: System, memory: Memory, folder: Path) -> None:
    print("| workload | seconds | result | " + " | ".join(f"{role}, MB" for role in ROLES) + " |")
    print("|---|" + "---|" * (len(ROLES) + 2), flush=True)
    _run("idle", lambda: time.sleep(3) or "", memory)
    with Client(system.url) as client:
        for name, run in (*workloads(client), *data_in_and_out(client, system, folder)):
            _run(name, run, memory)


def _run(name: str, run: Callable[[], Any], memory: Memory) -> None:
    memory.restart()
    start = time.perf_counter()
    result = run()
    seconds = time.perf_counter() - start
    time.sleep(2 * SAMPLE_SECONDS)
    used = " | ".join(f"{memory.peaks.get(role, 0) / MB:.0f}" for role in ROLES)
    print(f"| {name} | {seconds:.1f} | {result} | {used} |", flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="workloads-") as folder:
        os.environ["DASK_CONFIG"] = f"{folder}/dask"
        asyncio.run(measure(Path(folder)))


if __name__ == "__main__":
    main()
