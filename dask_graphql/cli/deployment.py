"""The commands that print or write what a deployment needs: the schema, certificates, the rules of a Redis user."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from cluster.node_registry import load_node_registry
from cluster.settings import load_settings
from cluster.task_types.registry import Registry
from dask_graphql.cli.failure import fail
from dask_graphql.source_lock import differences, make_lock, read_lock, write_lock


@click.command()
@click.option(
    "--lock",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Instead, write to this file which source each version stands for; commit it beside the task modules.",
)
@click.option(
    "--check",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Instead, compare with that file: exit code 1 if a function's source has changed and its version has not.",
)
def schema(lock: Path | None, check: Path | None) -> None:
    """Prints the GraphQL schema.

    It has the built-in task types and those of DASK_GRAPHQL_TASK_MODULES, as SDL.
    """
    settings = replace(load_settings(), source_versions=False) if lock or check else load_settings()
    if lock or check:
        _lock_sources(load_node_registry(settings), lock, check)
        return
    from graphql_api.schema.builder import make_schema

    print(make_schema(load_node_registry(settings)).as_str())


def _lock_sources(registry: Registry, lock: Path | None, check: Path | None) -> None:
    now = make_lock(registry)
    if check:
        found = list(differences(read_lock(check), now))
        for line in found:
            print(f"dask-graphql: {line}", file=sys.stderr)
        if found:
            sys.exit(1)
    if lock:
        write_lock(lock, now)


@click.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the files.")
@click.option(
    "--days", type=click.FloatRange(0, min_open=True), default=825, show_default=True, help="Days until they expire."
)
def certificates(out: Path, days: float) -> None:
    """Makes TLS certificates for the nodes.

    TLS_CA, TLS_CERT and TLS_KEY protect the connections between scheduler, workers and clients.

    All nodes of one system use the same three files. Peers without a certificate of this authority are refused.
    """
    from cluster.settings import variable_of
    from cluster.system.tls import make_certificates

    try:
        paths = make_certificates(out, days)
    except OSError as error:
        fail(f"cannot write the certificates: {error}")
    for name, path in paths.items():
        print(f"{variable_of(name)}={path.absolute()}")


@click.command("worker-acl")
def worker_acl() -> None:
    """Prints the rules of a Redis user for workers, who may change tasks and nothing else.

    ACL SETUSER worker on ">PASSWORD" $(dask-graphql worker-acl)
    """
    from cluster.store.worker_acl import worker_rules

    print(*worker_rules(load_settings().key_prefix))
