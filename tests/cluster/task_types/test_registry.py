"""What `@task` accepts and what it refuses."""

from __future__ import annotations

import sys
import types
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from cluster.errors import BadInput, RegistryError
from cluster.task_types.registry import load_registry
from dask_graphql import BigInt, Graph, task
from tests.system import TASKS
from tests.task_modules.samples import Colour


@dataclass
class Out:
    x: int


def untyped(n) -> int:  # type: ignore[no-untyped-def]
    return int(n)


def without_return(n: int):  # type: ignore[no-untyped-def]
    return n


def returns_none(n: int) -> None:
    return None


def many(*n: int) -> int:
    return len(n)


def keywords(**n: int) -> int:
    return len(n)


def positional(n: int, /) -> int:
    return n


def odd_type(n: object) -> int:
    return 0


def named_options(options: int) -> int:
    return options


def CamelCase(n: int) -> int:
    return n


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (untyped, "'n' has no type"),
        (without_return, "declare what it returns"),
        (returns_none, "declare what it returns"),
        (many, "no name in GraphQL"),
        (keywords, "no name in GraphQL"),
        (positional, "no name in GraphQL"),
        (named_options, "cannot be named 'options'"),
        (CamelCase, "snake case"),
    ],
)
def test_a_function_that_cannot_be_a_task_is_refused_with_the_reason(function: Callable[..., Any], words: str) -> None:
    with pytest.raises(RegistryError, match=words):
        task(function)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"retries": -1}, "retries"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"timeout_seconds": float("inf")}, "timeout_seconds"),
        ({"version": ""}, "version"),
        ({"queue_limit": 0}, "queue_limit"),
        ({"input_limit": 0}, "input_limit"),
        ({"input_limit": 4_000_001}, "input_limit"),
        ({"ttl": 0.5}, "ttl must be from 1 to"),
        ({"ttl": float("nan")}, "ttl must be"),
        ({"start_before": -1}, "start_before must be from 0 to"),
    ],
)
def test_wrong_limits_are_refused(limits: dict[str, Any], words: str) -> None:
    def function(n: int) -> int:
        return n

    with pytest.raises(RegistryError, match=words):
        task(**limits)(function)


def test_a_missing_module_names_itself_and_the_setting() -> None:
    with pytest.raises(RegistryError, match=r"no_such_module.*DASK_GRAPHQL_TASK_MODULES"):
        load_registry(["no_such_module"])


def test_a_module_without_tasks_is_refused() -> None:
    with pytest.raises(RegistryError, match="no @task function"):
        load_registry(["tests.task_modules"] if not [m for m in sys.modules if m == TASKS] else ["json"])


def test_two_tasks_of_one_name_are_refused_with_both_origins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("first_module", "second_module"):
        module = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec("from dask_graphql import task\n@task\ndef twin(n: int) -> int:\n    return n\n", module.__dict__)
    with pytest.raises(RegistryError, match=r"first_module\.twin and second_module\.twin"):
        load_registry(["first_module", "second_module"])


def test_an_error_names_the_argument_what_was_expected_and_what_was_given() -> None:
    kind = load_registry()["fibonacci"]
    with pytest.raises(BadInput, match=r"fibonacci: n: .*greater than or equal to 0, not -1"):
        kind.bind({"n": -1})
    with pytest.raises(BadInput, match="n: Field required; x: Extra inputs"):
        kind.bind({"x": 1})


def test_a_number_above_the_operators_limit_is_refused_with_the_limit() -> None:
    with pytest.raises(BadInput, match="at most 1000000000") as caught:
        load_registry()["fibonacci"].bind({"n": 1_000_000_001})
    assert caught.value.extensions == {"code": "BAD_INPUT", "argument": "n", "limit": 1_000_000_000}


def test_a_graph_task_declares_what_its_graph_computes() -> None:
    @task(name="declared_graph")
    def function(n: Annotated[int, Field(ge=1)] = 3) -> Graph[Out]:
        raise NotImplementedError

    from cluster.task_types.registry import _registered

    assert _registered[__name__, "declared_graph"].returns is Out


@given(a=st.integers(), b=st.integers())
def test_a_worker_reads_exactly_the_arguments_that_were_given(a: int, b: int) -> None:
    kind = load_registry([TASKS])["add"]
    bound = kind.bind({"a": a, "b": b})
    assert kind.read_input(bound.canonical_input) == {"a": a, "b": b}


def test_the_decorated_function_stays_a_plain_function() -> None:
    @task(name="stays_plain")
    def double(n: BigInt) -> BigInt:
        return 2 * n

    assert double(4) == 8


@dataclass
class Place:
    x: int
    tags: list[str]


