"""`make bench-compare OLD=... NEW=...`: two trees in turn, and in CI whether a change costs more.

    python -m benchmarks.compare OLD NEW [--rounds 6]     prints medians, spreads and ratios
    python -m benchmarks.compare --ci                     ends with status 1 if HEAD's change costs over 15 % more

In CI a suspicion is measured again, with new systems and more rounds, and only what is confirmed fails. A loss that is
meant is named in the message of a commit: `Accepted-loss: 64 in flight: what it buys`.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from benchmarks import load
from benchmarks.compare import trees
from benchmarks.compare.rounds import Held, TreeFailed, compare
from benchmarks.compare.trees import NotComparable, Tree
from benchmarks.compare.verdict import LIMIT, Name, losses, table

CI_ROUNDS: Final = 3
CONFIRMING_ROUNDS: Final = 5
MORE: Final = f"{(LIMIT - 1) * 100:.0f} %"


def in_turn(
    old: Tree, new: Tree, rounds: int, folder: Path, *, size: float = 1.0, only: Collection[str] = ()
) -> tuple[Held, Held]:
    """Measures both and prints the table."""
    first, second = asyncio.run(compare(old, new, rounds, folder, size=size, only=only))
    print(table(first.figures, second.figures, (f"old: {old.name}", f"new: {new.name}")), flush=True)
    return first, second


def in_ci(folder: Path) -> int:
    """The exit status of CI's run. What keeps the base from being measured is no fault of the change: it passes."""
    found = trees.base_of_head()
    if found is None:
        print("speed: the history has no commit to compare with")
        return 0
    base, reason = found
    if not trees.differs(base, "HEAD"):
        print(f"speed: nothing that runs has changed since {base[:10]} ({reason})")
        return 0
    print(f"speed: HEAD against {base[:10]} ({reason}), load from {load.description()}", flush=True)
    new = trees.check_out("HEAD", folder / "new-tree")
    try:
        old = trees.check_out(base, folder / "old-tree")
    except NotComparable as error:
        print(f"speed: not compared. {error}")
        return 0
    try:
        confirmed = _confirmed_losses(old, new, trees.accepted_losses(base, "HEAD"), folder)
    except TreeFailed as error:
        if error.tree is not old:
            raise
        print(f"speed: not compared. {error}")
        return 0
    for name in confirmed:
        print(
            f"speed: '{name.text}' takes over {MORE} more processor time than at {base[:10]}. If that is meant, say so "
            f"in the message of a commit: {trees.ACCEPTED} {name.text}: <what it buys>"
        )
    return 1 if confirmed else 0


def _confirmed_losses(old: Tree, new: Tree, accepted: Sequence[str], folder: Path) -> list[Name]:
    first, second = in_turn(old, new, CI_ROUNDS, folder / "first")
    suspected = [name for name in losses(first.figures, second.figures, sure=False) if name.text not in accepted]
    if not suspected:
        print(f"speed: nothing takes over {MORE} more processor time")
        return []
    print(f"speed: measured again, for {'; '.join(name.text for name in suspected)}", flush=True)
    only = [name.text for name in suspected]
    first, second = in_turn(old, new, CONFIRMING_ROUNDS, folder / "second", only=only)
    return [name for name in losses(first.figures, second.figures, sure=True) if name in suspected]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("trees", nargs="*", metavar="TREE", help="a commit, a branch, or a folder")
    arguments.add_argument("--rounds", type=int, default=6)
    arguments.add_argument("--size", type=float, default=2.0, help="tasks of a round, as a multiple of CI's")
    arguments.add_argument("--ci", action="store_true")
    given = arguments.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="compare-") as made:
        folder = Path(made)
        if given.ci:
            status = in_ci(folder)
            print(f"speed: {time.monotonic() - began:.0f} s")
            raise SystemExit(status)
        if len(given.trees) != 2:
            arguments.error("expected two trees, the old one first: make bench-compare OLD=origin/main NEW=HEAD")
        old, new = (trees.check_out(name, folder / str(number)) for number, name in enumerate(given.trees))
        in_turn(old, new, given.rounds, folder / "systems", size=given.size)


if __name__ == "__main__":
    main()
