"""Which functions a task module registers, wherever they are defined and in any order of imports."""

from __future__ import annotations

import functools
import itertools
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any, TypedDict

import dask
import pytest
from dask.delayed import Delayed

from cluster.errors import RegistryError
from cluster.task_types.registry import Registry, _registered, load_registry
from dask_graphql import Graph, task
from tests.places import ROOT

NUMBERS = itertools.count()
BUILT_IN = {"fibonacci"}


class Folder:
    """A folder of modules that no other test uses."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.suffix = f"_{next(NUMBERS)}"

    def module(self, name: str, text: str) -> str:
        """Writes a module; `{name}` in the text stands for another one's full name."""
        full = f"{name}{self.suffix}"
        names = {item: f"{item}{self.suffix}" for item in ("science", "tasks", "others", "helper")}
        (self.path / f"{full}.py").write_text(dedent(text).format(**names))
        return full


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Folder(tmp_path)
    yield made
    for name in [name for name in sys.modules if name.endswith(made.suffix)]:
        del sys.modules[name]


SCIENCE = """
    def rmse(n: int) -> float:
        "The error."
        return n / 2
"""
BORROWS = """
    from dask_graphql import task
    from {science} import rmse
    task(rmse)
"""


def names(registry: Registry) -> set[str]:
    return set(registry) - BUILT_IN


def test_a_function_of_an_installed_package_belongs_to_the_module_that_registers_it(folder: Folder) -> None:
    folder.module("science", SCIENCE)
    module = folder.module("tasks", BORROWS + "    @task\n    def other(n: int) -> int: return n\n")
    registry = load_registry([module])
    assert names(registry) == {"rmse", "other"}
    assert registry["rmse"].description == "The error."
    assert registry["rmse"].registered_in == module


def test_a_module_that_only_borrows_has_tasks(folder: Folder) -> None:
    folder.module("science", SCIENCE)
    assert names(load_registry([folder.module("tasks", BORROWS)])) == {"rmse"}


@pytest.mark.parametrize("reverse", [False, True])
def test_the_order_of_modules_does_not_matter(folder: Folder, reverse: bool) -> None:
    folder.module("science", SCIENCE)
    modules = [
        folder.module("tasks", BORROWS),
        folder.module("helper", "from dask_graphql import task\n@task\ndef helped(n: int) -> int: return n\n"),
        folder.module("others", "import {helper}\nfrom {tasks} import rmse\n"),
    ]
    assert names(load_registry(modules[::-1] if reverse else modules)) == {"rmse", "helped"}
    assert names(load_registry(modules[2:])) == {"rmse", "helped"}, "even if others were imported before"


def test_a_task_type_that_a_helper_registers_for_a_module_belongs_to_the_module(folder: Folder) -> None:
    folder.module("science", SCIENCE)
    folder.module("helper", "from dask_graphql import task\nimport {science}\ndef register(): task({science}.rmse)\n")
    module = folder.module("tasks", "import {helper}\n{helper}.register()\n")
    assert names(load_registry([module])) == {"rmse"}


def test_one_function_may_be_registered_alike_by_two_modules(folder: Folder) -> None:
    folder.module("science", SCIENCE)
    modules = [folder.module("tasks", BORROWS), folder.module("others", BORROWS)]
    assert names(load_registry(modules)) == {"rmse"}


@pytest.mark.parametrize("reverse", [False, True])
def test_one_function_with_two_versions_is_refused_in_any_order(folder: Folder, reverse: bool) -> None:
    folder.module("science", SCIENCE)
    modules = [
        folder.module("tasks", BORROWS),
        folder.module("others", BORROWS.replace("task(rmse)", 'task(version="2")(rmse)')),
    ]
    with pytest.raises(RegistryError, match=r"science_\d+\.rmse is registered as 'rmse' by .* with another version"):
        load_registry(modules[::-1] if reverse else modules)


def test_one_function_may_be_two_task_types_of_two_names(folder: Folder) -> None:
    folder.module("science", SCIENCE)
    module = folder.module("tasks", BORROWS + '    task(name="error_of", version="2")(rmse)\n')
    registry = load_registry([module])
    assert {name: registry[name].version for name in names(registry)} == {"rmse": "1", "error_of": "2"}


