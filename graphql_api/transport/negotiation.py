"""Content negotiation: the media type of an HTTP response, which also determines its status.

GraphQL over HTTP (graphql.github.io/graphql-over-http), sections 4.3.1 and 6.4: an `application/json` response has
status 200 for every well-formed request; with `application/graphql-response+json` a request that was not executed has
400.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

JSON: Final = "application/json"
GRAPHQL: Final = "application/graphql-response+json"
EVENTS: Final = "text/event-stream"
MULTIPART: Final = "multipart/mixed;subscriptionSpec=1.0"
"""Apollo's multipart subscription protocol. `multipart/mixed` without the parameter means something else: urql's
clients send it with every request, for `@defer`."""
_SUBSCRIPTION_SPEC: Final = re.compile(r'subscriptionspec\s*=\s*"?1\.0"?')

KNOWN: Final = 32
"""How many Accept headers, which have at most HEAD_BYTES, are remembered: clients send few."""

_SINGLE: Final = {GRAPHQL: GRAPHQL, JSON: JSON, "application/*": JSON, "*/*": JSON}
_ANY: Final = {**_SINGLE, EVENTS: EVENTS, "text/*": EVENTS}


@lru_cache(KNOWN)
def media_type(accept: str) -> str:
    """The media type of a response with one result: the best match, or `application/json` if there is none."""
    return _best(accept, _SINGLE)


@lru_cache(KNOWN)
def prefers_events(accept: str) -> bool:
    """Whether the client prefers an event stream to all else, so that every operation is streamed."""
    return _best(accept, _ANY) == EVENTS


@lru_cache(KNOWN)
def streamed_type(accept: str) -> str | None:
    """The type in which a subscription is streamed: the best of those that the client names, EVENTS or MULTIPART."""
    best, best_quality = None, 0.0
    for name, parameters in _items(accept):
        is_multipart = name == "multipart/mixed" and any(map(_SUBSCRIPTION_SPEC.fullmatch, parameters))
        quality = _quality(parameters)
        if (name == EVENTS or is_multipart) and quality > best_quality:
            best, best_quality = MULTIPART if is_multipart else EVENTS, quality
    return best


def _best(accept: str, offers: Mapping[str, str]) -> str:
    best, best_rank = JSON, (0.0, 0)
    for name, parameters in _items(accept):
        offered = offers.get(name)
        rank = (_quality(parameters), "*" not in name)
        if offered is not None and rank[0] > 0 and rank > best_rank:
            best, best_rank = offered, rank
    return best


def _items(accept: str) -> Iterator[tuple[str, list[str]]]:
    for item in accept.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        yield name, parameters


def _quality(parameters: list[str]) -> float:
    """The weight of an Accept item, `q` (RFC 9110, section 12.4.2): 1 by default, 0 if it is malformed."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0


def was_executed(payload: Mapping[str, Any]) -> bool:
    """Whether the operation was executed: the payload has data, or an error with a path."""
    return payload.get("data") is not None or any(error.get("path") for error in payload.get("errors") or ())
