"""`make bench-autoscaling`."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.autoscaling.comparison import all_keys, compare
from benchmarks.autoscaling.picture import picture
from benchmarks.autoscaling.pools import pools_document
from benchmarks.autoscaling.report import document
from benchmarks.autoscaling.unseen import HELD_OUT, TUNING


def main() -> None:
    """Runs everything and writes benchmarks/AUTOSCALING.md and its picture."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--tuning", action="store_true", help="runs the draws for tuning, and writes nothing")
    tuning = parser.parse_args().tuning
    rows = compare(all_keys(TUNING if tuning else HELD_OUT), lambda line: print(line, flush=True))
    text, folder = document(rows), Path(__file__).parent.parent
    if not tuning:
        text = "\n".join([text, *pools_document()])
        (folder / "AUTOSCALING.md").write_text(text)
        (folder / "autoscaling.svg").write_text(picture(rows))
    print(text)


if __name__ == "__main__":
    main()
