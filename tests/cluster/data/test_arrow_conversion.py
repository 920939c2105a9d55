"""What a function may return for `Table`, and the words for what it may not."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from cluster.data.arrow_conversion import arrow_tables
from cluster.data.row_schema import conform
from cluster.errors import RegistryError
from cluster.task_types.result_checks import InvalidOutput
from cluster.task_types.table_types import check_row
from dask_graphql import BigInt


@dataclass
class Point:
    x: int
    y: str | None


@dataclass
class Wide:
    n: int
    big: BigInt | None
    share: float | None
    at: datetime.datetime | None
    kind: Literal["a", "b"] | None
    tags: list[str] | None
    point: Point | None


def table(value: Any) -> Any:
    return pa.concat_tables(arrow_tables(value))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(lambda: pd.DataFrame({"x": [1, 2], "y": ["a", None]}), id="pandas"),
        pytest.param(lambda: pl.DataFrame({"x": [1, 2], "y": ["a", None]}), id="polars"),
        pytest.param(lambda: pl.LazyFrame({"x": [1, 2], "y": ["a", None]}), id="polars, lazy"),
        pytest.param(lambda: pa.table({"x": [1, 2], "y": ["a", None]}), id="Arrow table"),
        pytest.param(lambda: pa.record_batch({"x": [1, 2], "y": ["a", None]}), id="Arrow batch"),
        pytest.param(lambda: pa.table({"x": [1, 2], "y": ["a", None]}).to_reader(), id="Arrow reader"),
        pytest.param(lambda: [Point(1, "a"), Point(2, None)], id="dataclasses"),
        pytest.param(lambda: [{"x": 1, "y": "a"}, {"x": 2}], id="dicts"),
        pytest.param(lambda: {"x": np.array([1, 2]), "y": ["a", None]}, id="columns"),
        pytest.param(lambda: (Point(n, y) for n, y in ((1, "a"), (2, None))), id="generator of rows"),
        pytest.param(lambda: iter([{"x": 1, "y": "a"}, {"x": 2, "y": None}]), id="iterator of dicts"),
    ],
)
def test_whatever_holds_rows_becomes_the_same_table(value: Callable[[], Any]) -> None:
    assert table(value()).to_pylist() == [{"x": 1, "y": "a"}, {"x": 2, "y": None}]


def test_columns_of_another_byte_order_or_layout_keep_their_values() -> None:
    swapped = pd.DataFrame({"i": np.array([1, 2], ">i4"), "f": np.array([1.5, np.nan], ">f8")})
    assert table(swapped).to_pylist() == [{"i": 1, "f": 1.5}, {"i": 2, "f": None}]
    assert table({"i": np.array([1, 2], ">u2")}).to_pylist() == [{"i": 1}, {"i": 2}]
    categories = pl.DataFrame(
        {"c": pl.Series(["a", None], dtype=pl.Categorical), "e": pl.Series(["x", "x"], dtype=pl.Enum(["x"]))}
    )
    assert table(categories).to_pylist() == [{"c": "a", "e": "x"}, {"c": None, "e": "x"}]
    some = uuid.UUID(int=5)
    flags = pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, None], pa.int8()))
    extended = table(pa.table({"id": pa.array([some.bytes, None], pa.uuid()), "flag": flags}))
    assert extended.to_pylist() == [{"id": str(some), "flag": True}, {"id": None, "flag": None}]
    assert [str(field.type) for field in extended.schema] == ["string", "bool"]


def test_an_index_becomes_columns_unless_it_only_numbers_the_rows() -> None:
    frame = pd.DataFrame({"a": [1, 2]})
    assert table(frame).column_names == ["a"]
    assert table(frame[frame.a > 1]).column_names == ["a"]
    assert table(frame.set_index(pd.Index(["x", "y"]))).column_names == ["index", "a"]
    assert table(frame.set_index(pd.Index([5, 6], name="id"))).column_names == ["id", "a"]
    assert table(pd.DataFrame({"k": ["p", "q"], "v": [1, 2]}).groupby("k").v.sum()).column_names == ["k", "v"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (lambda: 3, "is a builtins.int, which is no table: return a pandas, polars or Arrow table"),
        (lambda: [1, 2], "is a builtins.int, which is no table"),
        (lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]), "has two columns named 'a': rename one of them"),
        (lambda: pd.DataFrame({("a", "b"): [1]}), "has columns of several levels: join their names"),
        (lambda: pd.DataFrame({"b": [1], "a": [1 + 2j]}), "the column 'a', which Arrow cannot convert"),
        (lambda: pd.DataFrame({"b": [1, 2], "a": [1, "x"]}), "'a', which Arrow cannot convert (Could not convert 'x'"),
        (lambda: pd.DataFrame({"a": [10**30]}), "integers of a column have at most 64 bits"),
        (lambda: pd.DataFrame({"a": pd.period_range("2020", periods=1, freq="D")}), "convert it, .dt.to_timestamp()"),
        (lambda: pd.DataFrame({"a": [1]}, index=pd.Index([1], name="a")), "an index and a column that are both named"),
        (lambda: {"a": [1], "b": [1, 2]}, "has columns of different lengths: {'a': 1, 'b': 2}"),
        (lambda: {"a": np.zeros((2, 2))}, "return an Array, or a column for each"),
        (lambda: {"a": 3}, "has a int as the column 'a', which is no list and no array"),
        (
            lambda: {"a": [datetime.datetime(2020, 1, 1), datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)]},
            "some of its times have a time zone, and some have none",
        ),
        (lambda: [Point(1, "a"), 3], "has a int among its rows"),
        (lambda: [None, {"a": 1}], "is a builtins.NoneType, which is no table"),
        (lambda: pa.array([1, 2]), "is no table for Arrow"),
        (lambda: {"a": np.array([1.5], "longdouble")}, "round it, .astype(float)"),
        (lambda: {"a": ["\udc80"]}, "texts are Unicode"),
        (lambda: pl.DataFrame({"a": [object()]}), "has the column 'a' of Python objects"),
        (lambda: pl.DataFrame({"a": pl.Series([2**70], dtype=pl.Int128)}), "has a column that Arrow does not know"),
        (lambda: pa.table({"a": pa.Array.from_buffers(pa.string(), 1, [
            None, pa.py_buffer(np.array([0, 2], "i4").tobytes()), pa.py_buffer(b"\xff\xfe")])}),
         "is no valid table: Column 0: In chunk 0: Invalid: Invalid UTF8"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_what_to_do(value: Callable[[], Any], expected: str) -> None:
    with pytest.raises(InvalidOutput) as refused:
        table(value())
    assert expected in str(refused.value)


WIDE: dict[str, Any] = {
    "n": [1, 2], "big": [2**60, None], "share": [0.5, np.nan], "at": pd.to_datetime(["2020-01-01", None]),
    "kind": pd.Categorical(["a", None]), "tags": [["x"], None], "point": [{"x": 1, "y": None}, None],
}  # fmt: skip


def wide(**changed: Any) -> pd.DataFrame:
    return pd.DataFrame({**WIDE, **changed})


def test_a_table_gets_exactly_the_types_of_its_row() -> None:
    made = conform(table(wide().iloc[:, ::-1]), Wide)
    assert [str(field) for field in made.schema] == [
        "pyarrow.Field<n: int32 not null>", "pyarrow.Field<big: int64>", "pyarrow.Field<share: double>",
        "pyarrow.Field<at: timestamp[us]>", "pyarrow.Field<kind: string>",
        "pyarrow.Field<tags: list<item: string not null>>",
        "pyarrow.Field<point: struct<x: int32 not null, y: string>>",
    ]  # fmt: skip
    assert made.to_pylist()[1] == {"n": 2, **dict.fromkeys(["big", "share", "at", "kind", "tags", "point"])}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"n": [1, 2**40]}, "the output has the column 'n', which does not fit int32"),
        ({"n": [1, 1.5]}, "the output has the column 'n', which does not fit int32: Float value 1.5"),
        ({"n": [1, None]}, "[1] has None in the column 'n', which is missing: declare ... | None, or fill it in"),
        ({"n": ["1", "2"]}, "the output has the column 'n' as large_string, but Wide declares int32"),
        ({"share": [1, np.inf]}, "[1] has inf in the column 'share', which is not a finite number"),
        ({"kind": ["a", "z"]}, "[1] has 'z' in the column 'kind', which is none of a, b"),
        ({"more": [1, 2]}, "the output has the column 'more', which Wide does not declare: drop or declare it"),
        (
            {"at": pd.to_datetime(["2020-01-01T00:00:00.000000001", None], format="ISO8601")},
            "the output has the column 'at', which does not fit timestamp[us]",
        ),
    ],
)
def test_a_column_that_is_not_the_declared_one_is_refused(changed: dict[str, Any], expected: str) -> None:
    with pytest.raises(InvalidOutput) as refused:
        conform(table(wide(**changed)), Wide)
    assert str(refused.value).startswith(expected)


def test_a_row_that_describes_no_columns_is_refused_when_it_is_registered() -> None:
    @dataclass
    class Wrong:
        value: dict[str, int]

    with pytest.raises(
        RegistryError, match=r"f, Wrong.value: dict.* cannot be a column of Table\[Row\]; use bool, int"
    ):
        check_row(Wrong, "f")
    with pytest.raises(RegistryError, match=r"Table\[...\] takes a dataclass or model of the columns, not 'int'"):
        check_row(int, "f")
