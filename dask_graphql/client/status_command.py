"""`dask-graphql status`: the cluster on a terminal, read from the public api."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dask_graphql.client.errors import ApiUnavailable, Refused
from dask_graphql.client.http_transport import HttpTransport
from dask_graphql.client.retry import RETRYABLE_CODES
from dask_graphql.client.task_list import to_waiting

REFRESH_SECONDS: Final = 1.0
MAX_ROWS: Final = 30
"""Workers shown one by one at most."""

QUERY: Final = """{
  cluster {
    schedulerConnected schedulerEpoch waiting processing
    tasks { state count }
    workers { name state startingSeconds problem threads processing memoryBytes memoryLimitBytes }
    fleet { wanted launching running retiring minWorkers maxWorkers reason problem costPerHour
            decisions { at started stopped reason } }
  }
  tasks(first: 1, state: QUEUED) { edges { node { waiting { reason ahead etaSeconds } } } }
}"""


async def show_status(url: str, token: str | None, *, once: bool, as_json: bool) -> None:
    """Shows the cluster until Ctrl-C.

    Args:
        once: show it once and return.
        as_json: print one line of JSON per refresh instead of tables.

    Raises:
        ClientError: the api refuses; with `once` or `as_json` also if it does not respond.
    """
    http = HttpTransport(url, token, 0)
    try:
        if once:
            cluster = await _read(http)
            print(json.dumps(cluster)) if as_json else Console().print(render(http.url, cluster))
        elif as_json:
            while True:
                print(json.dumps(await _read(http)), flush=True)
                await asyncio.sleep(REFRESH_SECONDS)
        else:
            await _live(http)
    finally:
        await http.close()


async def _read(http: HttpTransport) -> dict[str, Any]:
    """The cluster, and as `waitingFor` why the newest QUEUED task waits; None if there is none."""
    data = await http.execute(QUERY)
    newest = [edge["node"]["waiting"] for edge in data["tasks"]["edges"]]
    return {**data["cluster"], "waitingFor": newest[0] if newest else None}


async def _live(http: HttpTransport) -> None:
    cluster: dict[str, Any] | None = None
    with Live(Text("..."), auto_refresh=False) as live:
        while True:
            missing = ""
            try:
                cluster = await _read(http)
            except (ApiUnavailable, Refused) as error:
                if isinstance(error, Refused) and error.code not in RETRYABLE_CODES:
                    raise
                missing = str(error)
            live.update(render(http.url, cluster, missing), refresh=True)
            await asyncio.sleep(REFRESH_SECONDS)


def render(url: str, cluster: dict[str, Any] | None, missing: str = "") -> Group:
    """The tables of one refresh.

    Args:
        cluster: the latest `cluster` of the api; None if there was none yet.
        missing: why it could not be read now; empty if it could.
    """
    head = Text.assemble(("dask-graphql ", "bold"), url)
    if missing:
        head.append(f"\n{missing}", "bold red")
    if cluster is None:
        return Group(head)
    return Group(head, _summary(cluster), _workers(cluster["workers"]), *_decisions(cluster["fleet"]))


def _summary(cluster: dict[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    epoch = (cluster["schedulerEpoch"] or "")[:8]
    connected = cluster["schedulerConnected"]
    table.add_row(
        "scheduler", Text(f"connected ({epoch})", "green") if connected else Text("not connected", "bold red")
    )
    counts = "  ".join(f"{item['count']} {item['state'].lower()}" for item in cluster["tasks"])
    table.add_row("tasks", counts)
    table.add_row("in Dask", f"{cluster['waiting']} waiting  {cluster['processing']} processing")
    if (waiting := to_waiting(cluster.get("waitingFor"))) is not None:
        table.add_row("queue", f"the newest task waits: {waiting}")
    fleet = cluster["fleet"]
    if fleet is None:
        table.add_row("fleet", Text("no controller", "yellow"))
        return table
    counts = f"{fleet['running']} running  {fleet['launching']} launching  {fleet['retiring']} retiring"
    wanted = "?" if fleet["wanted"] is None else fleet["wanted"]
    table.add_row("fleet", f"{counts}  {wanted} wanted (limits {fleet['minWorkers']} to {fleet['maxWorkers']})")
    table.add_row("", Text(fleet["reason"], "dim"))
    if fleet["problem"]:
        table.add_row("problem", Text(fleet["problem"], "bold red"))
    if fleet["costPerHour"] is not None:
        table.add_row("cost", f"{fleet['costPerHour']:.3f} USD per hour")
    return table


def _state(worker: dict[str, Any]) -> Text:
    """Whether it takes tasks, and why not."""
    if worker["problem"]:
        return Text(worker["problem"], "bold red")
    seconds = worker["startingSeconds"]
    return Text(worker["state"].lower() + ("" if seconds is None else f" for {seconds:.0f} s"))


def _workers(workers: list[dict[str, Any]]) -> Table:
    table = Table("worker", title=f"{len(workers)} workers", title_justify="left")
    table.add_column("state")
    for name in ("threads", "tasks", "memory"):
        table.add_column(name, justify="right")
    for worker in workers[:MAX_ROWS]:
        used, limit = worker["memoryBytes"] / 2**20, worker["memoryLimitBytes"] / 2**20
        memory = f"{used:,.0f} MiB" + (f" of {limit:,.0f}" if limit else "")
        busy = "bold" if worker["processing"] else "dim"
        title, state = Text(worker["name"]), _state(worker)
        table.add_row(title, state, str(worker["threads"]), str(worker["processing"]), memory, style=busy)
    if len(workers) > MAX_ROWS:
        table.add_row(f"... and {len(workers) - MAX_ROWS} more")
    return table


def _decisions(fleet: dict[str, Any] | None) -> list[Table]:
    if fleet is None or not fleet["decisions"]:
        return []
    table = Table("at", "started", "stopped", "reason", title="recent decisions", title_justify="left")
    for decision in fleet["decisions"][:5]:
        at = decision["at"][11:19]
        table.add_row(at, str(decision["started"]), str(decision["stopped"]), Text(decision["reason"]))
    return [table]
