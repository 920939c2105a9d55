#!/usr/bin/env python3
"""Prints the table of docs/operations.md from the metrics' own declarations.

python scripts/metrics_table.py          prints the table
python scripts/metrics_table.py --write  writes it into docs/operations.md
"""

from __future__ import annotations

from generated_table import DOCS, row, write_or_print

from cluster.observability import metrics  # noqa: F401 - declares them
from cluster.observability.metric_declaration import DECLARED, ROLES

PAGE = DOCS / "operations.md"


def table() -> str:
    """The metrics as a Markdown table, in the order of their declaration."""
    lines = ["| metric | kind | labels | on | meaning |", "|---|---|---|---|---|"]
    for item in DECLARED:
        where = "every node" if item.roles == ROLES else ", ".join(item.roles)
        labels = ", ".join(f"`{label}`" for label in item.labels)
        cells = [f"`{item.name}`", item.kind, labels, where, item.meaning]
        lines.append(row(cells))
    return "\n".join(lines)


if __name__ == "__main__":
    write_or_print(PAGE, "metrics", table())
