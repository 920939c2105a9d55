"""The servers of a store, as asyncio code calls them: one Redis, or the primaries of a cluster.

REDIS_URL leads to a server; that says whether it is one of a cluster. Each call goes to the primary that serves the
slot of its key, as far as is known; a server that does not serve it says who does. When a server is lost, another one
is asked: its slots may have a new primary by now.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from redis.exceptions import RedisError, ResponseError

from cluster.redis_url import address_of, with_address
from cluster.store.lua_scripts import Call
from cluster.store.redirects import (
    ASK_SECONDS,
    PAUSE_SECONDS,
    REFRESH_SECONDS,
    Step,
    is_lost,
    is_timeout,
    seconds_for,
    step_after,
    target_of,
)
from cluster.store.redis_internals import Command
from cluster.store.refusals import refusal_code
from cluster.store.replies import hash_fields
from cluster.store.round_trip import TIMEOUT_SECONDS
from cluster.store.server import Server
from cluster.store.slots import Address, SlotMap, parse_slots, slot_of, slot_of_command
from cluster.store.stall_aware_timeout import stall_aware_timeout


class Servers:
    """Routes calls to servers.

    Args:
        url: REDIS_URL.
        on_change: called when a cluster has other primaries than before.
    """

    def __init__(self, url: str, on_change: Callable[[], None]) -> None:
        self._url = url
        self._on_change = on_change
        self.seed = Server(url, address_of(url))
        self._known = False
        self._map: SlotMap | None = None
        self._servers: dict[Address, Server] = {}
        self._learning: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._refresh_from = float("-inf")
        self._leaving: set[asyncio.Task[None]] = set()
        self.failing: dict[Address, float] = {}
        """The servers whose last call failed, and since when, seconds since 1970."""

    async def run(self, call: Call[Any]) -> Any:
        """Returns the reply to one script, in a round trip shared with other calls.

        Raises:
            RedisError, OSError: the server does not answer, or refused.
        """
        await self._mode_known()
        slot, began = slot_of(call.keys[0]), time.monotonic()
        server, asking = self._owner(slot), False
        while True:
            try:
                if asking:
                    [reply] = await server.send([call.command], asking=True)
                    if isinstance(reply, Exception):
                        raise reply
                else:
                    reply = await server.run(call)
            except (RedisError, OSError) as error:
                await self._prepare([(error, server)])
                target = self._target(error, server, slot, began)
                if target is None:
                    self._note(server, error)
                    raise
                server, asking = target
            else:
                self._note(server, None)
                return reply

    async def send(self, commands: Sequence[Command], on_reply: Callable[[], None] = lambda: None) -> list[Any]:
        """Sends commands, to each server in one round trip. The reply to a command that fails is its exception.

        Commands on keys of different servers are executed in any order.
        """
        await self._mode_known()
        replies: list[Any] = [None] * len(commands)
        began = time.monotonic()
        slots = [None] * len(commands) if self._map is None else [slot_of_command(command) for command in commands]
        groups: dict[tuple[Server, bool], list[int]] = defaultdict(list)
        for i, slot in enumerate(slots):
            groups[self._owner(slot), False].append(i)
        while groups:
            found = await asyncio.gather(
                *(
                    server.send([commands[i] for i in group], on_reply, asking=asking)
                    for (server, asking), group in groups.items()
                ),
                return_exceptions=True,
            )
            failed: list[tuple[int, Exception, Server]] = []
            for ((server, _), group), outcome in zip(groups.items(), found, strict=True):
                if isinstance(outcome, BaseException) and not isinstance(outcome, (RedisError, OSError)):
                    raise outcome
                for i, reply in zip(group, _spread(outcome, len(group)), strict=True):
                    replies[i] = reply
                    if isinstance(reply, Exception):
                        failed.append((i, reply, server))
                if server not in {server for _, _, server in failed}:
                    self._note(server, None)
            await self._prepare([(error, server) for _, error, server in failed])
            groups = defaultdict(list)
            for i, error, server in failed:
                target = self._target(error, server, slots[i], began)
                if target is None:
                    self._note(server, error)
                else:
                    groups[target].append(i)
        return replies

    async def primaries(self) -> list[Server]:
        """Every primary, as the cluster says now; of a single Redis that one.

        Raises:
            RedisError, OSError: no server answers.
        """
        await self._mode_known()
        if self._map is None:
            return [self.seed]
        await self._refresh(None)
        return [self._server(address) for address in self._map.primaries]

    async def drop_idle(self) -> None:
        """Closes the connections that no call uses."""
        for server in self._all():
            await server.pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        for task in [*self._leaving, *filter(None, [self._learning, self._refreshing])]:
            task.cancel()
        for server in self._all():
            await server.pool.aclose()

    def _all(self) -> Iterator[Server]:
        yield self.seed
        yield from list(self._servers.values())

    def _server(self, address: Address) -> Server:
        server = self._servers.get(address)
        if server is None:
            server = self._servers[address] = Server(with_address(self._url, address), address)
        return server

    def _owner(self, slot: int | None) -> Server:
        owner = None if self._map is None else self._map.owner(slot)
        return self.seed if owner is None else self._server(owner)

    def _note(self, server: Server, error: BaseException | None) -> None:
        if error is not None and (is_lost(error) or refusal_code(error)):
            self.failing.setdefault(server.address, time.time())
        elif self.failing:
            self.failing.pop(server.address, None)

    # What servers say of the others -----------------------------------------------------------------------------------

    async def _mode_known(self) -> None:
        if self._known:
            return
        if self._learning is None or self._learning.done():
            self._learning = asyncio.create_task(self._learn())
        async with stall_aware_timeout(TIMEOUT_SECONDS):
            await asyncio.shield(self._learning)

    async def _learn(self) -> None:
        """Asks, once, whether the server is one of a cluster."""
        try:
            mode = hash_fields(await self.seed.ask("HELLO")).get(b"mode")
        except ResponseError:
            # A proxy, or a list of permissions, without HELLO. If it is one of a cluster, it says so by MOVED.
            mode = None
        if mode == b"cluster":
            await self._refresh(None)
            if self._map is None:
                raise ConnectionError("the server is one of a cluster, and no server of it says which slots it serves")
        self._known = True

    async def _prepare(self, errors: Sequence[tuple[BaseException, Server]]) -> None:
        """Waits, and asks who serves which slots, as far as these errors ask for it."""
        steps = {step_after(error): (error, server) for error, server in errors}
        if Step.MOVED in steps:
            await self._refresh(None)
        elif Step.REFRESH in steps and self._map is not None:
            error, server = steps[Step.REFRESH]
            refreshed = self._refresh(server)
            # The caller of a server that did not answer in time has waited for long enough.
            if not is_timeout(error):
                await refreshed
        if Step.PAUSE in steps:
            await asyncio.sleep(PAUSE_SECONDS)

    def _target(
        self, error: BaseException, server: Server, slot: int | None, began: float
    ) -> tuple[Server, bool] | None:
        """Where a failed call goes next, and whether with ASKING; None if nowhere, or if the call has taken long."""
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

    def _refresh(self, lost: Server | None) -> asyncio.Future[None]:
        """Asks who serves which slots, unless that was asked within REFRESH_SECONDS. Callers share one question."""
        loop = asyncio.get_running_loop()
        if self._refreshing is None or self._refreshing.done():
            if loop.time() < self._refresh_from and self._map is not None:
                done: asyncio.Future[None] = loop.create_future()
                done.set_result(None)
                return done
            self._refreshing = loop.create_task(self._read_map(lost))
        return asyncio.shield(self._refreshing)

    async def _read_map(self, lost: Server | None) -> None:
        others = [self._server(address) for address in self._map.nodes] if self._map is not None else []
        random.shuffle(others)
        # A lost server may not answer for long.
        for server in sorted([*others, self.seed], key=lambda server: server is lost):
            try:
                async with asyncio.timeout(ASK_SECONDS):
                    found = parse_slots(await server.ask("CLUSTER", "SLOTS"), server.address)
            except (RedisError, OSError):
                continue
            if found.primaries:
                self._adopt(found)
                break
        self._refresh_from = asyncio.get_running_loop().time() + REFRESH_SECONDS

    def _adopt(self, found: SlotMap) -> None:
        before, self._map = self._map, found
        for address in self.failing.keys() - set(found.primaries):
            del self.failing[address]
        if before is None or set(before.primaries) == set(found.primaries):
            return
        for address in self._servers.keys() - set(found.nodes):
            leaving = asyncio.create_task(self._servers.pop(address).pool.disconnect(inuse_connections=False))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        self._on_change()


def _spread(outcome: Any, count: int) -> list[Any]:
    return [outcome] * count if isinstance(outcome, BaseException) else outcome
