"""Reloads of the task modules: `dask-graphql dev` orders them by a file and a signal; each process of the api node
reports by a file of its own."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cluster.settings import Settings


@dataclass(frozen=True, slots=True)
class Reload:
    """The newest change of the task modules.

    Attributes:
        count: how many times they were loaded anew since the system started.
        at: when, seconds since 1970; None if they were not.
        error: why the newest change is not served, with its place; empty if it is.
    """

    count: int = 0
    at: float | None = None
    error: str = ""


@dataclass(slots=True)
class Reloads:
    """The reloads of this node, for those who watch the cluster. `latest` is None if it never reloads."""

    latest: Reload | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What `dev` tells the api node: to reload, or why a change cannot be served."""

    number: int
    error: str = ""


def order_path(settings: Settings) -> Path:
    """The file of the newest order."""
    return Path(settings.data_dir).absolute() / "scratch" / "reload.json"


def report_path(settings: Settings, process: int = 0) -> Path:
    """The file in which a process of the api node answers it, with the same number."""
    return order_path(settings).with_name(f"reloaded-{process}.json")


@contextmanager
def first_for(settings: Settings, number: int) -> Iterator[bool]:
    """Tells whether this process is the first of its node to carry out an order; the others wait until it is done, and
    one of them is the first if it failed. Blocks.

    Args:
        number: of the order.
    """
    done = order_path(settings).with_name("reload-done.json")
    with done.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        newest = read_order(done)
        is_first = newest is None or newest.number != number
        yield is_first
        if is_first:
            write_order(done, Order(number))


def write_order(path: Path, order: Order) -> None:
    """Writes an order or a report, so that a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(asdict(order)))
    os.replace(temporary, path)


def read_order(path: Path) -> Order | None:
    """The newest order or report; None if there is none."""
    try:
        fields: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return Order(**fields)
