"""What the Python client sends of a Python value, and what it makes of an answer."""

from __future__ import annotations

import datetime
import enum
import math
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, PlainSerializer, computed_field

from cluster.task_types.registry import _registered
from cluster.worker.outcome import Succeeded, encode
from dask_graphql import task
from dask_graphql.client.codec import Member, UsedType, decode
from dask_graphql.client.errors import BadArguments
from dask_graphql.client.submissions import bind_all
from dask_graphql.client.submit_command import check_lists
from dask_graphql.client.task_types import TaskType
from graphql_api.schema.id_derivation import is_derivable
from tests import outside

np: Any = numpy


@dataclass
class Point:
    x: float
    seen: int = field(default=0, init=False)


class Masked(BaseModel):
    name: Annotated[str, PlainSerializer(lambda value: "***")]
    pin: int = Field(exclude=True)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def length(self) -> int:
        return len(self.name)


class Hue(enum.Enum):
    RED = "red"


def argument(graphql_type: str, **used: UsedType) -> TaskType:
    """A task type of one argument, as an api would tell it."""
    return TaskType(
        name="takes", version="1", description="", arguments=(Member("thing", "thing", graphql_type),),
        mutation="submitTakes", input_type="TakesInput", output_type="TakesResult", wraps_value=True, selection="value",
        id_from_input=True, types=used,
    )  # fmt: skip


def sent(value: Any, graphql_type: str = "JSON!", **used: UsedType) -> Any:
    return argument(graphql_type, **used).bind({"thing": value}).wire["thing"]


@pytest.mark.parametrize(
    ("value", "graphql_type", "expected"),
    [
        (np.int64(3), "Int!", 3),
        (np.float32(0.5), "Float!", 0.5),
        (np.bool_(True), "Boolean!", True),
        (np.str_("a"), "String!", "a"),
        (np.arange(3), "[Int!]!", [0, 1, 2]),
        (np.zeros((1, 2)), "[[Float!]!]!", [[0.0, 0.0]]),
        (np.uint64(2**64 - 1), "BigInt!", 2**64 - 1),
        ([np.int64(1), 2], "[Int!]!", [1, 2]),
        ({"a": np.float64(1.5)}, "JSON!", {"a": 1.5}),
        (np.timedelta64(1500, "ms"), "Duration!", "PT1.5S"),
        (np.datetime64("2026-01-01T00:00:00.000000000"), "DateTime!", "2026-01-01T00:00:00"),
        (Point(np.int64(3)), "PointInput!", {"x": 3}),
        (Masked(name="Ada", pin=40), "JSON!", {"name": "Ada", "pin": 40}),
        ({Hue.RED: 1, datetime.date(2026, 1, 1): 2}, "JSON!", {"red": 1, "2026-01-01": 2}),
        ({3, 4}, "[Int!]!", [3, 4]),
        (Decimal("1.10"), "Decimal!", "1.10"),
        (timedelta(hours=1.5), "Duration!", "PT1H30M"),
        ("PT90M", "Duration!", "PT1H30M"),
        (90, "Duration!", "PT1M30S"),
        ("no span", "Duration!", "no span"),
    ],
)
def test_a_value_is_sent_in_the_form_of_the_task_id(value: Any, graphql_type: str, expected: Any) -> None:
    assert sent(value, graphql_type, PointInput=UsedType("PointInput", (Member("x", "x", "Int!"),))) == expected


def test_values_of_pandas_are_sent_as_pythons() -> None:
    pandas = outside.module("pandas")
    frame = pandas.DataFrame({"n": [1, 2], "at": pandas.to_datetime(["2026-01-01", "2026-01-02"])})
    assert sent(frame["n"], "[Int!]!") == [1, 2]
    [row, _] = frame.itertuples(index=False)
    assert (sent(row.n, "Int!"), sent(row.at, "DateTime!")) == (1, "2026-01-01T00:00:00")
    with pytest.raises(BadArguments, match="takes: thing: is NaT, a missing value"):
        sent(pandas.NaT, "DateTime")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "takes: thing: is nan, which JSON does not have"),
        (np.float64("inf"), "takes: thing: is inf"),
        ([1.0, math.nan], r"takes: thing: \[1\] is nan"),
        ({"a": [{"b": math.inf}]}, r"takes: thing: a\[0\].b is inf"),
        (Point(math.nan), "takes: thing: x is nan"),
        (np.timedelta64(1, "ns"), "takes: thing: .*whole microseconds"),
        (np.timedelta64(3, "M"), "takes: thing: is timedelta64"),
        (object(), "takes: thing: .*serialize"),
        ((n for n in range(3)), "takes: thing: .*pass a list"),
    ],
)
def test_a_value_without_a_json_form_is_refused_by_name(value: Any, words: str) -> None:
    with pytest.raises(BadArguments, match=words):
        sent(value)


def test_a_value_that_contains_itself_is_refused_by_name() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(BadArguments, match="takes: thing: it is nested too deeply, or contains itself"):
        sent(endless)


def test_one_of_many_inputs_is_refused_with_its_index() -> None:
    kind = argument("Float!")
    with pytest.raises(BadArguments, match=r"inputs\[1\]: takes: thing: is nan.*; nothing was submitted"):
        bind_all(kind, [{"thing": 1.0}, {"thing": math.nan}])


@pytest.mark.parametrize(
    ("graphql_type", "value", "allowed"),
    [
        ("[String!]!", "a,b", False),
        ("[String!]!", "a", False),
        ("[String!]!", ["a", "b"], True),
        ("[Int!]", 3, True),
        ("String!", "a,b", True),
    ],
)
def test_a_string_for_a_list_on_the_command_line_is_refused_with_what_to_write(
    graphql_type: str, value: Any, allowed: bool
) -> None:
    if allowed:
        check_lists(argument(graphql_type), {"thing": value})
        return
    with pytest.raises(BadArguments, match=r"takes: thing is a list: write thing='\[\"a\"") as caught:
        check_lists(argument(graphql_type), {"thing": value})
    assert "," not in value or """'["a", "b"]'""" in str(caught.value)


def test_only_the_api_knows_the_id_of_a_dataclass_with_a_field_that_clients_do_not_send() -> None:
    assert not is_derivable(Point)


@settings(max_examples=100, deadline=None)
@given(st.timedeltas())
def test_a_duration_is_decoded_as_returned_and_encoded_as_by_the_api(span: timedelta) -> None:
    def spans(n: timedelta) -> timedelta: ...  # type: ignore[empty-body]

    task(name="client_spans")(spans)
    kind = _registered[__name__, "client_spans"]
    made = encode(kind, span, 10_000)
    assert isinstance(made, Succeeded)
    assert decode(made.result.decode().strip('"'), "Duration!", {}) == span
    wire = sent(span, "Duration!")
    assert kind.bind({"n": wire}).canonical_input == f'{{"n":"{wire}"}}'.encode()
