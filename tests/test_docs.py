"""The documents are held to the code: what they list exists, and what exists is listed."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
CODE = re.compile(r"[A-Z][A-Z_]+")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md"), *ROOT.glob("ops/*.md"),
                *ROOT.glob("cluster/store/*.md")])  # fmt: skip


def test_the_settings_page_says_what_the_settings_say() -> None:
    script = script_of("settings_table")
    page = (ROOT / "docs" / "settings.md").read_text()
    assert page == script.filled_in(page), "run: python scripts/settings_table.py --write"


def test_the_operations_page_lists_every_metric() -> None:
    script = script_of("metrics_table")
    page = (ROOT / "docs" / "operations.md").read_text()
    assert page == script.filled_in(page), "run: python scripts/metrics_table.py --write"


def test_every_error_code_is_on_the_errors_page_and_no_other() -> None:
    listed = re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == codes_of_the_code()


def test_the_protocol_page_names_every_script_and_every_field() -> None:
    page = (ROOT / "cluster" / "store" / "PROTOCOL.md").read_text()
    scripts = {path.stem for path in (ROOT / "cluster" / "store" / "scripts").glob("*.lua")} - {"_common"}
    assert set(re.findall(r"^### `([a-z_]+)`", page, re.MULTILINE)) == scripts
    from cluster.store.record import FIELDS

    fields = re.findall(r"^\| `([a-z_]+)` \|", page, re.MULTILINE)
    assert set(fields) == {*FIELDS, "dispatched", "undelivered"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def script_of(name: str) -> ModuleType:
    """A file of scripts/ as a module; scripts/ is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def codes_of_the_code() -> set[str]:
    """Every error code that is written in the two packages."""
    found: set[str] = set()
    for package in ("cluster", "graphql_api"):
        for path in (ROOT / package).rglob("*.py"):
            if "node_modules" not in path.parts:
                for value in code_values(parsed(path.read_text())):
                    found |= {text for text in texts(value) if CODE.fullmatch(text)}
    return found


def parsed(source: str) -> ast.AST:
    """The syntax tree, made in a fresh thread: CPython 3.11 may fail to make it deep in the stack, as pytest is."""
    with ThreadPoolExecutor(1) as fresh:
        return fresh.submit(ast.parse, source).result()


def code_values(tree: ast.AST) -> Iterator[ast.expr]:
    """The expressions in the places where a code stands: `code = ...`, `{"code": ...}`, `attempts.error(...)`,
    `TaskError(...)`, `code=...` in a call and `setdefault("code", ...)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            if any(isinstance(target, ast.Name) and target.id == "code" for target in node.targets):
                yield node.value
        elif isinstance(node, ast.Dict):
            yield from (
                value
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant) and key.value == "code"
            )
        elif isinstance(node, ast.Call):
            yield from (keyword.value for keyword in node.keywords if keyword.arg == "code")
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if node.args and name in ("error", "TaskError"):
                yield node.args[0]
            if len(node.args) == 2 and name == "setdefault" and texts(node.args[0]) == ["code"]:
                yield node.args[1]


def texts(expression: ast.expr) -> list[str]:
    """The text constants that an expression may answer."""
    if isinstance(expression, ast.IfExp):
        return [*texts(expression.body), *texts(expression.orelse)]
    return [expression.value] if isinstance(expression, ast.Constant) and isinstance(expression.value, str) else []
