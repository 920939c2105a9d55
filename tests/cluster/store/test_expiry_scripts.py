"""Records that are kept for a time of their own, and tasks that must start by a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.record import Record, SubmissionOutcome, TaskState
from cluster.store.replies import SubmitReply
from cluster.task_types.retry_policy import Retries

pytestmark = pytest.mark.every_engine

ID = "b9a7c7263c0332d12e52f09809754586"
NEW, JOINED, CACHED, RECOMPUTED = SubmissionOutcome


@pytest.fixture
async def forever(settings: Settings) -> AsyncIterator[Store]:
    """A store whose results stay for ever unless they have a time of their own."""
    store = Store(replace(settings, result_ttl_seconds=0))
    yield store
    await store.close()


async def submit(store: Store, **options: Any) -> SubmitReply:
    return await store.run(store.calls.submit(ID, "t", "1", b"{}", **options))


async def run(store: Store, attempt: int = 1) -> None:
    await store.run(store.calls.start(ID, attempt, "w1"))
    assert await store.run(store.calls.finish(ID, attempt, b"{}"))


async def record(store: Store) -> Record:
    found = await store.read(ID)
    assert found is not None
    return found


async def keeps(store: Store) -> float | None:
    """How many seconds the record is kept after its end, by its field, its expiry, and the list of what to prune."""
    found = await record(store)
    assert found.finished_at is not None
    pruned = await store.command("ZCARD", f"{store.calls.shard(ID)}:expiry")
    ttl = await store.command("PTTL", store.calls.record_key(ID))
    if found.expires_at is None:
        assert (pruned, ttl) == (0, -1)
        return None
    seconds = (found.expires_at - found.finished_at) / 1_000
    assert pruned == 1
    assert seconds * 1_000 - 2_000 <= ttl <= seconds * 1_000
    return seconds


async def overdue(store: Store) -> int:
    """Expires what has not started in time. Returns how many tasks still wait to."""
    await store.run(store.calls.expire_unstarted(ID[0], 100))
    return int(await store.command("ZCARD", f"{store.calls.shard(ID)}:start_before"))


async def test_a_record_is_kept_as_long_as_its_task_type_says_but_no_longer_than_the_setting(store: Store) -> None:
    await submit(store, ttl_seconds=60)
    await run(store)
    assert await keeps(store) == 60
    await submit(store, recompute=True, ttl_seconds=10**7)
    await run(store, 2)
    assert await keeps(store) == 86_400


async def test_of_all_submitters_the_one_counts_that_wants_the_result_for_longest(store: Store) -> None:
    await submit(store, ttl_seconds=60)
    assert (await submit(store, ttl_seconds=30)).outcome is JOINED
    await submit(store, ttl_seconds=90)
    await run(store)
    assert await keeps(store) == 90
    assert (await submit(store, ttl_seconds=40)).outcome is CACHED
    assert await keeps(store) == 90
    await submit(store, ttl_seconds=200)
    assert await keeps(store) == 200
    await submit(store)
    assert await keeps(store) == 86_400
    await submit(store, ttl_seconds=300)
    assert await keeps(store) == 86_400


async def test_where_results_stay_for_ever_one_may_have_a_time_until_somebody_wants_it_for_ever(forever: Store) -> None:
    await submit(forever, ttl_seconds=60)
    await run(forever)
    assert await keeps(forever) == 60
    await submit(forever)
    assert await keeps(forever) is None


async def test_a_failed_and_a_cancelled_task_are_kept_for_the_same_time(store: Store) -> None:
    await submit(store, ttl_seconds=60)
    await store.run(store.calls.cancel(ID))
    assert await keeps(store) == 60
    await submit(store, ttl_seconds=50)
    await store.run(store.calls.fail(ID, 2, {"code": "X", "message": "x"}))
    assert await keeps(store) == 50


async def test_a_result_that_is_found_shortly_before_its_end_stays_a_little_longer_once(store: Store) -> None:
    await submit(store, ttl_seconds=1)
    await run(store)
    await asyncio.sleep(0.6)
    assert (await submit(store, ttl_seconds=1)).outcome is CACHED
    assert await keeps(store) == 1.5
    await asyncio.sleep(0.5)
    assert (await submit(store, ttl_seconds=1)).outcome is RECOMPUTED


async def test_a_task_that_has_not_started_in_time_ends_and_the_scheduler_is_told_of_what_it_had(store: Store) -> None:
    await submit(store, start_before=1)
    assert await store.run(store.calls.expire_unstarted(ID[0], 100)) == (1, [(ID, 1)])
    ended = await record(store)
    assert ended.state is TaskState.FAILED
    assert (ended.error_fields() or {})["code"] == "EXPIRED_BEFORE_START"
    assert await overdue(store) == 0
    assert await store.run(store.calls.claim_due(ID[0], 100, 1 << 45)) == (False, [])
    await submit(store, start_before=1, not_before=1 << 44)
    assert await store.run(store.calls.expire_unstarted(ID[0], 100)) == (1, [])
    assert (await record(store)).state is TaskState.FAILED


async def test_a_worker_that_comes_too_late_is_refused_and_ends_the_task(store: Store) -> None:
    await submit(store, start_before=1)
    assert (await store.run(store.calls.start(ID, 1, "w1"))).verdict == "EXPIRED"
    assert (await record(store)).state is TaskState.FAILED
    assert (await store.run(store.calls.start(ID, 1, "w1"))).verdict == "ENDED"


async def test_a_held_task_expires_too_and_leaves_nothing(store: Store) -> None:
    await submit(store, start_before=1, limits="t:t=1")
    assert await overdue(store) == 0
    assert (await record(store)).state is TaskState.FAILED
    assert await store.command("EXISTS", f"{store.calls.shard(ID)}:held:t:t=1") == 0


async def test_the_time_of_a_task_type_counts_from_the_submission_or_from_not_before(store: Store) -> None:
    await submit(store, start_within_seconds=0)
    assert await overdue(store) == 0
    assert (await record(store)).state is TaskState.FAILED
    now = await store.server_milliseconds()
    await submit(store, start_within_seconds=5, not_before=now + 60_000)
    at = await store.command("ZSCORE", f"{store.calls.shard(ID)}:start_before", ID)
    assert float(at) == now + 65_000


async def test_a_started_task_never_expires_whatever_happens_to_its_attempts(store: Store) -> None:
    soon = await store.server_milliseconds() + 200
    await submit(store, start_before=soon)
    assert (await store.run(store.calls.start(ID, 1, "w1"))).verdict == "RUN"
    assert await overdue(store) == 0
    await store.run(store.calls.fail(ID, 1, {"code": "X", "message": "x"}, retries=Retries(1)))
    await asyncio.sleep(0.25)
    assert await overdue(store) == 0
    assert (await store.run(store.calls.start(ID, 2, "w1"))).verdict == "RUN"


async def test_a_task_waits_as_long_as_any_of_its_submitters_allows(store: Store) -> None:
    await submit(store, start_before=1)
    await submit(store, start_before=1 << 44)
    await submit(store, start_before=2)
    assert await overdue(store) == 1
    await submit(store)
    assert await overdue(store) == 0
    assert (await store.run(store.calls.start(ID, 1, "w1"))).verdict == "RUN"


async def test_what_an_earlier_release_started_or_ended_leaves_no_entry(store: Store) -> None:
    """It does not know the time, and leaves it in the record and in the list."""
    await submit(store)
    await store.run(store.calls.start(ID, 1, "w1"))
    await store.command("HSET", store.calls.record_key(ID), "start_before", 1)
    await store.command("ZADD", f"{store.calls.shard(ID)}:start_before", 1, ID)
    assert await overdue(store) == 0
    assert (await record(store)).state is TaskState.RUNNING
    assert await store.command("HEXISTS", store.calls.record_key(ID), "start_before") == 0
    gone = ID[0] + "0" * 31
    await store.command("ZADD", f"{store.calls.shard(ID)}:start_before", 1, gone)
    assert await overdue(store) == 0
    assert await store.read(gone) is None


async def test_a_checkpoint_is_recorded_by_the_newest_attempt_only_and_returned_at_the_next_start(store: Store) -> None:
    await submit(store, trace="00-trace")
    assert not await store.run(store.calls.record_checkpoint(ID, 1, "key1"))
    assert (await store.run(store.calls.start(ID, 1, "w1"))).checkpoint == ""
    assert await store.run(store.calls.record_checkpoint(ID, 1, "key1"))
    await store.run(store.calls.fail(ID, 1, {"code": "X", "message": "x"}, retries=Retries(1)))
    started = await store.run(store.calls.start(ID, 2, "w2"))
    assert (started.verdict, started.trace, started.checkpoint) == ("RUN", "00-trace", "key1")
    assert (await store.run(store.calls.start(ID, 2, "w2"))).checkpoint == "key1"
    assert not await store.run(store.calls.record_checkpoint(ID, 1, "key0"))
    await store.run(store.calls.finish(ID, 2, b"{}"))
    await submit(store, recompute=True)
    assert (await store.run(store.calls.start(ID, 3, "w1"))).checkpoint == ""
