"""Whether a change costs more is decided by figures alone, and what it is compared with by the history alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks.compare import trees
from benchmarks.compare.verdict import Name, losses, table

CPU = Name("64 in flight", "ms of processor time each", less_is_better=True, judged=True)
CLOCK = Name("64 in flight", "tasks/s", less_is_better=False, judged=False)


@pytest.mark.parametrize(
    ("old", "new", "suspected", "sure"),
    [
        ([3.0, 3.1, 3.2], [3.4, 3.1, 3.3], False, False),  # 3 % in the best rounds
        ([3.0, 3.1, 3.2], [3.44, 4.0, 5.0], False, False),  # two disturbed rounds of the new tree
        ([3.0, 3.1, 3.2], [3.46, 3.6, 3.7], True, True),
        ([2.0, 3.1, 3.2], [3.0, 3.1, 3.2], True, False),  # one lucky round of the old tree
    ],
)
def test_a_loss_is_suspected_by_the_best_rounds_and_confirmed_by_the_medians_too(
    old: list[float], new: list[float], suspected: bool, sure: bool
) -> None:
    assert losses({CPU: old}, {CPU: new}, sure=False) == [CPU] * suspected
    assert losses({CPU: old}, {CPU: new}, sure=True) == [CPU] * sure


def test_wall_clock_is_shown_and_never_judged() -> None:
    old, new = {CLOCK: [1000.0, 1010.0]}, {CLOCK: [100.0, 110.0]}
    assert losses(old, new, sure=False) == []
    assert "| 64 in flight, tasks/s | 1,005 (1,000 to 1,010) | 105 (100 to 110) | 0.10 | worse |" in table(
        old, new, ("old", "new")
    )


def test_rounds_that_overlap_are_no_difference() -> None:
    text = table({CPU: [3.0, 3.2]}, {CPU: [3.1, 3.3]}, ("old", "new"))
    assert text.endswith("| 3.100 (3.000 to 3.200) | 3.200 (3.100 to 3.300) | 1.03 | within the spread |")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository in place of this one, on its main branch."""
    for variable in ("BENCH_BASE", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(trees, "ROOT", tmp_path)
    subprocess.run(["git", "init", "-q", "-b", "main", tmp_path], check=True)
    return tmp_path


def commit(repository: Path, at: str, path: str, message: str = "a change") -> str:
    """A commit at a time of 2026-01-01 that changes one file; returns its hash."""
    file = repository / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(at)
    date = f"2026-01-01T{at}:00Z"
    subprocess.run(["git", "-C", repository, "add", "-A"], check=True)
    subprocess.run(
        ["git", "-C", repository, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", message],
        env={"GIT_COMMITTER_DATE": date, "GIT_AUTHOR_DATE": date, "PATH": "/usr/bin:/bin:/usr/local/bin"}, check=True,
    )  # fmt: skip
    return trees.git("rev-parse", "HEAD")


def test_a_branch_is_compared_with_the_commit_where_it_left_main(repository: Path) -> None:
    base = commit(repository, "01:00", "cluster/a.py")
    trees.git("switch", "-qc", "branch")
    commit(repository, "09:00", "cluster/a.py")
    assert trees.base_of_head() == (base, "there HEAD left main")


def test_main_is_compared_with_what_it_was_some_hours_before(repository: Path) -> None:
    first = commit(repository, "01:00", "cluster/a.py")
    assert trees.base_of_head() is None
    for at in ("05:00", "06:30", "08:00"):
        commit(repository, at, "cluster/a.py")
    base = trees.base_of_head()
    assert base is not None
    assert trees.git("show", "-s", "--format=%s %ct", base[0]).split()[-1] == "1767243600"  # 05:00
    assert base[0] != first


def test_a_base_that_is_named_comes_first(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = commit(repository, "01:00", "cluster/a.py")
    commit(repository, "01:30", "cluster/a.py")
    monkeypatch.setenv("BENCH_BASE", "HEAD~1")
    assert trees.base_of_head() == (named, "BENCH_BASE names it")


def test_documents_are_nothing_that_runs_and_a_loss_that_is_meant_is_named_in_a_message(repository: Path) -> None:
    first = commit(repository, "01:00", "cluster/a.py")
    second = commit(repository, "01:01", "docs/a.md")
    third = commit(repository, "01:02", "cluster/a.py", f"Checks more\n\nAccepted-loss: {CPU.text}: it is safer")
    assert not trees.differs(first, second)
    assert trees.differs(second, third)
    assert trees.accepted_losses(first, second) == []
    assert trees.accepted_losses(first, third) == [CPU.text]
