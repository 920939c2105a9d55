"""`dask-graphql schema --lock` and `--check` find a source that changes under its version, before it is released."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dask_graphql.cli import command

TASKS = """
from dask_graphql import task
import locked_helper

@task(version="{version}")
def half(n: int) -> int:
    return locked_helper.half(n)

@task(version="auto")
def third(n: int) -> int:
    return n // 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DASK_GRAPHQL_TASK_MODULES", f"{tmp_path}/locked_tasks.py")
    write(tmp_path, "1", "n // 2")
    yield tmp_path
    forget()


def forget() -> None:
    for name in ("locked_tasks", "locked_helper"):
        sys.modules.pop(name, None)


def write(folder: Path, version: str, result: str) -> None:
    (folder / "locked_tasks.py").write_text(TASKS.format(version=version))
    (folder / "locked_helper.py").write_text(f"def half(n: int) -> int: return {result}\n")


def run(*arguments: str) -> Result:
    forget()
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        return CliRunner().invoke(command, ["schema", *arguments])
    finally:
        sys.dont_write_bytecode = before


def test_a_lock_has_a_line_for_each_version_that_a_person_wrote(folder: Path) -> None:
    assert run("--lock", "tasks.lock").exit_code == 0
    assert [line.split('"')[1] for line in (folder / "tasks.lock").read_text().splitlines() if '"' in line] == ["half"]
    done = run("--check", "tasks.lock")
    assert (done.exit_code, done.output) == (0, "")


def test_a_helper_that_changes_under_the_same_version_fails_the_check(folder: Path) -> None:
    run("--lock", "tasks.lock")
    write(folder, "1", "n / 2")
    done = run("--check", "tasks.lock")
    assert done.exit_code == 1
    assert "half: its source has changed and its version, '1', has not" in done.output
    write(folder, "2", "n / 2")
    done = run("--check", "tasks.lock")
    assert done.exit_code == 1
    assert "half: the lock does not have it as it is now; write the lock again" in done.output
    run("--lock", "tasks.lock")
    assert run("--check", "tasks.lock").exit_code == 0


@pytest.mark.parametrize(("text", "reason"), [(None, "there is no tasks.lock"), ("[1]", "is not a lock of task")])
def test_a_file_that_is_no_lock_is_refused(folder: Path, text: str | None, reason: str) -> None:
    if text is not None:
        (folder / "tasks.lock").write_text(text)
    assert reason in str(run("--check", "tasks.lock").exception)
