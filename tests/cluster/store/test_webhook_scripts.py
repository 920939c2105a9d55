"""The scripts of webhooks: the step that ends a task makes its deliveries, and each is ended once."""

from __future__ import annotations

import pytest

from cluster.attempt_errors import error
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.record import SubmissionOutcome
from cluster.store.webhook_calls import DeliveryOutcome, DueDelivery
from cluster.store.webhook_deliveries import Delivery, DeliveryPage, DeliveryStatus, read_deliveries
from cluster.task_types.retry_policy import Retries

pytestmark = pytest.mark.every_engine

ID = "b9a7c7263c0332d12e52f09809754586"
URL = "https://app.example.com/hooks"


async def submit(store: Store, *webhooks: str, recompute: bool = False, task_id: str = ID) -> SubmissionOutcome:
    reply = await store.run(
        store.calls.submit(task_id, "add", "1", b"{}", webhooks=webhooks, recompute=recompute, account="acme")
    )
    return reply.outcome


async def finish(store: Store, attempt: int = 1, task_id: str = ID) -> None:
    await store.run(store.calls.start(task_id, attempt, "w1"))
    assert await store.run(store.calls.finish(task_id, attempt, b"5"))


async def claim(store: Store, limit: int = 100) -> list[DueDelivery]:
    return await store.run(store.calls.claim_deliveries("b", limit))


async def page(
    store: Store, account: str = "acme", first: int = 10, after: tuple[int, str] | None = None
) -> DeliveryPage:
    return await read_deliveries(store, account, first, after, lambda _: True)


async def statuses(store: Store, account: str = "acme") -> list[tuple[str, DeliveryStatus, int, str]]:
    return [(item.to, item.status, item.tries, item.reply) for item in (await page(store, account)).deliveries]


async def test_the_end_of_a_task_makes_a_delivery_for_each_webhook(store: Store) -> None:
    assert await submit(store, f"acme|{URL}", "bank|wh_1") == "NEW"
    assert await claim(store) == []
    await finish(store)
    first, second = sorted(await claim(store), key=lambda item: item.account)
    assert (first.task_id, first.account, first.to, first.name, first.state, first.tries) == (
        ID, "acme", URL, "add", "SUCCEEDED", 0,
    )  # fmt: skip
    assert (second.account, second.to) == ("bank", "wh_1")
    assert first.delivery_id.startswith("msg_b")
    # They are claimed for a while.
    assert await claim(store) == []
    assert await statuses(store) == [(URL, DeliveryStatus.PENDING, 0, "")]


@pytest.mark.parametrize("way", ["fail", "cancel", "lost"])
async def test_whatever_ends_a_task_makes_its_deliveries(store: Store, way: str) -> None:
    await submit(store, f"acme|{URL}")
    await store.run(store.calls.start(ID, 1, "w1"))
    if way == "fail":
        assert await store.run(store.calls.fail(ID, 1, error("X", "y"), retries=Retries(0))) == "FAILED"
    elif way == "cancel":
        await store.run(store.calls.cancel(ID))
    else:
        for attempt in range(1, 10):
            if await store.run(store.calls.mark_lost(ID, attempt, "worker", error("X", "y"))) == "FAILED":
                break
            assert await claim(store) == []
            await store.run(store.calls.release(ID, attempt + 1))
            for due in (await store.run(store.calls.claim_due("b", 10)))[1]:
                await store.run(store.calls.start(ID, due.attempt, "w1"))
    [delivery] = await claim(store)
    assert delivery.state == ("CANCELLED" if way == "cancel" else "FAILED")


async def test_submissions_that_share_a_run_are_each_told_and_equal_ones_once(store: Store) -> None:
    await submit(store, f"acme|{URL}")
    assert await submit(store, f"acme|{URL}") == "JOINED"
    assert await submit(store, f"bank|{URL}", "acme|https://b.example.com/") == "JOINED"
    assert await submit(store) == "JOINED"
    await finish(store)
    assert sorted((item.account, item.to) for item in await claim(store)) == [
        ("acme", URL), ("acme", "https://b.example.com/"), ("bank", URL),
    ]  # fmt: skip


async def test_a_submission_that_finds_a_result_is_told_at_once_and_again_under_the_same_id(store: Store) -> None:
    await submit(store)
    await finish(store)
    assert await submit(store, f"acme|{URL}") == "CACHED"
    [first] = await claim(store)
    await store.run(store.calls.end_delivery(first, DeliveryOutcome.DELIVERED, reply="HTTP 200"))
    assert await submit(store, f"acme|{URL}") == "CACHED"
    [second] = await claim(store)
    assert second.delivery_id == first.delivery_id
    assert len(await statuses(store)) == 1


