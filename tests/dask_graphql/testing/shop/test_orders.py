"""Tests of a user's task module, as docs/testing.md shows them."""

import pytest
from orders import Invoice, make_invoice  # type: ignore[import-not-found]

from dask_graphql import BadInput, Client
from dask_graphql.testing import run_task


def test_an_invoice_has_the_total_and_a_file() -> None:
    outcome = run_task(make_invoice, prices=[10.0, 2.5], discount=0.1)
    assert outcome.value == Invoice(total=11.25, file=outcome.blobs["invoice.txt"])
    assert outcome.read(outcome.value.file) == b"10.00\n2.50\n"
    assert outcome.progress == [0.5, 1.0]


def test_an_invoice_without_prices_is_refused() -> None:
    with pytest.raises(BadInput, match="at least one price"):
        run_task(make_invoice, prices=[])


def test_the_system_makes_invoices(dask_graphql_system: Client) -> None:
    handle = dask_graphql_system.submit("make_invoice", prices=[10.0, 2.5])
    assert handle.task_id == run_task(make_invoice, prices=[10.0, 2.5]).task_id
    assert handle.result(timeout=60)["total"] == 12.5
