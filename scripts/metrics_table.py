#!/usr/bin/env python3
"""Prints the table of docs/operations.md from the metrics' own declarations.

python scripts/metrics_table.py          prints the table
python scripts/metrics_table.py --write  puts it into docs/operations.md
"""

from __future__ import annotations

import sys
from pathlib import Path

from cluster.observability import metrics  # noqa: F401 - declares them
from cluster.observability.metric_declaration import DECLARED, ROLES

PAGE = Path(__file__).parent.parent / "docs" / "operations.md"
BEGIN = "<!-- metrics: written by scripts/metrics_table.py -->"
END = "<!-- /metrics -->"


def table() -> str:
    """The metrics as a Markdown table, in the order of their declaration."""
    lines = ["| metric | kind | labels | on | meaning |", "|---|---|---|---|---|"]
    for item in DECLARED:
        where = "every node" if item.roles == ROLES else ", ".join(item.roles)
        labels = ", ".join(f"`{label}`" for label in item.labels)
        cells = [f"`{item.name}`", item.kind, labels, where, item.meaning]
        lines.append("| " + " | ".join(cell.replace("|", r"\|").replace("<", "&lt;") for cell in cells) + " |")
    return "\n".join(lines)


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
