"""What libraries keep private or do not document is used in few modules, which CONTRIBUTING.md lists. Each says why and
what would happen if it were renamed."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import Final

from tests.places import PACKAGES, ROOT

DOCUMENTED: Final = {
    "_exit",  # os: documented
    "_getframe",  # sys: documented
    "_asdict",
    "_replace",  # of a named tuple: documented
}
UNDOCUMENTED: Final = (
    "dask_cloudprovider.aws.ecs.",
    "distributed.batched.",
    "distributed.comm.",
    "distributed.core.",
    "distributed.protocol.",
    "distributed.scheduler.",
    "distributed.system.",
    "distributed.worker.",
    "distributed.worker_state_machine.",
    "graphql.pyutils.",
    "hiredis.",
    "prometheus_client.values.",
    "starlette.staticfiles.",
    "strawberry.annotation.",
    "strawberry.schema.schema.",
    "strawberry.schema.types.",
    "strawberry.types.base.",
    "strawberry.types.execution.",
    "strawberry.types.lazy_type.",
    "strawberry.utils.",
    "uvicorn.protocols.",
    "websockets.extensions.",
    "websockets.server.",
)
"""Modules of libraries that their documentation does not describe."""


def listed() -> set[str]:
    """The modules in the table of CONTRIBUTING.md."""
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("| library | module |")[2].partition("\n\n")[0]
    return set(re.findall(r"\]\(([\w/]+\.py)\)", table))


@functools.cache
def own_names(folder: Path) -> set[str]:
    """The private attributes and methods that the modules of a folder define."""
    found: set[str] = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
                found.add(node.attr)
    return found


def findings(path: Path) -> list[str]:
    """Where a module uses what a library keeps private or does not document."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            private = node.attr.startswith("_") and not node.attr.startswith("__")
            if (private and node.attr not in DOCUMENTED | own_names(path.parent)) or node.attr.startswith("__pydantic"):
                found.append(f"{node.lineno}: .{node.attr}")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            found += [
                f"{node.lineno}: import {module}{alias.name}"
                for alias in node.names
                if f"{module}{alias.name}.".startswith(UNDOCUMENTED) or "._" in module
            ]
    return found


def test_only_the_listed_modules_use_what_libraries_do_not_promise() -> None:
    wrong = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if "node_modules" not in path.parts and name not in listed():
                wrong += [f"{name}:{finding}" for finding in findings(path)]
    assert not wrong


def test_the_listed_modules_exist_and_use_something() -> None:
    assert listed()
    assert [name for name in sorted(listed()) if not findings(ROOT / name)] == []
