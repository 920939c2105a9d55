"""The task id: any client can compute it before it submits."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import BadInput, BadTaskId
from cluster.task_types.registry import load_registry
from cluster.task_types.task_id import canonical, canonical_json, check_task_id, task_id
from tests.system import TASKS

REGISTRY = load_registry([TASKS])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def test_the_id_of_fibonacci_90_is_the_hash_of_its_canonical_form() -> None:
    pre_image = b'{"input":{"n":90},"task":"fibonacci","version":"1"}'
    bound = REGISTRY["fibonacci"].bind({"n": 90})
    assert bound.task_id == hashlib.sha256(pre_image).hexdigest()[:32] == "b9a7c7263c0332d12e52f09809754586"


@pytest.mark.parametrize(
    ("name", "arguments", "pre_image"),
    [
        ("estimate_pi", {"samples": 10}, b'{"input":{"samples":10,"seed":0},"task":"estimate_pi","version":"1"}'),
        ("add", {"a": 2**53}, b'{"input":{"a":9007199254740992,"b":5},"task":"add","version":"1"}'),
        ("add", {"a": 2**53 + 1}, b'{"input":{"a":"9007199254740993","b":5},"task":"add","version":"1"}'),
        ("add", {"a": "-7", "b": "7"}, b'{"input":{"a":-7,"b":7},"task":"add","version":"1"}'),
        ("failing", {"message": "\u00fc"}, '{"input":{"message":"\u00fc"},"task":"failing","version":"1"}'.encode()),
    ],
)
def test_golden_pre_images(name: str, arguments: dict[str, Any], pre_image: bytes) -> None:
    assert REGISTRY[name].bind(arguments).task_id == hashlib.sha256(pre_image).hexdigest()[:32]


def test_a_run_key_is_a_member_between_input_and_salt() -> None:
    kind = REGISTRY["fibonacci"]
    runs = b'{"input":{"n":90},"run":"2026-01","task":"fibonacci","version":"1"}'
    assert kind.bind({"n": 90}, run_key="2026-01").task_id == hashlib.sha256(runs).hexdigest()[:32]
    salted = b'{"input":{"n":90},"run":"2026-01","salt":"pepper","task":"fibonacci","version":"1"}'
    assert kind.bind({"n": 90}, run_key="2026-01", salt="pepper").task_id == hashlib.sha256(salted).hexdigest()[:32]


@given(samples=st.integers(-(2**31), 2**31 - 1), seed=st.integers(-(2**31), 2**31 - 1))
def test_the_order_of_arguments_does_not_matter(samples: int, seed: int) -> None:
    kind = REGISTRY["estimate_pi"]
    assert (
        kind.bind({"samples": samples, "seed": seed}).task_id == kind.bind({"seed": seed, "samples": samples}).task_id
    )


@given(a=st.integers(), b=st.integers())
def test_a_big_integer_has_one_id_as_a_number_and_as_digits(a: int, b: int) -> None:
    kind = REGISTRY["add"]
    assert kind.bind({"a": a, "b": b}).task_id == kind.bind({"a": str(a), "b": str(b)}).task_id


@given(first=st.integers(), second=st.integers())
def test_different_inputs_have_different_ids(first: int, second: int) -> None:
    kind = REGISTRY["add"]
    assert (first == second) == (kind.bind({"a": first}).task_id == kind.bind({"a": second}).task_id)


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=9)))
def test_the_fast_path_for_a_plain_object_gives_the_same_canonical_form(value: dict[str, Any]) -> None:
    try:
        wanted: bytes | None = rfc8785.dumps(canonical(value))
    except rfc8785.CanonicalizationError:
        wanted = None
    if wanted is None:
        with pytest.raises(BadInput):
            canonical_json(value)
    else:
        assert canonical_json(value) == wanted


def test_every_character_of_the_basic_plane_is_written_as_rfc_8785_asks() -> None:
    for code in [*range(0x20), *range(0x20, 0xD800, 7), *range(0xE000, 0x10000, 7), 0x7F, 0x2028, 0x2029, 0x1F600]:
        assert canonical_json({"x": chr(code)}) == rfc8785.dumps({"x": chr(code)})


@given(JSON)
def test_an_independent_implementation_of_the_rule_gives_the_same_id(value: Any) -> None:
    def rewritten(item: Any) -> Any:
        if isinstance(item, int) and not isinstance(item, bool):
            return float(item) if abs(item) == 2**53 else item if abs(item) < 2**53 else str(item)
        if isinstance(item, list):
            return [rewritten(part) for part in item]
        if isinstance(item, dict):
            return {name: rewritten(part) for name, part in item.items()}
        return item

    whole = rfc8785.dumps({"input": {"x": rewritten(value)}, "task": "t", "version": "2"})
    assert task_id("t", "2", canonical_json({"x": value})) == hashlib.sha256(whole).hexdigest()[:32]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_float_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(BadInput, match="canonical"):
        canonical_json({"x": value})


@pytest.mark.parametrize(
    "text", ["", "B9A7C7263C0332D12E52F09809754586", "b9a7", "b9a7c7263c0332d12e52f09809754586\n", "x" * 32]
)
def test_a_text_that_is_not_a_task_id_is_refused(text: str) -> None:
    with pytest.raises(BadTaskId):
        check_task_id(text)


@given(samples=st.integers(-(2**31), 2**31 - 1))
def test_a_default_has_one_id_filled_in_and_given(samples: int) -> None:
    kind = REGISTRY["estimate_pi"]
    assert kind.bind({"samples": samples}).task_id == kind.bind({"samples": samples, "seed": 0}).task_id


@given(value=st.integers())
def test_the_name_and_the_version_are_part_of_the_id(value: int) -> None:
    written = canonical_json({"n": value})
    assert len({task_id("a", "1", written), task_id("b", "1", written), task_id("a", "2", written)}) == 3


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), inner, max_size=4)
        ),
    )
)
def test_every_json_value_is_written_as_the_reference_library_writes_it(value: Any) -> None:
    assert canonical_json(value) == rfc8785.dumps(canonical(value))


@pytest.mark.parametrize(
    "value", [0.1, 1e-5, 1e-4, 1e15, 1e16, 1e21, 123456789012345680000.0, -0.0, 5e-324, 1 / 3, 2.0**53]
)
def test_a_float_is_written_as_javascript_writes_it(value: float) -> None:
    assert canonical_json([value, [value, value]]) == rfc8785.dumps([value, [value, value]])
