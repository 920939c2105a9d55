"""One computation for one task, however many clients request it on whichever nodes."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.system import Socket, System

SUBMISSIONS = 1_000
AT_ONCE = 300
"""With more at once, on a machine that also runs other tests, Redis takes longer than a node waits."""


async def test_a_thousand_identical_submissions_over_two_nodes_run_once(system: System, tmp_path: Path) -> None:
    query = "mutation($f: String!) { submitCounted(folder: $f, n: 1) { taskId outcome } }"
    # A few sockets carry them all; a thousand concurrent HTTP requests would measure the HTTP client.
    async with AsyncExitStack() as stack, asyncio.timeout(60):
        sockets = [await stack.enter_async_context(Socket.open(system.url_of(i % 2))) for i in range(10)]
        for socket in sockets:
            socket.share()
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(i: int) -> list[dict[str, Any]]:
            async with gate:
                return await sockets[i % 10].collect(query, {"f": str(tmp_path)})

        answers = await asyncio.gather(*(one(i) for i in range(SUBMISSIONS)))
    submissions = [item["submitCounted"] for [item] in answers]
    [task_id] = {submission["taskId"] for submission in submissions}
    outcomes = Counter(submission["outcome"] for submission in submissions)
    assert outcomes["NEW"] == 1
    assert outcomes["JOINED"] + outcomes["CACHED"] == SUBMISSIONS - 1
    assert (await system.result(task_id, "state attempt submissions")) == {
        "taskId": task_id,
        "state": "SUCCEEDED",
        "attempt": 1,
        "submissions": SUBMISSIONS,
    }
    assert (tmp_path / "runs-1").read_bytes() == b"x"


async def test_one_input_given_many_times_in_one_mutation_runs_once(system: System, tmp_path: Path) -> None:
    query = "mutation($i: [CountedInput!]!) { submitCountedMany(inputs: $i) { taskId outcome } }"
    data = await system.ask(query, {"i": [{"folder": str(tmp_path), "n": n % 3} for n in range(30)]})
    submissions = data["submitCountedMany"]
    outcomes = Counter((item["taskId"], item["outcome"]) for item in submissions)
    ids = dict.fromkeys(item["taskId"] for item in submissions)
    assert len(ids) == 3
    for n, task_id in enumerate(ids):
        assert outcomes[task_id, "NEW"] == 1
        assert (await system.result(task_id, "submissions"))["submissions"] == 10
        assert (tmp_path / f"runs-{n}").read_bytes() == b"x"
