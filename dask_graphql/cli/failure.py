"""How a command ends with an error that its user can mend."""

from __future__ import annotations

import sys
from typing import NoReturn


def fail(message: str) -> NoReturn:
    """Ends the command with one line and status 2."""
    print(f"dask-graphql: {message}", file=sys.stderr)
    sys.exit(2)
