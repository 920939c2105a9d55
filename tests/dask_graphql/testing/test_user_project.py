"""A user's project whose tests use the test kit, run by pytest as the user would."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT

PROJECT = Path(__file__).parent / "shop"


def run_pytest(*options: str) -> str:
    """What pytest prints for the project, with the plugin of this source tree."""
    plugin = ("-p", "no:dask_graphql", "-p", "dask_graphql.testing.plugin")
    command = [sys.executable, "-m", "pytest", "-c", "/dev/null", "--rootdir", str(PROJECT), *plugin]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*command, "-o", "dask_graphql_task_modules=orders", *options, "-p", "no:cacheprovider", "test_orders.py"],
        cwd=PROJECT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_tests_of_a_users_project_pass_in_this_process_and_on_a_real_system() -> None:
    assert "3 passed" in run_pytest()


def test_pytest_finds_the_plugin_by_its_entry_point() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["options.entry_points"]["pytest11"].strip() == "dask_graphql = dask_graphql.testing.plugin"
