"""Prints the requirements of one or more parts of the package: what setup.cfg allows, or what requirements.lock pins.

    python scripts/requirements.py worker
    python scripts/requirements.py --locked base test

A part is an extra of setup.cfg, or `base` for `install_requires`. With `--locked` the output names the exact release
and the hashes of every package that the parts need, directly or not, for `pip install --require-hashes -r`. The images
and the Makefile install that, and then the package itself without its dependencies.

It runs with any Python from 3.11 on, before anything is installed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from configparser import ConfigParser
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
BASE: Final = "base"
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass
class Pin:
    """One entry of the lock file. A package has several where its release depends on the platform or the Python."""

    name: str
    lines: list[str]
    """The requirement and its hashes, as pip reads them."""
    required_by: list[str] = field(default_factory=list)


def parts(setup: Path = ROOT / "setup.cfg") -> dict[str, list[str]]:
    """The requirement lines of setup.cfg by part; `%(other)s` is replaced as setuptools does it."""
    config = ConfigParser()
    config.read_string(setup.read_text())
    sections = {BASE: config["options"]["install_requires"], **config["options.extras_require"]}
    return {
        name: [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
        for name, text in sections.items()
    }


def project_name(requirement: str) -> str:
    """The normalized name of the package that a requirement line asks for (PEP 503)."""
    found = NAME.match(requirement)
    assert found, f"not a requirement: {requirement!r}"
    return re.sub(r"[-_.]+", "-", found.group()).lower()


def pins(lock: Path = ROOT / "requirements.lock") -> list[Pin]:
    """The entries of the lock file, in its order. Its comments (`# via`) say which package requires each."""
    found: list[Pin] = []
    for line in lock.read_text().splitlines():
        if line.startswith("    #"):
            parent = line.lstrip(" #").removeprefix("via").split()
            found[-1].required_by.extend(map(project_name, parent[:1]))
        elif line.startswith("    "):
            found[-1].lines.append(line)
        elif line and not line.startswith("#"):
            found.append(Pin(project_name(line), [line]))
    return found


def locked(requirements: Iterable[str], entries: Iterable[Pin]) -> Iterator[Pin]:
    """The entries that these requirements need, and those that the entries need in turn."""
    entries = list(entries)
    needed: set[str] = set()
    more = {project_name(requirement) for requirement in requirements}
    while more - needed:
        needed |= more
        more = {entry.name for entry in entries if needed & set(entry.required_by)}
    missing = needed - {entry.name for entry in entries}
    if missing:
        raise SystemExit(f"requirements.lock lacks {', '.join(sorted(missing))}: run `make lock`")
    return (entry for entry in entries if entry.name in needed)


def main(arguments: list[str]) -> None:
    wants_lock = "--locked" in arguments
    names = [argument for argument in arguments if argument != "--locked"]
    if not names:
        raise SystemExit(f"usage: requirements.py [--locked] PART...; the parts are {', '.join(parts())}")
    known = parts()
    for name in names:
        if name not in known:
            raise SystemExit(f"setup.cfg has no extra {name!r}, only: {', '.join(known)}")
    wanted = [line for name in names for line in known[name]]
    if wants_lock:
        wanted = [line for entry in locked(wanted, pins()) for line in entry.lines]
    print("\n".join(wanted))


if __name__ == "__main__":
    main(sys.argv[1:])
