"""The example notebooks: their cells run one after the other, as in a kernel."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from dask_graphql.testing import running_system
from tests import outside
from tests.places import ROOT
from tests.system import System

EXAMPLES = ROOT / "examples"


def run_cell(source: str, names: dict[str, Any], file: str) -> Any:
    """Runs a cell and returns the value of its last expression, which a notebook shows."""
    tree = ast.parse(source, file)
    last = tree.body[-1]
    if not isinstance(last, ast.Expr):
        exec(compile(tree, file, "exec"), names)
        return None
    tree.body.pop()
    exec(compile(tree, file, "exec"), names)
    return eval(compile(ast.Expression(last.value), file, "eval"), names)


def run_notebook(name: str, url: str, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What each cell of a notebook shows, when its client is one of the api at `url`."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    notebook = json.loads((EXAMPLES / name).read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    names: dict[str, Any] = {}
    shown = []
    before = set(sys.modules)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            source = "".join(cell["source"])
            shown.append(run_cell(source.replace("http://127.0.0.1:8000", url), names, str(EXAMPLES / name)))
    for module in set(sys.modules) - before:
        if str(getattr(sys.modules[module], "__file__", "")).startswith(str(EXAMPLES)):
            del sys.modules[module]
    return shown


def test_the_notebook_runs_from_its_first_cell_to_its_last(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    client, estimate, handle, mean, errors, handles, tasks, _ = run_notebook("notebook.ipynb", system.url, monkeypatch)
    assert system.url in client._repr_html_()
    assert type(estimate).__name__ == "Estimate"
    assert handle.task_id in handle._repr_html_()
    assert abs(mean - 3.14159) < 0.02
    assert [samples for samples, _ in errors] == [1_000 * size for size in range(1, 11)]
    assert "10 succeeded" in handles._repr_html_()
    assert len(tasks) == 10
    assert "estimate_pi" in tasks._repr_html_()


@pytest.mark.nightly
@pytest.mark.slow
def test_the_notebook_of_workloads_runs_on_a_system_with_the_example_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for package in ("pandas", "xarray", "zarr"):
        outside.module(package)
    monkeypatch.chdir(tmp_path)
    with running_system(*map(str, sorted(EXAMPLES.glob("*.py"))), max_workers=2) as started:
        shown = run_notebook("workloads.ipynb", started.url, monkeypatch)
    _, fares, part, july, prices, (tiles, png), infected, (moment, rows), languages, estimate, tasks, _ = shown
    assert (len(fares), int(fares.trips.sum())) == (24, 140_000)
    assert part.shape == (6,)
    assert july.sel(latitude=5).item() > july.sel(latitude=85).item() + 10
    assert prices == pytest.approx([390, 210], abs=20)
    assert (tiles, png) == (1 + 4 + 12, b"\x89PNG")
    assert infected[0, 0] < 0.01 < 0.9 < infected[-1, -1]
    assert (moment, rows) == (pytest.approx(0.04), 500)
    assert languages == ["German", "English", "French", "Spanish"]
    assert estimate.pi == pytest.approx(3.1416, abs=0.02)
    assert {task.state for task in tasks} == {"SUCCEEDED"}
