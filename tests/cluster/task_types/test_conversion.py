"""Values of numpy and pandas that functions return: converted exactly, or refused with the path."""

from __future__ import annotations

import datetime
import decimal
import json
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from cluster.task_types.conversion import to_builtin
from cluster.task_types.registry import _registered
from cluster.task_types.result_checks import DeclaredType, InvalidOutput
from cluster.task_types.task_type import TaskType
from cluster.worker.outcome import Failed, Succeeded, call, encode
from dask_graphql import task
from tests import outside

np: Any = numpy
"""Untyped, as values stand here where their types are not declared."""
EPOCH = datetime.datetime(1970, 1, 1)
MICROSECONDS = {
    "W": 7 * 86_400 * 10**6, "D": 86_400 * 10**6, "h": 3_600 * 10**6, "m": 60 * 10**6, "s": 10**6, "ms": 10**3, "us": 1,
}  # fmt: skip
FINE = {"ns": 10**3, "ps": 10**6, "fs": 10**9, "as": 10**12}
"""How many of a unit make a microsecond."""


@dataclass
class Row:
    name: str
    took: timedelta | None
    at: datetime.datetime | None = None
    share: float | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Strict:
    took: timedelta
    share: float


class Model(BaseModel):
    took: timedelta
    at: datetime.datetime | None = None


def returning(annotation: Any, value: Any = None) -> TaskType:
    def returns(n: int) -> Any: ...

    returns.__annotations__["return"] = annotation
    task(name="conversion_returns")(returns)
    return replace(_registered[__name__, "conversion_returns"], function=lambda: value)


def written(annotation: Any, value: Any) -> Any:
    """The JSON for the record, or the message of the refusal."""
    kind = returning(annotation, value)
    made = encode(kind, call(kind, {}), 100_000)
    return json.loads(made.result) if isinstance(made, Succeeded) else Refused(made)


class Refused:
    def __init__(self, failed: Failed) -> None:
        assert failed.error["code"] == "BAD_OUTPUT"
        self.words = failed.error["message"]


def read(annotation: Any, value: Any) -> Any:
    """What a client has of what a function returned."""
    kind = returning(annotation, value)
    made = encode(kind, call(kind, {}), 100_000)
    assert isinstance(made, Succeeded), made
    return kind.output.adapter.validate_json(made.result)


# Times of numpy ------------------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(unit=st.sampled_from(sorted(MICROSECONDS)), count=st.integers(-(10**5), 10**5), step=st.sampled_from([1, 25]))
def test_a_span_of_any_unit_is_exact(unit: str, count: int, step: int) -> None:
    span = timedelta(microseconds=count * step * MICROSECONDS[unit])
    value = np.timedelta64(count, f"{step}{unit}" if step > 1 else unit)
    assert read(timedelta, value) == span
    assert read(list[timedelta], np.array([value, value])) == [span, span]


@settings(max_examples=50)
@given(unit=st.sampled_from(sorted(MICROSECONDS)), moment=st.datetimes(datetime.datetime(1, 1, 8)) | st.just(EPOCH))
def test_a_moment_of_any_unit_is_exact(unit: str, moment: datetime.datetime) -> None:
    value = np.datetime64(moment, unit)
    expected = EPOCH + timedelta(microseconds=int(value.astype("int64")) * MICROSECONDS[unit])
    assert read(datetime.datetime, value) == expected
    assert read(dict[str, datetime.datetime], {"at": value}) == {"at": expected}


