"""The versions of task types that api nodes have served: with them, the ids of one input under its other versions are
known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cluster.store.async_store import Store

KEPT_VERSIONS: Final = 20
"""Versions of a task type that are remembered, the latest served first."""
KEPT_SECONDS: Final = 400 * 86_400
"""How long they are remembered after a node served the task type."""


async def record_versions(store: Store, versions: Mapping[str, str]) -> None:
    """Notes the versions that are served now.

    Args:
        versions: by the name of the task type.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    now = await store.server_milliseconds()
    commands: list[tuple[object, ...]] = []
    for name, version in versions.items():
        key = store.calls.versions_key(name)
        commands += [
            ("ZADD", key, now, version), ("ZREMRANGEBYRANK", key, 0, -KEPT_VERSIONS - 1), ("EXPIRE", key, KEPT_SECONDS),
        ]  # fmt: skip
    await store.commands(commands)


async def read_versions(store: Store, name: str) -> list[str]:
    """The versions of a task type, the latest served first.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    found = await store.command("ZREVRANGE", store.calls.versions_key(name), 0, KEPT_VERSIONS - 1)
    return [version.decode() for version in found]
