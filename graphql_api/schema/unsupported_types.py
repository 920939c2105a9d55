"""The message for a Python type that has no GraphQL type: what to declare instead."""

from __future__ import annotations

import typing
from typing import Any, Union, get_args, get_origin

from pydantic import RootModel

from cluster.task_types.annotations import LISTS, is_dataclass_or_model


def unsupported_text(annotation: Any) -> str:
    """Says that an annotation has no GraphQL type, and what to declare instead."""
    return f"{_type_text(annotation)} has no GraphQL type; {_suggestion(annotation)}"


def _type_text(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else repr(annotation)


def _suggestion(annotation: Any) -> str:
    """What to declare instead of a type that GraphQL does not have."""
    origin = get_origin(annotation) or annotation
    if origin in LISTS:
        return (
            "declare one item type, such as list[int] or tuple[int, ...], or a dataclass for parts of different types"
        )
    if isinstance(origin, type) and is_dataclass_or_model(origin):
        if issubclass(origin, RootModel):
            return "declare its root type, or a model with a field"
        return "a generic dataclass loses its type arguments; use a generic pydantic model, or one class per type"
    if isinstance(annotation, typing.TypeVar):
        return "give the generic class its type arguments, as in Page[int]"
    if origin is Union or "UnionType" in type(annotation).__name__:
        return "GraphQL has no union of such types; use one type, or one type and None"
    if typing.is_typeddict(annotation) or (isinstance(annotation, type) and issubclass(annotation, tuple)):
        return "declare a dataclass with the same fields"
    if origin is bytes:
        return "accept a File, and return a Blob from dask_graphql.save_blob"
    if isinstance(origin, type) and origin.__module__ in ("collections.abc", "collections"):
        return "use list[...] or dict[str, ...]"
    return "use plain types, enums, lists, dataclasses or models"
