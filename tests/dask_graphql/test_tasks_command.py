"""`dask-graphql submit`, `tasks`, `logs`, `cancel`, `retry`: against an api node, with a worker that the test plays."""

from __future__ import annotations

import asyncio
import datetime
import json
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cluster.attempt_errors import error
from cluster.settings import Settings
from cluster.store.async_store import Store
from dask_graphql import AsyncClient, BulkRefusal, BulkResult, Client, SubmitOptions
from dask_graphql.cli import command
from dask_graphql.cli.bulk import parse_time
from dask_graphql.client import bulk
from dask_graphql.client.tasks_command import follow_tasks
from dask_graphql.dev_system import free_port
from graphql_api.schema import bulk_mutations
from tests.api_node import api_node


async def test_tasks_are_listed_followed_cancelled_and_retried(settings: Settings, store: Store) -> None:
    calls = store.calls

    async with api_node(settings) as url:

        async def run(*words: str) -> Result:
            return await asyncio.to_thread(CliRunner(env={"COLUMNS": "200"}).invoke, command, [*words, "--url", url])

        async def lines(*words: str, exit_code: int = 0) -> list[dict[str, Any]]:
            done = await run(*words)
            assert done.exit_code == exit_code, done.output
            return [json.loads(line) for line in done.stdout.splitlines()]

        [submitted] = await lines(
            "submit", "fibonacci", "n=40", "--priority", "-3", "--tag", "nightly", "--tag", "of Anna"
        )
        task_id = submitted["taskId"]
        assert submitted["outcome"] == "NEW"
        assert await store.command("HGET", calls.record_key(task_id), "priority") == b"-3"
        [task] = await lines("tasks", "--json", "--state", "queued", "--name", "fibonacci")
        assert (task["task_id"], task["error"], task["tags"]) == (task_id, None, ["nightly", "of Anna"])
        assert await lines("tasks", "--json", "--state", "FAILED") == []
        assert task["waiting"] == {"reason": "SCHEDULER_AWAY", "ahead": None, "eta_seconds": None}
        assert "SCHEDULER_AWAY" in (await run("tasks")).stdout
        assert "SCHEDULER_AWAY" in (await run("status", "--once")).stdout

        await store.run(calls.start(task_id, 1, "worker"))
        await store.run(calls.progress(task_id, 1, 0.5, b"", b"1\n0 INFO first line\n0 WARNING second line"))
        shown = (await run("logs", task_id)).stdout.splitlines()
        assert [line.split("Z ", 1)[1] for line in shown] == ["INFO first line", "WARNING second line"]
        following = asyncio.create_task(run("logs", "--follow", task_id))
        await asyncio.sleep(0)
        failure = error("TASK_FAILED", "no such file", "FileNotFoundError") | {"traceback": "Traceback: line 3"}
        await store.run(calls.fail(task_id, 1, failure, lines=b"3\n0 INFO the last line"))
        assert (await following).stdout.splitlines()[-1].endswith("INFO the last line")

        assert "FAILED" in (await run("tasks")).stdout
        assert await lines("cancel", task_id, exit_code=1) == [{"taskId": task_id, "state": "FAILED"}]
        waiting = asyncio.create_task(lines("retry", task_id, "--wait", exit_code=1))
        async with asyncio.timeout(10):
            while (await store.run(calls.start(task_id, 2, "worker"))).verdict != "RUN":
                await asyncio.sleep(0.02)
        await store.run(calls.fail(task_id, 2, failure))
        retried, record = await waiting
        assert retried == {"taskId": task_id, "outcome": "RECOMPUTED", "task": {"state": "QUEUED"}}
        assert record["error"] == {
            "code": "TASK_FAILED", "type": "FileNotFoundError", "message": "no such file",
            "traceback": "Traceback: line 3",
        }  # fmt: skip

        [again] = await lines("submit", "fibonacci", "n=40", "--recompute")
        assert again["outcome"] == "RECOMPUTED"
        assert await lines("cancel", task_id) == [{"taskId": task_id, "state": "CANCELLED"}]
        unknown = await run("logs", "0" * 32)
        assert unknown.exit_code == 1
        assert "was never submitted" in str(unknown.exception)


