"""Prints the requirements of one node's image: the lines of its extra in setup.cfg.

    python docker/requirements.py worker

An image installs these, and then the package without its dependencies, because a plain install includes everything that
a whole system on one machine needs.
"""

from __future__ import annotations

import sys
from configparser import ConfigParser
from pathlib import Path

SETUP = Path(__file__).resolve().parent.parent / "setup.cfg"


def requirements(node: str) -> list[str]:
    """The requirement lines of the extra `node`. setuptools substitutes `%(other)s` by the same rules."""
    config = ConfigParser()
    config.read_string(SETUP.read_text())
    extras = config["options.extras_require"]
    if node not in extras:
        raise SystemExit(f"setup.cfg has no extra {node!r}, only: {', '.join(extras)}")
    return [line.strip() for line in extras[node].splitlines() if line.strip()]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: requirements.py NODE")
    print("\n".join(requirements(sys.argv[1])))
