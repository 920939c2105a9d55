"""The path of a request below the prefix under which a proxy serves the API."""

from __future__ import annotations

from starlette.types import Scope


def path_of(scope: Scope) -> str:
    """A request's path below the prefix under which the API is served: "" for the prefix itself."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
