#!/usr/bin/env python3
"""Prints the table of docs/settings.md from the settings' own metadata.

python scripts/settings_table.py          prints the table
python scripts/settings_table.py --write  puts it into docs/settings.md
"""

from __future__ import annotations

import sys
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from cluster.errors import SettingError
from cluster.settings import Settings, load_settings, variable_of

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
BEGIN = "<!-- settings: written by scripts/settings_table.py -->"
END = "<!-- /settings -->"

MACHINE_DEFAULTS = {"max_workers": "the machine's cores"}
"""Defaults that differ from machine to machine."""


def table() -> str:
    """The settings as a Markdown table, in the order of their declaration."""
    lines = ["| variable | default | expected | meaning |", "|---|---|---|---|"]
    for item in fields(Settings):
        cells = [f"`{variable_of(item.name)}`", default(item), expected(item), item.metadata["meaning"]]
        # A bare < begins a tag in Markdown, and a bare | the next cell.
        lines.append("| " + " | ".join(cell.replace("|", r"\|").replace("<", "&lt;") for cell in cells) + " |")
    return "\n".join(lines)


def default(item: Field[Any]) -> str:
    """The default as one writes it in the environment."""
    if item.name in MACHINE_DEFAULTS:
        return MACHINE_DEFAULTS[item.name]
    if isinstance(item.default, bool):
        return f"`{str(item.default).lower()}`"
    text = ",".join(item.default) if isinstance(item.default, tuple) else str(item.default)
    return f"`{text}`" if text else "(empty)"


def expected(item: Field[Any]) -> str:
    """What the setting's own parser says that it expects."""
    try:
        load_settings({variable_of(item.name): "?"})
    except SettingError as error:
        return str(error).partition("; expected ")[2]
    return "a path" if isinstance(item.default, Path) else "any text"


def filled_in(page: str) -> str:
    """The page with its table replaced by the present one."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table()}\n{END}{tail}"


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        PAGE.write_text(filled_in(PAGE.read_text()))
    else:
        print(table())
