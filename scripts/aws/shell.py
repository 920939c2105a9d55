"""What every step needs: it runs commands, waits, and fails with what the user can do."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
WAIT_SECONDS: Final = 1_200.0
"""How long a step waits for AWS."""
POLL_SECONDS: Final = float(os.environ.get("DEPLOY_POLL_SECONDS", "5"))


class Failed(Exception):
    """A failure that the user can act on."""


def run(*command: str, **options: Any) -> None:
    print("+", *command, flush=True)
    if subprocess.run(command, check=False, **options).returncode:
        raise Failed(f"this failed: {' '.join(command)}")


def waited(what: str) -> Iterator[None]:
    """Yields at each poll until the caller stops, and raises Failed after WAIT_SECONDS."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        yield
        time.sleep(POLL_SECONDS)
    raise Failed(f"timed out after {WAIT_SECONDS:.0f} s while waiting for {what}")
