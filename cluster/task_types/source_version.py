"""The source of a task type: the files that its version stands for, and their hash.

The source is the file of the function's module, and what that imports from its own folder or package, also by way of
others. Imports are read from the text, so every node gets the same hash whatever it has imported already. Not seen:
modules that are imported by a computed name, data files, installed packages.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PRODUCT: Final = frozenset({"cluster", "graphql_api", "dask_graphql"})
HASH_DIGITS: Final = 10


@dataclass(frozen=True, slots=True)
class SourceFolder:
    """The folder of a task module's own files.

    Attributes:
        path: where its top-level modules and packages lie.
        package: the only package there that is its own, as others have installed theirs beside it; None for all.
    """

    path: Path
    package: str | None = None

    def file_of(self, module: str) -> Path | None:
        """The file of an own module; None if there is no such module here."""
        top, *rest = module.split(".")
        if top in PRODUCT or (self.package is not None and top != self.package):
            return None
        for file in (self.path.joinpath(top, *rest, "__init__.py"), self.path.joinpath(top, *rest).with_suffix(".py")):
            if file.is_file():
                return file
        return None

    def loaded(self) -> dict[str, Path]:
        """The own modules that this process has imported, and their files."""
        prefix, found = str(self.path), {}
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and file.startswith(prefix) and (own := self.file_of(name)) == Path(file):
                found[name] = own
        return found


def folder_of(module: str) -> SourceFolder | None:
    """The folder of an imported module's own files; None if it has no source file, or is one of the product's."""
    file = getattr(sys.modules.get(module), "__file__", None)
    top = module.partition(".")[0]
    if not isinstance(file, str) or not file.endswith(".py") or top in PRODUCT:
        return None
    path = Path(file)
    depth = module.count(".") + (path.name == "__init__.py")
    folder = path.parents[depth]
    return SourceFolder(folder, top if folder in _shared_folders() else None)


@functools.cache
def _shared_folders() -> frozenset[Path]:
    """The folders into which everything is installed."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = [sysconfig.get_path(name) for name in names] + site.getsitepackages() + [site.getusersitepackages()]
    return frozenset(Path(folder) for folder in folders if folder)


def source_files(modules: Iterable[str]) -> dict[str, Path]:
    """The files that the source of something consists of that these modules define, by the names of their modules."""
    found: dict[str, Path] = {}
    for start in modules:
        folder = folder_of(start)
        waiting = [start] if folder else []
        while folder and waiting:
            name = waiting.pop()
            file = None if name in found else folder.file_of(name)
            if file is not None:
                found[name] = file
                waiting += _imports(name, file)
    return found


def source_hash(modules: Iterable[str]) -> str | None:
    """The hash of the source of what these modules define; None if they have no source files."""
    files = source_files(modules)
    if not files:
        return None
    digest = hashlib.sha256()
    for name in sorted(files):
        text = files[name].read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{name} {len(text)}\n".encode() + text)
    return digest.hexdigest()[:HASH_DIGITS]


def _imports(module: str, file: Path) -> Iterator[str]:
    """The names that a module imports, anywhere in its text, and its parent packages. A name may be a member's."""
    parts = module.split(".")
    yield from (".".join(parts[:length]) for length in range(1, len(parts)))
    package = parts if file.name == "__init__.py" else parts[:-1]
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return  # importing it says what is wrong
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [base, *(f"{base}.{alias.name}".lstrip(".") for alias in node.names)]
        else:
            continue
        for name in names:
            pieces = name.split(".")
            yield from (".".join(pieces[:length]) for length in range(1, len(pieces) + 1))
