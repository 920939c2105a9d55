"""The operation of an HTTP request, read and checked once for all answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request

from graphql_api.execution.persisted_operations import PersistedOperations
from graphql_api.transport.json import parse_json
from graphql_api.transport.request_body import RequestRefused

OBJECTS: Final = ("variables", "extensions")
"""Parameters that are JSON objects, in the query of a GET as text."""


async def read_operation(request: Request, persisted: PersistedOperations) -> Mapping[str, Any]:
    """The operation of an HTTP request.

    Raises:
        RequestRefused: there is none that can be read; the message says what was expected.
    """
    try:
        if request.method == "GET":
            # A parameter that is empty says nothing, as in GraphQL over HTTP, section 5.2, of operationName.
            operation: Any = {name: text for name, text in request.query_params.items() if text}
            for name in OBJECTS:
                if name in operation:
                    operation[name] = parse_json(operation[name])
        else:
            operation = parse_json(await request.body())
    except json.JSONDecodeError as error:
        raise RequestRefused(400, f"the request is not JSON: {error}") from None
    if isinstance(operation, list):
        raise RequestRefused(400, "one operation a request: submit<Name>Many takes many inputs in one")
    if not isinstance(operation, dict):
        raise RequestRefused(400, 'expected a JSON object with "query", a text')
    for name in OBJECTS:
        if not isinstance(operation.get(name), dict | None):
            raise RequestRefused(400, f'expected "{name}" to be a JSON object')
    if not isinstance(operation.get("operationName"), str | None):
        raise RequestRefused(400, 'expected "operationName" to be a text')
    resolved = persisted.resolve(operation)
    if not isinstance(resolved.get("query"), str):
        raise RequestRefused(400, 'expected a JSON object with "query", a text')
    return resolved
