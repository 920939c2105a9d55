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

from cluster.settings import Settings
from cluster.store.async_store import Store
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
    page=st.integers(1, 9),
    since=st.none() | st.integers(0, 9),
    until=st.none() | st.integers(0, 9),
)
@configured(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=examples(40))
async def test_all_pages_together_are_the_list_whatever_its_times(
    settings: Settings, times: list[int], page: int, since: int | None, until: int | None
) -> None:
    store = Store(settings)
    key = store.calls.index_key
    await store.command("FLUSHALL")
    ids = [f"{i % 16:x}{i:031x}" for i in range(len(times))]
    for task_id, at in zip(ids, times, strict=True):
        await store.command("ZADD", key(task_id[0], None, None), at, task_id)
    expected = sorted(
        ((at, task_id) for at, task_id in zip(times, ids, strict=True)
         if (since is None or at >= since) and (until is None or at < until)), reverse=True,
    )  # fmt: skip
    got: list[tuple[int, str]] = []
    while more := await store.newest(page, before=got[-1] if got else None, since=since, until=until):
        got += more
        assert len(got) <= len(expected)
    assert got == expected
    await store.close()


async def test_each_tenant_has_a_list_and_there_is_one_of_all(store: Store) -> None:
    mine = await fill(store, 3, tenant="acme")
    await store.run(store.calls.submit("f" * 32, "fibonacci", "1", b"{}", tenant="other"))
    assert [task_id for _, task_id in await store.newest(9, tenant="acme")] == mine
    assert len(await store.newest(9)) == 4
    # A task that ends moves in its tenant's lists too.
    await store.run(store.calls.cancel(mine[0]))
    assert await store.newest(9, tenant="acme", state=next(iter({(await read(store, mine[0])).state})))
    assert len(await store.newest(9, tenant="acme", name="fibonacci")) == 3


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
        while await store.newest(9, tenant="acme") or await store.newest(9):
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
    assert len(await store.newest(20)) == 20
    assert time.monotonic() - begun < 5
    stats = await store.command("INFO", "commandstats")
    text = stats.decode() if isinstance(stats, bytes) else str(stats)
    # One range of 20 in each of the 16 shards.
    assert "calls=16" in text or "'calls': 16" in text
