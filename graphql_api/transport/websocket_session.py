"""One WebSocket, independent of its subprotocol: reading messages, running operations, sending, and their bounds."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, ClassVar, Final, Protocol

from graphql import GraphQLError

from cluster.errors import PublicError, ServiceUnavailable, StoreUnavailable, TooManySubscriptions
from graphql_api.context import Context
from graphql_api.errors import mask_error
from graphql_api.execution.persisted_operations import PersistedOperations
from graphql_api.schema.builder import Schema
from graphql_api.strawberry_internals import PreExecutionError
from graphql_api.transport.direct_subscription import DirectSubscription
from graphql_api.transport.json import json_bytes, result_payload
from graphql_api.transport.websocket_messages import InvalidMessage, optional_object, read_message, read_operation

logger = logging.getLogger(__name__)

INIT_SECONDS: Final = 10.0
"""How long a WebSocket may be open without a `connection_init`; closed with 4408 then."""
REASON_BYTES: Final = 123
"""Longest reason of a close frame (RFC 6455, section 5.5.1)."""

TRY_AGAIN_LATER: Final = 1013
BAD_REQUEST: Final = 4400
UNAUTHORIZED: Final = 4401
FORBIDDEN: Final = 4403
INIT_TIMEOUT: Final = 4408
TOO_MANY_INITS: Final = 4429
INTERNAL_ERROR: Final = 4500


class SocketClosed(Exception):
    """The socket is closed: nothing can be sent any more."""


class Connection(Protocol):
    """What a WebSocket's connection offers beyond ASGI. `uvicorn_internals.WebSocketProtocol` implements it."""

    @property
    def blocked(self) -> bool:
        """Whether the client reads too slowly for anything more to be sent now."""

    def send_texts(self, *texts: bytes) -> bool:
        """Sends messages now. Returns False, and sends nothing, if the client reads too slowly, or the socket is
        closed."""

    async def receive(self) -> Any:
        """The next message of the client, or of the end of the connection, as ASGI has it."""

    async def send(self, message: Any) -> None:
        """Sends an ASGI message; waits while the client reads too slowly.

        Raises:
            RuntimeError, OSError: the socket is closed, by the server or by the client.
        """

    def abort(self, reason: str) -> None:
        """Ends the connection at once, without sending what its client has not read."""

    def acknowledge(self) -> None:
        """Accepts large messages from now on."""


