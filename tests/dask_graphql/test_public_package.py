"""Only `dask_graphql` is public: what users import is there, and nothing that users read names another package."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import cluster
import dask_graphql
from tests.places import DOCS, PACKAGES, ROOT

IMPORT: Final = re.compile(r"^\s*(?:>>> |\.\.\. )?(?:from|import) (?:cluster|graphql_api)\b", re.MULTILINE)
NAME: Final = re.compile(r"\b(?:cluster|graphql_api)\.[a-z_]+(?:\.[A-Za-z_]+)*|\bfrom (?:cluster|graphql_api) import\b")
PAGES: Final = [ROOT / "README.md", *sorted(DOCS.rglob("*.md")), *sorted((ROOT / "examples").glob("*.*"))]
NO_MESSAGES: Final = re.compile(
    r"cluster\.(?:worker\.preload|scheduling\.scheduler_node|execute|builtin_tasks\.fibonacci|store)"
)
"""Names of modules in code: preloads, resources, and the name under which attempts travel through Dask."""


@pytest.mark.parametrize("name", dask_graphql.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(dask_graphql, name) is not None
    assert name in dir(dask_graphql)


def test_what_is_declared_for_type_checkers_is_what_is_imported() -> None:
    tree = ast.parse(Path(dask_graphql.__file__).read_text())
    declared = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert declared == dask_graphql._MODULE_OF
    assert sorted(declared) == sorted(dask_graphql.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        dask_graphql.nothing  # noqa: B018


@pytest.mark.parametrize("name", cluster.__all__)
def test_task_modules_that_import_from_cluster_go_on_working(name: str) -> None:
    assert getattr(cluster, name) is getattr(dask_graphql, name)


def test_a_task_module_loads_no_client_and_a_program_no_dask() -> None:
    code = "import sys; from dask_graphql import {}; print(*(name for name in {!r} if name in sys.modules))"
    for names, unwanted in (("task, save_blob", ("httpx", "strawberry", "distributed")), ("Client", ("dask", "redis"))):
        shown = subprocess.run(
            [sys.executable, "-c", code.format(names, unwanted)], capture_output=True, text=True, check=True, cwd=ROOT
        )
        assert shown.stdout.strip() == ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documents_and_examples_import_only_the_public_package(page: Path) -> None:
    assert IMPORT.findall(page.read_text()) == []


def messages() -> Iterator[tuple[Path, str]]:
    """Every text in the packages' code that is no docstring."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if "node_modules" in path.parts:
                continue
            tree = ast.parse(path.read_text())
            statements = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]
            described = {id(value) for value in statements if isinstance(value, ast.Constant)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
                    yield path, node.value


def test_no_message_names_a_package_that_is_not_public() -> None:
    # What loads names lazily lists modules; so does what checks that they are the product's own.
    faces = {ROOT / package / "__init__.py" for package in PACKAGES}
    named = [
        (path.relative_to(ROOT), text)
        for path, text in messages()
        if path not in faces and NAME.search(NO_MESSAGES.sub("", text))
    ]
    assert named == []