async def test_changes_are_followed_across_nodes_by_the_clients(settings: Settings, store: Store) -> None:
    calls = store.calls
    settings = replace(settings, port=free_port())
    task_id = "5" * 32

    async with AsyncClient(f"http://127.0.0.1:{settings.port}", patience_seconds=20) as client:
        changes = client.changes({"states": ["QUEUED", "FAILED"], "tag": "nightly"})
        async with asyncio.timeout(30):
            async with api_node(settings, port=settings.port):
                assert (await anext(changes)).reset
                await store.run(calls.submit(task_id, "fibonacci", "1", b'{"n":3}', tags=("nightly",)))
                queued = await anext(changes)
                assert (queued.kind, queued.state, queued.task_id, queued.seq) == ("QUEUED", "QUEUED", task_id, 1)
                assert queued.task is not None
                assert queued.task.tags == ("nightly",)
            # No api node runs meanwhile.
            await store.run(calls.start(task_id, 1, "w"))
            await store.run(calls.fail(task_id, 1, error("TASK_FAILED", "no such file")))
            async with api_node(settings, port=settings.port) as url:
                started, failed = await anext(changes), await anext(changes)
                assert (started.kind, started.matches) == ("STARTED", False)
                assert (failed.kind, failed.matches) == ("FAILED", True)
                assert failed.task is not None
                assert (failed.task.error or {})["message"] == "no such file"
                await changes.aclose()

                def read_sync() -> list[str | None]:
                    with Client(url) as sync:
                        return [change.kind for _, change in zip("12", sync.changes(after=queued.cursor), strict=False)]

                assert await asyncio.to_thread(read_sync) == ["STARTED", "FAILED"]


