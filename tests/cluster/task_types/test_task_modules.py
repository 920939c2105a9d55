"""Task modules by name, by path, and by the entry points of installed distributions."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from textwrap import dedent

import pytest

from cluster.errors import RegistryError
from cluster.task_types.task_modules import installed_task_modules, located, task_module
from tests.places import ROOT

PRIMES = """
    from dask_graphql import task
    from {import_from} import half

    @task
    def count(n: int) -> int:
        return half(n)
"""
HELPERS = "def half(n: int) -> int: return n // 2\n"
SHOW = "import sys; from cluster.task_types.registry import load_registry; print(*load_registry(sys.argv[1:]))"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text))
    return path


def loaded(*entries: str | Path, cwd: Path) -> list[str]:
    """The names of the task types, in a process whose working folder is not on `sys.path`."""
    command = [sys.executable, "-P", "-c", SHOW, *map(str, entries)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_file_is_loaded_with_its_neighbours_and_so_is_a_file_of_a_package(folder: Path) -> None:
    alone = write(folder / "a" / "primes.py", PRIMES.format(import_from="helpers"))
    write(folder / "a" / "helpers.py", HELPERS)
    write(folder / "b" / "pkg" / "__init__.py", "")
    write(folder / "b" / "pkg" / "helpers.py", HELPERS)
    inside = write(folder / "b" / "pkg" / "tasks.py", PRIMES.format(import_from=".helpers").replace("count", "tally"))
    assert (task_module(str(alone)).name, task_module(str(inside)).name) == ("primes", "pkg.tasks")
    assert loaded(alone, inside, cwd=folder) == ["fibonacci", "count", "tally"]


def test_what_a_user_types_becomes_the_same_entry_in_every_working_folder(folder: Path) -> None:
    write(folder / "primes.py", "")
    write(folder / "pkg" / "__init__.py", "")
    write(folder / "space" / "tasks.py", "")  # a namespace package
    assert located("primes.py", folder) == located("./primes.py", folder) == located("primes", folder)
    assert located("primes.py", folder) == f"{folder}/primes"
    assert located("pkg/", folder) == located("pkg", folder) == located("pkg/__init__.py", folder) == f"{folder}/pkg"
    assert located("space.tasks", folder) == f"{folder}/space.tasks"
    assert located("json", folder) == "json"
    for typed in ("primes.py", "pkg", "space.tasks"):
        entry = located(typed, folder)
        assert located(entry, folder) == entry, "an entry stays as it is"
        assert task_module(entry).folder == folder


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("missing.py", r"there is no file .*missing\.py"),
        ("my-primes.py", "'my-primes' cannot be imported by this name; rename it"),
        ("folder/", r"a folder is a package if it has an __init__\.py; name its files"),
        ("missing/tasks", "there is no file or folder"),
    ],
)
def test_a_path_that_is_no_module_is_refused_with_what_to_do(folder: Path, text: str, reason: str) -> None:
    write(folder / "my-primes.py", "")
    (folder / "folder").mkdir()
    with pytest.raises(RegistryError, match=reason):
        located(text, folder)


@pytest.mark.parametrize("name", ["statistics", "sys", "click"])
def test_a_file_never_takes_the_place_of_another_module(folder: Path, name: str) -> None:
    with pytest.raises(RegistryError, match=rf"for `import {name}` Python finds .*; rename the file, to my_{name}"):
        task_module(str(write(folder / f"{name}.py", ""))).make_importable()


def test_a_file_may_be_on_the_path_already_by_another_name_of_its_folder(folder: Path) -> None:
    write(folder / "real" / "linked_primes.py", "")
    (folder / "link").symlink_to(folder / "real")
    sys.path.insert(0, str(folder / "real"))
    task_module(f"{folder}/link/linked_primes.py").make_importable()


def test_a_folder_with_a_comma_in_its_name_is_refused(folder: Path) -> None:
    file = write(folder / "a,b" / "primes.py", "")
    with pytest.raises(RegistryError, match="has a comma"):
        located(str(file), folder)


# Installed distributions ----------------------------------------------------------------------------------------------

WHEEL = {
    "acme_tasks.py": "from dask_graphql import task\n@task\ndef acme(n: int) -> int: return n\n",
    "acme_tasks-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: acme-tasks\nVersion: 1\n",
    "acme_tasks-1.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "acme_tasks-1.dist-info/entry_points.txt": "[dask_graphql.tasks]\nacme = acme_tasks\n",
    "acme_tasks-1.dist-info/RECORD": "",
}
NODE = """
import sys
from cluster.node_registry import load_node_registry
from cluster.settings import load_settings
print(*load_node_registry(load_settings({}, task_entry_points=sys.argv[1] == "on")))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed a distribution with an entry point."""
    wheel, target = tmp_path_factory.mktemp("acme") / "acme_tasks-1-py3-none-any.whl", tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in WHEEL.items():
            archive.writestr(name, text)
    options = ["--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True, capture_output=True)
    return target


def on_a_node(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{installed}"}
    return subprocess.run(
        [sys.executable, "-c", NODE, *arguments], env=environment, capture_output=True, text=True, check=False
    )


def test_a_node_has_the_task_types_of_installed_distributions_unless_they_are_switched_off(installed: Path) -> None:
    assert on_a_node(installed, "on").stdout.split() == ["fibonacci", "acme"]
    assert on_a_node(installed, "off").stdout.split() == ["fibonacci"]


def test_a_distribution_whose_tasks_cannot_be_imported_is_named(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(installed))
    [module] = installed_task_modules()
    assert (module.name, module.folder) == ("acme_tasks", None)
    assert module.origin.startswith("entry point 'acme' of acme-tasks; DASK_GRAPHQL_TASK_ENTRY_POINTS=false")
