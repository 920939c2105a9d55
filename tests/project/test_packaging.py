"""What `pip install` builds from the repository on a machine without Node: the command, and both pages in a browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from playwright.async_api import expect

from dask_graphql.dev_system import free_port
from tests.browser import PATIENCE_MILLISECONDS, Windows, chromium, started
from tests.dask_graphql.test_cli import read_until
from tests.places import copy_of_the_repository

NODE = ("node", "nodejs", "npm", "npx", "corepack", "yarn", "pnpm")
PAGES = {"graphql_api/console/dist/index.html", "graphql_api/console/dist/graphiql.html"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def without_node(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose PATH has everything except Node."""
    folder = tmp_path_factory.mktemp("path")
    for place in os.get_exec_path():
        for program in Path(place).iterdir() if Path(place).is_dir() else ():
            link = folder / program.name
            if program.name not in NODE and not os.path.lexists(link):
                link.symlink_to(program)
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "DASK_CONFIG")
    return {**{name: text for name, text in os.environ.items() if name not in hidden}, "PATH": str(folder)}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_the_repository(tmp_path_factory.mktemp("clone") / "dask-graphql")


def run(command: Sequence[str | Path], environment: dict[str, str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-6_000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(clone: Path, without_node: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a wheel that is built from the repository."""
    folder = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(clone)], without_node, folder)
    return folder


@pytest.fixture(scope="module")
def installed(
    built: Path, without_node: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, dict[str, str]]]:
    """The command in a new environment, with the newest requirements that the wheel allows, and what to run it with."""
    folder = tmp_path_factory.mktemp("environment")
    (wheel,) = built.glob("*.whl")
    run([sys.executable, "-m", "venv", folder / "venv"], without_node, folder)
    python, uv = folder / "venv" / "bin" / "python", Path(sys.executable).with_name("uv")
    command: list[str | Path] = [python, "-m", "pip", "install"]
    if uv.exists():  # a third of the time
        command = [uv, "pip", "install", "--compile-bytecode", "--python", python]
    run([*command, "-q", wheel], without_node, folder)
    yield folder / "venv" / "bin" / "dask-graphql", without_node
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.nightly
def test_the_source_distribution_contains_the_pages_and_their_sources(
    clone: Path, without_node: dict[str, str], tmp_path: Path
) -> None:
    run([sys.executable, "-m", "build", "--sdist", "--outdir", str(tmp_path), str(clone)], without_node, tmp_path)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert names >= PAGES
    assert names >= {"scripts/build_backend.py", "scripts/build-console.sh", "package-lock.json"}
    assert not any("node_modules" in name for name in names)


def test_the_wheel_contains_the_pages_without_their_sources(built: Path) -> None:
    (archive,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(archive).namelist())
    assert names >= PAGES
    assert not any(name.startswith("graphql_api/console/src") or "node_modules" in name for name in names)
    html = zipfile.ZipFile(archive).read("graphql_api/console/dist/index.html").decode()
    for script in re.findall(r'/static/(assets/[^"]+)', html):
        assert f"graphql_api/console/dist/{script}" in names
    scripts = [name for name in names if re.search(r"/assets/index-[^/]*\.js$", name)]
    assert len(scripts) == 1, "the scripts of one build"


@pytest.mark.nightly
def test_pip_builds_from_a_repository_without_node_what_the_wheel_contains(
    clone: Path, built: Path, without_node: dict[str, str], tmp_path: Path
) -> None:
    run(
        [sys.executable, "-m", "pip", "-q", "install", "--no-deps", "--target", str(tmp_path), f"git+file://{clone}"],
        without_node, tmp_path,
    )  # fmt: skip
    (archive,) = built.glob("*.whl")
    wheel = {name for name in zipfile.ZipFile(archive).namelist() if not re.search(r"\.dist-info/|^scripts/", name)}
    assert [name for name in wheel if not (tmp_path / name).is_file()] == []
    # The names of the scripts have the hashes of their contents.
    assert {path.name for path in (tmp_path / "graphql_api/console/dist/assets").iterdir()} == {
        Path(name).name for name in wheel if name.startswith("graphql_api/console/dist/assets/")
    }


@pytest.mark.nightly
def test_a_wheel_can_be_built_without_the_pages(clone: Path, without_node: dict[str, str], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(clone, copy, ignore=shutil.ignore_patterns("console", ".git"))
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(copy)]
    refused = subprocess.run(command, env=without_node, check=False, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "neither the built web pages nor their sources" in refused.stdout + refused.stderr
    run([*command, "--config-setting=console=none"], without_node, tmp_path)
    (archive,) = tmp_path.glob("*.whl")
    assert not any("console/" in name for name in zipfile.ZipFile(archive).namelist())


async def test_the_installed_command_serves_both_pages(installed: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    command, environment = installed
    port = free_port()
    process = subprocess.Popen(
        [command, "dev", "--port", str(port), "--data-dir", tmp_path / "data", "--max-workers", "1"],
        cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
    )  # fmt: skip
    base = f"http://127.0.0.1:{port}"
    try:
        read_until(process, b"\nready ")
        async with httpx.AsyncClient(base_url=base) as client:
            for path in ("/", "/graphql"):
                html = (await client.get(path, headers={"Accept": "text/html"})).text
                assert "were not built" not in html
                scripts = re.findall(r'src="[.](/static/[^"]+)"', html)
                assert scripts
                for script in scripts:
                    assert (await client.get(script)).status_code == 200
            assert (await client.get("/favicon.ico")).status_code == 200
        if path_of_browser := chromium():
            async with started(path_of_browser) as browser:
                expect.set_options(timeout=PATIENCE_MILLISECONDS)
                windows = Windows(browser, base)
                async with windows.open("/") as page:
                    await expect(page.get_by_role("heading", name="Start here")).to_be_visible()
                async with windows.open("/graphql") as page:
                    await expect(page.locator(".graphiql-container")).to_be_visible()
                assert windows.faults == []
    finally:
        process.terminate()
        assert process.wait(10) == 0
