"""Finds the values of a class in arguments and outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from cluster.task_types.annotations import fields_of, is_dataclass_or_model

T = TypeVar("T")


def instances_in(value: Any, kind: type[T]) -> Iterator[T]:
    """Yields the instances of `kind` in a value, however deep in containers, dataclasses and models, in their order."""
    cls: Any
    if isinstance(value, kind):
        yield value
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from instances_in(item, kind)
    elif isinstance(value, dict):
        for item in value.values():
            yield from instances_in(item, kind)
    elif is_dataclass_or_model(cls := type(value)):
        for field in fields_of(cls):
            yield from instances_in(getattr(value, field.name, None), kind)
