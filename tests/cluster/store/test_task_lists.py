"""The list of tasks: a Relay connection, newest first, filtered, with stable cursors."""

from __future__ import annotations

import asyncio
import datetime
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as configured
from hypothesis import strategies as st

from cluster.attempt_errors import error
from cluster.settings import Settings
from cluster.store import record_queries, task_search
from cluster.store.async_store import Store
from cluster.store.record import TaskState
from cluster.store.task_filter import TaskFilter
from cluster.store.task_search import find_tasks
from tests.system import System
from tests.thoroughness import examples

PAGE = """query($first: Int, $after: String, $since: DateTime, $until: DateTime, $name: String) {
  tasks(first: $first, after: $after, submittedAfter: $since, submittedBefore: $until, name: $name) {
    edges { cursor node { taskId submittedAt } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""


async def fill(store: Store, count: int, *, tenant: str = "", name: str = "fibonacci") -> list[str]:
    """Submits tasks one after another. Returns their ids, newest first."""
    ids = [f"{i % 16:x}{i:031x}" for i in range(count)]
    for task_id in ids:
        await store.run(store.calls.submit(task_id, name, "1", b"{}", tenant=tenant))
    return ids[::-1]


async def test_pages_follow_each_other_and_newer_tasks_do_not_move_them(system: System) -> None:
    for n in range(7):
        await system.ask(f"mutation {{ submitFibonacci(n: {5_000 + n}) {{ taskId }} }}")
    page = (await system.ask(PAGE, {"first": 3}))["tasks"]
    assert not page["pageInfo"]["hasPreviousPage"]
    assert page["pageInfo"]["startCursor"] == page["edges"][0]["cursor"]
    assert page["pageInfo"]["endCursor"] == page["edges"][2]["cursor"]
    await system.ask("mutation { submitFibonacci(n: 5999) { taskId } }")
    after = (await system.ask(PAGE, {"first": 3, "after": page["pageInfo"]["endCursor"]}))["tasks"]
    assert after["pageInfo"]["hasPreviousPage"]
    ids = [edge["node"]["taskId"] for edge in page["edges"] + after["edges"]]
    assert len(set(ids)) == 6
    times = [edge["node"]["submittedAt"] for edge in page["edges"] + after["edges"]]
    assert times == sorted(times, reverse=True)
    # Any edge's cursor continues after that edge.
    second = (await system.ask(PAGE, {"first": 1, "after": page["edges"][1]["cursor"]}))["tasks"]
    assert second["edges"][0]["node"]["taskId"] == ids[2]


async def test_a_null_first_means_the_default(system: System) -> None:
    assert len((await system.ask(PAGE, {"first": None}))["tasks"]["edges"]) <= 20


async def test_tasks_are_found_by_the_time_of_their_submission(system: System) -> None:
    first = await system.ask("mutation { submitFibonacci(n: 6001) { task { submittedAt taskId } } }")
    submitted = first["submitFibonacci"]["task"]
    at = datetime.datetime.fromisoformat(submitted["submittedAt"])
    step = datetime.timedelta(milliseconds=1)

    async def found(since: datetime.datetime, until: datetime.datetime) -> bool:
        answer = await system.ask(PAGE, {"since": since.isoformat(), "until": until.isoformat()})
        return submitted["taskId"] in [edge["node"]["taskId"] for edge in answer["tasks"]["edges"]]

    assert await found(at, at + step)
    assert not await found(at + step, at + 60_000 * step)
    assert not await found(at - 60_000 * step, at)


async def test_a_time_without_a_zone_is_refused(system: System) -> None:
    answer = await system.post(PAGE, {"since": "2026-01-31T12:00:00"})
    assert answer["errors"][0]["extensions"] == {"code": "BAD_INPUT", "argument": "submittedAfter"}


@given(
    times=st.lists(st.integers(0, 8), max_size=40),
    page=st.integers(1, 9) | st.just(60),
    since=st.none() | st.integers(0, 9),
    until=st.none() | st.integers(0, 9),
    least=st.sampled_from([1, 2, 100]),
)
@configured(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=examples(40))
async def test_all_pages_together_are_the_list_whatever_its_times(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, times: list[int], page: int, since: int | None,
    until: int | None, least: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(record_queries, "MIN_READ", least)
    store = Store(settings)
    key = store.calls.index_key
    await store.redis.flushall()
    ids = [f"{i % 16:x}{i:031x}" for i in range(len(times))]
    for task_id, at in zip(ids, times, strict=True):
        await store.command("ZADD", key(task_id[0], None, None), at, task_id)
    wanted = TaskFilter(since=since, until=until)
    expected = sorted(
        (at, task_id) for at, task_id in zip(times, ids, strict=True)
        if (since is None or at >= since) and (until is None or at < until)
    )  # fmt: skip
    assert await store.count_tasks(wanted) == len(expected)
    for newest_first in (True, False):
        got: list[tuple[int, str]] = []
        end = None
        while more := await store.list_tasks(
            page,
            newest_first=newest_first,
            below=end if newest_first else None,
            above=None if newest_first else end,
            wanted=wanted,
        ):
            end = more[-1]
            got += more
            assert len(got) <= len(expected)
        assert got == (expected[::-1] if newest_first else expected)
    # Between two cursors, which need not be in the list themselves.
    above, below = (3, "8" * 32), (6, "8" * 32)
    between = [position for position in expected if above < position < below]
    assert await store.list_tasks(page, newest_first=False, above=above, below=below, wanted=wanted) == between[:page]
    await store.close()


async def test_a_long_page_reads_little_more_than_its_entries(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for digit in "0123456789abcdef":
        pairs = [word for i in range(400) for word in (i, f"{digit}{i:031x}")]
        await store.command("ZADD", store.calls.index_key(digit, None, None), *pairs)
    read: list[int] = []
    commands = store.commands

    async def counted(given: Any) -> list[Any]:
        replies = await commands(given)
        read.extend(map(len, replies))
        return replies

    monkeypatch.setattr(store, "commands", counted)
    assert len(await store.list_tasks(1_000)) == 1_000
    assert 1_000 <= sum(read) < 5_000


async def test_what_only_records_decide_is_found_by_a_bounded_search_that_a_cursor_continues(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_search, "SCANNED_TASKS", 8)
    monkeypatch.setattr(task_search, "CHUNK", 4)
    ids = [f"{i % 16:x}{i:031x}" for i in range(30)]
    for number, task_id in enumerate(ids):
        tags = ("odd",) if number % 2 else ()
        await store.run(store.calls.submit(task_id, "fibonacci", "1", b'{"n":%d}' % number, tags=tags))
    oldest_first = [task_id for _, task_id in await store.list_tasks(30, newest_first=False)]
    for wanted, expected in (
        (TaskFilter(tag="odd"), set(ids[1::2])),
        (TaskFilter(text='"n":7'), {ids[7]}),
        (TaskFilter(text="nowhere"), set()),
        (TaskFilter(error_code="CANCELLED"), set()),
    ):
        for newest_first in (True, False):
            found: list[str] = []
            end, pages, more = None, 0, True
            while more:
                page = await find_tasks(
                    store, wanted, wanted.matches, 3, newest_first=newest_first,
                    below=end if newest_first else None, above=None if newest_first else end,
                )  # fmt: skip
                found += [task_id for _, task_id in page.tasks]
                end, more, pages = page.end, page.more, pages + 1
            order = oldest_first[::-1] if newest_first else oldest_first
            assert found == [task_id for task_id in order if task_id in expected]
            assert pages >= len(ids) // 8


FILTERS = st.builds(
    TaskFilter,
    states=st.none() | st.frozensets(st.sampled_from(TaskState), max_size=3),
    names=st.none() | st.frozensets(st.sampled_from(["etl", "train"]), max_size=2),
    tag=st.none() | st.sampled_from(["t0", "t1"]),
    error_code=st.none() | st.just("BROKEN"),
    since=st.none(),
    until=st.none(),
    text=st.none() | st.sampled_from(["trai", '"n":1', "0001"]),
    ids=st.none() | st.frozensets(st.integers(0, 13).map(lambda i: f"{i % 16:x}{i:031x}")),
    tags=st.none() | st.frozensets(st.sampled_from(["t0", "t1", "t2"])),
    error_codes=st.none() | st.frozensets(st.sampled_from(["BROKEN", "CANCELLED"])),
    min_run_seconds=st.none() | st.sampled_from([0.0, 60.0]),
    max_run_seconds=st.none() | st.sampled_from([0.0, 60.0]),
    worker=st.none() | st.sampled_from(["w0", "w1"]),
    finished_since=st.none() | st.sampled_from([0, 2**52]),
    finished_until=st.none() | st.sampled_from([0, 2**52]),
)


@given(wanted=FILTERS, limit=st.integers(1, 5), newest_first=st.booleans())
@configured(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=examples(60))
async def test_the_pages_of_any_filter_have_exactly_the_tasks_that_meet_its_conditions(
    store: Store, wanted: TaskFilter, limit: int, newest_first: bool
) -> None:
    ids = [f"{i % 16:x}{i:031x}" for i in range(12)]
    if await store.read(ids[0]) is None:
        calls = store.calls
        for i, task_id in enumerate(ids):
            name, tags = ("etl", "train")[i % 2], (f"t{i % 3}",)
            await store.run(calls.submit(task_id, name, "1", b'{"n":%d}' % i, tags=tags))
            if i % 4:
                await store.run(calls.start(task_id, 1, f"w{i % 2}"))
            if i % 4 == 2:
                await store.run(calls.finish(task_id, 1, b"{}"))
            if i % 4 == 3:
                await store.run(calls.fail(task_id, 1, error("BROKEN", "it failed")))
        await store.run(calls.cancel(ids[4]))
    records = {record.task_id: record for record in await store.read_many(ids) if record is not None}
    found: list[str] = []
    end, more = None, True
    while more:
        page = await find_tasks(
            store, wanted, wanted.matches, limit, newest_first=newest_first,
            below=end if newest_first else None, above=None if newest_first else end,
        )  # fmt: skip
        found += [task_id for _, task_id in page.tasks]
        end, more = page.end, page.more
        assert len(found) <= len(ids)
    expected = sorted(
        (record.submitted_at, record.task_id) for record in records.values() if wanted.matches(record)
    )  # fmt: skip
    assert found == [task_id for _, task_id in (expected[::-1] if newest_first else expected)]


async def test_a_long_input_is_not_searched(store: Store) -> None:
    for task_id, size in (("a" * 32, 15_000), ("b" * 32, 17_000)):
        await store.run(store.calls.submit(task_id, "long", "1", b'{"needle":"%s"}' % (b"x" * size)))
    wanted = TaskFilter(text="needle")
    assert [task_id for _, task_id in (await find_tasks(store, wanted, wanted.matches, 5)).tasks] == ["a" * 32]


CONNECTION = """query($first: Int, $after: String, $last: Int, $before: String, $where: TaskFilter, $order: TaskOrder) {
  tasks(first: $first, after: $after, last: $last, before: $before, where: $where, orderBy: $order) {
    nodes { taskId } edges { cursor node { taskId } } totalCount
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""


async def test_a_connection_pages_both_ways_in_both_orders_and_counts_itself(system: System) -> None:
    tag = "pages-both-ways"
    mutation = """mutation($n: Int!, $tag: String!) {
      submitFibonacci(n: $n, options: {tags: [$tag]}) { task { taskId submittedAt } }
    }"""
    made = [(await system.ask(mutation, {"n": 6_100 + n, "tag": tag}))["submitFibonacci"]["task"] for n in range(5)]
    ids = [task["taskId"] for task in made]
    span = {
        "submittedAfter": made[0]["submittedAt"], "names": ["fibonacci"], "states": ["QUEUED", "RUNNING", "SUCCEEDED"],
    }  # fmt: skip

    async def page(**variables: Any) -> tuple[list[str], dict[str, Any], int | None]:
        tasks = (await system.ask(CONNECTION, {"where": span, **variables}))["tasks"]
        nodes = [node["taskId"] for node in tasks["nodes"]]
        assert nodes == [edge["node"]["taskId"] for edge in tasks["edges"]]
        return nodes, tasks["pageInfo"], tasks["totalCount"]

    oldest, _, total = await page(order="OLDEST_FIRST")
    assert set(oldest) == set(ids)
    assert total == 5
    assert (await page())[0] == oldest[::-1]
    nodes, info, _ = await page(last=2)
    assert nodes == oldest[::-1][-2:]
    assert (info["hasPreviousPage"], info["hasNextPage"]) == (True, False)
    nodes, info, _ = await page(last=2, before=info["startCursor"])
    assert nodes == oldest[::-1][1:3]
    assert (info["hasPreviousPage"], info["hasNextPage"]) == (True, True)
    nodes, info, _ = await page(first=2, after=info["endCursor"])
    assert nodes == oldest[::-1][3:]
    assert (info["hasPreviousPage"], info["hasNextPage"]) == (True, False)
    tagged = await page(where={"tag": tag}, order="OLDEST_FIRST", first=3)
    assert (tagged[0], tagged[2]) == (oldest[:3], None)
    assert (await page(where={"tag": tag, "text": made[2]["taskId"][:20].upper()}))[0] == [ids[2]]
    assert (await page(where={"states": []}))[::2] == ([], 0)


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ("first: 1, last: 1", "last"),
        ("last: 101", "last"),
        ('where: {tag: ""}', "where.tag"),
        ('where: {text: "%s"}' % ("x" * 201), "where.text"),
        ('where: {submittedAfter: "2026-01-31T12:00:00"}', "where.submittedAfter"),
        ('where: {names: ["' + '","'.join(map(chr, range(97, 108))) + '"]}', "where.names"),
    ],
)
async def test_a_wrong_filter_or_page_is_refused_by_its_place(system: System, arguments: str, argument: str) -> None:
    answer = await system.post(f"{{ tasks({arguments}) {{ totalCount }} }}")
    extensions = answer["errors"][0]["extensions"]
    assert (extensions["code"], extensions["argument"]) == ("BAD_INPUT", argument)


