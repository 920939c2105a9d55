"""The example notebook: its cells run one after the other, as in a kernel."""

from __future__ import annotations

import ast
import json
import sys
from typing import Any

import pytest

from tests.places import ROOT
from tests.system import System

NOTEBOOK = ROOT / "examples" / "notebook.ipynb"


def run_cell(source: str, names: dict[str, Any]) -> Any:
    """Runs a cell and returns the value of its last expression, which a notebook shows."""
    tree = ast.parse(source, str(NOTEBOOK))
    last = tree.body[-1]
    if not isinstance(last, ast.Expr):
        exec(compile(tree, str(NOTEBOOK), "exec"), names)
        return None
    tree.body.pop()
    exec(compile(tree, str(NOTEBOOK), "exec"), names)
    return eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names)


def test_the_notebook_runs_from_its_first_cell_to_its_last(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    notebook = json.loads(NOTEBOOK.read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    names: dict[str, Any] = {}
    shown = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            source = "".join(cell["source"]).replace("http://127.0.0.1:8000", system.url)
            shown.append(run_cell(source, names))
    sys.modules.pop("estimate_pi")
    client, estimate, handle, mean, errors, handles, tasks, _ = shown
    assert system.url in client._repr_html_()
    assert type(estimate).__name__ == "Estimate"
    assert handle.task_id in handle._repr_html_()
    assert abs(mean - 3.14159) < 0.02
    assert [samples for samples, _ in errors] == [1_000 * size for size in range(1, 11)]
    assert "10 succeeded" in handles._repr_html_()
    assert len(tasks) == 10
    assert "estimate_pi" in tasks._repr_html_()
