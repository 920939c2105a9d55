"""Compares the files for contributors with the repository: commands, paths, CI, hooks and decision records."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

import dask_graphql
from tests.places import DOCS, ROOT

RECORDS: Final = sorted((DOCS / "designs").glob("[0-9]*.md"))
SECTIONS: Final = ["Context", "Decision", "Rejected", "Consequences"]


def loaded(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def test_every_make_target_for_contributors_exists() -> None:
    texts = [(ROOT / name).read_text() for name in ("CONTRIBUTING.md", ".github/PULL_REQUEST_TEMPLATE.md")]
    targets = {
        target
        for text in texts
        for command in re.findall(r"(?:`|^)make ([a-z -]+?)(?:`| {2,}#|$)", text, re.MULTILINE)
        for target in command.split()
    }
    assert {"run", "test", "lint", "types", "schema", "help"} <= targets
    done = subprocess.run(["make", "-n", *sorted(targets)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_path_for_contributors_exists() -> None:
    paths = re.findall(r"\b((?:tests|scripts|cluster|docs|ops)/[\w./-]*\w)", (ROOT / "CONTRIBUTING.md").read_text())
    assert len(paths) > 15
    assert [path for path in paths if not (ROOT / path).exists() and not path.endswith("scripts")] == []


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("FLOORS", "tests/project/test_layers.py"),
        ("BUILT_IN", "cluster/task_types/registry.py"),
        ("Settings", "cluster/settings/__init__.py"),
        ("SCRIPTS", "cluster/store/lua_scripts.py"),
        ("Calls", "cluster/store/script_calls.py"),
    ],
)
def test_names_that_contributors_look_for_are_where_the_page_says(name: str, path: str) -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    assert f"`{name}`" in page
    assert f"({path})" in page
    assert re.search(rf"^(?:class )?{name}\b", (ROOT / path).read_text(), re.MULTILINE)


def test_the_workflow_calls_ci_run_and_at_night_the_thorough_tests() -> None:
    (job,) = loaded(".github/workflows/ci.yml")["jobs"].values()
    assert job["steps"][-2:] == [
        {"run": ".ci/run"},
        {"if": "github.event_name == 'schedule'", "run": "make test-thorough"},
    ]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_pre_commit_runs_the_linters_of_the_environment() -> None:
    (repository,) = loaded(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    makefile = (ROOT / "Makefile").read_text()
    for hook in repository["hooks"]:
        program, _, arguments = hook["entry"].partition(" ")
        assert program.startswith(".venv/bin/")
        assert hook["language"] == "system"
        assert f"$(BIN)/{Path(program).name}" in makefile
        if program.endswith("python"):
            assert (ROOT / arguments).exists()


@pytest.mark.parametrize("name", ["bug.yml", "feature.yml"])
def test_issue_forms_have_a_required_field(name: str) -> None:
    form = loaded(f".github/ISSUE_TEMPLATE/{name}")
    fields = [part for part in form["body"] if part["type"] != "markdown"]
    assert form["name"]
    assert form["description"]
    assert any(part.get("validations", {}).get("required") for part in fields)
    assert len({part["id"] for part in fields}) == len(fields)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_decision_record_has_a_date_and_all_its_sections(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(f"# {int(path.name[:4])}. ")
    assert re.search(r"^(?:Accepted|Superseded by \d+), \d{4}-\d\d-\d\d\.$", text, re.MULTILINE)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert f"({path.name})" in (DOCS / "designs" / "index.md").read_text()
    assert f"designs/{path.name}" in (ROOT / "mkdocs.yml").read_text()


def test_decision_records_are_numbered_without_gaps() -> None:
    assert [int(path.name[:4]) for path in RECORDS] == list(range(1, len(RECORDS) + 1))


def test_the_api_reference_has_every_public_name() -> None:
    listed = re.findall(r"^::: dask_graphql\.(\w+)$", (DOCS / "api.md").read_text(), re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert {*listed, "__version__"} == set(dask_graphql.__all__)
