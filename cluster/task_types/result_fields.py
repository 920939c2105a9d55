"""Declarations on an output type beyond plain fields: computed fields with arguments, and hidden fields.

graphql_api reads these marks when it generates the schema; a worker ignores them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

M = TypeVar("M", bound=Callable[..., Any])

MARK: Final = "__result_field__"


class HiddenMark:
    """Marks a field of an output type that is stored in the record but not exposed in GraphQL."""


Hidden: Final = HiddenMark()


def result_field(method: M) -> M:
    """Makes a method of an output type a GraphQL field that the api node computes on request.

    The method's arguments become the field's. The api node fills in an argument annotated `BlobStore`. The method may
    be async; it must be quick, because it shares a process with all other requests.
    """
    setattr(method, MARK, True)
    return method


def result_fields(output: type) -> dict[str, Callable[..., Any]]:
    """The `@result_field` methods of an output type by name, in the order of their definition."""
    found: dict[str, Callable[..., Any]] = {}
    for cls in reversed(output.__mro__):
        found.update({name: value for name, value in vars(cls).items() if getattr(value, MARK, False)})
    return found
