"""The console command `dask-graphql`: the local system, single nodes, keys, and small clients of the api."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from cluster.errors import DaskGraphQLError
from cluster.observability.multiprocess import multiprocess_metrics
from cluster.scheduling.dask_config import keep_dask_in
from cluster.settings import Settings, load_settings
from cluster.version import __version__

if TYPE_CHECKING:
    from cluster.store.async_store import Store
    from cluster.store.audit_stream import AuditAction
    from graphql_api.auth.keys import ApiKey

T = TypeVar("T")


def main() -> None:
    """Entry point; prints expected errors as one line, without a traceback."""
    try:
        command()
    except DaskGraphQLError as error:
        fail(str(error))


def fail(message: str) -> NoReturn:
    print(f"dask-graphql: {message}", file=sys.stderr)
    sys.exit(2)


def serve(
    settings: Settings, role: str, run: Callable[[asyncio.Event], Coroutine[Any, Any, None]], name: str = ""
) -> None:
    """Runs a node until SIGTERM or Ctrl-C.

    Args:
        role: `scheduler`, `worker`, `controller`, or `dev` for all of them.
        name: the node's name, if it has one.
    """
    keep_dask_in(Path(settings.data_dir).absolute())
    # Imported here: `shared_counts` of a worker must have set the metrics directory of its processes first.
    from cluster.observability.logs import set_up_logging
    from cluster.observability.metrics_server import serve_metrics

    set_up_logging(settings, role, name)

    async def body() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with serve_metrics(settings, role):
            await run(stop)

    asyncio.run(body())


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dask-graphql")
def command() -> None:
    """Your Dask functions behind a GraphQL API.

    Settings come from the environment (prefix DASK_GRAPHQL_, see docs/settings.md); options override them.
    """


@command.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the api.")
@click.option("--host", help="Address that the api listens on.")
@click.option("--max-workers", type=click.IntRange(1), help="Maximum number of worker processes.")
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Folder of data and logs.")
@click.option(
    "--tls/--no-tls",
    default=True,
    help="TLS between scheduler, workers and clients, with certificates made at each start (the default). Without it, "
    "every user of this machine can run code on the workers.",
)
@click.option("--dashboard", is_flag=True, help="Dask's dashboard on a free port of this machine (needs bokeh).")
def dev(
    port: int | None, host: str | None, max_workers: int | None, data_dir: Path | None, tls: bool, dashboard: bool
) -> None:
    """Runs the whole system on this machine.

    It starts Redis, the scheduler, a controller with local workers, and an api node.
    """
    settings = load_settings(port=port, host=host, max_workers=max_workers, data_dir=data_dir)
    from dask_graphql.dev_system import run_local

    serve(
        replace(settings, metrics_port=0), "dev", lambda stop: run_local(settings, stop, tls=tls, dashboard=dashboard)
    )


@command.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the api.")
@click.option("--host", help="Address that the api listens on.")
def api(port: int | None, host: str | None) -> None:
    """Runs one api node."""
    settings = load_settings(port=port, host=host)
    keep_dask_in(Path(settings.data_dir).absolute())
    from graphql_api.serve import run_api

    run_api(settings)


@command.command()
def scheduler() -> None:
    """Runs the Dask scheduler."""
    settings = load_settings()
    from cluster.scheduling.scheduler_node import run_scheduler

    serve(settings, "scheduler", lambda stop: run_scheduler(settings, stop))


@command.command()
@click.option("--name", help="Name of the worker, unique among running workers.")
def worker(name: str | None) -> None:
    """Runs one Dask worker."""
    settings = load_settings()
    keep_dask_in(Path(settings.data_dir).absolute())
    with multiprocess_metrics(settings):
        from cluster.worker.node import run_worker

        serve(settings, "worker", lambda stop: run_worker(settings, stop, name=name), name or "")


@command.command()
def controller() -> None:
    """Starts and stops workers.

    The workers are processes on this machine, or tasks of an ECS cluster (DASK_GRAPHQL_FLEET).
    """
    settings = load_settings()
    from cluster.controller.fleets.ecs import EcsFleet
    from cluster.controller.fleets.local import LocalFleet
    from cluster.controller.reconciler import run_controller

    fleet = EcsFleet(settings) if settings.fleet == "ecs" else LocalFleet(settings)
    serve(settings, "controller", lambda stop: run_controller(settings, fleet, stop))


@command.command()
def schema() -> None:
    """Prints the GraphQL schema.

    It has the built-in task types and those of DASK_GRAPHQL_TASK_MODULES, as SDL.
    """
    settings = load_settings()
    from cluster.task_types.registry import load_registry
    from graphql_api.schema.builder import make_schema

    print(make_schema(load_registry(settings.task_modules)).as_str())


@command.command()
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


@command.command("worker-acl")
def worker_acl() -> None:
    """Prints the rules of a Redis user for workers, who may change tasks and nothing else.

    ACL SETUSER worker on ">PASSWORD" $(dask-graphql worker-acl)
    """
    from cluster.store.worker_acl import worker_rules

    print(*worker_rules(load_settings().key_prefix))


@command.group()
def keys() -> None:
    """Creates, lists and revokes API keys. Redis stores only their hashes."""


def _in_store(work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
    from cluster.store.async_store import Store

    async def body() -> T:
        store = Store(load_settings())
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(body())


async def _audit_key(store: Store, action: AuditAction, key: ApiKey) -> None:
    """Writes to the audit log that the user of this command made or revoked a key."""
    import getpass
    import socket

    from cluster.store.audit_stream import AuditEntry, append_audit

    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        user = "unknown"
    entry = AuditEntry(
        action, user, f"command:{user}@{socket.gethostname()}", key.tenant, code=f"{key.key_id} {key.name}"
    )
    await append_audit(store, [entry], load_settings().audit_entries)


@keys.command("create")
@click.argument("name")
@click.option(
    "--scopes",
    default="submit,read,cancel",
    show_default=True,
    help="Comma-separated scopes: submit, priority, read, cancel, admin.",
)
@click.option("--tenant", help="Tenant whose tasks the key can see, if tenants are isolated. Default: NAME.")
@click.option("--days", type=click.FloatRange(0, min_open=True), help="Days until it expires. Default: never.")
def create(name: str, scopes: str, tenant: str | None, days: float | None) -> None:
    """Creates a key for NAME and prints it; it cannot be shown again."""
    from cluster.store.audit_stream import AuditAction
    from graphql_api.auth.callers import Scope, parse_scopes, tenant_name
    from graphql_api.auth.keys import create_key

    words = [word.strip() for word in scopes.split(",") if word.strip()]
    found = parse_scopes(words)
    if len(found) != len(set(words)) or not found:
        fail(f"--scopes takes a comma-separated list of {', '.join(Scope)}, not {scopes!r}")
    try:
        whose = tenant_name(tenant or name)
    except ValueError as error:
        fail(str(error))

    async def make(store: Store) -> str:
        text, key = await create_key(store, name, whose, found, days)
        await _audit_key(store, AuditAction.KEY_CREATED, key)
        return text

    print(_in_store(make))


@keys.command("list")
def list_() -> None:
    """Lists the keys: id, name, tenant, scopes, expiry."""
    from datetime import UTC, datetime

    from graphql_api.auth.keys import list_keys

    for key in _in_store(list_keys):
        end = "-" if key.expires_at is None else f"{datetime.fromtimestamp(key.expires_at, UTC):%Y-%m-%dT%H:%M:%SZ}"
        print(f"{key.key_id}  {key.name}  {key.tenant}  {','.join(sorted(key.scopes))}  {end}")


@keys.command("revoke")
@click.argument("key_id")
def revoke_(key_id: str) -> None:
    """Revokes a key on all nodes.

    KEY_ID is the part of the key between the underscores. The key's open connections are closed.
    """
    from cluster.store.audit_stream import AuditAction
    from graphql_api.auth.keys import list_keys, revoke_key

    async def revoke(store: Store) -> bool:
        key = next((key for key in await list_keys(store) if key.key_id == key_id), None)
        revoked = await revoke_key(store, key_id)
        if revoked and key is not None:
            await _audit_key(store, AuditAction.KEY_REVOKED, key)
        return revoked

    if not _in_store(revoke):
        fail(f"there is no key {key_id}; `dask-graphql keys list` lists all keys")


@command.group()
def tenants() -> None:
    """Sets what tenants may use: their share of the workers, and limits.

    A tenant without a policy has weight 1 and the limits of the settings.
    """


@tenants.command("set")
@click.argument("name")
@click.option("--weight", type=click.FloatRange(0.001, 1000), help="Share of the workers. Default: 1.")
@click.option("--max-running", type=click.IntRange(0), help="Tasks that may run at once.")
@click.option("--queue-limit", type=click.IntRange(0), help="Open tasks. Default: QUEUE_LIMIT_PER_TENANT.")
@click.option("--max-bytes", type=click.IntRange(0), help="Bytes of records and blobs. Default: TENANT_BYTES.")
@click.option("--submissions-per-minute", type=click.IntRange(0), help="Of all the tenant's callers; 0: no limit.")
@click.option("--operations-per-minute", type=click.IntRange(0), help="Of each caller; 0: no limit.")
def set_tenant(name: str, **values: float | None) -> None:
    """Sets the policy of the tenant NAME, or changes what is given. It applies to new submissions within seconds.

    NAME is as `keys list` shows it; jwt/NAME for the tenants of JWTs; address:192.0.2.7 without authentication.
    """
    from dataclasses import replace

    from cluster.store.tenant_policies import TenantPolicy, list_policies, set_policy

    given = {option: value for option, value in values.items() if value is not None}
    if " " in name or not name:
        fail(f"a tenant has a name without spaces, as `dask-graphql keys list` shows it, not {name!r}")
    if not given:
        fail("tenants set needs at least one option; `dask-graphql tenants set --help` lists them")

    async def change(store: Store) -> None:
        old = (await list_policies(store)).get(name, TenantPolicy())
        await set_policy(store, name, replace(old, **given))  # type: ignore[arg-type]

    _in_store(change)


@tenants.command("list")
def list_tenants() -> None:
    """Lists the tenants that have a policy."""
    from cluster.store.tenant_policies import list_policies

    for name, policy in sorted(_in_store(list_policies).items()):
        print(name, " ".join(f"{key}={value:g}" for key, value in json.loads(policy.dump()).items()))


@tenants.command("remove")
@click.argument("name")
def remove_tenant(name: str) -> None:
    """Removes the policy of the tenant NAME."""
    from cluster.store.tenant_policies import remove_policy

    if not _in_store(lambda store: remove_policy(store, name)):
        fail(f"the tenant {name} has no policy; `dask-graphql tenants list` lists those that have one")


@command.command()
@click.option("--account", help="The tenant. Default: your own; another needs a key with the scope `admin`.")
@click.option("--all", "everybody", is_flag=True, help="All tenants, those first that use most bytes.")
@click.option("--json", "as_json", is_flag=True, help="Print lines of JSON instead of a table.")
@click.option("--url", default=None, help="URL of the api. Default: from DASK_GRAPHQL_HOST and DASK_GRAPHQL_PORT.")
@click.option("--token", envvar="DASK_GRAPHQL_TOKEN", show_envvar=True, help="Sent as Authorization: Bearer.")
def usage(account: str | None, everybody: bool, as_json: bool, url: str | None, token: str | None) -> None:
    """Shows what a tenant uses and may use, over HTTP. An API key needs the scope `read`."""
    settings = load_settings()
    try:
        from dask_graphql.client.usage_command import show_usage
    except ModuleNotFoundError as error:
        fail(f'usage needs {error.name}: pip install "dask-graphql[client]"')

    asyncio.run(show_usage(url or own_url(settings), token, account, everybody=everybody, as_json=as_json))


@command.group()
def types() -> None:
    """Pauses and resumes task types. A paused type's tasks are accepted and stay QUEUED; running ones end."""


