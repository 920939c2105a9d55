"""Tables through the whole system: written by workers, read in pages and downloaded from any api node."""

from __future__ import annotations

import io
import json
from typing import Any

import httpx
import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.system import System
from tests.task_modules.frames import frame


async def made(system: System, call: str, fields: str) -> dict[str, Any]:
    """The result of a task, once it has succeeded."""
    data = await system.ask(f"mutation {{ task: {call} {{ taskId }} }}")
    record = await system.result(data["task"]["taskId"], f"state error {{ code message }} result {{ {fields} }}")
    assert record["state"] == "SUCCEEDED", record["error"]
    return record["result"]  # type: ignore[no-any-return]


async def download(system: System, path: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(system.url.removesuffix("/graphql") + path, headers=headers)


ALL = "... on Table { rowCount columns { name type nullable } sizeBytes parquet arrow csv parts { url rowCount } %s }"


async def test_a_data_frame_is_read_in_pages_and_downloaded_in_three_formats(system: System) -> None:
    got = await made(system, "submitMakeTable(rows: 20000)", ALL % "rows(offset: 19998, limit: 5)")
    assert got["rowCount"] == "20000"
    assert got["columns"] == [
        {"name": "station", "type": "string", "nullable": False},
        {"name": "number", "type": "int64", "nullable": False},
        {"name": "value", "type": "double", "nullable": False},
    ]
    assert got["rows"] == [
        {"station": "s6", "number": 19998, "value": 4999.5},
        {"station": "s0", "number": 19999, "value": 4999.75},
    ]
    whole = frame(20_000)
    parquet = await download(system, got["parquet"])
    assert len(parquet.content) == int(got["sizeBytes"])
    pd.testing.assert_frame_equal(pq.read_table(io.BytesIO(parquet.content)).to_pandas(), whole)
    part = await download(system, got["parquet"], range="bytes=0-3")
    assert (part.status_code, part.content) == (206, b"PAR1")
    arrow = pa.ipc.open_stream((await download(system, got["arrow"])).content).read_all()
    pd.testing.assert_frame_equal(arrow.to_pandas(), whole)
    csv = (await download(system, got["csv"])).content
    pd.testing.assert_frame_equal(pd.read_csv(io.BytesIO(csv)), whole, check_dtype=False)


async def test_a_table_is_a_file_that_the_next_task_takes(system: System) -> None:
    table = await made(system, "submitMakeTable(rows: 20000)", "... on Table { fileId }")
    call = f'submitCountRows(table: "{table["fileId"]}")'
    assert await made(system, call, "... on CountRowsResult { value }") == {"value": 20_000}


@pytest.mark.slow
async def test_a_table_or_an_array_of_several_files_is_an_argument_of_the_next_task(system: System) -> None:
    table = await made(system, "submitMakePartitions(rows: 1000, partitions: 5)", "... on Table { fileId sizeBytes }")
    facts = "... on TableFacts { rowCount columns numbers stations files }"
    call = f'submitDescribeTable(table: "{table["fileId"]}", more: ["{table["fileId"]}"])'
    assert await made(system, call, facts) == {
        "rowCount": 2000, "columns": ["station", "number", "value"], "numbers": 499_500, "stations": 1000, "files": 5,
    }  # fmt: skip
    call = f'submitSumByStation(table: "{table["fileId"]}")'
    sums = await made(system, call, "... on Table { fileId rowCount rows(limit: 1) }")
    assert (sums["rowCount"], sums["rows"]) == ("7", [{"station": "s0", "value": 17767.75}])
    # The list of its files, which is what the id names.
    listed = await download(system, f"/files/{table['fileId']}")
    assert len(listed.json()["files"]) == 6
    array = await made(system, "submitMakeChunks(rows: 4, columns: 6, chunk: 3)", "... on Array { fileId }")
    call = f'submitDoubleArray(array: "{array["fileId"]}")'
    twice = await made(system, call, "... on Array { fileId chunks stats { max } }")
    assert (twice["chunks"], twice["stats"]) == (["3", "3"], {"max": 46})
    call = f'submitSumArray(array: "{twice["fileId"]}")'
    assert await made(system, call, "... on SumArrayResult { value }") == {"value": 552.0}


async def test_typed_records_have_the_fields_of_the_declared_row(system: System) -> None:
    fields = (
        "... on ReadingTable { rowCount columns { nullable } records(limit: 2, offset: 1) { station number value } }"
    )
    got = await made(system, "submitMakeReadings(rows: 3)", fields)
    assert got == {
        "rowCount": "3",
        "columns": [{"nullable": False}, {"nullable": False}, {"nullable": True}],
        "records": [{"station": "s1", "number": 1, "value": 0.25}, {"station": "s2", "number": 2, "value": 0.5}],
    }
    inside = '... on Summary { stations readings { rowCount rows(limit: 1, columns: ["number"]) } extra { rowCount } }'
    assert await made(system, "submitSummarise(rows: 3)", inside) == {
        "stations": 7, "readings": {"rowCount": "3", "rows": [{"number": 0}]}, "extra": None,
    }  # fmt: skip


@pytest.mark.slow
async def test_workers_write_the_partitions_of_a_dask_data_frame_themselves(system: System) -> None:
    got = await made(system, "submitMakePartitions(rows: 1000, partitions: 5)", ALL % "rows(offset: 199, limit: 2)")
    assert [part["rowCount"] for part in got["parts"]] == ["200"] * 5
    assert [row["number"] for row in got["rows"]] == [199, 200]
    whole = frame(1000)
    for form in ("parquet", "arrow"):
        content = (await download(system, got[form])).content
        read = pq.read_table(io.BytesIO(content)) if form == "parquet" else pa.ipc.open_stream(content).read_all()
        pd.testing.assert_frame_equal(read.to_pandas(), whole, check_dtype=False)
    part = await download(system, got["parts"][3]["url"])
    assert pq.read_table(io.BytesIO(part.content))["number"].to_pylist() == list(range(600, 800))


async def test_a_generator_of_data_frames_is_one_table(system: System) -> None:
    got = await made(system, "submitMakePieces(rows: 100, pieces: 3)", ALL % "rows(offset: 299, limit: 9)")
    assert (got["rowCount"], got["rows"]) == ("300", [{"station": "s1", "number": 99, "value": 24.75}])


@pytest.mark.slow
async def test_an_api_node_holds_a_part_of_a_table_however_long_it_is(system: System) -> None:
    got = await made(system, "submitMakePieces(rows: 100000, pieces: 20)", ALL % "rows(offset: 1999999, limit: 1)")
    assert (got["rowCount"], got["rows"][0]["number"]) == ("2000000", 99_999)
    api = psutil.Process(system.children["api0"].process.pid)
    before = peak = api.memory_info().rss
    sizes = dict.fromkeys(("parquet", "arrow", "csv"), 0)
    async with httpx.AsyncClient() as client:
        for form in sizes:
            async with client.stream("GET", system.url.removesuffix("/graphql") + got[form]) as answer:
                async for piece in answer.aiter_bytes(1 << 20):
                    sizes[form] += len(piece)
                    peak = max(peak, api.memory_info().rss)
    assert sizes["parquet"] == int(got["sizeBytes"])
    assert min(sizes["arrow"], sizes["csv"]) > 35_000_000
    assert peak - before < 100_000_000, sizes


async def test_what_is_no_table_is_refused_with_what_to_return(system: System) -> None:
    data = await system.ask("mutation { task: submitNotATable(n: 3) { taskId } }")
    record = await system.result(data["task"]["taskId"], "state error { code message }")
    assert record["error"]["code"] == "BAD_OUTPUT"
    assert "return a pandas, polars or Arrow table, a list of records" in record["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("limit: 10001", "limit must be from 0 to 10000 rows, not 10001"),
        ("limit: 1, offset: -1", "offset must be 0 or more, not -1"),
        ('limit: 1, columns: ["x"]', "the table has no column 'x'; it has station, number, value"),
    ],
)
async def test_a_page_that_the_table_does_not_have_is_refused(system: System, arguments: str, expected: str) -> None:
    data = await system.ask("mutation { task: submitMakeTable(rows: 20000) { taskId } }")
    task_id = data["task"]["taskId"]
    await system.result(task_id, "state")
    query = f'{{ task(taskId: "{task_id}") {{ result {{ ... on Table {{ rows({arguments}) }} }} }} }}'
    async with httpx.AsyncClient() as client:
        answer = (await client.post(system.url, json={"query": query})).json()
    assert answer["errors"][0]["extensions"]["code"] == "BAD_INPUT", json.dumps(answer)
    assert answer["errors"][0]["message"] == expected


