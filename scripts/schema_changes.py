"""Refuses a breaking change of the schema that the changelog does not declare.

    python scripts/schema_changes.py             compares schema.graphql with schema.released.graphql
    python scripts/schema_changes.py --release   makes schema.graphql the released one; part of a release

`schema.released.graphql` is the schema of the last release: a file of its own, so that the comparison needs no history.
A change that breaks clients, as graphql-core's `find_breaking_changes` sees it, must stand in the newest part of
CHANGELOG.md under `### Breaking`, one line each, its description word for word in backticks:

    ### Breaking

    - `Field FibonacciResult.bitLength was removed.` Compute it from `value`.

A line there that declares what is not so is refused too. Other files can be named, for the schema of your own tasks.
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
    """What breaks a client of the released schema, in graphql-core's words."""
    return sorted(
        {change.description for change in find_breaking_changes(build_schema(released), build_schema(current))}
    )


def dangerous_changes(released: str, current: str) -> list[str]:
    """What may surprise a client, as a new value of an enum does. Told, and not refused."""
    return sorted(
        {change.description for change in find_dangerous_changes(build_schema(released), build_schema(current))}
    )


def declared_changes(changelog: str) -> list[str]:
    """The changes that the newest part of a changelog declares under `### Breaking`."""
    newest = re.split(r"^## ", changelog, flags=re.MULTILINE)[1:2]
    section = re.search(r"^### Breaking\s*\n(.*?)(?=^###? |\Z)", "".join(newest), re.MULTILINE | re.DOTALL)
    return re.findall(r"^- `([^`]+)`", section[1], re.MULTILINE) if section else []


def problems(released: str, current: str, changelog: str) -> list[str]:
    """Why the change of the schema does not pass; empty where it does."""
    breaking, declared = breaking_changes(released, current), declared_changes(changelog)
    return [
        *(
            f"this breaks clients: {change}\n  undo it, or declare it in CHANGELOG.md under `### Breaking`:\n"
            f"  - `{change}` What clients must do."
            for change in breaking
            if change not in declared
        ),
        *(
            f"CHANGELOG.md declares under `### Breaking` what schema.graphql does not do: {change}\n  remove the line"
            for change in declared
            if change not in breaking
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--released", type=Path, default=RELEASED, help="the schema that clients have")
    parser.add_argument("--current", type=Path, default=CURRENT, help="the schema that they will have")
    parser.add_argument("--changelog", type=Path, default=CHANGELOG)
    parser.add_argument("--release", action="store_true", help="make the current schema the released one")
    options = parser.parse_args()
    if options.release:
        options.released.write_text(options.current.read_text())
        return 0
    released, current = options.released.read_text(), options.current.read_text()
    for change in dangerous_changes(released, current):
        print(f"note, this may surprise clients: {change}")
    found = problems(released, current, options.changelog.read_text())
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
