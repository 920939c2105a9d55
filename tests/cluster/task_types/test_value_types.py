"""Whole numbers of any size, from their decimal text and back."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from cluster.task_types.registry import load_registry
from cluster.task_types.value_types import SAFE_INTEGER, decimal_text, json_integer, parse_big_int
from dask_graphql import BigInt, task
from tests.system import TASKS

ADAPTER: TypeAdapter[int] = TypeAdapter(BigInt)
LONG_TEXT = "1234567890" * 1_000
"""10,000 digits: more than the 4,300 that CPython's `int` takes (issue 95778)."""
LONG = sum(1234567890 * 10 ** (10 * i) for i in range(1_000))


@dataclass
class Sum:
    total: BigInt
    parts: list[BigInt]
    none: BigInt | None = None


class Model(BaseModel):
    total: BigInt


def test_a_number_of_ten_thousand_digits_is_read_and_written_exactly() -> None:
    assert len(LONG_TEXT) == 10_000
    assert parse_big_int(LONG_TEXT) == LONG
    assert parse_big_int("-" + LONG_TEXT) == -LONG
    assert decimal_text(LONG) == LONG_TEXT
    assert decimal_text(-LONG) == "-" + LONG_TEXT
    assert ADAPTER.validate_json(f'"{LONG_TEXT}"') == LONG
    assert ADAPTER.dump_json(LONG) == f'"{LONG_TEXT}"'.encode()


@pytest.mark.parametrize("digits", [3_999, 4_000, 4_001, 4_299, 4_300, 4_301])
@pytest.mark.parametrize("sign", ["", "-"])
def test_nothing_changes_if_another_library_writes_the_json(digits: int, sign: str) -> None:
    text = sign + "9" * digits
    assert decimal_text(parse_big_int(text)) == text


@given(st.integers() | st.integers(-(10**5_000), 10**5_000))
def test_every_whole_number_comes_back_from_its_json(value: int) -> None:
    assert ADAPTER.validate_json(ADAPTER.dump_json(value)) == value
    assert ADAPTER.validate_python(decimal_text(value)) == value


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, 0),
        (SAFE_INTEGER, 9007199254740992),
        (SAFE_INTEGER + 1, "9007199254740993"),
        (-SAFE_INTEGER, -9007199254740992),
        (-SAFE_INTEGER - 1, "-9007199254740993"),
    ],
)
def test_beyond_two_to_the_53_a_number_is_written_as_a_string(value: int, written: int | str) -> None:
    assert json_integer(value) == written
    assert json.loads(ADAPTER.dump_json(value)) == written


@pytest.mark.parametrize("text", ["", "-", "+1", " 1", "1 ", "1.0", "1e3", "0x10", "1_000", "--1", "1-", "١٢", "²"])
def test_a_text_that_is_not_decimal_digits_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="expected a whole number, as an integer or its decimal digits"):
        ADAPTER.validate_python(text)


@pytest.mark.parametrize("value", [1.5, None, [1], {"n": 1}, float("nan"), float("inf")])
def test_a_value_that_is_neither_integer_nor_text_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(value)


def test_big_integers_in_a_dataclass_come_back_from_the_record() -> None:
    adapter = TypeAdapter(Sum)
    whole = Sum(LONG, [1, -LONG, SAFE_INTEGER])
    written = adapter.dump_json(whole, warnings="error")
    assert json.loads(written) == {
        "total": LONG_TEXT, "parts": [1, "-" + LONG_TEXT, SAFE_INTEGER], "none": None,
    }  # fmt: skip
    assert adapter.validate_json(written) == whole


def test_big_integers_in_a_pydantic_model_come_back_from_the_record() -> None:
    written = Model(total=LONG).model_dump_json()
    assert json.loads(written) == {"total": LONG_TEXT}
    assert Model.model_validate_json(written).total == LONG


def test_in_python_a_big_integer_stays_an_integer() -> None:
    assert Model(total=LONG).model_dump() == {"total": LONG}


def test_an_argument_of_ten_thousand_digits_reaches_the_function_unchanged() -> None:
    kind = load_registry([TASKS])["add"]
    as_text, as_number = kind.bind({"a": LONG_TEXT}), kind.bind({"a": LONG})
    assert as_text.task_id == as_number.task_id
    assert kind.read_input(as_text.canonical_input) == {"a": LONG, "b": 5}


def test_a_big_integer_may_be_an_item_of_an_argument() -> None:
    @task(name="sum_of_items")
    def function(items: list[BigInt]) -> BigInt:
        return sum(items)

    from cluster.task_types.registry import _registered

    kind = _registered[__name__, "sum_of_items"]
    assert kind.read_input(kind.bind({"items": ["1", LONG_TEXT]}).canonical_input) == {"items": [1, LONG]}
