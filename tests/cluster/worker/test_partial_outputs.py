"""Partial outputs: what a running task shows of its output, who sees it, and when it disappears."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import dask
import pytest

from cluster.store.folder_blob_store import FolderBlobStore
from cluster.worker.graph_tasks import as_completed
from cluster.worker.task_context import RunningAttempt, enter, report_partial
from dask_graphql import AsyncClient
from tests.system import Socket, System
from tests.whole_system.test_contract import ERROR, appears, run, submit

SHOWN = """subscription($id: ID!) { taskEvents(taskId: $id) {
  kind task { state partial { ... on GrowingResult { value } } result { ... on GrowingResult { value } } } } }"""


def text(value: object) -> str:
    return json.dumps(str(value))


async def test_a_running_task_shows_its_output_as_it_grows_and_the_result_takes_its_place(
    system: System, tmp_path: Path
) -> None:
    submission = await submit(system, f"submitGrowing(folder: {text(tmp_path)}, steps: 3)")
    seen: list[list[int]] = []
    async with Socket.open(system.url) as socket:
        async for item in socket.subscribe(SHOWN, {"id": submission["taskId"]}):
            event = item["taskEvents"]
            if event["kind"] != "PROGRESS":
                # Neither before the task runs nor together with the result.
                assert event["task"]["partial"] is None or event["task"]["state"] == "RUNNING"
                last = event
            elif shown := (event["task"]["partial"] or {}).get("value"):
                if shown not in seen:
                    seen.append(shown)
                (tmp_path / f"step-{len(shown) - 1}").touch()
    assert seen == [[0], [0, 1], [0, 1, 2]]
    assert last["task"] == {"state": "SUCCEEDED", "partial": None, "result": {"value": [0, 1, 2]}}


async def test_the_python_client_reads_a_partial_output(system: System, tmp_path: Path) -> None:
    async with AsyncClient(system.url) as client:
        handle = await client.submit("growing", folder=str(tmp_path), steps=1)
        again = client.task(handle.task_id)
        async with asyncio.timeout(20):
            while (shown := await again.partial()) is None:
                await asyncio.sleep(0.05)
        assert shown == [0]
        (tmp_path / "step-0").touch()
        assert await handle.result() == [0]
        assert await again.partial() is None
        assert await client.task("0" * 32).partial() is None


async def test_a_list_of_tasks_has_the_partial_outputs_too(system: System, tmp_path: Path) -> None:
    submission = await submit(system, f"submitGrowing(folder: {text(tmp_path)}, steps: 1)")
    query = """{ tasks(first: 5, state: RUNNING, name: "growing") { edges { node {
        taskId partial { ... on GrowingResult { value } } } } } }"""
    wanted = {"taskId": submission["taskId"], "partial": {"value": [0]}}
    async with asyncio.timeout(20):
        while wanted not in [edge["node"] for edge in (await system.ask(query))["tasks"]["edges"]]:
            await asyncio.sleep(0.05)
    await system.ask("mutation($id: ID!) { cancelTask(taskId: $id) { state } }", {"id": submission["taskId"]})
    got = await system.result(submission["taskId"], "state partial { __typename } result { __typename }")
    assert got == {"taskId": submission["taskId"], "state": "CANCELLED", "partial": None, "result": None}


async def test_a_partial_output_of_a_wrong_type_fails_the_task_with_a_code(system: System) -> None:
    got = await run(system, 'submitShowing(kind: "wrong")', ERROR)
    assert got["error"]["code"] == "BAD_OUTPUT"
    assert got["error"]["message"].startswith("a partial output: showing ")


async def test_a_partial_output_that_is_too_long_is_not_shown_and_the_task_goes_on(system: System) -> None:
    got = await run(system, 'submitShowing(kind: "long")', "state result { ... on ShowingResult { value } }")
    assert (got["state"], got["result"]) == ("SUCCEEDED", {"value": []})


async def test_the_parts_of_a_graph_come_as_they_finish_and_their_share_is_the_progress(
    system: System, tmp_path: Path
) -> None:
    submission = await submit(system, f"submitPartsOfAGraph(folder: {text(tmp_path)}, parts: 5)")
    query = """query($id: ID!) { task(taskId: $id) {
        state progress partial { ... on PartsOfAGraphResult { value } } } }"""
    wanted = {"state": "RUNNING", "progress": 0.6, "partial": {"value": 3}}
    async with asyncio.timeout(20):
        while (await system.ask(query, {"id": submission["taskId"]}))["task"] != wanted:
            await asyncio.sleep(0.05)
    (tmp_path / "open").touch()
    got = await system.result(submission["taskId"], "state result { ... on PartsOfAGraphResult { value } }")
    assert (got["state"], got["result"]) == ("SUCCEEDED", {"value": 5})


async def test_cancelling_removes_the_rest_of_the_graph_from_the_workers(system: System, tmp_path: Path) -> None:
    submission = await submit(system, f"submitPartsOfAGraph(folder: {text(tmp_path)}, parts: 40)")
    await appears(tmp_path / "begun-4")
    await system.ask("mutation($id: ID!) { cancelTask(taskId: $id) { state } }", {"id": submission["taskId"]})
    async with asyncio.timeout(20):
        # Running parts go on; no others start, so the scheduler has no more than these two.
        while (await system.ask("{ cluster { waiting } }"))["cluster"]["waiting"]:
            await asyncio.sleep(0.05)
    (tmp_path / "open").touch()
    assert (await run(system, "submitFibonacci(n: 5)", "state"))["state"] == "SUCCEEDED"
    assert len(list(tmp_path.glob("begun-*"))) <= 7


def test_a_partial_output_is_made_only_when_the_next_one_is_due(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> int:
        made.append(1)
        return 1

    report_partial(make)
    assert not made, "no task is running here"
    running = RunningAttempt("0" * 32, 1, FolderBlobStore(tmp_path), lambda value: b"x" * 1024 * 1024)
    enter(running)
    try:
        for _ in range(3):
            report_partial(make)
        assert len(made) == 1
        running.partial = None  # the heartbeat takes it, but the next one is not due: it was long
        due, now = running.partial_due, asyncio.new_event_loop().time()
        assert due - now == pytest.approx(4, abs=0.5)
        report_partial(make)
        assert len(made) == 1
        running.partial_due = 0
        report_partial(make)
        assert len(made) == 2
    finally:
        enter(None)


def test_a_value_that_is_not_a_collection_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"takes Dask collections .* not int"):
        list(as_completed([dask.delayed(1), 2]))


def test_without_a_running_task_dask_is_not_asked(tmp_path: Path) -> None:
    from tests.task_modules.samples import parts_of_a_graph

    (tmp_path / "open").touch()
    assert parts_of_a_graph(str(tmp_path), 5) == 5
