"""The audit log of a node: what it keeps of many actions, and what it does while Redis is away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.api_node import audit_log
from cluster.api_node.audit_log import AuditLog
from cluster.errors import BadInput, Forbidden, PublicError, StoreUnavailable
from cluster.observability import metrics
from cluster.settings import Settings
from cluster.store.actor import Actor
from cluster.store.async_store import Store
from cluster.store.audit_stream import AuditAction, AuditEntry, append_audit, read_audit

ANNA = Actor("jwt:anna", "acme", "anna", "10.0.0.1")


async def everything(store: Store, first: int = 1_000) -> list[AuditEntry]:
    """All entries, oldest first."""
    page = await read_audit(store, first, None, lambda _: True)
    return [entry for _, entry in reversed(page.entries)]


def dropped() -> float:
    return metrics.AUDIT_DROPPED._value.get()  # type: ignore[no-any-return]


async def test_what_a_caller_repeats_is_one_entry_with_a_count(store: Store) -> None:
    log = AuditLog(store, 1_000)
    for number in range(250):
        log.add(AuditAction.SUBMIT, ANNA, task="fibonacci", task_ids=(f"{number:032x}",), code="NEW")
    log.add(AuditAction.CANCEL, ANNA, task="fibonacci", task_ids=("0" * 32,))
    log.refused(ANNA, Forbidden("no"))
    log.refused(ANNA, BadInput("a mistake concerns nobody else"))
    await log.write()
    *submits, cancel, refused = await everything(store)
    assert [(entry.count, len(entry.task_ids)) for entry in submits] == [(100, 100), (100, 100), (50, 50)]
    assert [task_id for entry in submits for task_id in entry.task_ids] == [f"{n:032x}" for n in range(250)]
    assert cancel == AuditEntry(
        AuditAction.CANCEL, "anna", "jwt:anna", "acme", "10.0.0.1", "fibonacci", ("0" * 32,), "", 1
    )
    assert (refused.action, refused.code, refused.count) == (AuditAction.REFUSED, "FORBIDDEN", 1)


async def test_what_does_not_fit_is_dropped_and_counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_log, "MAX_ROWS", 2)
    monkeypatch.setattr(audit_log, "MAX_TASK_IDS", 3)
    log, before = AuditLog(store, 1_000), dropped()
    for number in range(5):
        log.add(AuditAction.REFUSED, Actor(address=f"10.0.0.{number}"), code="UNAUTHENTICATED")
    log.add(AuditAction.REFUSED, Actor(address="10.0.0.1"), code="UNAUTHENTICATED")
    assert dropped() == before + 3
    await log.write()
    assert [(entry.address, entry.count) for entry in await everything(store)] == [("10.0.0.0", 1), ("10.0.0.1", 2)]
    log.add(AuditAction.SUBMIT, ANNA, task_ids=[f"{number:032x}" for number in range(10)])
    await log.write()
    last = (await everything(store))[-1]
    assert (last.count, len(last.task_ids)) == (10, 3)


async def test_the_stream_keeps_about_its_newest_entries(store: Store) -> None:
    entries = [AuditEntry(AuditAction.SUBMIT, "anna", code=str(number)) for number in range(2_000)]
    for start in range(0, 2_000, 500):
        await append_audit(store, entries[start : start + 500], 300)
    kept = await everything(store, 2_000)
    # Redis drops whole nodes of its stream, of 100 entries each.
    assert 300 <= len(kept) <= 400
    assert kept[-1].code == "1999"


async def test_pages_follow_each_other_without_a_gap_and_a_filter_is_bounded(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append_audit(store, [AuditEntry(AuditAction.JOIN, code=str(number)) for number in range(25)], 1_000)
    seen, before = [], None
    while True:
        page = await read_audit(store, 10, before, lambda entry: int(entry.code) % 2 == 0)
        seen += [int(entry.code) for _, entry in page.entries]
        before = page.next_before
        if before is None:
            break
    assert seen == list(range(24, -1, -2))
    monkeypatch.setattr("cluster.store.audit_stream.READ_PAGE", 5)
    monkeypatch.setattr("cluster.store.audit_stream.SCANNED_ENTRIES", 10)
    page = await read_audit(store, 10, None, lambda entry: entry.code == "3")
    assert (page.entries, page.next_before is not None) == ((), True)
    for _ in range(2):
        page = await read_audit(store, 10, page.next_before, lambda entry: entry.code == "3")
    assert [entry.code for _, entry in page.entries] == ["3"]


async def test_entries_wait_while_redis_is_away_and_requests_notice_nothing(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Store(replace(settings, redis_url="redis://127.0.0.1:1/0"))
    monkeypatch.setattr(audit_log, "MAX_UNWRITTEN", 3)
    log, before = AuditLog(away, 1_000), dropped()
    for number in range(5):
        log.add(AuditAction.SUBMIT, ANNA, task="fibonacci", code=str(number))
    with pytest.raises(StoreUnavailable):
        await log.write()
    assert dropped() == before + 2
    log._store = store
    await log.write()
    assert [entry.code for entry in await everything(store)] == ["2", "3", "4"]
    await away.close()


async def test_without_entries_to_keep_nothing_is_written(store: Store) -> None:
    log = AuditLog(store, 0)
    log.add(AuditAction.SUBMIT, ANNA)
    await log.write()
    assert await store.command("EXISTS", store.calls.audit_key) == 0


@pytest.mark.parametrize(
    ("actor", "text"),
    [
        (Actor("key:1a", "acme", "night build"), "key:1a acme night build"),
        (Actor("address:a b", "", "x" * 300), f"address:a_b  {'x' * 128}"),
        (Actor(), ""),
    ],
)
def test_an_actor_is_kept_as_one_text(actor: Actor, text: str) -> None:
    assert actor.text == text
    read = Actor.parse(text)
    assert (read and read.text) == (text or None)


def test_every_refusal_is_audited_but_those_that_concern_only_the_request() -> None:
    assert {error.code for error in PublicError.__subclasses__() if not error.audited} == {
        "ANSWER_TOO_LARGE",
        "BAD_CURSOR",
        "BAD_INPUT",
        "BAD_TASK_ID",
        "DOCUMENT_TOO_LARGE",
        "FILE_MISMATCH",
        "FILE_NOT_FOUND",
        "FILE_TOO_LARGE",
        # Apollo's clients ask with the hash of each document first.
        "PERSISTED_OPERATION_NOT_FOUND",
        "RESULT_GONE",
        "RESULT_UNREADABLE",
        "SCHEDULE_NOT_FOUND",
        "SERVICE_UNAVAILABLE",
        "TASK_NOT_FOUND",
        "WEBHOOK_NOT_FOUND",
    }