@types.command("pause")
@click.argument("name")
def pause(name: str) -> None:
    """Pauses the task type NAME on all nodes: no further task of it starts, also if the scheduler already has it."""
    from cluster.store.paused import pause_type
    from cluster.task_types.declaration import NAME

    if not NAME.fullmatch(name):
        fail(f"a task type's name is in snake case, like estimate_pi, not {name!r}")
    _in_store(lambda store: pause_type(store, name))


@types.command("resume")
@click.argument("name")
def resume(name: str) -> None:
    """Resumes the task type NAME on all nodes."""
    from cluster.store.paused import resume_type

    if not _in_store(lambda store: resume_type(store, name)):
        fail(f"{name} is not paused; `dask-graphql types list` lists all task types")


@types.command("list")
def list_types() -> None:
    """Lists the task types: name, how many run at once, since when it is paused."""
    from datetime import UTC, datetime

    from cluster.store.paused import paused_types
    from cluster.task_types.registry import load_registry

    paused = _in_store(paused_types)
    registry = load_registry(load_settings().task_modules)
    for name in sorted({*registry, *paused}):
        limit = registry[name].concurrency if name in registry else None
        at_once = "-" if limit is None else f"{limit.max_running}" + (f" for each {limit.key}" if limit.key else "")
        since = f"paused {datetime.fromtimestamp(paused[name], UTC):%Y-%m-%dT%H:%M:%SZ}" if name in paused else "-"
        print(f"{name}  {at_once}  {since}")


