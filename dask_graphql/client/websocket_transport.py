"""All subscriptions of a client over one WebSocket, which is opened again whenever it is lost.

The protocol is graphql-transport-ws (https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md). Whatever breaks
the socket, each subscription is begun again on the next one with its variables of that moment. The api tells final
records and events from its store, so nothing is lost between two sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from dask_graphql.client.errors import ApiUnavailable, ClientError, Refused, refusal
from dask_graphql.client.network import BadProxy, is_loopback
from dask_graphql.client.retry import RETRIABLE, Patience, asked_seconds

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

logger = logging.getLogger(__name__)

FATAL: Final = frozenset({4400, 4401, 4403, 4406})
"""Close codes by which the api says that this client will not do: bad message, not allowed, wrong protocol."""

GREETING_SECONDS: Final = 10.0
"""Longest wait for a connection, and then for its acknowledgement."""

STEADY_SECONDS: Final = 5.0
"""A connection that lives so long was a good one. One that is opened and lost at once counts as one more failure."""


class Subscription:
    """One subscription, from `Session.open` to its end.

    Args:
        query: the document.
        variables: asked at each beginning, so that it goes on where it was.
        on_data: called with the data of each item and its errors.
        on_end: called once, unless it is closed before: with None where all has come, or with the error that ended it.
        complete: whether all has come; where not, an end that the api tells was only the end of its process.
    """

    def __init__(
        self,
        query: str,
        variables: Callable[[], dict[str, Any]],
        *,
        on_data: Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]]], None],
        on_end: Callable[[ClientError | None], None],
        complete: Callable[[], bool],
    ) -> None:
        self.query = query
        self.variables = variables
        self.on_data = on_data
        self.on_end = on_end
        self.complete = complete
        self.operation_id: str | None = None
        self.patience: Patience | None = None


class Session:
    """The WebSocket of a client. The first subscription opens it, and it stays open between subscriptions, until
    `close`; one that is lost while there are none is opened again by the next.

    Args:
        url: the api's `/graphql`.
        token: sent with `connection_init` as `authorization`; None for none.
        patience_seconds: how long a lost connection is tried again before all subscriptions end with ApiUnavailable.
        ping_seconds: how often the link is tried; one that does not answer within that time again is taken for dead.
    """

    def __init__(self, url: str, token: str | None, *, patience_seconds: float, ping_seconds: float) -> None:
        self._url = url.replace("http", "ws", 1)
        self._greeting: dict[str, Any] = {"type": "connection_init"}
        if token is not None:
            self._greeting["payload"] = {"authorization": f"Bearer {token}"}
        self._patience_seconds = patience_seconds
        self._ping_seconds = ping_seconds
        self._subscriptions: dict[Subscription, None] = {}
        self._by_id: dict[str, Subscription] = {}
        self._outgoing: asyncio.Queue[str] | None = None
        self._running: asyncio.Task[None] | None = None
        self._last_id = 0
        self.connections = 0

    def open(self, subscription: Subscription) -> None:
        """Begins a subscription, now or when there is a connection."""
        self._subscriptions[subscription] = None
        self._begin(subscription)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
            self._running.add_done_callback(self._stopped)

    def close_subscription(self, subscription: Subscription) -> None:
        """Ends it from this side; nothing more is heard of it."""
        self._subscriptions.pop(subscription, None)
        if subscription.operation_id is not None:
            self._by_id.pop(subscription.operation_id, None)
            self._send({"id": subscription.operation_id, "type": "complete"})
            subscription.operation_id = None

    async def close(self) -> None:
        """Closes the socket; every subscription ends with an error."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        self._end_all(ClientError("the client is closed"))

    # The link ---------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Keeps a connection until no subscription is left or the api stays away."""
        # Imported where the first subscription begins: it takes as long as the rest of the client together.
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidProxy, InvalidURI, WebSocketException

        patience = Patience(self._patience_seconds, self._url)
        while self._subscriptions:
            greeted_at = math.inf
            try:
                async with connect(
                    self._url,
                    subprotocols=["graphql-transport-ws"],  # type: ignore[list-item]
                    max_size=None,
                    open_timeout=GREETING_SECONDS,
                    close_timeout=1,
                    ping_interval=self._ping_seconds,
                    ping_timeout=self._ping_seconds,
                    proxy=None if is_loopback(self._url) else True,
                ) as socket:
                    async with asyncio.timeout(GREETING_SECONDS):
                        await self._greet(socket)
                    greeted_at = asyncio.get_running_loop().time()
                    self.connections += 1
                    await self._talk(socket)
                error: Exception = ConnectionError("the api closed the connection")
            except InvalidURI as wrong:
                self._end_all(ApiUnavailable(f"{self._url!r} is no address of an api: {wrong}"))
                return
            except (InvalidProxy, ImportError) as unusable:
                self._end_all(BadProxy(unusable))
                return
            except (OSError, TimeoutError, WebSocketException) as lost:
                error = lost
                if refused_by := _refused_by(lost):
                    self._end_all(refused_by)
                    return
            if not self._subscriptions:
                return
            if asyncio.get_running_loop().time() - greeted_at > STEADY_SECONDS:
                patience.reset()
            try:
                pause = patience.pause_seconds(error)
            except ClientError as unavailable:
                self._end_all(unavailable)
                return
            if self.connections == 0 and patience.tries == 1:
                logger.warning(
                    "%s does not answer (%s); trying for %g s", self._url, str(error) or type(error).__name__,
                    self._patience_seconds,
                )  # fmt: skip
            else:
                logger.info("the connection to %s is lost (%s); again in %.1f s", self._url, error, pause)
            await asyncio.sleep(pause)

    def _stopped(self, running: asyncio.Task[None]) -> None:
        error = None if running.cancelled() else running.exception()
        # What the api sent was not the protocol: nobody may wait for ever for that. A subscription that came after the
        # stop has begun a link of its own already, which tells of itself.
        if error is not None and running is self._running:
            self._end_all(ApiUnavailable(f"{self._url} does not speak the protocol: {error!r}"))

    async def _greet(self, socket: ClientConnection) -> None:
        await socket.send(json.dumps(self._greeting))
        while True:
            message = json.loads(await socket.recv())
            if message.get("type") == "connection_ack":
                return
            if message.get("type") == "ping":
                await socket.send('{"type":"pong"}')

    async def _talk(self, socket: ClientConnection) -> None:
        """Begins every subscription on a new socket and passes on what comes; returns when the api closes it."""
        self._by_id.clear()
        self._outgoing = asyncio.Queue()
        for subscription in list(self._subscriptions):
            self._begin(subscription)
        writer = asyncio.create_task(self._write(socket, self._outgoing))
        try:
            async for text in socket:
                self._hear(json.loads(text))
        finally:
            self._outgoing = None
            self._by_id.clear()
            for subscription in self._subscriptions:
                subscription.operation_id = None
            writer.cancel()
            await asyncio.wait([writer])

    async def _write(self, socket: ClientConnection, outgoing: asyncio.Queue[str]) -> None:
        from websockets.exceptions import ConnectionClosed

        # The reader hears of a lost connection too, and tells it.
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.send(await outgoing.get())

    def _send(self, message: dict[str, Any]) -> None:
        # Bounded by what is subscribed: a few messages per subscription and socket.
        if self._outgoing is not None:
            self._outgoing.put_nowait(json.dumps(message))

    # The subscriptions ------------------------------------------------------------------------------------------------

    def _begin(self, subscription: Subscription) -> None:
        """Subscribes under a new id, so that a late word of an earlier beginning is not taken for one of this."""
        if self._outgoing is None or subscription not in self._subscriptions:
            return
        self._last_id += 1
        subscription.operation_id = str(self._last_id)
        self._by_id[subscription.operation_id] = subscription
        payload = {"query": subscription.query, "variables": subscription.variables()}
        self._send({"id": subscription.operation_id, "type": "subscribe", "payload": payload})

    def _hear(self, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind == "ping":
            self._send({"type": "pong"})
            return
        subscription = self._by_id.get(message.get("id", ""))
        if subscription is None:
            return
        if kind == "next":
            payload = message["payload"]
            if payload.get("data") is not None:
                subscription.patience = None
                subscription.on_data(payload["data"], payload.get("errors") or ())
            elif payload.get("errors"):
                self._refuse(subscription, refusal(payload["errors"]))
        elif kind == "error":
            self._by_id.pop(message["id"])
            subscription.operation_id = None
            self._refuse(subscription, refusal(message["payload"]))
        elif kind == "complete":
            self._by_id.pop(message["id"])
            subscription.operation_id = None
            if subscription.complete():
                self._end(subscription, None)
            else:
                self._refuse(subscription, Refused("SERVICE_UNAVAILABLE", "the subscription ended early"))

    def _refuse(self, subscription: Subscription, refused: Refused) -> None:
        """Begins a subscription again later where that may help, and ends it where not."""
        self.close_subscription(subscription)
        if refused.code not in RETRIABLE:
            subscription.on_end(refused)
            return
        subscription.patience = subscription.patience or Patience(self._patience_seconds, self._url)
        try:
            pause = subscription.patience.pause_seconds(refused, asked_seconds(refused))
        except ClientError as error:
            subscription.on_end(error)
            return
        self._subscriptions[subscription] = None
        asyncio.get_running_loop().call_later(pause, self._begin_late, subscription)

    def _begin_late(self, subscription: Subscription) -> None:
        # A new socket may have begun it meanwhile.
        if subscription.operation_id is None:
            self._begin(subscription)

    def _end(self, subscription: Subscription, error: ClientError | None) -> None:
        self._subscriptions.pop(subscription, None)
        subscription.on_end(error)

    def _end_all(self, error: ClientError) -> None:
        for subscription in list(self._subscriptions):
            self._end(subscription, error)


def _refused_by(error: Exception) -> Refused | None:
    """The refusal behind a lost connection, where trying again would not help."""
    from websockets.exceptions import ConnectionClosed, InvalidStatus, NegotiationError

    if isinstance(error, ConnectionClosed) and error.rcvd is not None and error.rcvd.code in FATAL:
        return Refused(f"SOCKET_{error.rcvd.code}", error.rcvd.reason or "the api closed the connection")
    if isinstance(error, NegotiationError):
        return Refused("SOCKET_4406", f"the api does not speak graphql-transport-ws: {error}")
    if isinstance(error, InvalidStatus) and 400 <= error.response.status_code < 500 and (
        error.response.status_code not in (408, 429)
    ):  # fmt: skip
        return Refused(f"HTTP_{error.response.status_code}", f"the api refused the WebSocket: {error}")
    return None