class WebSocketSession(ABC):
    """Reads the messages of one accepted WebSocket until it is closed. A subclass speaks one subprotocol.

    Args:
        connection: an accepted socket, with this subprotocol.
        schema: executes the operations.
        context: passed to their resolvers.
        authenticate: sets the caller of a session, given the payload of its `connection_init`. Raises PublicError or
            StoreUnavailable. Called once, and released then.
        persisted: resolves operations that clients name by hash.
        operation_limit: maximum number of open operations.
        max_values: maximum number of values in the JSON of a message.
    """

    subprotocol: ClassVar[str]
    result_type: ClassVar[bytes]
    """The type of the message with a result, as JSON."""
    keep_alive_seconds: ClassVar[float]
    """Time between two calls of `keep_alive`."""

    __slots__ = (
        "_authenticate", "_closed", "_init_deadline", "_initialised", "_max_values", "_operation_limit", "_operations",
        "_persisted", "_stopping", "acknowledged", "connection", "context", "schema",
    )  # fmt: skip

    def __init__(
        self,
        connection: Connection,
        schema: Schema,
        context: Context,
        authenticate: Callable[[WebSocketSession, Mapping[str, Any]], Awaitable[None]],
        persisted: PersistedOperations,
        operation_limit: int,
        max_values: int,
    ) -> None:
        self.connection = connection
        self.schema = schema
        self.context = context
        self._authenticate: Callable[..., Awaitable[None]] | None = authenticate
        self._persisted = persisted
        self._operation_limit = operation_limit
        self._max_values = max_values
        self.acknowledged = False
        self._closed = False
        self._operations: dict[str, asyncio.Task[None] | DirectSubscription] = {}
        # Made when needed, because most sockets stop nothing.
        self._stopping: set[asyncio.Task[None]] | None = None

    # What a subprotocol defines ---------------------------------------------------------------------------------------

    @abstractmethod
    async def handle(self, message: dict[str, Any]) -> None:
        """Handles one message, which has a `type`.

        Raises:
            InvalidMessage: the message violates the protocol.
            SocketClosed: the response could not be sent.
        """

    @abstractmethod
    async def reject_message(self, error: InvalidMessage) -> None:
        """Responds to a message that violates the protocol."""

    @abstractmethod
    async def reject_caller(self, error: PublicError) -> None:
        """Responds to a `connection_init` whose credential is not accepted."""

    @abstractmethod
    async def keep_alive(self) -> None:
        """Keeps the connection open, or finds it dead. Called every `keep_alive_seconds` after the acknowledgement."""

    @abstractmethod
    async def send_result(self, operation_id: str, result: dict[str, Any]) -> None:
        """Sends one result of an operation."""

    @abstractmethod
    async def send_errors(self, operation_id: str, errors: Sequence[GraphQLError]) -> None:
        """Sends that an operation was not executed, or ended by an internal error. It sends nothing more."""

    # The life of the socket -------------------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Serves the socket until it is closed, then cancels its operations and waits until they have ended."""
        try:
            try:
                async with asyncio.timeout(INIT_SECONDS) as self._init_deadline:
                    while self._authenticate is not None and not self._closed:
                        await self._handle_received(await self.connection.receive())
            except TimeoutError:
                if not self._init_deadline.expired():
                    raise
                await self.close(INIT_TIMEOUT, "Connection initialisation timeout")
            del self._init_deadline
            while not self._closed:
                await self._handle_received(await self.connection.receive())
        except SocketClosed:
            pass
        except Exception:
            logger.exception("a WebSocket is closed after an internal error")
            await self.close(INTERNAL_ERROR, "Internal server error")
        finally:
            self._closed = True
            for operation_id in list(self._operations):
                self.stop(operation_id)
            if self._stopping:
                await asyncio.wait(self._stopping)

    async def _handle_received(self, received: Mapping[str, Any]) -> None:
        if received["type"] == "websocket.disconnect":
            raise SocketClosed
        try:
            await self.handle(read_message(received.get("text"), self._max_values))
        except InvalidMessage as error:
            await self.reject_message(error)

    async def initialise(self, message: Mapping[str, Any]) -> None:
        """Handles `connection_init`."""
        payload = optional_object(message, "payload")
        if self._authenticate is None:
            await self.close(TOO_MANY_INITS, "Too many initialisation requests")
            return
        self._init_deadline.reschedule(None)
        authenticate, self._authenticate = self._authenticate, None
        try:
            await authenticate(self, payload)
        except StoreUnavailable as error:
            logger.debug("a WebSocket is closed for now: %s", error)
            await self.close(TRY_AGAIN_LATER, "try again later")
        except PublicError as error:
            if isinstance(error, ServiceUnavailable | TooManySubscriptions):
                logger.debug("a WebSocket is closed for now: %s", error)
                await self.close(TRY_AGAIN_LATER, "try again later")
            else:
                await self.reject_caller(error)
        else:
            self.connection.acknowledge()
            await self.acknowledge()
            self.acknowledged = True

    async def acknowledge(self) -> None:
        """Responds to a `connection_init` whose credential is accepted."""
        await self.send({"type": "connection_ack"})

    async def send(self, message: Mapping[str, Any]) -> None:
        """Sends one message; waits if the client reads slowly.

        Raises:
            SocketClosed: the message was not sent.
        """
        text = json_bytes(message)
        if self.connection.send_texts(text):
            return
        try:
            await self.connection.send({"type": "websocket.send", "text": text.decode()})
        except (RuntimeError, OSError) as error:
            raise SocketClosed from error

    async def close(self, code: int, reason: str) -> None:
        """Sends the close frame, unless the socket is closed already."""
        self._closed = True
        shown = reason.encode()[:REASON_BYTES].decode(errors="ignore")
        with suppress(RuntimeError, OSError):
            await self.connection.send({"type": "websocket.close", "code": code, "reason": shown})

    async def end_credential(self) -> None:
        """Closes the socket of a caller whose credential was revoked or has expired."""
        if self.connection.blocked:
            # The close frame would wait until the client has read everything before it.
            self.connection.abort("whose credential has ended")
        else:
            await self.close(FORBIDDEN, "the credential has ended")

    # Operations -------------------------------------------------------------------------------------------------------

    def is_open(self, operation_id: str) -> bool:
        """Whether an operation with this id is running."""
        return operation_id in self._operations

    def read_operation(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """As `websocket_messages.read_operation`."""
        return read_operation(message, self._persisted)

    async def start(self, operation_id: str, payload: Mapping[str, Any]) -> None:
        """Starts an operation, or sends an error if the socket, or its caller, may not start one now."""
        try:
            self._require_room()
        except PublicError as error:
            self.context.audit_refusal(error)
            await self.send_errors(operation_id, [masked(error)])
            return
        direct = DirectSubscription.begin(self, operation_id, payload)
        self._operations[operation_id] = direct or asyncio.create_task(self._run(operation_id, payload))

    def resume(self, operation_id: str, payload: Mapping[str, Any]) -> None:
        """Executes an operation of a DirectSubscription that is left to a task."""
        self._operations[operation_id] = asyncio.create_task(self._run(operation_id, payload, resumed=True))

    def send_last_result(self, operation_id: str, data: bytes) -> bool:
        """Sends the last result of an operation, whose data is this JSON, and that it is complete. Returns False, and
        sends nothing, if that is not possible now."""
        name = json_bytes(operation_id)
        sent = self.connection.send_texts(
            b'{"type":%b,"id":%b,"payload":{"data":%b}}' % (self.result_type, name, data),
            b'{"type":"complete","id":%b}' % name,
        )
        if sent:
            del self._operations[operation_id]
        return sent

    def _require_room(self) -> None:
        """Raises:
        TooManySubscriptions, RateLimited: the socket, or its caller, may not start an operation now.
        """
        if len(self._operations) >= self._operation_limit:
            raise TooManySubscriptions(f"this WebSocket has {self._operation_limit} open operations, its limit")
        self.context.authorize_operation()

    def stop(self, operation_id: str) -> bool:
        """Cancels an operation; nothing more is sent for it. Returns False if no operation has this id."""
        task = self._operations.pop(operation_id, None)
        if task is None:
            return False
        if isinstance(task, DirectSubscription):
            task.cancel()
            return True
        # The event loop keeps only weak references to tasks.
        if self._stopping is None:
            self._stopping = set()
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)
        task.cancel()
        return True

    def _release_id(self, operation_id: str, task: asyncio.Task[None] | None) -> bool:
        """Makes an operation's id available again. Called before the last message: the client may reuse the id then.

        Returns False if the operation was stopped already, so that nothing more may be sent for it.
        """
        if self._operations.get(operation_id) is not task:
            return False
        del self._operations[operation_id]
        return True

    async def _run(self, operation_id: str, payload: Mapping[str, Any], *, resumed: bool = False) -> None:
        task = asyncio.current_task()
        try:
            results = await self.schema.stream(
                payload["query"],
                variable_values=payload.get("variables"),
                operation_name=payload.get("operationName"),
                context_value=self.context,
                counted=resumed,
            )
            async with aclosing(results):  # type: ignore[type-var]
                async for result in results:
                    if self._operations.get(operation_id) is not task:
                        return
                    if isinstance(result, PreExecutionError):
                        self._release_id(operation_id, task)
                        await self.send_errors(operation_id, result.errors or [])
                        return
                    await self.send_result(operation_id, result_payload(result))
            if self._release_id(operation_id, task):
                await self.send({"type": "complete", "id": operation_id})
        except SocketClosed:
            pass
        except Exception as error:  # noqa: BLE001 - logged by `masked`
            # The schema turns every error that a client can cause into a result, so this one is internal.
            failure = RuntimeError("an operation on a WebSocket failed")
            failure.__cause__ = error
            if self._release_id(operation_id, task):
                with suppress(SocketClosed):
                    await self.send_errors(operation_id, [masked(failure)])
        finally:
            self._release_id(operation_id, task)


def masked(error: Exception) -> GraphQLError:
    """The error that clients see; an internal one is logged and hidden."""
    shown = GraphQLError(str(error), original_error=error)
    mask_error(shown)
    return shown