@settings(max_examples=50)
@given(unit=st.sampled_from(sorted(FINE)), count=st.integers(-(10**18), 10**18))
def test_a_time_more_precise_than_a_microsecond_is_exact_or_refused(unit: str, count: int) -> None:
    whole = count % FINE[unit] == 0
    for annotation, value in (
        (timedelta, np.timedelta64(count, unit)), (datetime.datetime, np.datetime64(count, unit)),
    ):  # fmt: skip
        if whole:
            span = timedelta(microseconds=count // FINE[unit])
            assert read(annotation, value) == (span if annotation is timedelta else EPOCH + span)
        else:
            assert "whole microseconds" in written(annotation, value).words


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (list[timedelta], np.array([1500, 2500], "timedelta64[ms]").astype("m8[ns]"), ["PT1.5S", "PT2.5S"]),
        (list[datetime.datetime], np.array(["1970-01-01T00:01:00"], "M8[ns]"), ["1970-01-01T00:01:00"]),
        (list[datetime.datetime], np.array([86_400 * 10**9], "M8[ns]"), ["1970-01-02T00:00:00"]),
        (dict[str, timedelta], {"a": np.timedelta64(2 * 10**9, "ns")}, {"a": "PT2S"}),
        (Any, np.datetime64("2024-01-01T00:00", "ns"), "2024-01-01T00:00:00"),
        (list[list[timedelta]], np.array([[10**9], [2 * 10**9]], "m8[ns]"), [["PT1S"], ["PT2S"]]),
        (list[Any], np.array([np.timedelta64(10**9, "ns"), 3], object), ["PT1S", 3]),
        (list[datetime.date], np.array(["2024-02-29"], "M8[D]"), ["2024-02-29"]),
        (list[datetime.date], np.array(["2024-02-29"], "M8[ns]"), ["2024-02-29"]),
        (list[datetime.date | None], np.array(["2024-02-29", "NaT"], "M8[D]"), ["2024-02-29", None]),
        (Any, np.datetime64("2024-02-29", "D"), "2024-02-29"),
        (Model, Model.model_construct(took=np.timedelta64(1_500_000, "ns")), {"took": "PT0.0015S", "at": None}),
        (Strict, Strict(np.timedelta64(1_500_000, "ns"), np.float32(0.5)), {"took": "PT0.0015S", "share": 0.5}),
        (Strict, {"took": np.timedelta64(1_500_000, "ns"), "share": 1}, {"took": "PT0.0015S", "share": 1.0}),
    ],
)  # fmt: skip
def test_times_of_numpy_are_the_same_times_at_any_depth(annotation: Any, value: Any, expected: Any) -> None:
    assert written(annotation, value) == expected


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        (timedelta, np.timedelta64(3, "M"), "a span of months or years has no exact length"),
        (list[timedelta], np.array([1], "m8[Y]"), "has no exact length"),
        (datetime.datetime, np.datetime64("2024-03"), "is not a date"),
        (timedelta, np.timedelta64(5), "it has no unit"),
        (list[timedelta], np.array([1000, 1500], "m8[ns]"), r"\[1\] \(.*whole microseconds"),
        (Strict, Strict(np.timedelta64(1, "ns"), 0.5), "took \\(.*whole microseconds"),
        (list[Row], [{"name": "a", "took": None}, {"name": "b", "took": np.timedelta64(1, "ns")}], r"\[1\].took \("),
        (list[datetime.datetime], np.array(["2024-01-01", "10000-01-01"], "M8[D]"), r"\[1\] \(.*years 1 to 9999"),
        (list[datetime.datetime], np.array([10**13], "M8[D]"), r"\[0\] \(.*years 1 to 9999"),
        (list[timedelta], np.array([10**13], "m8[D]"), r"\[0\] \(.*longer than 292,000 years"),
        (list[datetime.date], np.array(["0000-12-31"], "M8[D]"), r"\[0\] \(.*years 1 to 9999"),
        (datetime.date, np.datetime64("2024-01-01T12:00", "s"), "has a time of day"),
        (list[timedelta], np.array([1, "NaT"], "m8[s]"), r"\[1\] is NaT, a missing value"),
        (dict[str, timedelta], {"a": np.timedelta64("NaT")}, r"\['a'\] is NaT"),
    ],
)
def test_a_value_that_python_cannot_express_is_refused_with_its_path(annotation: Any, value: Any, words: str) -> None:
    refused = written(annotation, value)
    assert isinstance(refused, Refused), refused
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(refused.words)


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (list[float | None], [1.0, float("nan")], [1.0, None]),
        (list[float | None], np.array([1.0, np.nan], np.float32), [1.0, None]),
        (float | None, np.float64("nan"), None),
        (list[timedelta | None], np.array([1, "NaT"], "m8[s]"), ["PT1S", None]),
        (list[int | None], np.ma.array([1, 2], mask=[0, 1]), [1, None]),
        (list[int | None], [np.ma.masked], [None]),
        (list[timedelta | None], np.ma.array([1, 2], "m8[s]", mask=[0, 1]), ["PT1S", None]),
        (dict[str, float | None], {"a": float("nan")}, {"a": None}),
        (
            Row,
            Row("a", None, share=float("nan")),
            {"name": "a", "took": None, "at": None, "share": None, "count": None},
        ),
    ],
)
def test_a_missing_value_is_null_if_the_type_allows_none(annotation: Any, value: Any, expected: Any) -> None:
    assert written(annotation, value) == expected


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        (list[float], [1.0, float("nan")], "[1] is nan"),
        (list[float | None], [1.0, float("inf")], "[1] is inf"),
        (Strict, Strict(timedelta(0), float("nan")), "share is nan"),
        (Any, {"a": [float("nan")]}, "['a'][0] is nan"),
        (list[int], np.ma.array([1, 2], mask=[0, 1]), "[1]"),
    ],
)
def test_a_missing_value_is_refused_if_the_type_does_not_allow_none(annotation: Any, value: Any, words: str) -> None:
    refused = written(annotation, value)
    assert isinstance(refused, Refused), refused
    assert words in refused.words or f"\n{words[1]}\n" in refused.words


