"""What a child does, with every peer alike; and what is counted of it."""

from __future__ import annotations

import os
import time
from pathlib import Path


def square(n: int) -> int:
    """Leaves a line when it begins and when it ends; a short line is appended in one step."""
    runs = Path(os.environ["FAMILY_RUNS"])
    with runs.open("a") as file:
        file.write(f"begin {n}\n")
    time.sleep(float(os.environ["FAMILY_SECONDS"]))
    with runs.open("a") as file:
        file.write(f"end {n}\n")
    return n * n
