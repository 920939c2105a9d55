"""A process that imports the task modules once, so that a broken change harms nothing.

It waits with everything else imported, as that takes seconds. Lines on stdin: the names of modules to import
beforehand, then an empty one to begin. Stdout gets one line of JSON, the `Probe`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import linecache
import os
import sys
import traceback
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Final

from cluster.errors import DaskGraphQLError
from cluster.node_registry import load_node_registry
from cluster.settings import load_settings
from cluster.task_types.reloading import own_files
from cluster.task_types.source_version import PRODUCT
from cluster.task_types.task_modules import task_module
from cluster.task_types.value_types import allow_long_integers
from dask_graphql.dev_reload import Probe

FRAMES: Final = 8
"""Frames of a traceback that are shown, the last ones."""


def main() -> None:
    """Imports and reports."""
    # The modules may print; only the report goes to stdout.
    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for name in json.loads(sys.stdin.readline() or "[]"):
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    if not sys.stdin.readline():
        return  # `dev` has ended
    print(json.dumps(asdict(probe())), file=report, flush=True)


def probe() -> Probe:
    """Imports the task modules of the settings. (Whether a schema can be made of them is left to the api node, as what
    that takes would make this process slow to start.)"""
    settings = load_settings()
    allow_long_integers()
    known, error, files = set(sys.modules), "", set[Path]()
    try:
        registry = load_node_registry(settings)
        files |= set(own_files(registry.values()).values())
    except (Exception, SystemExit) as failure:  # noqa: BLE001 - a module raises what it likes
        error = describe(failure)
    folders = _folders(settings.task_modules)
    own = {path for name in sys.modules if (path := _file_in(name, folders))}
    others = [
        name
        for name in sys.modules
        if name not in known and name.partition(".")[0] not in PRODUCT and not _file_in(name, folders)
    ]
    return Probe(error, sorted(map(str, files | own)), others)


def describe(error: BaseException) -> str:
    """An error with the frames of the task modules that led to it."""
    cause = error.__cause__ or error
    if isinstance(error, DaskGraphQLError) and error.__cause__ is None and not _frames(error):
        return str(error)
    lines = traceback.format_list(_frames(cause)[-FRAMES:]) if _frames(cause) else []
    if isinstance(cause, SyntaxError):
        lines += traceback.format_exception_only(cause)
        return "".join(lines).rstrip()
    return f"{error}\n{''.join(lines)}".rstrip()


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The frames outside Python's import machinery and this product."""
    linecache.checkcache()
    inside = ("<frozen importlib", *(f"{Path(__file__).parents[1] / name}{os.sep}" for name in PRODUCT),
              str(Path(importlib.__file__).parent))  # fmt: skip
    return [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(inside)]


def _folders(modules: Iterable[str]) -> list[Path]:
    found = []
    for text in modules:
        with contextlib.suppress(DaskGraphQLError):
            if (folder := task_module(text).folder) is not None:
                found.append(folder)
    return found


def _file_in(name: str, folders: list[Path]) -> Path | None:
    """The file of an imported module below one of the folders, at the place that its name says."""
    file = getattr(sys.modules.get(name), "__file__", None)
    if not isinstance(file, str):
        return None
    place = name.replace(".", os.sep)
    return next(
        (
            Path(file)
            for folder in folders
            if file in (str(folder / f"{place}.py"), str(folder / place / "__init__.py"))
        ),
        None,
    )


if __name__ == "__main__":
    main()
