"""The JavaScript packages of clients/js: what needs no api, and what they publish."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from cluster.task_types.task_id import canonical_json, task_id
from cluster.version import __version__
from tests.node import node_tests, packages_environment
from tests.places import ROOT

PACKAGES = ROOT / "clients" / "js"
VECTORS: list[dict[str, Any]] = json.loads((PACKAGES / "client" / "test" / "vectors.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["why"])
def test_the_vectors_of_the_client_are_ids_of_the_api(vector: dict[str, Any]) -> None:
    canonical = canonical_json(vector["input"])
    assert canonical.decode() == vector["canonical"]
    found = task_id(vector["name"], vector["version"], canonical, vector["salt"], vector.get("run", ""))
    assert found == vector["taskId"]


def test_the_client_computes_ids_sends_files_and_survives_lost_connections_and_refused_tokens() -> None:
    node_tests(*(f"clients/js/client/test/{name}.test.mjs" for name in ("pure", "connection", "upload")))


def test_the_error_codes_are_those_of_the_schema() -> None:
    run(sys.executable, "scripts/typescript_errors.py", "--check", "clients/js/client/src/error-codes.ts")


def test_the_sizes_of_the_packages_are_those_of_their_pages() -> None:
    """Minified and compressed, within 3 % of what is told, so that growth is noticed and told."""
    told = json.loads(run("node", "clients/js/sizes.mjs"))
    pages = [(ROOT / page).read_text() for page in ("docs/javascript.md", "clients/js/client/README.md")]
    react = [(ROOT / page).read_text() for page in ("docs/javascript.md", "clients/js/react/README.md")]
    for package, texts in (("client", pages), ("client with graphql-ws", pages), ("react", react)):
        kilobytes = told[f"@dask-graphql/{package}"] / 1000
        for text in texts:
            found = [float(size) for size in re.findall(r"(\d+\.\d) kB", text)]
            assert any(abs(size - kilobytes) < 0.03 * size + 0.05 for size in found), (package, kilobytes, found)


@pytest.mark.parametrize("package", ["client", "react"])
def test_a_package_publishes_its_build_its_types_its_licence_and_nothing_else(package: str) -> None:
    (packed,) = json.loads(run("npm", "pack", "--dry-run", "--json", "--ignore-scripts", f"./clients/js/{package}"))
    files = {file["path"] for file in packed["files"]}
    assert packed["version"] == __version__
    assert files >= {"package.json", "README.md", "dist/index.js", "dist/index.d.ts"}
    assert {path.split("/")[0] for path in files} <= {"package.json", "README.md", "LICENSE", "dist"}
    assert all(path.endswith((".js", ".js.map", ".d.ts")) for path in files if path.startswith("dist/"))
    manifest = json.loads((PACKAGES / package / "package.json").read_text())
    assert manifest["license"] == "Apache-2.0"
    assert manifest["publishConfig"] == {"access": "public", "provenance": False}
    assert set(manifest["dependencies"]) == {"client": {"graphql-ws"}, "react": {"@dask-graphql/client"}}[package]


def run(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, env=packages_environment(), check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