# Numbers of numpy ----------------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(st.integers(-(2**63), 2**64 - 1))
def test_whole_numbers_of_64_bits_are_exact(number: int) -> None:
    kind = np.uint64 if number >= 2**63 else np.int64
    from dask_graphql import BigInt

    assert read(list[BigInt], np.array([number], kind)) == [number]
    assert read(BigInt, kind(number)) == number


def test_a_long_double_is_exact_or_refused_and_never_loops() -> None:
    assert written(float, np.longdouble(0.5)) == 0.5
    assert written(list[float], np.array([0.5, 2], np.longdouble)) == [0.5, 2.0]
    assert written(float | None, np.longdouble("nan")) is None
    if np.finfo(np.longdouble).nmant > 52:
        assert "has more digits than a float" in written(float, np.longdouble(1) / 3).words


def test_a_structured_array_is_a_list_of_its_rows() -> None:
    table = np.array(
        [("a", 10**9, 0, np.nan), ("b", "NaT", 86_400, 0.5)],
        [("name", "U3"), ("took", "m8[ns]"), ("at", "M8[s]"), ("share", "f4")],
    )
    assert [Row(**row) for row in to_builtin(table, DeclaredType(list[Row]))] == [
        Row("a", timedelta(seconds=1), EPOCH, None), Row("b", None, EPOCH + timedelta(days=1), 0.5),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "value", [3, "text", [1, 2], {"a": [1.5]}, {1, 2}, (1,), Row("a", None), None, decimal.Decimal("1.1")]
)
def test_a_builtin_value_is_not_copied(value: Any) -> None:
    assert to_builtin(value, DeclaredType(type(value))) is value


def test_a_frozen_dataclass_that_was_returned_stays_as_it_is() -> None:
    returned = Strict(np.timedelta64(1, "s"), 0.5)
    assert to_builtin(returned, DeclaredType(Strict)) == Strict(timedelta(seconds=1), 0.5)
    assert isinstance(returned.took, np.timedelta64)


# Times with zones ----------------------------------------------------------------------------------------------------

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (datetime.time, datetime.time(12, tzinfo=BERLIN)),
        (datetime.datetime, datetime.datetime(1900, 1, 1, tzinfo=datetime.timezone(timedelta(minutes=19, seconds=32)))),
        (datetime.time, datetime.time(12, tzinfo=datetime.timezone(timedelta(hours=23, minutes=59, seconds=59)))),
        (dict[str, Any], {"at": datetime.time(12, tzinfo=BERLIN)}),
    ],
)
def test_a_time_whose_zone_json_cannot_express_is_refused(annotation: Any, value: Any) -> None:
    assert isinstance(written(annotation, value), Refused)


@pytest.mark.parametrize("zone", [UTC, BERLIN, datetime.timezone(timedelta(hours=-5, minutes=-30))])
def test_a_moment_in_a_zone_is_the_same_moment_for_the_client(zone: Any) -> None:
    moment = datetime.datetime(2026, 7, 1, 12, tzinfo=zone)
    got = read(datetime.datetime, moment)
    assert (got, got.utcoffset()) == (moment, moment.utcoffset())


