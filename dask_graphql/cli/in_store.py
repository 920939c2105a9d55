"""Work on the store that a command does itself, without an api node, and its entries in the audit log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from cluster.settings import load_settings

if TYPE_CHECKING:
    from cluster.store.async_store import Store
    from cluster.store.audit_stream import AuditAction

T = TypeVar("T")


def in_store(work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
    """Connects to the store of the settings, does the work, and closes the connection."""
    from cluster.store.async_store import Store

    async def body() -> T:
        store = Store(load_settings())
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(body())


async def audit(store: Store, action: AuditAction, *, tenant: str = "", task: str = "", code: str = "") -> None:
    """Writes to the audit log what the user of this command did.

    Args:
        tenant: the tenant that it concerns.
        task: the task type that it concerns.
        code: the id and name of a key, or a tenant's policy.
    """
    import getpass
    import socket

    from cluster.store.audit_stream import AuditEntry, append_audit

    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        user = "unknown"
    caller_id = f"command:{user}@{socket.gethostname()}"
    entry = AuditEntry(action, user, caller_id, tenant, task=task, code=code)
    await append_audit(store, [entry], load_settings().audit_entries)
