"""Nothing is declared that no code reads. Dead code in general: vulture, with `make lint`."""

from __future__ import annotations

import ast
from dataclasses import fields
from typing import Final

from cluster.settings import Settings
from tests.places import PACKAGES, ROOT

DECLARATIONS: Final = ROOT / "cluster" / "settings"


def names_read() -> set[str]:
    """Every attribute that is read in the packages, and every text outside the settings' own declarations."""
    found: set[str] = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if "node_modules" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                    found.add(node.attr)
                elif (
                    isinstance(node, ast.Constant) and isinstance(node.value, str) and DECLARATIONS not in path.parents
                ):
                    found.add(node.value)
    return found


def test_every_setting_is_read() -> None:
    assert {item.name for item in fields(Settings)} - names_read() == set()
