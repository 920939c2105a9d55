"""What scripts/settings_table.py and scripts/metrics_table.py share: tables of pages, written from declarations.

A table NAME is in its page between the marks `<!-- NAME: written by scripts/NAME_table.py -->` and `<!-- /NAME -->`.
benchmarks/model.py writes one too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def row(cells: Iterable[str]) -> str:
    """A row in Markdown, where a bare < begins a tag and a bare | the next cell."""
    return "| " + " | ".join(cell.replace("|", r"\|").replace("<", "&lt;") for cell in cells) + " |"


def filled_in(page: str, name: str, table: str, *, by: str = "") -> str:
    """The text of a page with the table between its marks replaced; `by` is the path of another program than
    scripts/NAME_table.py."""
    begin, end = f"<!-- {name}: written by {by or f'scripts/{name}_table.py'} -->", f"<!-- /{name} -->"
    head, _, rest = page.partition(begin)
    return f"{head}{begin}\n{table}\n{end}{rest.partition(end)[2]}"


def write_or_print(page: Path, name: str, table: str) -> None:
    """Writes the table into its page if the command line says --write, else prints it."""
    if "--write" in sys.argv[1:]:
        page.write_text(filled_in(page.read_text(), name, table))
    else:
        print(table)
