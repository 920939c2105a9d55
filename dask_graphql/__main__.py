"""The entry point of the command `dask-graphql`: checks first that Python imports the product's own packages.

`cluster`, `queue.py` or `redis.py` are likely names in a user's folder, and a folder on PYTHONPATH comes before all
installed packages. Until that is checked, this module imports only what every interpreter has loaded already.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder

OWN = ("cluster", "graphql_api")
"""The product's other packages, in the same folder as this one."""


def main() -> None:
    """Runs the command, or exits with one line that names the file which shadows a package."""
    for name in OWN:
        found = imported_from(name)
        if found is not None and not same(found, os.path.join(root(), name)):
            fail(f"{found} is imported instead of the package {name} of dask-graphql, {cure(found)}")
    try:
        from dask_graphql.cli import main as run

        run()
    except (ImportError, AttributeError) as error:
        for name, found, real in shadowed():
            fail(f"{type(error).__name__}: {error}; {found} is imported instead of {real}/{name}, {cure(found)}")
        raise


def fail(message: str) -> None:
    print(f"dask-graphql: {message}", file=sys.stderr)
    sys.exit(2)


def cure(found: str) -> str:
    """How to get rid of a file that shadows a package."""
    return f"as {os.path.dirname(found)} comes first on PYTHONPATH: rename it, or remove that folder from PYTHONPATH"


def root() -> str:
    """The folder of the product's packages."""
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def imported_from(name: str) -> str | None:
    """The file or folder that an import by path would use; None if there is none (an installed finder may have one)."""
    spec = PathFinder.find_spec(name)
    if spec is None:
        return None
    return next(iter(spec.submodule_search_locations or ()), spec.origin)


def shadowed() -> list[tuple[str, str, str]]:
    """Modules that were imported from PYTHONPATH although Python or an installed package has one of the same name: the
    name, the imported file, and the folder of the other one."""
    folders = [os.path.abspath(part) for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    others = [part for part in sys.path if os.path.abspath(part) not in folders]
    found = []
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if "." in name or not file:
            continue
        place = os.path.dirname(file) if hasattr(module, "__path__") else file
        if os.path.dirname(os.path.abspath(place)) not in folders:
            continue
        spec = PathFinder.find_spec(name, others)
        if spec is not None and spec.origin:
            found.append((name, place, os.path.dirname(next(iter(spec.submodule_search_locations or ()), spec.origin))))
    return found


def same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


if __name__ == "__main__":
    main()
