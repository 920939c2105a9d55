"""Importing task modules anew in a running process, after their files have changed.

All modules of the task types' own folders are imported anew together, so that old and new classes are never mixed.
Everything else stays loaded: other packages are what makes a start slow.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from cluster.task_types.registry import Registry, source_modules, unregister
from cluster.task_types.source_version import SourceFolder, folder_of, source_files
from cluster.task_types.task_type import TaskType

T = TypeVar("T")


def own_files(registry: Iterable[TaskType]) -> dict[str, Path]:
    """The files that the task types depend on and that lie in folders of their own, not among installed packages, by
    the names of their modules: those that are imported, and those that would be."""
    found: dict[str, Path] = {}
    for module in {name for made in registry for name in source_modules(made)}:
        folder = folder_of(module)
        if folder is not None and folder.package is None:
            found |= folder.loaded() | source_files([module])
    return found


def import_anew(registry: Registry, load: Callable[[], T]) -> T:
    """Forgets the modules of `own_files` and returns what `load` returns, which imports them anew. If it raises, the
    process has its old modules again."""
    modules = own_files(registry.values())
    before = {name: sys.modules.pop(name) for name in modules if name in sys.modules}
    undo = unregister(modules.keys())
    importlib.invalidate_caches()
    try:
        with from_source(modules.values()):
            return load()
    except BaseException:
        for name in _loaded_in({folder for name in before if (folder := _folder(modules[name], name))}):
            sys.modules.pop(name, None)
        sys.modules.update(before)
        undo()
        raise


@contextlib.contextmanager
def from_source(files: Iterable[Path]) -> Iterator[None]:
    """Imports these files from their source, and writes no bytecode: Python compares only the second and the size of a
    file with its bytecode, so two quick edits would look the same."""
    for file in files:
        with contextlib.suppress(OSError, NotImplementedError):
            Path(importlib.util.cache_from_source(str(file))).unlink(missing_ok=True)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _folder(file: Path, module: str) -> SourceFolder:
    return SourceFolder(file.parents[module.count(".") + (file.name == "__init__.py")])


def _loaded_in(folders: Iterable[SourceFolder]) -> set[str]:
    return {name for folder in folders for name in folder.loaded()}
