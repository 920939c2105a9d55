"""A node's connection to the Dask scheduler: one client, which is replaced when it has closed, or when another
scheduler has taken over elsewhere."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cluster.errors import StoreUnavailable
from cluster.observability import metrics
from cluster.scheduling import attempt_messages, dask_internals
from cluster.scheduling.attempt_messages import AttemptBatch
from cluster.scheduling.dask_config import configure_dask
from cluster.scheduling.graph_attempts import send_graph
from cluster.scheduling.scheduler_heartbeat import read_heartbeat
from cluster.settings import Settings
from cluster.store.async_store import Store
from cluster.system.background import BackgroundLoop
from cluster.system.tls import check_certificates, dask_security, uses_tls

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

CHECK_SECONDS: Final = 0.5
"""Interval at which the connection is checked."""
CONNECT_SECONDS: Final = 5.0
"""How long Dask tries to connect to one address."""
TAKEOVER_SECONDS: Final = 10.0
"""How long after the last heartbeat that was seen only another one counts: the next scheduler announces itself, and
until then an attempt at an address that nobody answers would only keep this node from noticing it."""
CALL_TIMEOUT_SECONDS: Final = 5.0
"""Timeout of a call: a scheduler that is stopped or unreachable must not block the caller."""
QUESTION_SECONDS: Final = 10.0
"""How long after the scheduler was asked what it takes, and knew nothing, it is asked again."""
LOAD_TOPIC: Final = "dask-graphql-load"
"""Topic of Dask's client on which the scheduler publishes its load."""


@dataclass(slots=True)
class Load:
    """The load that the scheduler last published.

    Attributes:
        outstanding: number of Dask tasks that have not ended.
        threads: of all workers; 0 without workers, or if unknown.
        durations: seconds that one attempt of each task type takes on a worker, a moving average.
        pools: with pools, the load of each that has workers or Dask tasks; they share `durations`.
    """

    outstanding: int = 0
    threads: int = 0
    durations: dict[str, float] = field(default_factory=dict)
    pools: dict[str, Load] = field(default_factory=dict)

    def of(self, pool: str) -> Load:
        """The load of a pool; of all workers if `pool` is empty."""
        return self.pools.setdefault(pool, Load(durations=self.durations)) if pool else self

    @property
    def idle_threads(self) -> int:
        """Number of threads without work."""
        return max(0, self.threads - self.outstanding)


def numbered(name: str, number: int) -> str:
    """A name of a part that each scheduler has; that of scheduler 0 has no number."""
    return f"{name} {number}" if number else name


class SchedulerUnavailable(Exception):
    """The scheduler does not answer."""


