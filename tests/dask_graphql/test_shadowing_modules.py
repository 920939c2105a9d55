"""Files of a user that have the names of our packages, of Python's modules, or of packages that we need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT


def run(*arguments: str, path: Path | None = None, folder: Path = ROOT, safe: bool = True) -> tuple[int, str, str]:
    """Runs the command's entry point with a folder on PYTHONPATH, before the product."""
    before = [str(path)] if path else []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*before, str(ROOT)])}
    command = [sys.executable, *(["-P"] if safe else []), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name", ["cluster.py", "cluster/__init__.py", "graphql_api.py", "graphql_api/__init__.py"])
def test_a_file_in_place_of_our_package_is_named_in_one_line(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("print('theirs')")
    code, out, error = run("-m", "dask_graphql", "--version", path=tmp_path)
    assert (code, out, len(error.splitlines())) == (2, "", 1)
    assert error.startswith(f"dask-graphql: {tmp_path / Path(name).parts[0]} is imported instead of the package ")
    assert "PYTHONPATH: rename it" in error


@pytest.mark.parametrize(("name", "arguments"), [("queue.py", ["schema"]), ("redis.py", ["keys", "list"])])
def test_a_file_in_place_of_a_module_that_we_need_is_named_where_that_fails(
    tmp_path: Path, name: str, arguments: list[str]
) -> None:
    (tmp_path / name).write_text("")
    code, _, error = run("-m", "dask_graphql", *arguments, path=tmp_path)
    assert code == 2
    assert f"{tmp_path / name} is imported instead of " in error.splitlines()[-1]


def test_a_file_that_only_has_such_a_name_is_no_hindrance(tmp_path: Path) -> None:
    for name in ("test.py", "antigravity.py", "flask.py"):
        (tmp_path / name).write_text("raise RuntimeError")
    code, out, error = run("-m", "dask_graphql", "--version", path=tmp_path)
    assert (code, error) == (0, "")
    assert "dask-graphql, version" in out


def test_nodes_import_nothing_from_the_working_folder(tmp_path: Path) -> None:
    for name in ("cluster", "graphql_api", "redis", "queue"):
        (tmp_path / f"{name}.py").write_text(f"raise RuntimeError('{name} of the working folder')")
    script = (
        "import asyncio, sys, tempfile\n"
        "from cluster.system.child_processes import start_node\n"
        "from cluster.settings import load_settings\n"
        "async def main():\n"
        "    with tempfile.TemporaryFile() as log:\n"
        "        child = await start_node(load_settings({}), 'schema', output=log)\n"
        "        code = await child.process.wait()\n"
        "        log.seek(0)\n"
        "        print(log.read().decode())\n"
        "        sys.exit(code)\n"
        "asyncio.run(main())"
    )
    code, out, error = run("-c", script, folder=tmp_path)
    assert code == 0, out + error
    assert "submitFibonacci" in out
