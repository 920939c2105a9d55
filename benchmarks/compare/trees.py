"""The trees that are compared: where each lies, its environment, and what a change is compared with in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
RUNS: Final = ("cluster", "dask_graphql", "graphql_api", "requirements.lock")
"""What a system consists of: where these are equal there is nothing to measure."""
CHANGE_HOURS: Final = 3
"""On the main branch itself, a change is what came in the last hours: pushes hold several commits."""
ACCEPTED: Final = "Accepted-loss:"
"""How a line of a commit's message begins that names a measure whose loss is meant."""


class NotComparable(RuntimeError):
    """A tree cannot be measured; the message says why."""


@dataclass(frozen=True)
class Tree:
    """One version of the repository.

    Attributes:
        name: as it was named: a commit, a branch or a folder.
        folder: its files.
        python: the interpreter of an environment with what its lock file pins.
    """

    name: str
    folder: Path
    python: Path


def git(*words: str) -> str:
    """The output of a git command in this repository.

    Raises:
        NotComparable: it failed.
    """
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)
    if done.returncode:
        raise NotComparable(f"git {' '.join(words)} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def base_of_head() -> tuple[str, str] | None:
    """The commit that HEAD's change is compared with, and why it is that one; None if the history has none.

    It is `BENCH_BASE` if that is set; on a branch, the commit where it left the main branch; on the main branch itself,
    the newest commit that is older than HEAD by CHANGE_HOURS.
    """
    if named := os.environ.get("BENCH_BASE"):
        return git("rev-parse", f"{named}^{{commit}}"), "BENCH_BASE names it"
    head = git("rev-parse", "HEAD")
    for main in ("origin/main", "main"):
        try:
            base = git("merge-base", main, "HEAD")
        except NotComparable:
            continue
        if base != head:
            return base, f"there HEAD left {main}"
    before = int(git("show", "-s", "--format=%ct", "HEAD")) - CHANGE_HOURS * 3600
    base = git("rev-list", "-1", f"--before={before}", "HEAD")
    return (base, f"the main branch {CHANGE_HOURS} hours before HEAD") if base else None


def differs(old: str, new: str) -> bool:
    """Whether anything that runs differs between two commits."""
    return bool(git("diff", "--name-only", old, new, "--", *RUNS))


def accepted_losses(old: str, new: str) -> list[str]:
    """The measures that messages of the commits in between name as `Accepted-loss: <measure>: <reason>`."""
    lines = git("log", "--format=%B", f"{old}..{new}").splitlines()
    return [line.removeprefix(ACCEPTED).partition(":")[0].strip() for line in lines if line.startswith(ACCEPTED)]


def check_out(name: str, into: Path) -> Tree:
    """A tree by its name.

    Args:
        name: a commit, a branch or a tag, whose files are copied; or a folder, which is used as it is.
        into: the folder for the copy.

    Raises:
        NotComparable: there is no such tree, or its environment cannot be made.
    """
    if Path(name).is_dir():
        folder = Path(name).resolve()
    else:
        folder = into
        folder.mkdir(parents=True)
        commit = git("rev-parse", f"{name}^{{commit}}")
        if name == commit:
            name = commit[:10]
        archive = subprocess.Popen(["git", "-C", str(ROOT), "archive", commit], stdout=subprocess.PIPE)
        unpacked = subprocess.run(["tar", "-x", "-C", str(folder)], stdin=archive.stdout)
        if archive.wait() or unpacked.returncode:
            raise NotComparable(f"the files of {name} could not be copied to {folder}")
    return Tree(name, folder, _environment(folder))


def _environment(folder: Path) -> Path:
    """This environment, if the tree's lock file is the same; otherwise one in the tree, by the tree's own Makefile."""
    lock = folder / "requirements.lock"
    if not lock.exists():
        raise NotComparable(f"{folder} has no requirements.lock, so it is too old to be compared")
    if lock.read_bytes() == (ROOT / "requirements.lock").read_bytes():
        return Path(sys.executable)
    python = folder / ".venv" / "bin" / "python"
    for command in (
        ["make", "-C", str(folder), ".venv/.run"],
        # The harness that starts a system is that of the tests.
        [str(python), "-m", "pip", "--disable-pip-version-check", "-q", "install", "pytest"],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise NotComparable(f"no environment for {folder}: {done.stdout[-500:]}{done.stderr[-500:]}")
    return python