ARRAY = """... on Array { dtype shape dims stats { min max mean } npy zarr
    slice(start: [1, 0], stop: [-1, 5], step: [1, 2]) }"""


async def test_an_array_is_sliced_and_downloaded(system: System) -> None:
    got = await made(system, "submitMakeArray(rows: 4, columns: 6)", ARRAY)
    assert (got["dtype"], got["shape"], got["dims"], got["zarr"]) == ("float64", ["4", "6"], [], None)
    assert got["slice"] == [[6, 8, 10], [12, 14, 16]]
    assert got["stats"] == {"min": 0, "max": 23, "mean": 11.5}
    content = (await download(system, got["npy"])).content
    np.testing.assert_array_equal(np.load(io.BytesIO(content)), np.arange(24.0).reshape(4, 6))


@pytest.mark.slow
async def test_workers_write_the_chunks_of_a_dask_array_themselves(system: System) -> None:
    got = await made(system, "submitMakeChunks(rows: 4, columns: 6, chunk: 3)", ARRAY)
    assert got["slice"] == [[6, 8, 10], [12, 14, 16]]
    assert got["stats"] == {"min": 0, "max": 23, "mean": 11.5}
    content = (await download(system, got["npy"])).content
    np.testing.assert_array_equal(np.load(io.BytesIO(content)), np.arange(24.0).reshape(4, 6))
    metadata = (await download(system, f"{got['zarr']}/data/zarr.json")).json()
    assert metadata["chunk_grid"]["configuration"] == {"chunk_shape": [3, 3]}
    assert (await download(system, f"{got['zarr']}/data/c/1/1")).status_code == 200
    for file in ("data/c/9/9", "zarr.json/..", "data", "../../../x"):
        assert (await download(system, f"{got['zarr']}/{file}")).status_code == 404, file


async def test_a_data_array_keeps_its_coordinates(system: System) -> None:
    fields = "... on Fields { count mean { dims attrs coords { name dims dtype values(limit: 2) npy } } }"
    got = await made(system, "submitMakeField(rows: 3)", fields)
    mean = got["mean"]
    assert (mean["dims"], mean["attrs"]) == (["time", "x"], {"units": "K"})
    times = ["2020-01-01T00:00:00.000000000", "2020-01-02T00:00:00.000000000"]
    assert [(it["name"], it["dims"], it["values"]) for it in mean["coords"]] == [
        ("time", ["time"], times), ("x", ["x"], [0, 1]),
    ]  # fmt: skip
    content = (await download(system, mean["coords"][1]["npy"])).content
    np.testing.assert_array_equal(np.load(io.BytesIO(content)), np.arange(3))
