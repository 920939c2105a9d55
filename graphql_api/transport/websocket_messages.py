"""Reading the messages that WebSocket clients send. Both subprotocols share their form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from cluster.errors import DocumentTooLarge
from graphql_api.execution.persisted_operations import PersistedOperations
from graphql_api.transport.json import parse_json


class InvalidMessage(Exception):
    """A message that violates the protocol; the text says what was expected."""


def read_message(text: str | None, max_values: int) -> dict[str, Any]:
    """Parses a message of either protocol.

    Args:
        text: None for a binary message.
        max_values: maximum number of values in its JSON.

    Raises:
        InvalidMessage: it is not a JSON object with a `type`, or is too large.
    """
    if text is None:
        raise InvalidMessage("expected a text message")
    try:
        message = parse_json(text, max_values)
    except DocumentTooLarge as error:
        raise InvalidMessage(error.message) from None
    except json.JSONDecodeError:
        raise InvalidMessage("expected JSON") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise InvalidMessage('expected a JSON object with "type", a string')
    return message


MAX_ID_LENGTH: Final = 200
"""Characters of an operation's id, which every message of the operation repeats."""


def read_id(message: Mapping[str, Any]) -> str:
    """The `id` of a message.

    Raises:
        InvalidMessage: the message has no usable id.
    """
    operation_id = message.get("id")
    if not isinstance(operation_id, str) or not 0 < len(operation_id) <= MAX_ID_LENGTH:
        raise InvalidMessage(f'expected "id" to be a string of 1 to {MAX_ID_LENGTH} characters')
    return operation_id


def optional_object(message: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A member of a message that may be an object, null or missing; null and missing give an empty object.

    Raises:
        InvalidMessage: the member has another type.
    """
    value = message.get(name)
    if not isinstance(value, dict | None):
        raise InvalidMessage(f'expected "{name}" to be an object or null')
    return value or {}


def read_operation(message: Mapping[str, Any], persisted: PersistedOperations) -> Mapping[str, Any]:
    """The payload of a message that starts an operation, with its document in `query`.

    Raises:
        InvalidMessage: it is not an operation.
    """
    payload = optional_object(message, "payload")
    for name in ("variables", "extensions"):
        optional_object(payload, name)
    if not isinstance(payload.get("operationName"), str | None):
        raise InvalidMessage('expected "operationName" to be a string or null')
    payload = persisted.resolve(payload)
    if not isinstance(payload.get("query"), str):
        raise InvalidMessage('expected a payload with "query", a string')
    return payload
