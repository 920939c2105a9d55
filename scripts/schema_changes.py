"""Refuses a breaking change of the schema that the changelog does not declare.

    python scripts/schema_changes.py             compares schema.graphql with schema.released.graphql
    python scripts/schema_changes.py --release   copies schema.graphql to schema.released.graphql

`schema.released.graphql` is the schema of the last release. It is a separate file, so that the comparison needs no
history. A change that breaks clients, according to graphql-core's `find_breaking_changes`, must be listed in the newest
section of CHANGELOG.md under `### Breaking`, one line each, its description word for word in backticks:

    ### Breaking

    - `Field FibonacciResult.bitLength was removed.` Compute it from `value`.

A line that declares a change which did not happen is refused too. Name other files to check the schema of your own
tasks.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from graphql import build_schema
from graphql.utilities import find_breaking_changes, find_dangerous_changes

ROOT = Path(__file__).parent.parent
RELEASED = ROOT / "schema.released.graphql"
CURRENT = ROOT / "schema.graphql"
CHANGELOG = ROOT / "CHANGELOG.md"


def breaking_changes(released: str, current: str) -> list[str]:
    """The changes that break clients of the released schema, in graphql-core's words."""
    return sorted(
        {change.description for change in find_breaking_changes(build_schema(released), build_schema(current))}
    )


def dangerous_changes(released: str, current: str) -> list[str]:
    """Changes that may surprise a client, such as a new enum value. They are reported, not refused."""
    return sorted(
        {change.description for change in find_dangerous_changes(build_schema(released), build_schema(current))}
    )


def declared_changes(changelog: str) -> list[str]:
    """The changes that the newest section of a changelog declares under `### Breaking`."""
    newest = re.split(r"^## ", changelog, flags=re.MULTILINE)[1:2]
    section = re.search(r"^### Breaking\s*\n(.*?)(?=^###? |\Z)", "".join(newest), re.MULTILINE | re.DOTALL)
    return re.findall(r"^- `([^`]+)`", section[1], re.MULTILINE) if section else []


def problems(released: str, current: str, changelog: str) -> list[str]:
    """Why the change of the schema does not pass; empty if it does."""
    breaking, declared = breaking_changes(released, current), declared_changes(changelog)
    return [
        *(
            f"this breaks clients: {change}\n  undo it, or declare it in CHANGELOG.md under `### Breaking`:\n"
            f"  - `{change}` What clients must do."
            for change in breaking
            if change not in declared
        ),
        *(
            "CHANGELOG.md declares a change under `### Breaking` that schema.graphql does not have: "
            f"{change}\n  remove the line"
            for change in declared
            if change not in breaking
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--released", type=Path, default=RELEASED, help="the schema that clients have")
    parser.add_argument("--current", type=Path, default=CURRENT, help="the schema that they will get")
    parser.add_argument("--changelog", type=Path, default=CHANGELOG)
    parser.add_argument("--release", action="store_true", help="make the current schema the released one")
    options = parser.parse_args()
    if options.release:
        options.released.write_text(options.current.read_text())
        return 0
    released, current = options.released.read_text(), options.current.read_text()
    for change in dangerous_changes(released, current):
        print(f"note: this may surprise clients: {change}")
    found = problems(released, current, options.changelog.read_text())
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
