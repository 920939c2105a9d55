"""Follows docs/releasing.md in a copy of the repository, except where something is published."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Final

import pytest

from cluster.version import __version__
from tests.fences import Block, blocks_of
from tests.places import ROOT, copy_of_the_repository

PAGE: Final = "docs/releasing.md"
NOT_HERE: Final = ("# by hand", "# publishes")
"""First lines of the blocks that the test does not run."""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return copy_of_the_repository(tmp_path / "dask-graphql")


def environment() -> dict[str, str]:
    names = {f"GIT_{who}_{what}": "tests@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return {**os.environ, **names, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}


def run(clone: Path, text: str) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], cwd=clone, env=environment(), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{text}\n{done.stdout[-3_000:]}\n{done.stderr[-3_000:]}"
    return done.stdout


def refusal(clone: Path, *arguments: str) -> str:
    command = [sys.executable, "scripts/release.py", *arguments]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    return done.stderr


def recipe() -> list[Block]:
    blocks = [block for block in blocks_of(PAGE) if block.language == "sh"]
    return [block for block in blocks if not block.text.startswith(NOT_HERE)]


def before_the_build(clone: Path) -> None:
    for block in recipe():
        if "build" not in block.text:
            run(clone, block.text)


def test_the_page_releases_the_version_of_this_tree() -> None:
    page = (ROOT / PAGE).read_text()
    assert set(re.findall(r"\b\d+\.\d+\.\d+\b", page.replace("v2.0.0", ""))) == {__version__}


def test_the_recipe_gives_a_tag_with_the_changelog_as_its_message(clone: Path) -> None:
    before_the_build(clone)
    assert run(clone, "git describe --exact-match").strip() == f"v{__version__}"
    assert run(clone, "git status --porcelain") == ""
    message = run(clone, f"git tag --list --format='%(contents)' v{__version__}")
    assert "### Added" in message
    assert "## [" not in message
    changelog = (clone / "CHANGELOG.md").read_text()
    assert re.search(
        rf"^## \[Unreleased\]\n\n## \[{re.escape(__version__)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE
    )
    assert (clone / "schema.released.graphql").read_text() == (clone / "schema.graphql").read_text()
    run(clone, "python scripts/schema_changes.py")


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_the_recipe_builds_the_version(clone: Path) -> None:
    for block in recipe():
        run(clone, block.text)
    files = {path.name for path in (clone / "dist").iterdir()}
    wheel, archive = f"dask_graphql-{__version__}-py3-none-any.whl", f"dask_graphql-{__version__}.tar.gz"
    assert files == {wheel, archive}
    assert any(wheel in block.text for block in blocks_of(PAGE)), "the page names the wheel"
    metadata = zipfile.ZipFile(clone / "dist" / wheel).read(f"dask_graphql-{__version__}.dist-info/METADATA").decode()
    assert f"\nVersion: {__version__}\n" in metadata
    with tarfile.open(clone / "dist" / archive) as file:
        assert f"dask_graphql-{__version__}/cluster/version.py" in file.getnames()


def test_the_version_is_in_one_place() -> None:
    assert "version = attr: cluster.version.__version__\n" in (ROOT / "setup.cfg").read_text()
    assigned = [
        str(path.relative_to(ROOT))
        for package in ("cluster", "dask_graphql", "graphql_api")
        for path in (ROOT / package).rglob("*.py")
        if "node_modules" not in path.parts and re.search(r"^__version__ = ", path.read_text(), re.MULTILINE)
    ]
    assert assigned == ["cluster/version.py"]


def test_a_tree_that_is_not_ready_is_refused_with_what_is_missing(clone: Path) -> None:
    (clone / "schema.graphql").write_text("type Query { nothing: Int }\n")
    said = refusal(clone, "check", "9.0.0")
    for part in (
        f"says {__version__}, not 9.0.0",
        "no section [9.0.0]",
        "schema.released.graphql",
        "docs/upgrading.md",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("version", "said"),
    [("1.2", "is not a version"), ("0.0.1", "is older than"), ("v1.0.0", "is not a version")],
)
def test_a_version_that_cannot_follow_is_refused(clone: Path, version: str, said: str) -> None:
    assert said in refusal(clone, "prepare", version)


def test_a_release_is_prepared_once_and_never_without_an_entry(clone: Path) -> None:
    run(clone, "python scripts/release.py prepare 7.0.0")
    manifests = ("package-lock.json", "clients/js/client/package.json", "clients/js/react/package.json")
    for manifest in (*manifests, "examples/web-next/package-lock.json"):
        assert '"version": "7.0.0"' in (clone / manifest).read_text()
    assert "has a section [7.0.0] already" in refusal(clone, "prepare", "7.0.0")
    assert "nothing under [Unreleased]" in refusal(clone, "prepare", "7.0.1")