@given(
    count=st.integers(-(2**63), 2**63),
    share=st.floats(allow_nan=False, allow_infinity=False),
    text=st.text(),
    place=st.builds(Place, st.integers(-(2**31), 2**31), st.lists(st.text(max_size=3), max_size=3)),
    table=st.dictionaries(st.text(max_size=3), st.none() | st.integers(), max_size=3),
)
def test_every_kind_of_argument_comes_back_equal(
    count: int, share: float, text: str, place: Place, table: dict[str, int | None]
) -> None:
    from cluster.task_types.registry import _registered

    if (__name__, "many_kinds") not in _registered:

        @task(name="many_kinds")
        def function(count: int, share: float, text: str, place: Place, table: dict[str, int | None]) -> int:
            raise NotImplementedError

    kind = _registered[__name__, "many_kinds"]
    given_ = {"count": count, "share": share, "text": text, "place": place, "table": table}
    assert kind.read_input(kind.bind(given_).canonical_input) == given_


def test_an_error_names_a_field_deep_within_an_argument() -> None:
    kind = load_registry([TASKS])["report"]
    with pytest.raises(BadInput, match=r"report: points\[1\]\.x: .*not 'z'"):
        kind.bind({"size": 1, "points": [{"x": 1}, {"x": "z"}]})


def test_a_task_module_that_raises_is_named_with_what_it_raised(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "raising_module.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(RegistryError, match=r"'raising_module'.*ZeroDivisionError"):
        load_registry(["raising_module"])


def test_a_set_has_one_id_however_it_was_filled() -> None:
    @task(name="takes_a_set")
    def function(items: set[int]) -> int:
        return len(items)

    from cluster.task_types.registry import _registered

    kind = _registered[__name__, "takes_a_set"]
    assert kind.bind({"items": [0, 8]}).task_id == kind.bind({"items": [8, 0]}).task_id


@pytest.mark.parametrize("name", ["copy", "json", "schema"])
def test_an_argument_may_have_a_name_that_pydantic_uses(name: str) -> None:
    from cluster.task_types.registry import _registered

    module = types.ModuleType(f"with_{name}")
    exec(f"def takes_{name}({name}: int) -> int:\n    return {name}\n", module.__dict__)
    task(getattr(module, f"takes_{name}"))
    kind = _registered[__name__, f"takes_{name}"]
    assert kind.read_input(kind.bind({name: 3}).canonical_input) == {name: 3}


def test_an_argument_with_a_name_that_pydantic_keeps_is_refused_by_name() -> None:
    def function(model_dump: int) -> int:
        return model_dump

    with pytest.raises(RegistryError, match="model_dump"):
        task(name="keeps_a_name")(function)


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    colour: Colour
    numbers: set[int]


def test_a_strict_model_accepts_what_json_can_express_and_nothing_else() -> None:
    @task(name="takes_strict")
    def function(thing: Strict) -> int:
        return len(thing.numbers)

    from cluster.task_types.registry import _registered

    kind = _registered[__name__, "takes_strict"]
    bound = kind.bind({"thing": {"colour": "red", "numbers": [2, 1]}})
    assert bound.canonical_input == b'{"thing":{"colour":"red","numbers":[1,2]}}'
    with pytest.raises(BadInput, match=r"thing.numbers\[0\]: Input should be a valid integer"):
        kind.bind({"thing": {"colour": "red", "numbers": ["1"]}})


def test_an_int_too_long_to_be_read_back_is_refused_at_once() -> None:
    @task(name="takes_long")
    def function(table: dict[str, int]) -> int:
        return len(table)

    from cluster.task_types.registry import _registered

    with pytest.raises(BadInput, match=r"takes_long: table.a: .*maximum size"):
        _registered[__name__, "takes_long"].bind({"table": {"a": 10**5000}})


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.exit(0)",
        "raise SystemExit",
        "import argparse; argparse.ArgumentParser().parse_args(['--port'])",
    ],
)
def test_a_task_module_that_ends_the_process_stops_the_node_and_is_named(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"ends_{uuid.uuid4().hex[:8]}"
    (tmp_path / f"{module}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RegistryError, match=rf"the task module '{module}' .*ends the process .*__main__"):
        load_registry([module])


def test_a_task_module_in_the_working_folder_is_not_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "of_this_folder.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [part for part in sys.path if part])
    with pytest.raises(RegistryError, match=r"in the working folder: name it by its path, \./of_this_folder\.py$"):
        load_registry(["of_this_folder"])
    with pytest.raises(RegistryError, match=r"No module named 'of_no_folder'$"):
        load_registry(["of_no_folder"])
