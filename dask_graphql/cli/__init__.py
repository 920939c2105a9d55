"""The console command `dask-graphql`: the local system, single nodes, keys, and small clients of the api.

Each module here has a group of commands; `command` puts them together.
"""

from __future__ import annotations

import click

from cluster.errors import DaskGraphQLError
from cluster.version import __version__
from dask_graphql.cli import deployment, keys, nodes, over_http, schedules, task_types, tasks, tenants
from dask_graphql.cli.failure import fail


def main() -> None:
    """Entry point; prints expected errors as one line, without a traceback."""
    try:
        command()
    except DaskGraphQLError as error:
        fail(str(error))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dask-graphql")
def command() -> None:
    """Your Dask functions behind a GraphQL API.

    Settings come from the environment (prefix DASK_GRAPHQL_, see docs/settings.md); options override them.
    """


for _each in (
    nodes.dev,
    nodes.api,
    nodes.scheduler,
    nodes.worker,
    nodes.controller,
    deployment.schema,
    deployment.certificates,
    deployment.worker_acl,
    keys.keys,
    tenants.tenants,
    task_types.types,
    schedules.schedules,
    over_http.usage,
    over_http.submit,
    over_http.status,
    tasks.tasks,
    tasks.logs,
    tasks.cancel,
    tasks.retry,
):
    command.add_command(_each)
