"""The settings of the Dask scheduler and of the way to it."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.settings.declaration import SettingsGroup, setting
from cluster.settings.parsers import (
    MAX_SCHEDULERS,
    boolean,
    host_and_port,
    integer,
    matching,
    optional,
    scheduler_address,
    scheduler_addresses,
)


@dataclass(frozen=True)
class SchedulerSettings(SettingsGroup):
    TITLE = "Dask scheduler"

    scheduler: str = setting(
        "tcp://127.0.0.1:8786",
        scheduler_address,
        "Address at which api nodes, workers and the controller reach the Dask scheduler, where the address that it "
        "writes to Redis is not known or not reachable.",
    )
    schedulers: tuple[str, ...] = setting(
        (),
        scheduler_addresses,
        "The addresses of all schedulers, separated by commas, if there are several (at most 16), in the same order on "
        "every node. Tasks are spread over them by their ids. SCHEDULER is then the one of SCHEDULER_NUMBER, unless it "
        "is set. Before the number changes, let open tasks end: see [Several schedulers]"
        "(operations.md#several-schedulers).",
    )
    scheduler_number: int = setting(
        0,
        integer(0, MAX_SCHEDULERS - 1),
        "Which of SCHEDULERS, counted from 0, a scheduler is, and a worker or a controller belongs to. Api nodes use "
        "them all.",
    )
    scheduler_listen: str = setting(
        "", optional(scheduler_address), "Address on which the scheduler listens, if it differs from SCHEDULER."
    )
    release: str = setting(
        "",
        optional(matching(r"[A-Za-z0-9_.:/-]{1,200}", "1 to 200 letters, digits and `_.:/-`")),
        "Name of what is deployed, such as the tag of the images. When the scheduler is replaced, workers stay if the "
        "new one has the same name; if it has another, they end the tasks that they run, and go.",
    )
    tls_ca: str = setting("", str, "With a tls:// scheduler: the authority's certificate, a PEM file or its text.")
    tls_cert: str = setting("", str, "With a tls:// scheduler: this node's certificate, a PEM file or its text.")
    tls_key: str = setting(
        "", str, "With a tls:// scheduler: the private key of TLS_CERT, a PEM file or its text.", secret=True
    )
    allow_open_scheduler: bool = setting(
        False,
        boolean,
        "Lets the scheduler listen on a non-loopback address without TLS. Only for an isolated network: anyone who "
        "reaches the scheduler can run any code on every worker.",
    )
    dashboard: str = setting(
        "",
        optional(host_and_port),
        "HOST:PORT of Dask's own dashboard on the scheduler. Empty for no dashboard: Dask's HTTP servers then serve "
        "only /health and /metrics. Needs the extra `dashboard` (bokeh).",
    )

    @property
    def scheduler_bind(self) -> str:
        """The address on which the scheduler listens."""
        return self.scheduler_listen or self.scheduler

    @property
    def scheduler_addresses(self) -> tuple[str, ...]:
        """The configured address of each scheduler of the system, by its number."""
        return self.schedulers or (self.scheduler,)
