"""`dask-graphql types`: pauses, resumes and lists task types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cluster.settings import load_settings
from dask_graphql.cli.failure import fail
from dask_graphql.cli.in_store import audit, in_store

if TYPE_CHECKING:
    from cluster.store.async_store import Store


@click.group()
def types() -> None:
    """Pauses and resumes task types. A paused type's tasks are accepted and stay QUEUED; running ones end."""


@types.command("pause")
@click.argument("name")
def pause(name: str) -> None:
    """Pauses the task type NAME on all nodes: no further task of it starts, also if the scheduler already has it."""
    from cluster.store.audit_stream import AuditAction
    from cluster.store.paused import pause_type
    from cluster.task_types.declaration import NAME

    if not NAME.fullmatch(name):
        fail(f"a task type's name is in snake case, like estimate_pi, not {name!r}")

    async def pause_it(store: Store) -> None:
        if await pause_type(store, name):
            await audit(store, AuditAction.TYPE_PAUSED, task=name)

    in_store(pause_it)


@types.command("resume")
@click.argument("name")
def resume(name: str) -> None:
    """Resumes the task type NAME on all nodes."""
    from cluster.store.audit_stream import AuditAction
    from cluster.store.paused import resume_type

    async def resume_it(store: Store) -> bool:
        if resumed := await resume_type(store, name):
            await audit(store, AuditAction.TYPE_RESUMED, task=name)
        return resumed

    if not in_store(resume_it):
        fail(f"{name} is not paused; `dask-graphql types list` lists all task types")


@types.command("list")
def list_types() -> None:
    """Lists the task types: name, how many run at once, since when it is paused."""
    from datetime import UTC, datetime

    from cluster.node_registry import load_node_registry
    from cluster.store.paused import paused_types

    paused = in_store(paused_types)
    registry = load_node_registry(load_settings())
    for name in sorted({*registry, *paused}):
        limit = registry[name].concurrency if name in registry else None
        at_once = "-" if limit is None else f"{limit.max_running}" + (f" for each {limit.key}" if limit.key else "")
        since = f"paused {datetime.fromtimestamp(paused[name], UTC):%Y-%m-%dT%H:%M:%SZ}" if name in paused else "-"
        print(f"{name}  {at_once}  {since}")
