"""Which media type an HTTP answer has, and with it which status.

GraphQL over HTTP (graphql.github.io/graphql-over-http), sections 4.3.1 and 6.4: an `application/json` answer has 200
for everything that is well-formed GraphQL over HTTP; with `application/graphql-response+json` a request that was not
executed has 400.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

JSON: Final = "application/json"
GRAPHQL: Final = "application/graphql-response+json"
EVENTS: Final = "text/event-stream"

_SINGLE: Final = {GRAPHQL: GRAPHQL, JSON: JSON, "application/*": JSON, "*/*": JSON}
_ANY: Final = {**_SINGLE, EVENTS: EVENTS, "text/*": EVENTS}


def media_type(accept: str) -> str:
    """The type of a single answer. `application/json` where nothing is asked for, or anything goes, or nothing that we
    have."""
    return _best(accept, _SINGLE)


def prefers_events(accept: str) -> bool:
    """Whether an event stream is what the client likes best, so that every operation is answered as one."""
    return _best(accept, _ANY) == EVENTS


def takes_events(accept: str) -> bool:
    """Whether the client names event streams as something it takes, so that a subscription is answered as one."""
    return any(name == EVENTS and _quality(parameters) > 0 for name, parameters in _items(accept))


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
    """The `q` of an Accept item (RFC 9110, section 12.4.2); 0 where it is none."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0


def was_executed(answer: Mapping[str, Any]) -> bool:
    """Whether a GraphQL answer is that of an execution: with data, or with an error that has a place in it."""
    return answer.get("data") is not None or any(error.get("path") for error in answer.get("errors") or ())