def own_url(settings: Settings) -> str:
    """The URL of the api with these settings."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - as one connects to it
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


@command.command()
@click.argument("task")
@click.argument("arguments", nargs=-1, metavar="[name=value ...]")
@click.option("--wait", is_flag=True, help="Wait for the result and print it.")
@click.option("--url", default=None, help="URL of the api. Default: from DASK_GRAPHQL_HOST and DASK_GRAPHQL_PORT.")
@click.option("--token", envvar="DASK_GRAPHQL_TOKEN", show_envvar=True, help="Sent as Authorization: Bearer.")
def submit(task: str, arguments: tuple[str, ...], wait: bool, url: str | None, token: str | None) -> None:
    """Submits TASK over HTTP, as any client would. Values are JSON; anything else is a string."""
    settings = load_settings()
    try:
        from dask_graphql.client.errors import ApiUnavailable
        from dask_graphql.client.submit_command import submit_and_print
    except ModuleNotFoundError as error:
        # The image of a worker or a scheduler has no HTTP client.
        fail(f'submit needs {error.name}: pip install "dask-graphql[client]"')

    values = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals or not name:
            fail(f"expected an argument of the form name=value, not {argument!r}")
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    try:
        sys.exit(asyncio.run(submit_and_print(url or own_url(settings), token, task, values, wait=wait)))
    except ApiUnavailable as error:
        fail(f"{error}; set the api's address with --url, or with DASK_GRAPHQL_HOST and DASK_GRAPHQL_PORT")


@command.command()
@click.option("--once", is_flag=True, help="Show it once and exit.")
@click.option("--json", "as_json", is_flag=True, help="Print lines of JSON instead of tables.")
@click.option("--url", default=None, help="URL of the api. Default: from DASK_GRAPHQL_HOST and DASK_GRAPHQL_PORT.")
@click.option("--token", envvar="DASK_GRAPHQL_TOKEN", show_envvar=True, help="Sent as Authorization: Bearer.")
def status(once: bool, as_json: bool, url: str | None, token: str | None) -> None:
    """Shows scheduler, workers and tasks.

    It reads them over HTTP, and updates the tables until Ctrl-C. A credential needs the scope `read`.
    """
    settings = load_settings()
    try:
        from dask_graphql.client.status_command import show_status
    except ModuleNotFoundError as error:
        fail(f'status needs {error.name}: pip install "dask-graphql[client]"')

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(show_status(url or own_url(settings), token, once=once, as_json=as_json))


if __name__ == "__main__":
    main()
