"""The website of the documents, built as `make docs` builds it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.node import environment
from tests.outside import missing
from tests.places import ROOT

LOADED: Final = re.compile(r"<(?:script|img|iframe|source|link) [^>]*?(?:src|href)=\"?([^\"\s>]+)")
"""What a browser loads with a page."""


def build_site(folder: Path) -> None:
    """Builds it. A broken link, a missing anchor or an unlisted page is a failure (but not with --quiet)."""
    answer = subprocess.run(
        [str(Path(sys.executable).with_name("mkdocs")), "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, env={**environment(), "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    if "npm cannot download" in answer.stderr:
        missing(f"the script for the diagrams is not available: {answer.stderr.strip()[-300:]}")
    assert answer.returncode == 0, answer.stdout + answer.stderr


def foreign_addresses(folder: Path) -> Iterator[str]:
    """What pages and style sheets of the site load from other origins."""
    for page in folder.rglob("*.html"):
        for address in LOADED.findall(page.read_text()):
            if address.startswith(("http:", "https:", "//")):
                yield f"{page.relative_to(folder)}: {address}"
    for sheet in folder.rglob("*.css"):
        for address in re.findall(r"(?:url\(|@import )[\"']?((?:https?:)?//[^\"')]+)", sheet.read_text()):
            yield f"{sheet.relative_to(folder)}: {address}"
