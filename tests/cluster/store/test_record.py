"""Records in replies and notifications of this release and of others."""

from __future__ import annotations

from dataclasses import replace

from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.store.record import FIELDS, FIELDS_BUT_RESULT, RESULT_AT, parse_record

ID = "b9a7c7263c0332d12e52f09809754586"
VALUES = [b"fibonacci", b"1", b"{}", b"SUCCEEDED", *[b"7"] * (RESULT_AT - 4), b'{"n":90}', b"acme"]


def test_a_reader_ignores_fields_of_a_later_release_and_takes_missing_ones_of_an_earlier_for_empty() -> None:
    known = [*VALUES, *[None] * (len(FIELDS) - len(VALUES))]
    record = parse_record(ID, known)
    assert record is not None
    assert (record.result, record.account) == (b'{"n":90}', "acme")
    assert parse_record(ID, [*known, b"a later field"]) == record
    assert parse_record(ID, VALUES[: RESULT_AT + 1]) == replace(record, account="")


async def test_a_record_without_its_result_has_every_other_field_in_its_place(settings: Settings) -> None:
    store = Store(settings)
    calls = store.calls
    submitted = await store.run(calls.submit(ID, "fibonacci", "1", b"{}", account="acme"))
    await store.run(calls.start(ID, 1, "w1"))
    long = b'"%s"' % (b"x" * 5_000)
    await store.run(calls.finish(ID, 1, long))
    [full], [without] = await store.read_many([ID]), await store.read_many([ID], results=False)
    assert full is not None
    assert (full.result, full.account, submitted.record.account) == (long, "acme", "acme")
    assert without == await store.run(calls.read(ID)) == replace(full, result=None)
    assert len(FIELDS_BUT_RESULT) == len(FIELDS)
    await store.close()
