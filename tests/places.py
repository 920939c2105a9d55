"""Where the repository's folders are, for tests that read them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
"""The repository."""
DOCS: Final = ROOT / "docs"
PACKAGES: Final = ("cluster", "graphql_api", "dask_graphql")
"""The product's own."""