async def test_each_tenant_has_a_list_and_there_is_one_of_all(store: Store) -> None:
    mine = await fill(store, 3, tenant="acme")
    await store.run(store.calls.submit("f" * 32, "fibonacci", "1", b"{}", tenant="other"))
    assert [task_id for _, task_id in await store.list_tasks(9, tenant="acme")] == mine
    assert len(await store.list_tasks(9)) == 4
    # A task that ends moves in its tenant's lists too.
    await store.run(store.calls.cancel(mine[0]))
    state = (await read(store, mine[0])).state
    assert await store.list_tasks(9, tenant="acme", wanted=TaskFilter(states=frozenset({state})))
    assert len(await store.list_tasks(9, tenant="acme", wanted=TaskFilter(names=frozenset({"fibonacci"})))) == 3


async def read(store: Store, task_id: str) -> Any:
    record = await store.read(task_id)
    assert record is not None
    assert record.tenant == "acme"
    return record


async def test_pruned_tasks_leave_every_list(settings: Settings) -> None:
    from dataclasses import replace

    store = Store(replace(settings, result_ttl_seconds=1))
    await fill(store, 2, tenant="acme")
    for task_id in ("0" * 32, "1" + f"{1:031x}"):
        await store.run(store.calls.cancel(task_id))
    async with asyncio.timeout(20):
        while await store.list_tasks(9, tenant="acme") or await store.list_tasks(9):
            for digit in "01":
                await store.run(store.calls.prune(digit, 10))
            await asyncio.sleep(0.1)
    left = [key for key in await store.command("KEYS", f"{settings.key_prefix}:*:index*")]
    assert left == []
    await store.close()


@pytest.mark.parametrize("count", [100, 3_000])
async def test_a_page_reads_a_bounded_number_of_entries_however_many_tasks_exist(store: Store, count: int) -> None:
    for digit in "0123456789abcdef":
        pairs = [word for i in range(count // 16) for word in (i, f"{digit}{i:031x}")]
        await store.command("ZADD", store.calls.index_key(digit, None, None), *pairs)
    await store.command("CONFIG", "RESETSTAT")
    begun = time.monotonic()
    assert len(await store.list_tasks(20)) == 20
    assert time.monotonic() - begun < 5
    stats = await store.command("INFO", "commandstats")
    text = stats.decode() if isinstance(stats, bytes) else str(stats)
    # One range of 20 in each of the 16 shards.
    assert "calls=16" in text or "'calls': 16" in text
