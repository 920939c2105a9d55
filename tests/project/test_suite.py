"""The suite leaves nothing on the machine, and reports what the machine lacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import outside
from tests.places import ROOT


def test_a_run_leaves_no_temporary_files(tmp_path: Path) -> None:
    """In particular not the configuration that Dask writes on import."""
    hidden = ("PYTEST", "DASK", "TMPDIR")
    environment = {name: text for name, text in os.environ.items() if not name.startswith(hidden)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "kept"),
         "tests/cluster/system/test_ecs_metadata.py", "-k", "nothing_like_it"],
        cwd=ROOT, env={**environment, "TMPDIR": str(tmp_path)}, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name != "kept"] == []


def test_a_missing_tool_skips_the_test_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "STRICT", False)
    with pytest.raises(pytest.skip.Exception, match=r"^no such browser$"):
        outside.missing("no such browser")


def test_a_missing_tool_is_a_failure_if_everything_must_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "STRICT", True)
    with pytest.raises(pytest.fail.Exception, match=r"no such browser .*TESTS_STRICT"):
        outside.missing("no such browser")
