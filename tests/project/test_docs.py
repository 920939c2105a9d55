"""Compares the documents with the code: everything they list exists, and everything that exists is listed."""

from __future__ import annotations

import ast
import functools
import http.server
import importlib.util
import re
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

from tests.browser import PATIENCE_MILLISECONDS, Windows, needed_chromium, started
from tests.places import ROOT
from tests.site import build_site, foreign_addresses

CODE = re.compile(r"[A-Z][A-Z_]+")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md"), *ROOT.glob("ops/*.md"),
                *ROOT.glob("cluster/store/*.md")])  # fmt: skip


def test_the_settings_page_says_what_the_settings_say() -> None:
    script = script_of("settings_table")
    page = script.PAGE.read_text()
    filled_in = script_of("generated_table").filled_in(page, "settings", script.tables())
    assert page == filled_in, "run: python scripts/settings_table.py --write"


def test_the_operations_page_lists_every_metric() -> None:
    script = script_of("metrics_table")
    page = script.PAGE.read_text()
    filled_in = script_of("generated_table").filled_in(page, "metrics", script.table())
    assert page == filled_in, "run: python scripts/metrics_table.py --write"


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
    assert set(fields) == {
        *FIELDS,
        "dispatched",
        "next_pool",
        "undelivered",
        "children",
        "depth",
        "salt",
        "handed_back",
        "uncharged",
        "unstored",
        "heard_at",
        "resumes",
        "previous",
        "submitters",
        "limits",
        "ttl",
        "start_before",
        "checkpoint",
        "made_by",
        "waited",
        "webhooks",
        "log",
        "stream",
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).is_file(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return  # it names what was there at the time
    named = re.findall(
        r"`((?:cluster|graphql_api|dask_graphql|tests|scripts|docs|benchmarks)/[\w/.-]+)`", page.read_text()
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tests_that_a_page_names_exist(page: Path) -> None:
    for file, _, name in re.findall(r"`(test_\w+)(::(test_\w+))?(?:\.\.\.)?`", page.read_text()):
        found = list((ROOT / "tests").rglob(f"{file}.py"))
        assert found, f"{page.name} names {file}"
        assert any(f"def {name}" in path.read_text() for path in found), f"{page.name} names {file}::{name}"


# The site -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built into a temporary folder; a broken link or anchor fails here."""
    folder = tmp_path_factory.mktemp("site")
    build_site(folder)
    return folder


@pytest.fixture
async def windows(site: Path) -> AsyncIterator[Windows]:
    path = needed_chromium()
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        async with started(path) as browser:
            yield Windows(browser, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Logs nothing: a failure shows what the browser saw."""


@pytest.mark.slow
def test_every_page_is_on_the_site(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        folder = page.relative_to(ROOT / "docs").with_suffix("")
        assert (site / (folder.parent if folder.name == "index" else folder) / "index.html").exists()
    for name in ("CHANGELOG", "benchmarks/RESULTS", "cluster/store/PROTOCOL", "examples", "ops", "terraform"):
        assert (site / name / "index.html").exists()


@pytest.mark.slow
def test_no_page_of_the_site_loads_from_another_origin(site: Path) -> None:
    assert list(foreign_addresses(site)) == []


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("page", ["architecture", "aws", "state-machine"])
async def test_diagrams_are_drawn_without_another_origin(windows: Windows, page: str) -> None:
    for scheme in ("light", "dark"):
        async with windows.open(f"/{page}/", color_scheme=scheme) as window:
            # A drawn diagram replaces the text; an invalid one keeps it.
            await window.wait_for_function(
                "() => document.querySelectorAll('div.mermaid').length && !document.querySelector('pre.mermaid')",
                timeout=PATIENCE_MILLISECONDS,
            )
            heights = await window.eval_on_selector_all("div.mermaid", "all => all.map(one => one.clientHeight)")
            assert min(heights) > 100
    assert windows.faults == []


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1440])
async def test_no_page_of_the_site_is_wider_than_its_window(windows: Windows, site: Path, width: int) -> None:
    async with windows.open("/", viewport={"width": width, "height": 900}) as window:
        for page in sorted(path.parent.relative_to(site) for path in site.glob("*/index.html")):
            await window.goto(f"{windows.base}/{page}/")
            assert await window.evaluate("document.documentElement.scrollWidth <= innerWidth"), page
    assert windows.faults == []


# The code -------------------------------------------------------------------------------------------------------------


def script_of(name: str) -> ModuleType:
    """A file of scripts/ as a module; scripts/ is not a package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "scripts")  # as if it were run: it may import another script
        spec.loader.exec_module(module)
    return module


def codes_of_the_code() -> set[str]:
    """Every error code in the two packages."""
    found: set[str] = set()
    for package in ("cluster", "graphql_api"):
        for path in (ROOT / package).rglob("*.py"):
            if "node_modules" not in path.parts:
                for value in code_values(parsed(path.read_text())):
                    found |= {text for text in texts(value) if CODE.fullmatch(text)}
    return found


def parsed(source: str) -> ast.AST:
    """The syntax tree, built in a new thread: CPython 3.11 may fail to build it deep in the stack, as in pytest."""
    with ThreadPoolExecutor(1) as fresh:
        return fresh.submit(ast.parse, source).result()


def code_values(tree: ast.AST) -> Iterator[ast.expr]:
    """The expressions that give a code: `code = ...`, `{"code": ...}`, `attempt_errors.error(...)`,
    `attempt_errors.from_exception(...)`, `TaskError(...)`, `code=...` in a call and `setdefault("code", ...)`."""
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
            if node.args and name in ("error", "from_exception", "TaskError"):
                yield node.args[0]
            if len(node.args) == 2 and name == "setdefault" and texts(node.args[0]) == ["code"]:
                yield node.args[1]


def texts(expression: ast.expr) -> list[str]:
    """The string constants that an expression may have as its value."""
    if isinstance(expression, ast.IfExp):
        return [*texts(expression.body), *texts(expression.orelse)]
    return [expression.value] if isinstance(expression, ast.Constant) and isinstance(expression.value, str) else []