def test_the_command_line_shows_borrowed_functions(tmp_path: Path) -> None:
    (tmp_path / "science.py").write_text(dedent(SCIENCE))
    (tmp_path / "tasks.py").write_text(dedent(BORROWS).format(science="science"))
    code = "from cluster.task_types.registry import load_registry; print(*load_registry(['tasks']))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}"},
    )  # fmt: skip
    assert done.stdout.split() == ["fibonacci", "rmse"]


# Callables that are not functions -------------------------------------------------------------------------------------


def scale(n: int, factor: int = 2) -> int:
    """Scales a number."""
    return n * factor


class Scaler:
    """Scales by what it was made with."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, n: int) -> int:
        """Scales by its factor."""
        return n * self.factor

    def method(self, n: int) -> int:
        return n * self.factor


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (functools.partial(scale, factor=5), 15),
        (functools.partial(functools.partial(scale), factor=5), 15),
        (Scaler(5), 15),
        (Scaler(5).method, 15),
        (functools.lru_cache(scale), 6),
    ],
)
def test_any_callable_that_works_like_a_function_is_a_task(function: Callable[..., Any], expected: int) -> None:
    name = f"called_{next(NUMBERS)}"
    assert task(name=name)(function) is function
    kind = _registered[__name__, name]
    assert kind.function(**kind.read_input(kind.bind({"n": 3}).canonical_input)) == expected
    assert kind.origin.startswith(f"{__name__}.")
    assert "partial(" not in kind.description


def test_a_partial_has_the_name_and_docstring_of_its_function_and_fewer_arguments() -> None:
    def scaled(n: int, factor: int) -> int:
        """Scales a number."""
        return n * factor

    task(functools.partial(scaled, 4))
    kind = _registered[__name__, "scaled"]
    assert ([item.name for item in kind.arguments], kind.description) == (["factor"], "Scales a number.")
    assert kind.function(factor=3) == 12


async def streaming(n: int) -> AsyncIterator[int]:
    yield n


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (dask.delayed(scale), "put it on a plain function that returns delayed"),
        (dask.delayed(scale)(1), "put it on a plain function"),
        (Scaler, "Scaler is a class; put @task on a function"),
        (Scaler(5), "'__call__' is not in snake case.*name=..."),
        (streaming, "streaming is an async generator; declare -> Stream"),
        (3, "3 is not a function"),
        (max, "declare what it returns|cannot be inspected"),
    ],
)
def test_an_object_that_cannot_be_a_task_is_refused_in_one_line(function: Any, words: str) -> None:
    with pytest.raises(RegistryError, match=words) as caught:
        task(function)
    assert "\n" not in str(caught.value)


class Row(TypedDict):
    x: int


class Unknown:
    pass


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Iterator[int], "Iterator has no JSON form; declare list"),
        (Generator[int, None, None], "Generator has no JSON form; declare list"),
        (AsyncIterator[int], "AsyncIterator has no JSON form; declare list"),
        (Row, "Row is a TypedDict; declare a dataclass with the same fields"),
        (list[Row], "Row is a TypedDict; declare a dataclass with the same fields"),
        (Graph, "needs the type that the graph computes: -> Graph"),
        (list[Graph[int]], "Graph is only a return type"),
        (Delayed, r"dask's Delayed .* declare that: -> Graph\[list\[float\]\]"),
        (Unknown, "Unknown.*; use plain types, enums, lists, dataclasses or models"),
    ],
)
@pytest.mark.parametrize("is_input", [False, True])
def test_a_type_that_does_not_declare_its_content_is_refused_in_one_line(
    annotation: Any, words: str, is_input: bool
) -> None:
    def function(thing: Any) -> Any: ...

    function.__annotations__ = {"thing": annotation if is_input else int, "return": int if is_input else annotation}
    with pytest.raises(RegistryError, match=words) as caught:
        task(name="says_nothing")(function)
    assert "\n" not in str(caught.value)
    assert "test_registration" in str(caught.value)
