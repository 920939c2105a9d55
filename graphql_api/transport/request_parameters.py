"""Reads the operation of an HTTP request, from the query of a GET or the body of a POST."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.types import Receive

from cluster.api_node.node import Node
from graphql_api.auth.callers import Caller
from graphql_api.execution.persisted_operations import PersistedOperations
from graphql_api.transport.json import parse_json
from graphql_api.transport.multipart_request import operation_of, parse_form, store_files
from graphql_api.transport.request_body import RequestRefused, read_body

OBJECTS: Final = ("variables", "extensions")
"""Parameters that are JSON objects; the query of a GET has them as JSON texts."""


async def read_operation(
    request: Request, receive: Receive, persisted: PersistedOperations, max_values: int
) -> Mapping[str, Any]:
    """The operation of an HTTP request, whose JSON has at most `max_values` values.

    Args:
        receive: reads the body of a POST.

    Raises:
        PublicError: it is too large, or names no persisted operation.
        RequestRefused: it cannot be read; the message says what was expected.
    """
    try:
        if request.method in ("GET", "HEAD"):
            # An empty parameter counts as absent; GraphQL over HTTP, section 5.2, requires it of operationName.
            operation: Any = {name: text for name, text in request.query_params.items() if text}
            for name in OBJECTS:
                if name in operation:
                    operation[name] = parse_json(operation[name], max_values)
        else:
            operation = parse_json(await read_body(receive), max_values)
    except json.JSONDecodeError as error:
        raise RequestRefused(400, f"the request is not JSON: {error}") from None
    return check_operation(operation, persisted)


async def read_form(
    request: Request, persisted: PersistedOperations, max_values: int, node: Node, caller: Caller
) -> Mapping[str, Any]:
    """The operation of a multipart request, whose files are stored.

    Raises:
        PublicError: it is too large, or names no persisted operation; or a file is refused.
        RequestRefused: it cannot be read; the message says what was expected.
    """
    form = parse_form(request.headers.get("content-type", ""), await request.body())
    try:
        operation, paths = operation_of(form, max_values)
    except json.JSONDecodeError as error:
        raise RequestRefused(400, f"the request is not JSON: {error}") from None
    checked = dict(check_operation(operation, persisted))
    await store_files(form, paths, checked, node, caller)
    return checked


def check_operation(operation: Any, persisted: PersistedOperations) -> Mapping[str, Any]:
    """Returns an operation with its document.

    Raises:
        PublicError: it names no persisted operation.
        RequestRefused: it is none; the message says what was expected.
    """
    if isinstance(operation, list):
        raise RequestRefused(
            400, "expected one operation, not a list; submit<Name>Many accepts many inputs in one operation"
        )
    if not isinstance(operation, dict):
        raise RequestRefused(400, 'expected a JSON object with "query", a string')
    for name in OBJECTS:
        if not isinstance(operation.get(name), dict | None):
            raise RequestRefused(400, f'expected "{name}" to be a JSON object')
    if not isinstance(operation.get("operationName"), str | None):
        raise RequestRefused(400, 'expected "operationName" to be a string')
    resolved = persisted.resolve(operation)
    if not isinstance(resolved.get("query"), str):
        raise RequestRefused(400, 'expected a JSON object with "query", a string')
    return resolved
