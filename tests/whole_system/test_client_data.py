"""Tables and arrays in results of the Python client: read as far as they are asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from dask_graphql import AsyncClient, Client
from tests.system import System
from tests.task_modules.frames import frame


@pytest.fixture
def client(system: System) -> Any:
    with Client(system.url) as client:
        yield client


def test_a_table_becomes_a_data_frame_or_pages_of_rows(client: Client) -> None:
    table = client.submit("make_table", rows=20_000).result(60)
    assert (len(table), [it.name for it in table.columns]) == (20_000, ["station", "number", "value"])
    pd.testing.assert_frame_equal(table.to_pandas(), frame(20_000))
    assert table.to_polars()["number"].sum() == sum(range(20_000))
    assert table.rows(19_999) == [{"station": "s0", "number": 19_999, "value": 4999.75}]
    assert table.rows(5, 2, ["number"]) == [{"number": 5}, {"number": 6}]
    assert sum(batch.num_rows for batch in table.batches()) == 20_000
    assert client.submit("count_rows", table=table.file_id).result(60) == 20_000
    summary = client.submit("summarise", rows=3).result(60)
    assert (summary["stations"], summary["readings"].row_count, summary["extra"]) == (7, 3, None)


@pytest.mark.slow
def test_parts_of_an_array_are_read_alone(client: Client) -> None:
    array = client.submit("make_array", rows=4, columns=6).result(60)
    expected = np.arange(24.0).reshape(4, 6)
    np.testing.assert_array_equal(array.to_numpy(), expected)
    np.testing.assert_array_equal(array[1:3, ::2], expected[1:3, ::2])
    np.testing.assert_array_equal(array[-1], expected[-1])
    assert array[2, 3] == 15
    with pytest.raises(IndexError, match="9 is outside the length 4 of dimension 0"):
        array[9]
    with pytest.raises(TypeError, match="index it by up to 2 numbers and slices"):
        array[0, 0, 0]
    field = client.submit("make_field", rows=3).result(60)["mean"].to_xarray()
    assert (field.dims, field.attrs, field.x.values.tolist()) == (("time", "x"), {"units": "K"}, [0, 1, 2])
    assert str(field.time.values[1])[:10] == "2020-01-02"


@pytest.mark.slow
def test_what_dask_wrote_in_parts_is_read_as_a_whole(client: Client) -> None:
    table = client.submit("make_partitions", rows=1000, partitions=5).result(60)
    pd.testing.assert_frame_equal(table.to_pandas(), frame(1000), check_dtype=False)
    assert [row["number"] for row in table.rows(199, 2)] == [199, 200]
    assert client.submit("describe_table", table=table).result(60)["row_count"] == 1000
    array = client.submit("make_chunks", rows=4, columns=6, chunk=3).result(60)
    assert client.submit("sum_array", array=array).result(60) == 276.0
    np.testing.assert_array_equal(array.to_numpy(), np.arange(24.0).reshape(4, 6))
    np.testing.assert_array_equal(array[2:, 1::2], np.arange(24.0).reshape(4, 6)[2:, 1::2])


async def test_the_asyncio_client_awaits_them(system: System) -> None:
    async with AsyncClient(system.url) as client:
        table = await (await client.submit("make_table", rows=20_000)).result(60)
        assert len(await table.to_pandas()) == table.table.row_count == 20_000
        assert await table.rows(5, 1, ["number"]) == [{"number": 5}]
        array = await (await client.submit("make_array", rows=4, columns=6)).result(60)
        assert (await array.part(1, slice(0, 2))).tolist() == [6, 7]
