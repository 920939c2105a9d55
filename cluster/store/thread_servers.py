"""The servers of a store, as the threads of a worker call them. `routing.py` decides to which server a call goes."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from cluster.redis_url import address_of, with_address
from cluster.store.lua_scripts import SCRIPTS
from cluster.store.raw_pipeline import Sent, ThreadPipeline
from cluster.store.redirects import ASKING
from cluster.store.redis_internals import Command
from cluster.store.round_trip import MAX_CONNECTIONS, TIMEOUT_SECONDS, handshake, missing_scripts, raise_first_error
from cluster.store.routing import NO_SLOTS, Delivery, Preparation, Routing, is_cluster
from cluster.store.slots import Address, SlotMap, parse_slots

SOCKET_SECONDS: Final = 5.0
"""Longest wait of a thread for a reply."""


class ThreadServer:
    """One Redis server, with a connection for each thread."""

    def __init__(self, url: str, address: Address) -> None:
        self.address = address
        self.pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            timeout=TIMEOUT_SECONDS,
            socket_timeout=SOCKET_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 1),
            redis_connect_func=_connect,
        )
        self._pipeline = ThreadPipeline(self.pool)

    def send(self, commands: Sequence[Command], *, asking: bool = False) -> list[Any]:
        """As the method of `Server`."""
        replies = self._exchange(commands, asking)
        if missing := missing_scripts(replies):
            raise_first_error(self._send([("SCRIPT", "LOAD", script.source) for script in SCRIPTS.values()]))
            again = self._exchange([commands[i] for i in missing], asking)
            for i, reply in zip(missing, again, strict=True):
                replies[i] = reply
        return replies

    def send_only(self, command: Command) -> Sent:
        """Sends a command without waiting for its reply."""
        return self._pipeline.send(command)

    def read_sent(self) -> None:
        """Reads the replies to all commands that this thread has only sent."""
        self._pipeline.read_sent()

    def ask(self, *command: Any) -> Any:
        """Returns the reply to a question about the cluster, within SOCKET_SECONDS.

        Raises:
            RedisError, OSError: the server does not answer, or refuses.
        """
        [reply] = self._exchange([command], False)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def disconnect(self) -> None:
        """Closes the connection of this thread, and those that no thread uses."""
        self._pipeline.disconnect()
        self.pool.disconnect(inuse_connections=False)

    def _exchange(self, commands: Sequence[Command], asking: bool) -> list[Any]:
        if asking:
            return self._send([part for command in commands for part in (ASKING, command)])[1::2]
        return self._send(commands)

    def _send(self, commands: Sequence[Command]) -> list[Any]:
        with suppress(redis.ConnectionError):
            return self._pipeline.send_pipeline(commands)
        # The idle connection was lost, as all are when Redis restarts.
        return self._pipeline.send_pipeline(commands)


class ThreadServers:
    """Routes calls to servers.

    Args:
        url: REDIS_URL.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.seed = ThreadServer(url, address_of(url))
        self._routing = Routing(self.seed.address)
        self._servers = {self.seed.address: self.seed}
        self._known = False
        # Threads share what is known of the servers; one of them asks at a time.
        self._lock = threading.RLock()

    def send(self, commands: Sequence[Command]) -> list[Any]:
        """Sends commands, to each server in one round trip. The reply to a command that fails is its exception."""
        self._learn()
        began = time.monotonic()
        delivery = Delivery(self._routing, commands)
        while routes := list(delivery.groups):
            for route in routes:
                try:
                    outcome: list[Any] | Exception = self._server(route.address).send(
                        delivery.commands(route), asking=route.asking
                    )
                except (RedisError, OSError) as error:
                    outcome = error
                delivery.receive(route, outcome)
            self._prepare(delivery.preparation())
            delivery.plan_next(time.monotonic() - began)
        return delivery.replies

    def send_only(self, command: Command) -> Sent:
        """Sends a command to its server without waiting for the reply, which `read_sent` reads."""
        return self._server(self._routing.first(command).address).send_only(command)

    def read_sent(self) -> None:
        """Reads the replies to all commands that this thread has only sent."""
        for server in list(self._servers.values()):
            server.read_sent()

    @property
    def is_cluster(self) -> bool:
        return self._routing.slots is not None

    def any_primary(self) -> ThreadServer:
        """A primary, as the cluster says now; a single Redis.

        Raises:
            RedisError, OSError: no server answers.
        """
        self._learn()
        if self.is_cluster:
            self._refresh(None)
        return self._server(random.choice(self._routing.primaries))  # noqa: S311 - any will do

    def disconnect(self) -> None:
        """Closes the connections of this thread, and those that no thread uses."""
        for server in list(self._servers.values()):
            server.disconnect()

    def close(self) -> None:
        for server in list(self._servers.values()):
            server.pool.close()

    def _server(self, address: Address) -> ThreadServer:
        # Without the lock: it is held for as long as a server that is asked does not answer.
        if (known := self._servers.get(address)) is not None:
            return known
        with self._lock:
            server = self._servers.get(address)
            if server is None:
                server = self._servers[address] = ThreadServer(with_address(self._url, address), address)
            return server

    def _learn(self) -> None:
        """Asks, once, whether the server is one of a cluster."""
        if self._known:
            return
        try:
            found = is_cluster(self.seed.ask("HELLO"))
        except ResponseError:
            # As in `Servers`.
            found = False
        if found:
            self._refresh(None)
            if not self.is_cluster:
                raise ConnectionError(NO_SLOTS)
        self._known = True

    def _prepare(self, preparation: Preparation) -> None:
        if preparation.refresh:
            # A thread has no one else to ask meanwhile, so it waits in any case.
            self._refresh(preparation.lost)
        if preparation.pause_seconds:
            time.sleep(preparation.pause_seconds)

    def _refresh(self, lost: Address | None) -> None:
        """Asks who serves which slots, unless that was asked a moment ago."""
        with self._lock:
            if not self._routing.may_refresh(time.monotonic()):
                return
            for address in self._routing.asking_order(lost):
                try:
                    found = parse_slots(self._server(address).ask("CLUSTER", "SLOTS"), address)
                except (RedisError, OSError):
                    continue
                if found.primaries:
                    self._adopt(found)
                    break
            self._routing.asked(time.monotonic())

    def _adopt(self, found: SlotMap) -> None:
        self._routing.adopt(found)
        for address in self._routing.departed(self._servers):
            # The connections of other threads are closed when the last of their calls has returned.
            self._servers.pop(address).disconnect()


def _connect(connection: redis.Connection) -> None:
    with handshake():
        connection.on_connect()  # type: ignore[no-untyped-call]
