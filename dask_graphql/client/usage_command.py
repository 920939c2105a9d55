"""`dask-graphql usage`: what a tenant uses and may use, read from the public api."""

from __future__ import annotations

import json
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from dask_graphql.client.http_transport import HttpTransport

FIELDS: Final = (
    "account openTasks openTaskLimit bytes byteLimit weight maxRunning submissionsPerMinute operationsPerMinute"
)


async def show_usage(url: str, token: str | None, account: str | None, *, everybody: bool, as_json: bool) -> None:
    """Prints the usage of an account, or of all.

    Args:
        account: None for the caller's own; another needs the scope `admin`.
        everybody: all accounts, those first that use most bytes.

    Raises:
        ClientError: the api refuses or does not respond.
    """
    http = HttpTransport(url, token, 0)
    query = f"query($account: String) {{ usage(account: $account) {{ {FIELDS} }} }}"
    try:
        if everybody:
            rows = (await http.execute(f"{{ allUsage {{ {FIELDS} }} }}"))["allUsage"]
        else:
            rows = [(await http.execute(query, {"account": account}))["usage"]]
    finally:
        await http.close()
    if as_json:
        for row in rows:
            print(json.dumps(row))
    else:
        Console().print(render(rows))


def render(rows: list[dict[str, Any]]) -> Table:
    """The table of some accounts."""
    table = Table()
    for title in ("account", "open tasks", "MB", "weight", "running at once", "submissions/min", "operations/min"):
        table.add_column(title, justify="left" if title == "account" else "right")
    for row in rows:
        table.add_row(
            row["account"],
            f"{row['openTasks']:,} of {row['openTaskLimit']:,}",
            f"{int(row['bytes']) / 1e6:,.1f} of {int(row['byteLimit']) / 1e6:,.0f}",
            f"{row['weight']:g}",
            *("any" if row[name] is None else f"{row[name]:,}" for name in
              ("maxRunning", "submissionsPerMinute", "operationsPerMinute")),
        )  # fmt: skip
    return table
