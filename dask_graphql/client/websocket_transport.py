"""All subscriptions of a client over one WebSocket, which reconnects whenever it is lost.

The protocol is graphql-transport-ws (https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md). After a
reconnect each subscription starts again with its current variables. The api reads final records and events from its
store, so nothing is lost between two connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
from typing import TYPE_CHECKING, Any, Final

from dask_graphql.client.errors import ApiUnavailable, ClientError, Refused, refusal
from dask_graphql.client.network import BadProxy, is_loopback
from dask_graphql.client.retry import RETRYABLE_CODES, RetryBudget, retry_after_seconds
from dask_graphql.client.subscription import Subscription

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

logger = logging.getLogger(__name__)

FATAL_CLOSE_CODES: Final = frozenset({4400, 4401, 4403, 4406})
"""Close codes after which a reconnect cannot help: bad message, unauthorized, forbidden, wrong protocol."""

HANDSHAKE_SECONDS: Final = 10.0
"""Timeout of opening a connection, and again of its `connection_ack`."""

STEADY_SECONDS: Final = 5.0
"""A connection that lasted this long resets the retries; one that is lost sooner counts as another failure."""


class WebSocketTransport:
    """The WebSocket of a client. The first subscription opens it, and it stays open until `close`. If it is lost while
    there are no subscriptions, the next one reopens it.

    Args:
        url: the api's `/graphql`.
        token: sent with `connection_init` as `authorization`; None to send none.
        patience_seconds: how long to try to reconnect before all subscriptions end with ApiUnavailable.
        ping_seconds: ping interval; a connection without a pong within the same time is closed and reopened.
    """

    def __init__(self, url: str, token: str | None, *, patience_seconds: float, ping_seconds: float) -> None:
        self._url = url.replace("http", "ws", 1)
        self._connection_init: dict[str, Any] = {"type": "connection_init"}
        if token is not None:
            self._connection_init["payload"] = {"authorization": f"Bearer {token}"}
        self._patience_seconds = patience_seconds
        self._ping_seconds = ping_seconds
        self._subscriptions: dict[Subscription, None] = {}
        self._by_id: dict[str, Subscription] = {}
        self._outgoing: asyncio.Queue[str] | None = None
        self._running: asyncio.Task[None] | None = None
        self._last_id = 0
        self.connections = 0

    def open(self, subscription: Subscription) -> None:
        """Starts a subscription, now or once there is a connection."""
        self._subscriptions[subscription] = None
        self._subscribe(subscription)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
            self._running.add_done_callback(self._on_stopped)

    def close_subscription(self, subscription: Subscription) -> None:
        """Ends a subscription from this side; none of its callbacks is called any more."""
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

    # The connection ---------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Keeps a connection until no subscription is left or the api stays unavailable."""
        # Imported with the first subscription: it takes as long as the rest of the client together.
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidProxy, InvalidURI, WebSocketException

        budget = RetryBudget(self._patience_seconds, self._url)
        while self._subscriptions:
            connected_at = math.inf
            try:
                async with connect(
                    self._url,
                    subprotocols=["graphql-transport-ws"],  # type: ignore[list-item]
                    max_size=None,
                    open_timeout=HANDSHAKE_SECONDS,
                    close_timeout=1,
                    ping_interval=self._ping_seconds,
                    ping_timeout=self._ping_seconds,
                    proxy=None if is_loopback(self._url) else True,
                ) as socket:
                    async with asyncio.timeout(HANDSHAKE_SECONDS):
                        await self._handshake(socket)
                    connected_at = asyncio.get_running_loop().time()
                    self.connections += 1
                    await self._serve(socket)
                error: Exception = ConnectionError("the api closed the connection")
            except InvalidURI as wrong:
                self._end_all(ApiUnavailable(f"{self._url!r} is not the URL of an api: {wrong}"))
                return
            except (InvalidProxy, ImportError) as unusable:
                self._end_all(BadProxy(unusable))
                return
            except (OSError, TimeoutError, WebSocketException) as lost:
                error = lost
                if fatal := _fatal_refusal(lost):
                    self._end_all(fatal)
                    return
            if not self._subscriptions:
                return
            if asyncio.get_running_loop().time() - connected_at > STEADY_SECONDS:
                budget.reset()
            try:
                pause = budget.pause_seconds(error)
            except ClientError as unavailable:
                self._end_all(unavailable)
                return
            if self.connections == 0 and budget.failures == 1:
                logger.warning(
                    "%s does not respond (%s); retrying for %g s", self._url, str(error) or type(error).__name__,
                    self._patience_seconds,
                )  # fmt: skip
            else:
                logger.info("lost the connection to %s (%s); reconnecting in %.1f s", self._url, error, pause)
            await asyncio.sleep(pause)

    def _on_stopped(self, running: asyncio.Task[None]) -> None:
        error = None if running.cancelled() else running.exception()
        # The api broke the protocol, so callers must not wait for ever. A subscription that came after the stop has
        # started a new run already, which reports its own end.
        if error is not None and running is self._running:
            self._end_all(ApiUnavailable(f"{self._url} does not speak the protocol: {error!r}"))

    async def _handshake(self, socket: ClientConnection) -> None:
        await socket.send(json.dumps(self._connection_init))
        while True:
            message = json.loads(await socket.recv())
            if message.get("type") == "connection_ack":
                return
            if message.get("type") == "ping":
                await socket.send('{"type":"pong"}')

    async def _serve(self, socket: ClientConnection) -> None:
        """Starts every subscription on a new socket and dispatches its messages; returns when the api closes it."""
        self._by_id.clear()
        self._outgoing = asyncio.Queue()
        for subscription in list(self._subscriptions):
            self._subscribe(subscription)
        writer = asyncio.create_task(self._write(socket, self._outgoing))
        try:
            async for text in socket:
                self._on_message(json.loads(text))
        finally:
            self._outgoing = None
            self._by_id.clear()
            for subscription in self._subscriptions:
                subscription.operation_id = None
            writer.cancel()
            await asyncio.wait([writer])

    async def _write(self, socket: ClientConnection, outgoing: asyncio.Queue[str]) -> None:
        from websockets.exceptions import ConnectionClosed

        # The reader sees a lost connection too, and reports it.
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.send(await outgoing.get())

    def _send(self, message: dict[str, Any]) -> None:
        # The queue is bounded by the subscriptions: a few messages for each on one socket.
        if self._outgoing is not None:
            self._outgoing.put_nowait(json.dumps(message))

    # The subscriptions ------------------------------------------------------------------------------------------------

    def _subscribe(self, subscription: Subscription) -> None:
        """Subscribes under a new id, so that a late message for an earlier id is ignored."""
        if self._outgoing is None or subscription not in self._subscriptions:
            return
        self._last_id += 1
        subscription.operation_id = str(self._last_id)
        self._by_id[subscription.operation_id] = subscription
        payload = {"query": subscription.query, "variables": subscription.variables()}
        self._send({"id": subscription.operation_id, "type": "subscribe", "payload": payload})

    def _on_message(self, message: dict[str, Any]) -> None:
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
                subscription.budget = None
                subscription.on_data(payload["data"], payload.get("errors") or ())
            elif payload.get("errors"):
                self._retry_or_end(subscription, refusal(payload["errors"]))
        elif kind == "error":
            self._by_id.pop(message["id"])
            subscription.operation_id = None
            self._retry_or_end(subscription, refusal(message["payload"]))
        elif kind == "complete":
            self._by_id.pop(message["id"])
            subscription.operation_id = None
            if subscription.complete():
                self._end(subscription, None)
            else:
                self._retry_or_end(subscription, Refused("SERVICE_UNAVAILABLE", "the subscription ended early"))

    def _retry_or_end(self, subscription: Subscription, refused: Refused) -> None:
        """Restarts a subscription later if the refusal is temporary, else ends it."""
        self.close_subscription(subscription)
        if refused.code not in RETRYABLE_CODES:
            subscription.on_end(refused)
            return
        subscription.budget = subscription.budget or RetryBudget(self._patience_seconds, self._url)
        try:
            pause = subscription.budget.pause_seconds(refused, retry_after_seconds(refused))
        except ClientError as error:
            subscription.on_end(error)
            return
        self._subscriptions[subscription] = None
        asyncio.get_running_loop().call_later(pause, self._resubscribe, subscription)

    def _resubscribe(self, subscription: Subscription) -> None:
        # A reconnect may have started it meanwhile.
        if subscription.operation_id is None:
            self._subscribe(subscription)

    def _end(self, subscription: Subscription, error: ClientError | None) -> None:
        self._subscriptions.pop(subscription, None)
        subscription.on_end(error)

    def _end_all(self, error: ClientError) -> None:
        for subscription in list(self._subscriptions):
            self._end(subscription, error)


def _fatal_refusal(error: Exception) -> Refused | None:
    """The refusal behind a lost connection, if a reconnect cannot help; else None."""
    from websockets.exceptions import ConnectionClosed, InvalidStatus, NegotiationError

    if isinstance(error, ConnectionClosed) and error.rcvd is not None and error.rcvd.code in FATAL_CLOSE_CODES:
        return Refused(f"SOCKET_{error.rcvd.code}", error.rcvd.reason or "the api closed the connection")
    if isinstance(error, NegotiationError):
        return Refused("SOCKET_4406", f"the api does not speak graphql-transport-ws: {error}")
    if isinstance(error, InvalidStatus) and 400 <= error.response.status_code < 500 and (
        error.response.status_code not in (408, 429)
    ):  # fmt: skip
        return Refused(f"HTTP_{error.response.status_code}", f"the api rejected the WebSocket: {error}")
    return None
