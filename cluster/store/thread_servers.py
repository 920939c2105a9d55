"""The servers of a store, as the threads of a worker call them: servers.py says how calls are routed."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from cluster.redis_url import address_of, with_address
from cluster.store.lua_scripts import SCRIPTS
from cluster.store.raw_pipeline import ThreadPipeline
from cluster.store.redirects import (
    ASKING,
    PAUSE_SECONDS,
    REFRESH_SECONDS,
    Step,
    is_timeout,
    seconds_for,
    step_after,
    target_of,
)
from cluster.store.redis_internals import Command
from cluster.store.replies import hash_fields
from cluster.store.round_trip import MAX_CONNECTIONS, TIMEOUT_SECONDS, handshake, missing_scripts, raise_first_error
from cluster.store.slots import Address, SlotMap, parse_slots, slot_of_command

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

    def ask(self, *command: Any) -> Any:
        """As the method of `Server`."""
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
        self._known = False
        self._map: SlotMap | None = None
        self._servers: dict[Address, ThreadServer] = {}
        self._refresh_from = float("-inf")
        # Threads share the map; one of them reads it at a time.
        self._lock = threading.RLock()

    def send(self, commands: Sequence[Command]) -> list[Any]:
        """Sends commands, to each server in one round trip. The reply to a command that fails is its exception.

        Raises:
            RedisError, OSError: the only server does not answer.
        """
        self._learn()
        if self._map is None:
            return self.seed.send(commands)
        replies: list[Any] = [None] * len(commands)
        began = time.monotonic()
        slots = [slot_of_command(command) for command in commands]
        groups: dict[tuple[ThreadServer, bool], list[int]] = defaultdict(list)
        for i, slot in enumerate(slots):
            groups[self._owner(slot), False].append(i)
        while groups:
            failed: list[tuple[int, Exception, ThreadServer]] = []
            for (server, asking), group in groups.items():
                try:
                    found = server.send([commands[i] for i in group], asking=asking)
                except (RedisError, OSError) as error:
                    found = [error] * len(group)
                for i, reply in zip(group, found, strict=True):
                    replies[i] = reply
                    if isinstance(reply, Exception):
                        failed.append((i, reply, server))
            self._prepare([(reply, server) for _, reply, server in failed])
            groups = defaultdict(list)
            for i, reply, server in failed:
                target = self._target(reply, server, slots[i], began)
                if target is not None:
                    groups[target].append(i)
        return replies

    @property
    def is_cluster(self) -> bool:
        return self._map is not None

    def any_primary(self) -> ThreadServer:
        """A primary, as the cluster says now; a single Redis.

        Raises:
            RedisError, OSError: no server answers.
        """
        self._learn()
        if self._map is None:
            return self.seed
        self._refresh(None)
        return self._server(random.choice(self._map.primaries))  # noqa: S311 - any will do

    def disconnect(self) -> None:
        """Closes the connections of this thread, and those that no thread uses."""
        for server in [self.seed, *list(self._servers.values())]:
            server.disconnect()

    def close(self) -> None:
        for server in [self.seed, *list(self._servers.values())]:
            server.pool.close()

    def _server(self, address: Address) -> ThreadServer:
        with self._lock:
            server = self._servers.get(address)
            if server is None:
                server = self._servers[address] = ThreadServer(with_address(self._url, address), address)
            return server

    def _owner(self, slot: int | None) -> ThreadServer:
        owner = None if self._map is None else self._map.owner(slot)
        return self.seed if owner is None else self._server(owner)

    def _learn(self) -> None:
        if self._known:
            return
        try:
            mode = hash_fields(self.seed.ask("HELLO")).get(b"mode")
        except ResponseError:
            mode = None
        if mode == b"cluster":
            self._refresh(None)
            if self._map is None:
                raise ConnectionError("the server is one of a cluster, and no server of it says which slots it serves")
        self._known = True

    def _prepare(self, errors: Sequence[tuple[BaseException, ThreadServer]]) -> None:
        steps = {step_after(error): server for error, server in errors}
        if Step.MOVED in steps:
            self._refresh(None)
        elif Step.REFRESH in steps:
            self._refresh(steps[Step.REFRESH])
        if Step.PAUSE in steps:
            time.sleep(PAUSE_SECONDS)

    def _target(
        self, error: BaseException, server: ThreadServer, slot: int | None, began: float
    ) -> tuple[ThreadServer, bool] | None:
        step = step_after(error)
        if time.monotonic() - began > seconds_for(step):
            return None
        match step:
            case Step.MOVED if self._map is not None and slot is not None:
                self._map.move(slot, target_of(error, server.address))
                return self._owner(slot), False
            case Step.ASK:
                return self._server(target_of(error, server.address)), True
            case Step.PAUSE:
                return self._owner(slot), False
            case Step.REFRESH if self._owner(slot) is not server and not is_timeout(error):
                return self._owner(slot), False
        return None

    def _refresh(self, lost: ThreadServer | None) -> None:
        with self._lock:
            if time.monotonic() < self._refresh_from and self._map is not None:
                return
            others = [self._server(address) for address in self._map.nodes] if self._map is not None else []
            random.shuffle(others)
            for server in sorted([*others, self.seed], key=lambda server: server is lost):
                try:
                    found = parse_slots(server.ask("CLUSTER", "SLOTS"), server.address)
                except (RedisError, OSError):
                    continue
                if found.primaries:
                    self._map = found
                    break
            self._refresh_from = time.monotonic() + REFRESH_SECONDS


def _connect(connection: redis.Connection) -> None:
    with handshake():
        connection.on_connect()  # type: ignore[no-untyped-call]
