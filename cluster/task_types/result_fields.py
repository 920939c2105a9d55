"""What an output type can say beyond its fields: fields with arguments, and fields that clients do not see.

graphql_api reads these marks when it generates the schema; a worker ignores them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

M = TypeVar("M", bound=Callable[..., Any])

MARK: Final = "__result_field__"


class HiddenMark:
    """Marks a field of an output type that is stored in the record and not shown in GraphQL."""


Hidden: Final = HiddenMark()


def result_field(method: M) -> M:
    """Makes a method of an output type a GraphQL field that is computed on the api node when it is asked for.

    The method's arguments become the field's. An argument annotated `BlobStore` is filled in by the api node. The
    method may be async; it must be quick, as it runs beside everybody's requests.
    """
    setattr(method, MARK, True)
    return method


def result_fields(output: type) -> dict[str, Callable[..., Any]]:
    """The methods of an output type that are marked `@result_field`, by name, in the order of their definition."""
    found: dict[str, Callable[..., Any]] = {}
    for cls in reversed(output.__mro__):
        found.update({name: value for name, value in vars(cls).items() if getattr(value, MARK, False)})
    return found
