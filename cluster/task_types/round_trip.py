"""Compares a value read from its JSON with the one that was written, and finds where they differ."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from cluster.task_types.annotations import fields_of, is_dataclass_or_model
from cluster.task_types.pydantic_internals import private_values

_SCALARS: Final = (str, int, float, bool, bytes, type(None))


def difference(read: Any, written: Any, path: str = "", *, is_input: bool = True) -> str | None:
    """The path of the first difference, or None.

    Args:
        read: the value from the JSON.
        written: the original value.
        is_input: whether types and attributes that are not fields must be equal too, because the function sees them;
            an output only needs the same content.
    """
    if read is written:
        return None
    if is_dataclass_or_model(type(read)):
        return _object(read, written, path, is_input=is_input)
    if isinstance(read, Mapping) and isinstance(written, Mapping):
        if read.keys() != written.keys():
            return path
        return _first(((item, written[key], f"[{key!r}]") for key, item in read.items()), path, is_input)
    if isinstance(read, list | tuple) and isinstance(written, list | tuple):
        if len(read) != len(written) or (is_input and type(read) is not type(written)):
            return path
        pairs = zip(read, written, strict=True)
        return _first(((one, other, f"[{index}]") for index, (one, other) in enumerate(pairs)), path, is_input)
    return None if _equal(read, written, is_input=is_input) else path


def _first(parts: Iterable[tuple[Any, Any, str]], path: str, is_input: bool) -> str | None:
    for one, other, step in parts:
        found = difference(one, other, f"{path}{step}", is_input=is_input)
        if found is not None:
            return found
    return None


def _object(read: Any, written: Any, path: str, *, is_input: bool) -> str | None:
    kind: Any = type(read)
    if not isinstance(written, kind) or (is_input and type(written) is not kind):
        return path
    for field in fields_of(kind):
        inner = f"{path}.{field.name}" if path else field.name
        if hasattr(read, field.name) != hasattr(written, field.name):
            return inner
        if hasattr(read, field.name):
            found = difference(getattr(read, field.name), getattr(written, field.name), inner, is_input=is_input)
            if found is not None:
                return found
    if is_input:
        ours, theirs = _extra_attributes(read), _extra_attributes(written)
        for name in sorted(ours.keys() | theirs.keys()):
            if name not in ours or name not in theirs or not _alike(ours[name], theirs[name]):
                return f"{path}.{name}" if path else name
    return None


def _extra_attributes(value: Any) -> dict[str, Any]:
    """The attributes of an object that are not fields."""
    if isinstance(value, BaseModel):
        return {**(private_values(value) or {}), **(value.model_extra or {})}
    kind: Any = type(value)
    names = {field.name for field in fields_of(kind)}
    return {name: item for name, item in getattr(value, "__dict__", {}).items() if name not in names}


def _alike(one: Any, other: Any) -> bool:
    """Compares scalars by value; other objects, such as a lock or a random number generator, by type."""
    if type(one) is not type(other):
        return False
    return _equal(one, other, is_input=True) if isinstance(one, _SCALARS) else True


def _equal(read: Any, written: Any, *, is_input: bool) -> bool:
    if isinstance(read, set | frozenset) and isinstance(written, set | frozenset):
        return read == written and (not is_input or type(read) is type(written))
    if isinstance(read, datetime.datetime | datetime.time) and isinstance(written, datetime.datetime | datetime.time):
        zones = (read.tzinfo is None) == (written.tzinfo is None)
        return zones and read == written and read.utcoffset() == written.utcoffset()
    if isinstance(read, decimal.Decimal) and isinstance(written, decimal.Decimal):
        return read.as_tuple() == written.as_tuple()
    if isinstance(read, int | float) and isinstance(written, int | float):
        # JSON has one kind of number.
        return read == written and isinstance(read, bool) == isinstance(written, bool)
    if isinstance(read, str) and isinstance(written, int) and not isinstance(written, bool):
        return read == str(written)  # an integer beyond 2^53, if any JSON is declared
    if type(read) is type(written):
        return bool(read == written)
    return not is_input and bool(read == to_jsonable_python(written, fallback=repr))
