"""Where the repository's folders are, for tests that read them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.outside import missing

ROOT: Final = Path(__file__).parent.parent
"""The repository."""
DOCS: Final = ROOT / "docs"
PACKAGES: Final = ("cluster", "graphql_api", "dask_graphql")
"""The product's own."""


def copy_of_the_repository(folder: Path) -> Path:
    """A repository with the tracked files as they are now, in one commit, and nothing that was built."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        missing("not a git clone, so nothing tells sources from build output")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    names = ("-c", "user.name=tests", "-c", "user.email=tests@example.org")
    for command in (["init", "-q"], ["add", "-A"], [*names, "commit", "-qm", "As it is"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder
