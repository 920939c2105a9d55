"""The JSON form of every kind of column, which `rows` shows and docs/tables-and-arrays.md lists."""

from __future__ import annotations

import datetime
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.data.json_cells import iso_duration, json_values
from cluster.data.table_streams import csv_stream
from cluster.store.folder_blob_store import FolderBlobStore
from tests.cluster.data.tables import reader, stored

NOON = datetime.datetime(2020, 1, 1, 12)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([2**53, 2**53 + 1, -(2**60)]), [2**53, "9007199254740993", "-1152921504606846976"]),
        (pa.array([1.5, float("nan"), float("inf"), -float("inf")]), [1.5, "NaN", "Infinity", "-Infinity"]),
        (pa.array([NOON]), ["2020-01-01T12:00:00.000000"]),
        (pa.array([1], pa.timestamp("ns", tz="UTC")), ["1970-01-01T00:00:00.000000001Z"]),
        (pa.array([0], pa.timestamp("s", tz="America/New_York")), ["1969-12-31T19:00:00-05:00"]),
        (pa.array([datetime.date(2020, 1, 2)]), ["2020-01-02"]),
        (pa.array([datetime.time(1, 2, 3, 4)]), ["01:02:03.000004"]),
        (pa.array([1500, -1], pa.duration("ms")), ["PT1.5S", "-PT0.001S"]),
        (pa.array([Decimal("1.50")]), ["1.50"]),
        (pa.array([b"\x00\xff"]), ["AP8="]),
        (pa.array(["x", None]).dictionary_encode(), ["x", None]),
        (pa.array([{"a": 2**60, "b": [1.0, float("nan")]}]), [{"a": str(2**60), "b": [1.0, "NaN"]}]),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), [[{"key": "k", "value": 1}]]),
        (pa.array([True, None]), [True, None]),
        (pa.array([None]), [None]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_each_kind_of_value_has_one_json_form(array: Any, expected: list[Any]) -> None:
    assert json_values(array) == expected
    assert json_values(pa.chunked_array([array.slice(0, 0), array])) == expected
    json.dumps(expected, allow_nan=False)


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_duration_says_its_exact_length(nanoseconds: int) -> None:
    text = iso_duration(nanoseconds, 9)
    sign, _, seconds = text.removesuffix("S").partition("PT")
    assert Decimal(f"{sign}{seconds}") * 10**9 == nanoseconds


def test_csv_has_no_formulas_unless_they_are_asked_for(tmp_path: Path) -> None:
    blobs = FolderBlobStore(tmp_path)
    table = stored(
        blobs,
        pa.table({"=name": ["=1+1", "a,b", 'say "x"', "-3", None, ""], "n": [-1, 2, 3, 4, 5, 6], "at": [NOON] * 6}),
    )
    text = b"".join(csv_stream(reader(blobs), table, keep_formulas=False)).decode()
    assert text.split("\r\n") == [
        '"\'=name","n","at"',
        '"\'=1+1",-1,"2020-01-01T12:00:00.000000"',
        '"a,b",2,"2020-01-01T12:00:00.000000"',
        '"say ""x""",3,"2020-01-01T12:00:00.000000"',
        '"\'-3",4,"2020-01-01T12:00:00.000000"',
        ',5,"2020-01-01T12:00:00.000000"',
        '"",6,"2020-01-01T12:00:00.000000"',
        "",
    ]
    kept = b"".join(csv_stream(reader(blobs), table, keep_formulas=True))
    import pyarrow.csv

    read = pyarrow.csv.read_csv(
        io.BytesIO(kept),
        convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False),
    )
    assert read.column("=name").to_pylist() == ["=1+1", "a,b", 'say "x"', "-3", None, ""]
