"""The hash of a task type's source, which is its version if it says so."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.errors import RegistryError
from cluster.task_types.registry import load_registry
from cluster.task_types.source_version import source_files

NUMBERS = itertools.count()
TASK = "from dask_graphql import task\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with a task module, a helper that it imports in a function, what that imports, and a stranger."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    made = tmp_path / f"source_{next(NUMBERS)}"
    made.mkdir()
    (made / "__init__.py").touch()
    (made / "tasks.py").write_text(
        TASK + '@task(version="auto")\ndef half(n: int) -> int:\n    from . import helper\n    return helper.half(n)\n'
    )
    (made / "helper.py").write_text(f"import json\nfrom {made.name}.deep import half\n")
    (made / "deep.py").write_text("def half(n: int) -> int: return n // 2\n")
    (made / "stranger.py").write_text("LIMIT = 1\n")
    yield made
    forget(made.name)


def forget(top: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == top]:
        del sys.modules[name]


def version(package: Path, name: str = "half", *, source_versions: bool = False) -> str:
    forget(package.name)
    return load_registry([str(package / "tasks.py")], source_versions=source_versions)[name].version


def test_the_source_is_the_module_and_what_it_imports_from_its_own_package(package: Path) -> None:
    first = version(package)
    assert first.startswith("auto-")
    assert len(first) == len("auto-") + 10
    assert set(source_files([f"{package.name}.tasks"])) == {
        package.name, f"{package.name}.tasks", f"{package.name}.helper", f"{package.name}.deep",
    }  # fmt: skip
    assert version(package) == first, "the same in every process"
    (package / "stranger.py").write_text("LIMIT = 2\n")
    assert version(package) == first
    (package / "deep.py").write_text("def half(n: int) -> int: return n / 2\n")
    second = version(package)
    assert second != first
    text = (package / "deep.py").read_bytes()
    (package / "deep.py").write_bytes(text.replace(b"\n", b"\r\n"))
    assert version(package) == second, "a checkout with other line ends is the same source"


def test_with_source_versions_every_version_ends_with_the_hash_except_those_of_built_in_types(package: Path) -> None:
    (package / "tasks.py").write_text(TASK + '@task(version="3")\ndef half(n: int) -> int: return n // 2\n')
    assert version(package) == "3"
    marked = version(package, source_versions=True)
    assert marked.startswith("3-")
    assert load_registry(source_versions=True)["fibonacci"].version == "1"


def test_a_function_registered_from_elsewhere_has_the_source_of_both_modules(package: Path) -> None:
    (package / "tasks.py").write_text(TASK + f'from {package.name} import deep\ntask(version="auto")(deep.half)\n')
    first = version(package)
    (package / "deep.py").write_text("def half(n: int) -> int: return -n\n")
    assert version(package) != first


def test_a_function_without_a_source_file_has_no_version_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    code = TASK + '@task(version="auto")\ndef typed_in(n: int) -> int: return n\n'
    module = type(sys)("typed_in_module")
    monkeypatch.setitem(sys.modules, "typed_in_module", module)
    exec(compile(code, "<prompt>", "exec"), vars(module))
    with pytest.raises(RegistryError, match=r'version="auto" hashes the source .* write a version'):
        load_registry(["typed_in_module"])
