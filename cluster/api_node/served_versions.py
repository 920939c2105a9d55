"""Notes which versions of the task types this node serves, as they may change while it runs."""

from __future__ import annotations

import time
from typing import Final

from cluster.store.async_store import Store
from cluster.store.versions import record_versions
from cluster.system.background import BackgroundLoop
from cluster.task_types.registry import Registry

CHECK_SECONDS: Final = 5.0
"""How often this node looks whether its task types were reloaded."""
AGAIN_SECONDS: Final = 3_600.0
"""How often it notes what has not changed."""


class ServedVersions:
    """Writes the versions when they change."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._written: dict[str, str] = {}
        self._written_at = 0.0
        self.loop = BackgroundLoop("served versions", self.round, pause_seconds=CHECK_SECONDS)

    async def round(self) -> None:
        """Writes the versions if they are others than those written, or that was long ago.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        versions = {task_type.name: task_type.version for task_type in self._registry.values()}
        now = time.monotonic()
        if versions != self._written or now - self._written_at > AGAIN_SECONDS:
            await record_versions(self._store, versions)
            self._written, self._written_at = versions, now