class SchedulerClient:
    """Keeps a Dask client connected in the background. Without a connection the node continues to work.

    Args:
        store: where the scheduler's heartbeat is, whose address is tried before that of the settings; None for the
            settings' alone.
        subscribe_to_load: receive the load that the scheduler publishes, up to some hundred times a second; for nodes
            that dispatch. Others never send attempts.
        number: of the scheduler, if it is not that of the settings, as on api nodes.

    Raises:
        SettingError: TLS is configured and a certificate is invalid.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store | None = None,
        *,
        subscribe_to_load: bool = False,
        number: int | None = None,
    ) -> None:
        self._keys = None if number is None or store is None else store.calls.of_scheduler(number)
        self._configured_address = settings.scheduler if number is None else settings.scheduler_addresses[number]
        self._subscribe_to_load = subscribe_to_load
        self._settings = settings
        self._store = store
        self._address = self._configured_address
        self._failed = ""
        """The address at which the last attempt failed."""
        self._announced_at = float("-inf")
        """When a heartbeat was last seen."""
        if uses_tls(settings):
            check_certificates(settings)
        self.load = Load()
        self.load_changed = asyncio.Event()
        """Set whenever the scheduler publishes its load."""
        self._client: Client | None = None
        self._configured_connection: object = None
        self._operations: Sequence[str] = ()
        """What the scheduler at the end of that connection takes as messages."""
        self._next_question = float("-inf")
        self.disconnected_since: float | None = time.time()
        """When the connection was lost, seconds since 1970; None while the client is connected."""
        self._dask_configured = False
        self.loop = BackgroundLoop(
            numbered("scheduler client", number or 0), self._keep_connected, pause_seconds=CHECK_SECONDS
        )

    def start(self) -> None:
        self.loop.start()

    @property
    def connected(self) -> bool:
        return self._client is not None and self._client.status == "running"

    @property
    def client(self) -> Client:
        """The connected client.

        Raises:
            SchedulerUnavailable: the client is not connected.
        """
        if self._client is None or self._client.status != "running":
            raise SchedulerUnavailable(f"the scheduler at {self._address} does not answer")
        return self._client

    async def call(self, operation: str, **arguments: Any) -> Any:
        """Calls one of the handlers that our plugin adds to the scheduler.

        Raises:
            SchedulerUnavailable: the scheduler does not answer within CALL_TIMEOUT_SECONDS.
        """
        client = self.client
        measured = metrics.SCHEDULER_SECONDS.labels(operation.removeprefix("dask_graphql_"))
        try:
            with measured.time():
                async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
                    return await dask_internals.call_handler(client, operation, **arguments)
        except (OSError, TimeoutError) as error:
            raise SchedulerUnavailable(f"the scheduler at {self._address} does not answer: {error}") from error

    @property
    def takes_messages(self) -> bool:
        """Whether the scheduler at the end of this connection is known to take messages of `attempt_messages`. Not if
        it is of an earlier release, or if the client has just reconnected, perhaps to such a one."""
        client = self._client
        return (
            client is not None
            and attempt_messages.OPERATION in self._operations
            and dask_internals.connection_of(client) is self._configured_connection
        )

    def send_attempts(self, pool: str, batches: Sequence[AttemptBatch]) -> None:
        """Sends batches of attempts for the workers of a pool, all if it is empty; at most
        `attempt_messages.MAX_ATTEMPTS` attempts. Nobody replies.

        Raises:
            SchedulerUnavailable: the client is not connected.
        """
        client = self.client
        if not self.takes_messages:
            send_graph(client, pool, batches)
            return
        try:
            dask_internals.send_to_scheduler(client, attempt_messages.encode(pool, batches))
        except OSError as error:
            raise SchedulerUnavailable(f"the scheduler at {self._address} has closed the connection") from error

    async def _keep_connected(self) -> None:
        """Connects if there is no client."""
        if not self._dask_configured:
            # Importing distributed takes half a second; an api node starts to serve before that is done.
            await asyncio.to_thread(configure_dask, Path(self._settings.data_dir).absolute() / "scratch")
            self._dask_configured = True
        announced = await self._announced_address()
        if self._client is not None and self._client.status in ("closing", "closed"):
            self._client = None
        if self._client is not None and self._has_moved(announced):
            # Dask's client would try the address that it knows for five seconds, or hang on a frozen scheduler.
            logger.info("the scheduler has moved from %s to %s", self._address, announced)
            client, self._client = self._client, None
            await _close(client)
        try:
            if self._client is None:
                if announced or time.monotonic() - self._announced_at > TAKEOVER_SECONDS:
                    self._address = self._next_address(announced)
                    await self._connect()
            elif self.connected and dask_internals.connection_of(self._client) is not self._configured_connection:
                # Dask's client has reconnected by itself, perhaps to another scheduler.
                await self._configure_connection(self._client)
                logger.info("connected to the scheduler at %s again", self._address)
            elif self.connected and not self._operations and time.monotonic() >= self._next_question:
                await self._learn_operations(self._client)
        finally:
            self.disconnected_since = None if self.connected else self.disconnected_since or time.time()

    async def _announced_address(self) -> str:
        """The address that the running scheduler has written to Redis; empty if it is not known."""
        try:
            heartbeat = await read_heartbeat(self._store, self._keys) if self._store else None
        except StoreUnavailable as error:
            logger.debug("the scheduler's heartbeat is unknown: %s", error)
            return ""
        if heartbeat is None:
            return ""
        self._announced_at = time.monotonic()
        return heartbeat.address

    def _has_moved(self, announced: str) -> bool:
        """Whether another scheduler has taken over. One whose own address cannot be reached from here is used by that
        of the settings, as long as it answers."""
        reached = self._address if self.connected else ""
        return announced not in ("", self._address) and reached != self._configured_address

    def _next_address(self, announced: str) -> str:
        """The announced address; after a failure there, that of the settings, and so on in turn."""
        return announced if announced and announced != self._failed else self._configured_address

    async def _connect(self) -> None:
        import distributed

        client = distributed.Client(
            self._address,
            asynchronous=True,
            set_as_default=False,
            timeout=CONNECT_SECONDS,
            name="dask-graphql",
            security=dask_security(self._settings),
        )
        try:
            await client
            await self._configure_connection(client)
        except BaseException as error:
            await _close(client)
            if not isinstance(error, (OSError, TimeoutError)):
                raise
            logger.debug("no scheduler at %s: %s", self._address, error)
            self._failed = self._address
            return
        self._client, self._failed = client, ""
        logger.info("connected to the scheduler at %s", self._address)

    async def _configure_connection(self, client: Client) -> None:
        """Must be called for each new connection, including those that Dask made by itself."""
        # The load of a previous scheduler says nothing about this one.
        self.load = Load()
        self.load_changed.set()
        if self._subscribe_to_load:
            client.subscribe_topic(LOAD_TOPIC, self._on_load)
        connection = dask_internals.connection_of(client)
        await self._learn_operations(client)
        self._configured_connection = connection

    async def _learn_operations(self, client: Client) -> None:
        """Asks the scheduler of a new connection what it takes. One that starts may know nothing yet, and replies None
        as one of an earlier release does: it is asked again."""
        self._operations = ()
        self._next_question = time.monotonic() + QUESTION_SECONDS
        if not self._subscribe_to_load:
            return
        try:
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
                self._operations = await dask_internals.call_handler(client, "dask_graphql_operations") or ()
        except (OSError, TimeoutError) as error:
            logger.debug("the scheduler does not say what it takes: %s", error)

    def _on_load(self, event: tuple[float, dict[str, Any]]) -> None:
        message = event[1]
        self.load.outstanding, self.load.threads = message["outstanding"], message["threads"]
        self.load.durations |= message["durations"]
        for pool, (outstanding, threads) in message.get("pools", {}).items():
            load = self.load.of(pool)
            load.outstanding, load.threads = outstanding, threads
        self.load_changed.set()

    async def close(self) -> None:
        await self.loop.close()
        if self._client is not None:
            await _close(self._client)


async def _close(client: Client) -> None:
    try:
        await client.close(timeout=1)
    except (OSError, TimeoutError):
        logger.debug("the client was closed while the scheduler was unavailable")
