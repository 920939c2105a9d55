"""Where task modules come from: importable names, files and packages by their path, and installed distributions."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from cluster.errors import RegistryError

ENTRY_POINTS: Final = "dask_graphql.tasks"
"""The group of entry points by which an installed distribution offers its task modules."""


@dataclass(frozen=True, slots=True)
class TaskModule:
    """A module with task functions.

    Attributes:
        name: its full name, under which every node imports it, so that pickled functions are found.
        origin: who named it, for messages.
        folder: the folder that contains it, or its top-level package; None if Python finds it by itself.
    """

    name: str
    origin: str
    folder: Path | None = None

    def make_importable(self) -> None:
        """Appends its folder to `sys.path`: neighbours of the file can be imported too, and never take the place of
        Python's own or installed modules.

        Raises:
            RegistryError: Python would import another module of this name.
        """
        if self.folder is None:
            return
        if str(self.folder) not in sys.path:
            sys.path.append(str(self.folder))
        top = self.name.partition(".")[0]
        spec = PathFinder.find_spec(top)
        builtin = top in sys.builtin_module_names
        places = [str(spec.origin or ""), *(spec.submodule_search_locations or ())] if spec else []
        if builtin or not any(self._holds(top, place) for place in places if place):
            found = "a built-in module" if builtin else next(filter(None, places), "nothing")
            raise RegistryError(
                f"the task module {self.name!r} in {self.folder}: for `import {top}` Python finds {found}; rename "
                f"{'the file' if '.' not in self.name else 'the package'}, to my_{top} for example"
            )

    def _holds(self, top: str, place: str) -> bool:
        """Whether a file, or a folder of a package, is the top-level module's in the folder, by whatever path."""
        assert self.folder is not None
        own, found = (self.folder / top).resolve(), Path(place).resolve()
        return found.is_relative_to(own) or found == (self.folder / f"{top}.py").resolve()


def task_module(text: str, origin: str = "DASK_GRAPHQL_TASK_MODULES") -> TaskModule:
    """Reads one entry of TASK_MODULES: an importable name (`pkg.tasks`), a file (`/srv/primes.py`), a package's folder,
    or a name below a folder (`/srv/pkg.tasks`).

    Raises:
        RegistryError: there is no such file, or its name is no module's.
    """
    if not is_path(text):
        return TaskModule(text, origin)
    path = Path(text).expanduser().absolute()
    if path.suffix == ".py":
        if not path.is_file():
            raise RegistryError(f"the task module {text!r} ({origin}): there is no file {path}")
        folder, names = path.parent, [] if path.stem == "__init__" else [path.stem]
    elif path.is_dir():
        if not (path / "__init__.py").is_file():
            raise RegistryError(
                f"the task module {text!r} ({origin}): a folder is a package if it has an __init__.py; name its files"
            )
        folder, names = path, []
    else:
        # The form that `located` writes.
        folder, names = path.parent, path.name.split(".")
        if not folder.is_dir():
            raise RegistryError(f"the task module {text!r} ({origin}): there is no file or folder {path}")
        return _checked(TaskModule(".".join(names), origin, folder), text)
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    return _checked(TaskModule(".".join(names), origin, folder), text)


def located(text: str, folder: Path) -> str:
    """The entry of TASK_MODULES for what a user typed in a folder: a path becomes absolute, and a name that exists
    there is looked up there, unless Python finds it elsewhere.

    Raises:
        RegistryError: as `task_module`; or the path has a comma, which separates entries.
    """
    if not is_path(text):
        top = text.partition(".")[0]
        here = (folder / f"{top}.py").is_file() or (folder / top).is_dir()
        if not here or PathFinder.find_spec(top) is not None:
            return text
        text = str(folder / text)
    module = task_module(str(folder / Path(text).expanduser()), "the command line")
    entry = f"{module.folder}/{module.name}"
    if "," in entry:
        raise RegistryError(f"the path {entry!r} has a comma, which separates task modules; rename the folder")
    return entry


def is_path(text: str) -> bool:
    """Whether an entry of TASK_MODULES is a path, not an importable name."""
    return "/" in text or text.endswith(".py")


def installed_task_modules() -> tuple[TaskModule, ...]:
    """The task modules that installed distributions offer, in the order of their names: the same on every node that has
    the same distributions."""
    found = {
        point.module: TaskModule(
            point.module,
            f"entry point {point.name!r} of {point.dist.name if point.dist else 'an unknown distribution'}; "
            "DASK_GRAPHQL_TASK_ENTRY_POINTS=false ignores entry points",
        )
        for point in entry_points(group=ENTRY_POINTS)
    }
    return tuple(found[name] for name in sorted(found))


def _checked(module: TaskModule, text: str) -> TaskModule:
    if not all(part.isidentifier() for part in module.name.split(".")):
        raise RegistryError(
            f"the task module {text!r} ({module.origin}): {module.name!r} cannot be imported by this name; rename it, "
            "to letters, digits and '_'"
        )
    return module
