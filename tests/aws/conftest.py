"""Fixtures of the AWS tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.outside import missing

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.aws)


@pytest.fixture(scope="session")
def terraform_installed() -> None:
    if shutil.which("terraform") is None:
        missing("terraform is not installed")