# pandas --------------------------------------------------------------------------------------------------------------

Made = Callable[[Any], Any]


@pytest.mark.parametrize(
    ("annotation", "make", "expected"),
    [
        (datetime.datetime, lambda pd: pd.Timestamp("2024-01-01 12:00"), "2024-01-01T12:00:00"),
        (datetime.datetime, lambda pd: pd.Timestamp("2024-01-01", tz="Europe/Berlin"), "2024-01-01T00:00:00+01:00"),
        (datetime.date, lambda pd: pd.Timestamp("2024-01-01"), "2024-01-01"),
        (timedelta, lambda pd: pd.Timedelta("1.5s"), "PT1.5S"),
        (datetime.datetime | None, lambda pd: pd.NaT, None),
        (list[int | None], lambda pd: pd.Series([1, None], dtype="Int64"), [1, None]),
        (list[float], lambda pd: pd.Series([1.5, 2]), [1.5, 2.0]),
        (list[str], lambda pd: pd.Index(["a", "b"]), ["a", "b"]),
        (list[timedelta], lambda pd: pd.Series(np.array([10**9], "m8[ns]")), ["PT1S"]),
        (dict[str, timedelta], lambda pd: {"a": pd.Series(np.array([10**9], "m8[ns]")).values[0]}, {"a": "PT1S"}),
        (
            list[Row],
            lambda pd: pd.DataFrame({"name": ["a"], "took": [pd.Timedelta("1s")], "at": [pd.NaT], "share": [np.nan]}),
            [{"name": "a", "took": "PT1S", "at": None, "share": None, "count": None}],
        ),
        (
            list[Row],
            lambda pd: pd.DataFrame({"name": ["a", "a"], "took": [None] * 2, "count": [1, 2]}).groupby("name").sum(),
            [{"name": "a", "took": None, "at": None, "share": None, "count": 3}],
        ),
        (list[dict[str, Any]], lambda pd: pd.DataFrame({"x": [1]}), [{"x": 1}]),
    ],
)  # fmt: skip
def test_values_of_pandas_are_converted(annotation: Any, make: Made, expected: Any) -> None:
    pandas = outside.module("pandas")
    got = written(annotation, make(pandas))
    if isinstance(got, list) and got and isinstance(got[0], dict) and got[0].get("took") == "PT0S":
        got[0]["took"] = None  # the sum of nothing
    assert got == expected


@pytest.mark.parametrize(
    ("annotation", "make", "words"),
    [
        (datetime.datetime, lambda pd: pd.Timestamp(1, unit="ns"), "whole microseconds"),
        (timedelta, lambda pd: pd.Timedelta(1, "ns"), "whole microseconds"),
        (list[Row], lambda pd: [{"name": "a", "took": pd.Timedelta(1, "ns")}], "[0].took ("),
        (list[datetime.datetime], lambda pd: [pd.NaT], "[0] is NaT, a missing value"),
        (int, lambda pd: pd.NA, "is NA, a missing value"),
        (Row, lambda pd: pd.DataFrame({"name": ["a"]}), "declare list[Row]"),
        (list[float], lambda pd: pd.DataFrame({"x": [1.0]}), "declare list[Row]"),
        (list[Row], lambda pd: pd.DataFrame([["a", None]], columns=["name", "name"]), "two columns of the same name"),
    ],
)  # fmt: skip
def test_values_of_pandas_that_do_not_fit_are_refused_with_the_path(annotation: Any, make: Made, words: str) -> None:
    pandas = outside.module("pandas")
    refused = written(annotation, make(pandas))
    assert isinstance(refused, Refused), refused
    assert words in refused.words


def test_parts_of_a_graph_inside_an_output_are_refused_with_what_to_return() -> None:
    import dask

    with pytest.raises(InvalidOutput, match=r"\[0\] is a Dask Delayed\w* .*dask.delayed\(list\)"):
        to_builtin([dask.delayed(1)], DeclaredType(list[int]))


def test_an_async_generator_is_refused_and_a_plain_one_is_read() -> None:
    async def rows() -> Any:
        yield 1

    assert "async generator" in written(list[int], rows()).words
    assert written(list[int], (n for n in range(3))) == [0, 1, 2]
