"""The parts of a release that a machine does; docs/releasing.md has the whole recipe.

    python scripts/release.py prepare 0.2.0   sets the version, dates its section of the changelog, releases the schema
    python scripts/release.py notes 0.2.0     prints the section of the changelog
    python scripts/release.py check 0.2.0     refuses a tree that is not ready to be tagged

The newest section of CHANGELOG.md is `## [Unreleased]`, until `prepare` makes it `## [0.2.0] - 2027-01-31` and puts an
empty one above it.
"""

from __future__ import annotations

import argparse
import datetime
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
VERSION_FILE = ROOT / "cluster" / "version.py"
CHANGELOG = ROOT / "CHANGELOG.md"
UPGRADING = ROOT / "docs" / "upgrading.md"
SCHEMA, RELEASED_SCHEMA = ROOT / "schema.graphql", ROOT / "schema.released.graphql"

VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:rc\d+)?")
ASSIGNMENT = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)
UNRELEASED = re.compile(r"^## \[Unreleased\][^\n]*\n", re.MULTILINE)


def current_version() -> str:
    """The version of this tree."""
    found = ASSIGNMENT.search(VERSION_FILE.read_text())
    if found is None:
        raise SystemExit(f'{VERSION_FILE} has no line `__version__ = "..."`')
    return found[1]


def notes(version: str) -> str:
    """The changelog's section of a released version, without its heading.

    Raises:
        SystemExit: there is no such section, or it is empty.
    """
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n"
    section = re.search(heading + r"(.*?)(?=^## |\Z)", CHANGELOG.read_text(), re.MULTILINE | re.DOTALL)
    if section is None or not section[1].strip():
        raise SystemExit(f"CHANGELOG.md has no section [{version}] with a date and an entry")
    return section[1].strip() + "\n"


NPM_FILES = [
    ROOT / "package-lock.json",
    *sorted(ROOT.glob("clients/js/*/package.json")),
    ROOT / "graphql_api" / "console" / "package.json",
    ROOT / "examples" / "web-vite" / "package.json",
    ROOT / "examples" / "web-next" / "package-lock.json",
]
"""What names the version of the JavaScript packages, which is that of the product."""


def prepare(version: str, today: datetime.date) -> None:
    """Writes the version, also that of the JavaScript packages, the changelog's heading and the released schema.

    Raises:
        SystemExit: the version does not follow the current one, or nothing stands under Unreleased.
    """
    if not VERSION.fullmatch(version):
        raise SystemExit(f"{version!r} is not a version such as 0.2.0 or 0.2.0rc1")
    changelog = CHANGELOG.read_text()
    if re.search(rf"^## \[{re.escape(version)}\]", changelog, re.MULTILINE):
        raise SystemExit(f"CHANGELOG.md has a section [{version}] already")
    if numbers(version) < numbers(current_version()):
        raise SystemExit(f"{version} is older than {current_version()}, the version of this tree")
    heading = UNRELEASED.search(changelog)
    if heading is None:
        raise SystemExit("CHANGELOG.md has no section [Unreleased]")
    if not re.split(r"^## ", changelog[heading.end() :], flags=re.MULTILINE)[0].strip():
        raise SystemExit("CHANGELOG.md has nothing under [Unreleased]")
    dated = f"## [Unreleased]\n\n## [{version}] - {today.isoformat()}\n"
    CHANGELOG.write_text(changelog[: heading.start()] + dated + changelog[heading.end() :])
    VERSION_FILE.write_text(ASSIGNMENT.sub(f'__version__ = "{version}"', VERSION_FILE.read_text()))
    for path in NPM_FILES:
        path.write_text(with_npm_version(path.read_text(), version))
    shutil.copyfile(SCHEMA, RELEASED_SCHEMA)


def with_npm_version(text: str, version: str) -> str:
    """A manifest or the lock file of npm with another version of our packages, and of what others need of them."""
    spelt = re.sub(r"rc(\d+)$", r"-rc.\1", version)
    text = re.sub(r'("@dask-graphql/\w+": "\^)[^"]+', rf"\g<1>{spelt}", text)
    return re.sub(
        r'("name": "@dask-graphql/\w+",\s+"version": "|"node_modules/@dask-graphql/\w+": \{\s+"version": ")[^"]+',
        rf"\g<1>{spelt}",
        text,
    )


def numbers(version: str) -> tuple[int, ...]:
    """What versions are ordered by; a release candidate counts as its release."""
    found = VERSION.fullmatch(version)
    return tuple(map(int, found.groups())) if found else ()


def problems(version: str) -> list[str]:
    """What is missing before the tree can be tagged as that version; empty if nothing is."""
    found = []
    if current_version() != version:
        found.append(f"cluster/version.py says {current_version()}, not {version}")
    try:
        notes(version)
    except SystemExit as error:
        found.append(str(error))
    if SCHEMA.read_text() != RELEASED_SCHEMA.read_text():
        found.append("schema.released.graphql is not schema.graphql")
    if not re.search(rf"^## {re.escape(version.partition('rc')[0])}$", UPGRADING.read_text(), re.MULTILINE):
        found.append(f"docs/upgrading.md has no section {version}; if operators need not act, say so there")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("step", choices=("prepare", "notes", "check"))
    parser.add_argument("version")
    given = parser.parse_args()
    if given.step == "prepare":
        prepare(given.version, datetime.datetime.now(datetime.UTC).date())
    elif given.step == "notes":
        print(notes(given.version), end="")
    found = problems(given.version) if given.step == "check" else []
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
