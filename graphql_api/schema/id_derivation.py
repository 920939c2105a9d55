"""Whether clients can derive a task id: that the canonical form of each argument follows from its GraphQL type."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import types
import uuid
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

from annotated_types import BaseMetadata
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cluster.task_types.data_files import ArrayFile, TableFile
from cluster.task_types.file import File
from cluster.task_types.pydantic_internals import has_own_rules
from cluster.task_types.value_types import BigIntMark

_PLAIN: Final = (
    bool, int, float, str, datetime.datetime, datetime.date, datetime.time, decimal.Decimal, uuid.UUID, dict, Any,
    File, TableFile, ArrayFile,
)  # fmt: skip


def is_derivable(annotation: Any) -> bool:
    """Whether the canonical form of an argument follows from its GraphQL type and value alone.

    It does not if a value has several forms (a Duration) or no order (a set), is converted to a type that clients
    cannot see (the values of a typed dict), or is changed (a stripped string, a validator of the author's).
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        if any(isinstance(mark, BigIntMark) for mark in arguments[1:]):
            return True
        marks = [item for mark in arguments[1:] for item in (mark.metadata if isinstance(mark, FieldInfo) else [mark])]
        # Bounds and patterns are BaseMetadata; pydantic's StringConstraints, which may strip or change case, is not.
        return all(isinstance(mark, BaseMetadata) for mark in marks) and is_derivable(arguments[0])
    if origin in (Union, types.UnionType):
        inner = [item for item in arguments if item is not type(None)]
        return len(inner) == 1 and is_derivable(inner[0])
    if origin is list or (origin is tuple and arguments[1:] == (Ellipsis,)):
        return is_derivable(arguments[0])
    if origin is dict:
        return arguments == (str, Any)
    if annotation in _PLAIN:
        return True
    if not isinstance(annotation, type):
        return False
    if issubclass(annotation, enum.Enum):
        return all(isinstance(member.value, str | int) for member in annotation)
    return _is_derivable_object(annotation)


def _is_derivable_object(cls: type) -> bool:
    if issubclass(cls, BaseModel):
        names = cls.model_fields.values()
        if cls.model_config or has_own_rules(cls) or any(item.alias or item.exclude for item in names):
            return False
    elif (
        not dataclasses.is_dataclass(cls)
        or hasattr(cls, "__post_init__")
        # Such a field is part of the input although no client sends it.
        or not all(item.init for item in dataclasses.fields(cls))
    ):
        return False
    hints = get_type_hints(cls, include_extras=True)
    return all(is_derivable(hint) for hint in hints.values())
