"""The folder in which the processes of a node count together."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from cluster.observability.multiprocess import FOLDER_VARIABLE, multiprocess_metrics
from cluster.settings import load_settings


def test_folders_of_nodes_that_were_killed_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, "")
    abandoned, used = (tmp_path / "scratch" / name for name in ("api-abandoned", "api-used"))
    for folder in (abandoned, used):
        folder.mkdir(parents=True)
        (folder / "lock").touch()
    with (used / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with multiprocess_metrics(load_settings({}, data_dir=tmp_path), "api-") as folder:
            assert os.environ[FOLDER_VARIABLE] == str(folder)
            assert sorted((tmp_path / "scratch").iterdir()) == sorted([folder, used])
    assert list((tmp_path / "scratch").iterdir()) == [used]
