"""Values that are too long for a record: stored in the blob store, read in slices or as a download."""

from __future__ import annotations

import hashlib

import gmpy2
import httpx
import psutil

from tests.system import System

SLICES = "head: digitsSlice(offset: 0, length: 20) tail: digitsSlice(offset: $tail, length: 1000000)"


async def test_fibonacci_of_a_million_over_the_wire_equals_gmp(system: System) -> None:
    task_id = (await system.ask("mutation { submitFibonacci(n: 1000000) { taskId } }"))["submitFibonacci"]["taskId"]
    got = await system.result(task_id, "result { ... on FibonacciResult { value digits } }")
    digits = gmpy2.fib(1_000_000).digits()
    assert got["result"] == {"value": digits, "digits": 208_988}


async def test_a_value_too_long_to_inline_is_sliced_and_downloaded_and_never_held_by_the_api(system: System) -> None:
    n = 30_000_000
    api = psutil.Process(system.children["api0"].process.pid)
    task_id = (await system.ask("mutation($n: Int!) { submitFibonacci(n: $n) { taskId } }", {"n": n}))[
        "submitFibonacci"
    ]["taskId"]
    fields = "digits sha256 value bitLength blob { url sizeBytes }"
    got = (await system.result(task_id, f"attempt result {{ ... on FibonacciResult {{ {fields} }} }}"))["result"]
    number = gmpy2.fib(n)
    digits = number.digits()
    assert got["value"] is None
    assert (got["digits"], got["bitLength"]) == (len(digits), number.bit_length())
    assert got["sha256"] == hashlib.sha256(digits.encode()).hexdigest()
    assert got["blob"]["sizeBytes"] == str(len(digits))
    query = (
        f"query($id: ID!, $tail: Int!) {{ task(taskId: $id) {{ result {{ ... on FibonacciResult {{ {SLICES} }} }} }} }}"
    )
    # The first round warms everything up; later rounds must leave nothing behind.
    before = 0
    for _ in range(3):
        sliced = (await system.ask(query, {"id": task_id, "tail": len(digits) - 20}))["task"]["result"]
        assert sliced == {"head": digits[:20], "tail": digits[-20:]}
        checksum, _ = await read_whole(system, got["blob"]["url"], api)
        assert checksum == got["sha256"]
        before = before or api.memory_info().rss
    assert api.memory_info().rss - before < len(digits)
    again = await system.ask("mutation($n: Int!) { submitFibonacci(n: $n) { outcome } }", {"n": n}, node=1)
    assert again["submitFibonacci"]["outcome"] == "CACHED"


async def read_whole(system: System, url: str, api: psutil.Process) -> tuple[str, int]:
    """Downloads a blob; returns its SHA-256 and the peak memory of the api process."""
    checksum, most = hashlib.sha256(), 0
    address = system.url.removesuffix("/graphql") + url
    async with httpx.AsyncClient() as client, client.stream("GET", address) as download:
        assert download.status_code == 200
        async for part in download.aiter_bytes(1 << 20):
            checksum.update(part)
            most = max(most, api.memory_info().rss)
    return checksum.hexdigest(), most


async def test_a_download_passes_through_the_api_a_piece_at_a_time(system: System) -> None:
    size = 100_000_000
    api = psutil.Process(system.children["api0"].process.pid)
    task_id = (await system.ask("mutation($n: Int!) { submitReport(size: $n) { taskId } }", {"n": size}))[
        "submitReport"
    ]["taskId"]
    got = (await system.result(task_id, "result { ... on Report { text { url sizeBytes } } }"))["result"]["text"]
    assert got["sizeBytes"] == str(size)
    before = api.memory_info().rss
    checksum, most = await read_whole(system, got["url"], api)
    assert checksum == hashlib.sha256(b"r" * size).hexdigest()
    assert most - before < size / 4


async def test_a_slice_out_of_bounds_is_refused_or_empty(system: System) -> None:
    task_id = (await system.ask("mutation { submitFibonacci(n: 90) { taskId } }"))["submitFibonacci"]["taskId"]
    await system.result(task_id)
    query = """query($id: ID!, $o: Int!, $l: Int!) { task(taskId: $id) { result {
        ... on FibonacciResult { digitsSlice(offset: $o, length: $l) } } } }"""
    data = await system.ask(query, {"id": task_id, "o": 15, "l": 100})
    assert data["task"]["result"]["digitsSlice"] == "6120"
    assert (await system.ask(query, {"id": task_id, "o": 50, "l": 5}))["task"]["result"]["digitsSlice"] == ""
    for offset, length in ((-1, 5), (0, -1), (0, 1_000_001)):
        answer = await system.post(query, {"id": task_id, "o": offset, "l": length})
        assert answer["errors"][0]["extensions"]["code"] == "BAD_INPUT"
