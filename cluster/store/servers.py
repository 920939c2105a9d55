"""The servers of a store, as asyncio code calls them: one Redis, or the primaries of a cluster.

REDIS_URL leads to a server; that says whether it is one of a cluster. Each call goes to the primary that serves the
slot of its key, as far as is known; a server that does not serve it says who does. When a server is lost, another one
is asked: its slots may have a new primary by now. `routing.py` decides all that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import RedisError, ResponseError

from cluster.redis_url import address_of, with_address
from cluster.store.lua_scripts import Call
from cluster.store.redirects import ASK_SECONDS, is_lost
from cluster.store.redis_internals import Command
from cluster.store.refusals import refusal_code
from cluster.store.round_trip import TIMEOUT_SECONDS
from cluster.store.routing import NO_SLOTS, Delivery, Failure, Preparation, Route, Routing, is_cluster
from cluster.store.server import Server
from cluster.store.slots import Address, SlotMap, parse_slots
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
        self._routing = Routing(self.seed.address)
        self._servers = {self.seed.address: self.seed}
        self._known = False
        self._learning: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self.failing: dict[Address, float] = {}
        """The servers whose last call failed, and since when, seconds since 1970."""

    async def run(self, call: Call[Any]) -> Any:
        """Returns the reply to one script, in a round trip shared with other calls.

        Raises:
            RedisError, OSError: the server does not answer, or refused.
        """
        await self._mode_known()
        began = time.monotonic()
        route = self._routing.first(call.command)
        while True:
            try:
                reply = await self._run_on(route, call)
            except (RedisError, OSError) as error:
                failure = Failure(error, route)
                await self._prepare(self._routing.preparation([failure]))
                target = self._routing.after(failure, call.command, time.monotonic() - began)
                if target is None:
                    self._note(route.address, error)
                    raise
                route = target
            else:
                self._note(route.address, None)
                return reply

    async def send(self, commands: Sequence[Command], on_reply: Callable[[], None] = lambda: None) -> list[Any]:
        """Sends commands, to each server in one round trip. The reply to a command that fails is its exception.

        Commands on keys of different servers are executed in any order.
        """
        await self._mode_known()
        began = time.monotonic()
        delivery = Delivery(self._routing, commands)
        while routes := list(delivery.groups):
            outcomes = await asyncio.gather(
                *(
                    self._server(route.address).send(delivery.commands(route), on_reply, asking=route.asking)
                    for route in routes
                ),
                return_exceptions=True,
            )
            for route, outcome in zip(routes, outcomes, strict=True):
                if isinstance(outcome, BaseException) and not isinstance(outcome, (RedisError, OSError)):
                    raise outcome
                if delivery.receive(route, outcome):
                    self._note(route.address, None)
            await self._prepare(delivery.preparation())
            for failure in delivery.plan_next(time.monotonic() - began):
                self._note(failure.route.address, failure.error)
        return delivery.replies

    async def primaries(self) -> list[Server]:
        """Every primary, as the cluster says now; of a single Redis that one.

        Raises:
            RedisError, OSError: no server answers.
        """
        await self._mode_known()
        if self._routing.slots is not None:
            await self._refresh(None)
        return [self._server(address) for address in self._routing.primaries]

    async def drop_idle(self) -> None:
        """Closes the connections that no call uses."""
        for server in list(self._servers.values()):
            await server.pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        for task in [*self._leaving, *filter(None, [self._learning, self._refreshing])]:
            task.cancel()
        for server in list(self._servers.values()):
            await server.pool.aclose()

    async def _run_on(self, route: Route, call: Call[Any]) -> Any:
        server = self._server(route.address)
        if not route.asking:
            return await server.run(call)
        [reply] = await server.send([call.command], asking=True)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _server(self, address: Address) -> Server:
        server = self._servers.get(address)
        if server is None:
            server = self._servers[address] = Server(with_address(self._url, address), address)
        return server

    def _note(self, address: Address, error: BaseException | None) -> None:
        if error is not None and (is_lost(error) or refusal_code(error)):
            self.failing.setdefault(address, time.time())
        elif self.failing:
            self.failing.pop(address, None)

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
            found = is_cluster(await self.seed.ask("HELLO"))
        except ResponseError:
            # A proxy, or a list of permissions, without HELLO. If it is one of a cluster, it says so by MOVED.
            found = False
        if found:
            await self._refresh(None)
            if self._routing.slots is None:
                raise ConnectionError(NO_SLOTS)
        self._known = True

    async def _prepare(self, preparation: Preparation) -> None:
        if preparation.refresh:
            refreshed = self._refresh(preparation.lost)
            if preparation.wait:
                await refreshed
        if preparation.pause_seconds:
            await asyncio.sleep(preparation.pause_seconds)

    def _refresh(self, lost: Address | None) -> asyncio.Future[None]:
        """Asks who serves which slots, unless that was asked a moment ago. Callers share one question."""
        loop = asyncio.get_running_loop()
        if self._refreshing is None or self._refreshing.done():
            if not self._routing.may_refresh(time.monotonic()):
                done: asyncio.Future[None] = loop.create_future()
                done.set_result(None)
                return done
            self._refreshing = loop.create_task(self._read_slots(lost))
        return asyncio.shield(self._refreshing)

    async def _read_slots(self, lost: Address | None) -> None:
        for address in self._routing.asking_order(lost):
            try:
                async with asyncio.timeout(ASK_SECONDS):
                    found = parse_slots(await self._server(address).ask("CLUSTER", "SLOTS"), address)
            except (RedisError, OSError):
                continue
            if found.primaries:
                self._adopt(found)
                break
        self._routing.asked(time.monotonic())

    def _adopt(self, found: SlotMap) -> None:
        changed = self._routing.adopt(found)
        for address in self.failing.keys() - set(found.primaries):
            del self.failing[address]
        for address in self._routing.departed(self._servers):
            leaving = asyncio.create_task(self._servers.pop(address).pool.disconnect(inuse_connections=False))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        if changed:
            self._on_change()