async def test_the_shell_follows_tasks(settings: Settings, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    async with api_node(settings) as url:
        wanted = {"state": None, "name": "fibonacci", "tag": None}
        for as_json in (False, True):
            following = asyncio.create_task(follow_tasks(url, None, first=5, wanted=wanted, as_json=as_json))
            task_id, shown = f"{as_json:d}" * 32, ""
            async with asyncio.timeout(20):
                # The list comes first.
                while not shown and not as_json:
                    await asyncio.sleep(0.02)
                    shown += capsys.readouterr().out
                while "QUEUED" not in shown:
                    await store.run(store.calls.submit(task_id, "fibonacci", "1", b'{"n":3}', recompute=True))
                    await store.run(store.calls.cancel(task_id))
                    await asyncio.sleep(0.05)
                    shown += capsys.readouterr().out
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            assert task_id in shown


async def test_many_tasks_are_counted_asked_for_and_done(settings: Settings, store: Store) -> None:
    async with api_node(settings) as url:

        async def run(*words: str, given: str | None = None) -> Result:
            runner = CliRunner(env={"COLUMNS": "200"})
            return await asyncio.to_thread(runner.invoke, command, ["tasks", *words, "--url", url], input=given)

        async with AsyncClient(url) as client:
            handles = await client.submit_many(
                "fibonacci", [{"n": n} for n in range(50, 55)], options=SubmitOptions(tags=("bulk",))
            )
            for handle in handles[:3]:
                await store.run(store.calls.fail(handle.task_id, 1, error("NO_MONEY", "no money")))
            failed = ["--state", "failed", "--error", "NO_MONEY"]
            chosen = ["--tag", "bulk", *failed, "--type", "fibonacci", "--since", "1h"]

            shown = await run("failures", "--json", *chosen)
            [group] = map(json.loads, shown.stdout.splitlines())
            assert (group["code"], group["count"], len(group["task_ids"])) == ("NO_MONEY", 3, 3)
            assert "NO_MONEY" in (await run("failures")).stdout

            dry = await run("retry", "--failure", group["key"], "--dry-run")
            assert (dry.exit_code, json.loads(dry.stdout)["done"]) == (0, 3)
            dry = await run("retry", *chosen, "--dry-run")
            assert (dry.exit_code, json.loads(dry.stdout)["done"]) == (0, 3)
            declined = await run("retry", *chosen, given="n\n")
            assert declined.exit_code == 1
            assert "3 tasks are meant: retry 3 of them. Go on? [y/N]" in declined.output
            records = await store.read_many([each.task_id for each in handles[:3]])
            assert {record.state for record in records if record} == {"FAILED"}
            retried = await run("retry", *chosen, given="y\n")
            assert retried.exit_code == 0
            assert json.loads(retried.stdout.splitlines()[-1]) == {
                "matched": 3, "done": 3, "wanted_by_others": 0, "refused": [],
            }  # fmt: skip
            cancelled = await run("cancel", "--tag", "bulk", "--yes")
            assert json.loads(cancelled.stdout)["done"] == 5
            nothing = await run("cancel", "--tag", "bulk")
            assert (nothing.exit_code, json.loads(nothing.stdout)["matched"]) == (0, 0)
            ids = [word for handle in handles for word in ("--id", handle.task_id)]
            assert json.loads((await run("forget", *ids, "--yes")).stdout)["done"] == 5
            assert await store.read(handles[0].task_id) is None

            unchosen = await run("cancel", "--yes")
            assert (unchosen.exit_code, "choose tasks" in unchosen.output) == (2, True)
            for wrong in (("--since", "soon"), ("--until", "9" * 12 + "d")):
                assert (await run("cancel", *wrong)).exit_code == 2


async def test_a_client_goes_through_all_pages_and_parts(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "IDS", 2)
    monkeypatch.setattr(bulk_mutations, "BULK_PAGE", 1)

    def in_a_thread(url: str, ids: list[str]) -> list[tuple[int, int]]:
        with Client(url) as client:
            seen: list[BulkResult] = []
            assert client.withdraw_tasks({"ids": ids[:1]}).done == 1
            assert client.cancel_tasks({"ids": ids}, on_page=seen.append).done == 4
            assert client.retry_tasks({"ids": ids}, dry_run=True).done == 5
            assert client.failures({"ids": ids}) == []
            assert client.forget_tasks({"ids": [*ids, ids[0]]}).done == 5
            return [(each.matched, each.done) for each in seen]

    async with api_node(settings) as url, AsyncClient(url) as client:
        handles = await client.submit_many("fibonacci", [{"n": n} for n in range(60, 65)])
        pages = await asyncio.to_thread(in_a_thread, url, [handle.task_id for handle in handles])
        assert pages[-1] == (4, 4)
        assert len(pages) >= 4


def test_results_of_pages_add_up_by_code() -> None:
    one = BulkResult(5, 2, 1, (BulkRefusal("A", "first", 3, ("1", "2", "3")),))
    two = BulkResult(4, 0, 0, (BulkRefusal("B", "other", 1, ("9",)), BulkRefusal("A", "second", 3, ("4", "5", "6"))))
    assert one + two == BulkResult(
        9, 2, 1, (BulkRefusal("A", "first", 6, ("1", "2", "3", "4", "5")), BulkRefusal("B", "other", 1, ("9",)))
    )
    assert BulkResult() + one == one


def test_a_time_is_a_span_or_iso_8601() -> None:
    now = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
    for text, seconds in (("90s", 90), ("30m", 1_800), ("24h", 86_400), ("7d", 604_800)):
        assert (now - parse_time(text, now)).total_seconds() == seconds
    assert parse_time("2026-01-31T11:00:00Z", now) == now - datetime.timedelta(hours=1)
    assert parse_time("2026-01-31", now).tzinfo is not None
