"""The registry of a node: the built-in task types, those of TASK_MODULES, and those of installed distributions."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext

from cluster.settings import Settings
from cluster.settings.pools import DEFAULT_POOL
from cluster.task_types.registry import Registry, load_registry
from cluster.task_types.reloading import from_source, import_anew, own_files
from cluster.task_types.task_modules import installed_task_modules

logger = logging.getLogger(__name__)


def load_node_registry(settings: Settings) -> Registry:
    """Loads what the settings say; the same on every node.

    Raises:
        RegistryError: a module cannot be imported or registers nothing, two task types clash, or no pool fits one.
    """
    registry = _load(settings)
    registry.choose_pools(settings.all_pools, DEFAULT_POOL, larger=settings.larger_pool)
    return registry


def _load(settings: Settings) -> Registry:
    installed = installed_task_modules() if settings.task_entry_points else ()
    with from_source(()) if settings.reload_task_modules else nullcontext():
        return load_registry(settings.task_modules, installed, source_versions=settings.source_versions)


class NodeRegistry:
    """The registry of this process, which can be loaded anew. It runs tasks, so it need not know their pools; of a
    child, `child_tasks` finds the larger one.

    Attributes:
        registry: always the same object; `reload` changes what it contains.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loaded_at = time.time()
        self.registry = _load(settings)

    def reload(self) -> float:
        """Imports the task modules anew. If that fails, the old ones stay. Returns `time.monotonic` of the change.

        Raises:
            RegistryError: as `load_node_registry`.
        """
        began = time.time()
        self.registry.replace(import_anew(self.registry, lambda: _load(self._settings)))
        self._loaded_at = began
        return time.monotonic()

    def reload_if_changed(self) -> None:
        """Imports the task modules anew if a file has changed since they were imported; a change with an error is left
        to a later call."""
        files = own_files(self.registry.values()).values()
        if any(file.stat().st_mtime >= self._loaded_at for file in files if file.exists()):
            try:
                self.reload()
            except Exception as error:  # noqa: BLE001 - whatever a module raises
                logger.info("the changed task modules cannot be imported: %s", error)
