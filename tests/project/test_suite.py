"""The suite leaves nothing on the machine, reports what the machine lacks, and starts each shared system once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import outside
from tests.places import ROOT
from tests.shared_systems import scope_of


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


def test_the_tests_of_a_shared_system_run_in_one_process_on_each_engine() -> None:
    faults = "tests/whole_system/test_faults.py::test_what_a_dead_worker_ran_is_run_again_by_another"
    refusals = "tests/whole_system/test_refusing_redis.py::test_a_system_whose_redis_forgets_its_scripts_goes_on"
    assert scope_of(f"{faults}[valkey-9]") == scope_of(f"{refusals}[valkey-9]") != scope_of(f"{faults}[redis-6.2]")
    by_a_fixture_of_its_file = "tests/dask_graphql/client/test_client.py::test_many_are_mapped_and_taken_as_they_end"
    itself = "tests/whole_system/test_contract.py::test_many_at_once_come_back_each_as_it_ends"
    assert scope_of(by_a_fixture_of_its_file) == scope_of(itself) != scope_of(f"{faults}[valkey-9]")
    alone = "tests/dask_graphql/client/test_client.py::test_importing_the_client_loads_neither_the_server_nor_dask"
    assert scope_of(alone) == alone
