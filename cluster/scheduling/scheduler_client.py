"""The link of a node to the Dask scheduler: one client, made again whenever it is gone."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cluster.observability import metrics
from cluster.scheduling import dask_internals
from cluster.scheduling.dask_config import configure_dask
from cluster.settings import Settings
from cluster.system.background import BackgroundLoop
from cluster.system.tls import check_certificates, dask_security, uses_tls

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 0.5
RPC_SECONDS: Final = 5.0
"""Longest wait for an answer of the scheduler; one that is stopped or cut off must not hold the caller."""


@dataclass(slots=True)
class Load:
    """What the scheduler has to do, as it told last.

    Attributes:
        outstanding: Dask tasks that have not ended.
        threads: of all workers; 0 where none is there, or nothing is known.
        durations: seconds that one attempt of each task type takes on a worker, a running mean.
    """

    outstanding: int = 0
    threads: int = 0
    durations: dict[str, float] = field(default_factory=dict)

    @property
    def idle_threads(self) -> int:
        """Number of threads without work."""
        return max(0, self.threads - self.outstanding)


class SchedulerUnavailable(Exception):
    """The scheduler does not answer."""


class SchedulerClient:
    """Keeps a Dask client connected in the background. The node works on while there is none.

    Args:
        hears_load: whether the scheduler tells this node its load, some hundred times a second; for those who dispatch.

    Raises:
        SettingError: TLS is asked for and the certificates are not good.
    """

    def __init__(self, settings: Settings, *, subscribe_to_load: bool = False) -> None:
        self._subscribe_to_load = subscribe_to_load
        self._settings = settings
        self._address = settings.scheduler
        if uses_tls(settings):
            check_certificates(settings)
        self.load = Load()
        self.load_changed = asyncio.Event()
        """Set whenever the scheduler tells its load."""
        self._client: Client | None = None
        self._prepared: object = None
        self.disconnected_since: float | None = time.time()
        """When the scheduler went away, seconds since 1970; None while the client is connected."""
        self._configured = False
        self.loop = BackgroundLoop("scheduler client", self._keep_connected, pause_seconds=PAUSE_SECONDS)

    def start(self) -> None:
        self.loop.start()

    @property
    def connected(self) -> bool:
        return self._client is not None and self._client.status == "running"

    @property
    def client(self) -> Client:
        """The connected client.

        Raises:
            SchedulerUnavailable: there is none now.
        """
        if self._client is None or self._client.status != "running":
            raise SchedulerUnavailable(f"the scheduler at {self._address} does not answer")
        return self._client

    async def call(self, operation: str, **arguments: Any) -> Any:
        """Calls one of the handlers that our plugin adds to the scheduler.

        Raises:
            SchedulerUnavailable: it does not answer in time.
        """
        client = self.client
        measured = metrics.SCHEDULER_SECONDS.labels(operation.removeprefix("dask_graphql_"))
        try:
            with measured.time():
                async with asyncio.timeout(RPC_SECONDS):
                    return await dask_internals.call_handler(client, operation, **arguments)
        except (OSError, TimeoutError) as error:
            raise SchedulerUnavailable(f"the scheduler at {self._address} does not answer: {error}") from error

    async def _keep_connected(self) -> None:
        """Connects where there is no client."""
        if not self._configured:
            # Importing distributed takes half a second; an api node serves before it is done.
            await asyncio.to_thread(configure_dask, Path(self._settings.data_dir).absolute() / "scratch")
            self._configured = True
        if self._client is not None and self._client.status in ("closing", "closed"):
            self._client = None
        try:
            if self._client is None:
                await self._connect()
            elif self.connected and dask_internals.connection_of(self._client) is not self._prepared:
                # Dask's client has found its scheduler, or another one, again by itself.
                self._prepare(self._client)
                logger.info("connected to the scheduler at %s again", self._address)
        finally:
            self.disconnected_since = None if self.connected else self.disconnected_since or time.time()

    async def _connect(self) -> None:
        import distributed

        client = distributed.Client(
            self._address,
            asynchronous=True,
            set_as_default=False,
            timeout="5s",
            name="dask-graphql",
            security=dask_security(self._settings),
        )
        try:
            await client
            self._prepare(client)
        except BaseException as error:
            await _close(client)
            if not isinstance(error, (OSError, TimeoutError)):
                raise
            logger.debug("no scheduler at %s: %s", self._address, error)
            return
        self._client = client
        logger.info("connected to the scheduler at %s", self._address)

    def _prepare(self, client: Client) -> None:
        """What a new connection of the client lacks, be it one that Dask made by itself."""
        dask_internals.shorten_linger(client.scheduler_comm)
        # What an earlier scheduler had to do says nothing of this one.
        self.load = Load()
        self.load_changed.set()
        if self._subscribe_to_load:
            client.subscribe_topic("dask-graphql-load", self._hear)
        self._prepared = dask_internals.connection_of(client)

    def _hear(self, event: tuple[float, dict[str, Any]]) -> None:
        told = event[1]
        self.load.outstanding, self.load.threads = told["outstanding"], told["threads"]
        self.load.durations |= told["durations"]
        self.load_changed.set()

    async def close(self) -> None:
        await self.loop.close()
        if self._client is not None:
            await _close(self._client)


async def _close(client: Client) -> None:
    try:
        await client.close(timeout=1)
    except (OSError, TimeoutError):
        logger.debug("the client closed with its scheduler away")
