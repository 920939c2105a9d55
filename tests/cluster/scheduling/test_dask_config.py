"""Our Dask settings override Dask's defaults and leave the others unchanged; the user's settings win."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

SHOW = """
import sys, orjson
from pathlib import Path
from cluster.scheduling.dask_config import configure_dask, keep_dask_in
keep_dask_in(Path(sys.argv[1]))
configure_dask(Path(sys.argv[1]) / "scratch")
import dask, distributed
print(orjson.dumps([dask.config.get(key) for key in sys.argv[2:]]).decode())
"""
ENVIRON = "distributed.nanny.pre-spawn-environ"


def configured(folder: Path, *keys: str, **variables: str) -> list[object]:
    """The values that one of our processes finds in Dask's configuration."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DASK_")}
    answer = subprocess.run(
        [sys.executable, "-c", SHOW, str(folder), *keys], env={**environment, **variables}, check=True,
        capture_output=True, timeout=60,
    )  # fmt: skip
    return list(orjson.loads(answer.stdout))


def test_our_settings_override_the_defaults_of_dask(tmp_path: Path) -> None:
    interval, length, folder, environ = configured(
        tmp_path, "distributed.worker.profile.interval", "distributed.admin.log-length", "temporary-directory", ENVIRON
    )
    assert (interval, length, folder) == ("100ms", 1000, str(tmp_path / "scratch"))
    assert isinstance(environ, dict)
    # Dask's own variables of a worker process are kept.
    assert environ["MALLOC_MMAP_THRESHOLD_"] == 32 * 2**20
    assert "OMP_NUM_THREADS" in environ


@pytest.mark.parametrize("value", ["20ms", "1s"])
def test_the_settings_of_the_user_win(tmp_path: Path, value: str) -> None:
    key = "distributed.worker.profile.interval"
    assert configured(tmp_path, key, DASK_DISTRIBUTED__WORKER__PROFILE__INTERVAL=value) == [value]
