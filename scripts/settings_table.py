#!/usr/bin/env python3
"""Prints the tables of docs/settings.md from the declarations of the settings.

python scripts/settings_table.py          prints the tables
python scripts/settings_table.py --write  writes them into docs/settings.md
"""

from __future__ import annotations

from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from generated_table import DOCS, row, write_or_print

from cluster.settings import GROUPS, variable_of
from cluster.settings.parsers import InvalidValue

PAGE = DOCS / "settings.md"

MACHINE_DEFAULTS = {"max_workers": "the machine's cores"}
"""Defaults that differ from machine to machine."""


def tables() -> str:
    """The settings as Markdown, a table for each group, in the order of their declaration."""
    lines: list[str] = []
    for group in GROUPS:
        lines += ["", f"## {group.TITLE}", "", "| variable | default | expected | meaning |", "|---|---|---|---|"]
        for item in fields(group):
            cells = [f"`{variable_of(item.name)}`", default(item), expected(item), item.metadata["meaning"]]
            lines.append(row(cells))
    return "\n".join([*lines, ""])


def default(item: Field[Any]) -> str:
    """The default as one writes it in the environment."""
    if item.name in MACHINE_DEFAULTS:
        return MACHINE_DEFAULTS[item.name]
    if isinstance(item.default, bool):
        return f"`{str(item.default).lower()}`"
    text = ",".join(item.default) if isinstance(item.default, tuple) else str(item.default)
    return f"`{text}`" if text else "(empty)"


def expected(item: Field[Any]) -> str:
    """What the parser of the setting says that it expects."""
    try:
        item.metadata["parse"]("?")
    except InvalidValue as error:
        return str(error)
    return "a path" if isinstance(item.default, Path) else "any text"


if __name__ == "__main__":
    write_or_print(PAGE, "settings", tables())
