"""`make bench-autoscaling`."""

from __future__ import annotations

from pathlib import Path

from benchmarks.autoscaling.comparison import all_keys, compare
from benchmarks.autoscaling.picture import picture
from benchmarks.autoscaling.pools import pools_document
from benchmarks.autoscaling.report import document


def main() -> None:
    """Runs everything and writes benchmarks/AUTOSCALING.md and its picture."""
    rows = compare(all_keys(), lambda line: print(line, flush=True))
    text, folder = "\n".join([document(rows), *pools_document()]), Path(__file__).parent.parent
    (folder / "AUTOSCALING.md").write_text(text)
    (folder / "autoscaling.svg").write_text(picture(rows))
    print(text)


if __name__ == "__main__":
    main()
