"""Strawberry fields and resolver signatures that are made by code instead of class bodies."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Union

from strawberry.types.field import StrawberryField

from cluster.task_types.annotations import EMPTY
from graphql_api.schema.defaults import Default
from graphql_api.strawberry_internals import make_field


def input_field(name: str, mapped: Any, default: Default, description: str | None) -> StrawberryField:
    """A field of an input type, with its default."""
    options: dict[str, Any] = {}
    if isinstance(default.value, list | dict):
        options["default_factory"] = lambda: default.value
    elif default.value is not EMPTY:
        options["default"] = default.value
    annotation = Union[mapped, None] if default.nullable else mapped  # noqa: UP007
    return make_field(name, annotation, description=description, **options)


class Parameter(inspect.Parameter):
    """A parameter whose default may be a list. Strawberry uses parameters as dict keys, so they must be hashable."""

    def __hash__(self) -> int:
        return hash((self.name, self.kind))


def positional_parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=annotation)


def set_signature(function: Callable[..., Any], parameters: list[inspect.Parameter], returns: Any) -> None:
    """Gives a resolver the signature from which Strawberry makes the GraphQL arguments."""
    # Python requires parameters with defaults to be last; GraphQL has no order.
    ordered = sorted(parameters, key=lambda parameter: parameter.default is not inspect.Parameter.empty)
    function.__signature__ = inspect.Signature(ordered, return_annotation=returns)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in ordered} | {"return": returns}