async def test_a_new_run_has_deliveries_of_its_own(store: Store) -> None:
    await submit(store, f"acme|{URL}")
    await finish(store)
    [first] = await claim(store)
    assert await submit(store, recompute=True) == "RECOMPUTED"
    await finish(store, 2)
    assert await claim(store) == []
    assert await submit(store, f"acme|{URL}", recompute=True) == "RECOMPUTED"
    await finish(store, 3)
    [third] = await claim(store)
    assert third.delivery_id != first.delivery_id


async def test_a_failed_try_is_due_again_and_a_late_reply_of_it_changes_nothing(store: Store) -> None:
    await submit(store, f"acme|{URL}")
    await finish(store)
    [claimed] = await claim(store)
    assert await store.run(store.calls.end_delivery(claimed, DeliveryOutcome.RETRY, reply="HTTP 500"))
    assert await statuses(store) == [(URL, DeliveryStatus.PENDING, 1, "HTTP 500")]
    [again] = await claim(store)
    assert again.tries == 1
    assert not await store.run(store.calls.end_delivery(claimed, DeliveryOutcome.DELIVERED, reply="HTTP 200"))
    assert await store.run(store.calls.end_delivery(again, DeliveryOutcome.FAILED, reply="HTTP 410"))
    assert not await store.run(store.calls.end_delivery(again, DeliveryOutcome.FAILED, reply="HTTP 410"))
    assert await statuses(store) == [(URL, DeliveryStatus.FAILED, 2, "HTTP 410")]
    assert await claim(store) == []


async def test_a_postponed_delivery_is_due_later_and_a_dropped_one_is_gone(store: Store) -> None:
    await submit(store, f"acme|{URL}")
    await finish(store)
    [claimed] = await claim(store)
    await store.run(store.calls.end_delivery(claimed, DeliveryOutcome.POSTPONED, pause_seconds=3_600))
    assert await claim(store) == []
    assert (await page(store)).deliveries[0].tries == 0
    await store.run(store.calls.end_delivery(claimed, DeliveryOutcome.DROPPED))
    assert await statuses(store) == []


async def test_only_its_account_replays_a_delivery(store: Store) -> None:
    await submit(store, f"acme|{URL}")
    await finish(store)
    [claimed] = await claim(store)
    await store.run(store.calls.end_delivery(claimed, DeliveryOutcome.FAILED, reply="HTTP 404"))
    assert not await store.run(store.calls.redeliver(claimed.delivery_id, "bank"))
    assert not await store.run(store.calls.redeliver("msg_b" + 40 * "0", "acme"))
    assert await claim(store) == []
    assert await store.run(store.calls.redeliver(claimed.delivery_id, "acme"))
    [again] = await claim(store)
    assert (again.delivery_id, again.tries) == (claimed.delivery_id, 0)
    assert await statuses(store, "bank") == []


async def test_the_list_of_an_account_is_read_in_pages_newest_first(store: Store) -> None:
    ids = [f"{n:x}{n:031x}" for n in range(16)]
    for task_id in ids:
        await submit(store, f"acme|{URL}", "acme|https://b.example.com/", task_id=task_id)
        await finish(store, task_id=task_id)
    seen: list[Delivery] = []
    after = None
    while True:
        found = await page(store, first=5, after=after)
        seen += found.deliveries
        if found.next_after is None:
            break
        after = found.next_after
    assert [item.position for item in seen] == sorted((item.position for item in seen), reverse=True)
    assert len({item.delivery_id for item in seen}) == 32
    wanted = await read_deliveries(store, "acme", 10, None, lambda item: item.task_id == ids[3])
    assert [item.task_id for item in wanted.deliveries] == [ids[3]] * 2
    assert wanted.next_after is None


async def test_an_account_keeps_its_newest_deliveries(store: Store, settings: Settings) -> None:
    await submit(store)
    await finish(store)
    urls = [f"acme|https://app.example.com/{n}" for n in range(1_003)]
    for start in range(0, len(urls), 100):
        await submit(store, *urls[start : start + 100])
    assert await store.command("ZCARD", f"{store.calls.shard(ID)}:deliveries") == 1_000
    assert await store.command("ZCARD", store.calls.deliveries_of_key("b", "acme")) == 1_000
    found = store.redis.scan_iter(f"{settings.key_prefix}:*:delivery:*", 1_000)
    assert len([key async for key in found]) == 1_000


async def test_the_webhooks_that_a_run_collects_are_bounded(store: Store) -> None:
    for n in range(40):
        await submit(store, f"acme|https://app.example.com/{n}/" + "x" * 2_000)
    size = await store.command("HSTRLEN", store.calls.record_key(ID), "webhooks")
    assert 60_000 < size <= 65_536
