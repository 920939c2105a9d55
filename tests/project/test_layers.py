"""Imports go one way: each room (a folder or module of the packages) imports only from the floors below its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.places import PACKAGES, ROOT

FLOORS: Final = (
    ("cluster.errors", "cluster.version", "cluster.redis_url", "cluster.attempt_errors"),
    ("cluster.settings", "cluster.task_types", "cluster.schedules"),
    ("cluster.current_settings", "cluster.node_registry", "cluster.observability"),
    ("cluster.system",),
    ("cluster.store",),
    ("cluster.data", "cluster.webhooks"),
    ("cluster.scheduling",),
    ("cluster.api_node", "cluster.worker", "cluster.controller", "cluster.execute"),
    ("cluster.builtin_tasks",),
    ("graphql_api.answer_size", "graphql_api.error_messages", "graphql_api.request_path", "graphql_api.processes"),
    ("graphql_api.auth", "graphql_api.send_window", "graphql_api.errors"),
    ("graphql_api.graphql_core_internals", "graphql_api.strawberry_internals", "graphql_api.operation_limit"),
    ("graphql_api.context", "graphql_api.http"),
    ("graphql_api.execution",),
    ("graphql_api.schema",),
    ("graphql_api.transport",),
    ("graphql_api.reloading",),
    ("graphql_api.app",),
    ("graphql_api.serve",),
    ("dask_graphql.client", "dask_graphql.dev_processes"),
    ("dask_graphql.redis_server", "dask_graphql.dev_reload", "dask_graphql.source_lock"),
    ("dask_graphql.dev_probe",),
    ("dask_graphql.dev_system",),
    ("dask_graphql.testing",),
    ("dask_graphql.cli",),
    ("dask_graphql.__main__",),
)
"""The rooms from the ground up. Rooms on the same floor do not import each other."""
FACES: Final = ("cluster", "graphql_api", "dask_graphql")
"""The packages' own `__init__.py`: they re-export names lazily, and no room imports these names from them."""

FLOOR_OF: Final = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def modules() -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "node_modules" not in path.parts:
                yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), path


def room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def imported(path: Path) -> Iterator[str]:
    """The modules of the packages that a file imports, also inside functions and for types."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, f"{path} imports by dots"
            # What is imported from a package itself is a room, or a re-exported name.
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module in FACES else [node.module]
        else:
            continue
        yield from (name for name in names if name.partition(".")[0] in PACKAGES)


def test_a_room_imports_only_from_the_floors_below_it() -> None:
    wrong = []
    for module, path in modules():
        if module in FACES:
            continue
        assert room(module) in FLOOR_OF, f"{module} has no floor: give its room one in FLOORS"
        for name in imported(path):
            if room(name) == room(module):
                continue
            if FLOOR_OF.get(room(name), len(FLOORS)) >= FLOOR_OF[room(module)]:
                wrong.append(f"{module} imports {name}")
    assert not wrong


def test_every_room_that_has_a_floor_exists() -> None:
    assert {room(module) for module, _ in modules()} - set(FACES) == set(FLOOR_OF)
