"""Importing changed task modules anew in one process."""

from __future__ import annotations

import itertools
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.task_types.registry import Registry, load_registry
from cluster.task_types.reloading import import_anew, own_files

NUMBERS = itertools.count()
TASKS = """
from dataclasses import dataclass
from dask_graphql import task
from {name}.shapes import Shape

@task
def area(n: int) -> Shape:
    from {name}.lazy import factor
    return Shape(n * factor())
"""
SHAPES = "from dataclasses import dataclass\n@dataclass\nclass Shape:\n    size: int\n"
LAZY = "def factor() -> int: return {factor}\n"


class Package:
    """A package with a task module, and the registry of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"reloaded_{next(NUMBERS)}"
        self.name = self.path.name
        self.path.mkdir()
        self.write("__init__", "")
        self.write("tasks", TASKS.format(name=self.name))
        self.write("shapes", SHAPES)
        self.write("lazy", LAZY.format(factor=2))
        self.registry = self.load()

    def write(self, module: str, text: str) -> None:
        (self.path / f"{module}.py").write_text(text)

    def load(self) -> Registry:
        return load_registry([f"{self.path.parent}/{self.name}.tasks"])

    def reload(self) -> None:
        self.registry.replace(import_anew(self.registry, self.load))

    def area(self, n: int) -> Any:
        return self.registry["area"].function(n)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    made = Package(tmp_path)
    yield made
    for name in [name for name in sys.modules if name.partition(".")[0] == made.name]:
        del sys.modules[name]


def test_two_edits_within_a_second_of_the_same_length_are_both_seen(package: Package) -> None:
    assert package.area(10).size == 20
    for factor in (3, 4, 5):
        package.write("lazy", LAZY.format(factor=factor))
        package.reload()
        assert package.area(10).size == 10 * factor


def test_all_own_modules_are_imported_anew_and_others_are_not(package: Package) -> None:
    import json

    assert {name.removeprefix(f"{package.name}.") for name in own_files(package.registry.values())} == {
        package.name, "tasks", "shapes", "lazy",
    }  # fmt: skip
    before = sys.modules[f"{package.name}.shapes"].Shape
    package.write("lazy", LAZY.format(factor=7))
    package.reload()
    made = package.area(1)
    assert type(made) is sys.modules[f"{package.name}.shapes"].Shape is not before
    assert pickle.loads(pickle.dumps(made)) == made
    assert sys.modules["json"] is json


@pytest.mark.parametrize("text", ["syntax error", "raise SystemExit(3)", "1 / 0", "import no_such_module"])
def test_a_change_that_cannot_be_imported_changes_nothing(package: Package, text: str) -> None:
    before = package.area(1)
    package.write("shapes", text)
    with pytest.raises((Exception, SystemExit)):
        package.reload()
    assert package.area(1) == before
    assert pickle.loads(pickle.dumps(before)) == before, "the old module is the one that is imported"
    package.write("shapes", SHAPES.replace("size: int", "size: int\n    unit: str = 'm'"))
    package.reload()
    assert package.area(1).unit == "m"


def test_a_function_that_is_gone_is_no_task_type_any_more(package: Package) -> None:
    package.write("tasks", TASKS.format(name=package.name) + "@task\ndef other(n: int) -> int: return n\n")
    package.reload()
    assert "other" in package.registry
    package.write("tasks", TASKS.format(name=package.name))
    package.reload()
    assert set(package.registry) == {"fibonacci", "area"}
