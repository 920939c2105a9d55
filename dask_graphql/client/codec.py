"""Converts Python values to GraphQL variables and the task id's input, and results to Python values, by their types."""

from __future__ import annotations

import datetime
import decimal
import math
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from cluster.task_types.annotations import fields_of, is_dataclass_or_model
from cluster.task_types.conversion import to_builtin
from cluster.task_types.file import File
from cluster.task_types.input_errors import ValuePath
from cluster.task_types.json_form import NonFiniteNumber
from cluster.task_types.result_checks import InvalidOutput
from cluster.task_types.value_types import decimal_text, parse_big_int

LONG_BITS: Final = 13_000
"""Integers from this length on are sent as strings: Python's JSON encoder refuses more than 4,300 digits."""


class PassedOn:
    """What a result has in the place of bytes, rows or values: it can be an argument of another task.

    Attributes:
        file_id: the argument's value; None if it cannot be passed on.
    """

    file_id: str | None


@dataclass(frozen=True)
class Blob(PassedOn):
    """Bytes that were too large for a result; read them with `Client.download` or `Client.read`.

    Attributes:
        url: path of the download on the api.
        size_bytes: its length.
        media_type: its Content-Type.
        file_id: passes these bytes on to another task, as a `File` argument; None for a blob of an earlier release.
    """

    url: str
    size_bytes: int
    media_type: str
    file_id: str | None = None


@dataclass(frozen=True)
class Member:
    """An argument of a task type, or a field of an object.

    Attributes:
        name: its name in Python and in the task id's input.
        graphql_name: its name in the schema.
        graphql_type: its GraphQL type, such as `[Int!]!`.
        has_default: whether an input may omit it.
        default: the value of an omitted one, in JSON form.
    """

    name: str
    graphql_name: str
    graphql_type: str
    has_default: bool = False
    default: Any = None


@dataclass(frozen=True)
class UsedType:
    """An object (`fields`) or an enum (`members`: GraphQL name -> value) of the schema."""

    name: str
    fields: tuple[Member, ...] = ()
    members: Mapping[str, Any] = field(default_factory=dict)


Types = Mapping[str, UsedType]


class NotSendable(ValueError):
    """A value that has no JSON form; the message says which one, and where it is."""


def encode(value: Any, graphql_type: str, types: Types) -> tuple[Any, Any]:
    """Converts a Python value to its two forms: the GraphQL variable, and the value in the task id's input.

    Dataclasses and pydantic models become objects of their fields; values of numpy and pandas become Python's; enums,
    dates, decimals and UUIDs become what pydantic writes into JSON, as on the api. A value that does not fit its type
    is not changed: the api's error message explains it better.

    Raises:
        NotSendable: a value has no JSON form: a float that is not finite, a time finer than a microsecond.
    """
    try:
        return _encode(_jsonable(to_builtin(value)), graphql_type, types)
    except InvalidOutput as error:
        raise NotSendable(f"{error.path} {error.problem.partition(':')[0]}".lstrip(" .")) from None
    except NonFiniteNumber as error:
        raise NotSendable(f"{_spelt(error.path)} is {error.value}, which JSON does not have".lstrip()) from None


def _spelt(place: ValuePath) -> str:
    return "".join(f"[{step!r}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")


_LEAVES: Final = frozenset({int, str, bool, type(None)})


def _jsonable(value: Any) -> Any:
    """A value in JSON form; an object with fields becomes its fields, whatever its own serializer would write."""
    kind: Any = type(value)
    if kind in _LEAVES:
        return value
    if isinstance(value, File):
        return value.id
    if isinstance(value, PassedOn):
        if value.file_id is None:
            raise NotSendable(f"{value!r} has no file_id, so it cannot be passed on: download it, and pass the file")
        return value.file_id
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NonFiniteNumber(value)
        return float(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_within(index, item) for index, item in enumerate(value)]
    if isinstance(value, Mapping):
        # Keys are strings in JSON: pydantic writes those of an enum, a date or a number.
        keys = list(to_jsonable_python(dict.fromkeys(value)))
        return {name: _within(name, item) for name, item in zip(keys, value.values(), strict=True)}
    if is_dataclass_or_model(kind):
        return {
            field.name: _within(field.name, getattr(value, field.name))
            for field in fields_of(kind)
            if field.settable and hasattr(value, field.name)
        }
    if hasattr(value, "__array__") or hasattr(value, "__next__"):
        raise NotSendable(f"a {kind.__module__}.{kind.__name__} has no JSON form: pass a list")
    return to_jsonable_python(value)


def _within(step: int | str, value: Any) -> Any:
    try:
        return _jsonable(value)
    except NonFiniteNumber as error:
        error.path = (step, *error.path)
        raise


def _encode(value: Any, graphql_type: str, types: Types) -> tuple[Any, Any]:
    kind = graphql_type.rstrip("!")
    if value is None:
        return None, None
    if kind.startswith("["):
        # GraphQL coerces a single item to a list of one.
        items = [_encode(item, kind[1:-1], types) for item in (value if isinstance(value, list) else [value])]
        return [wire for wire, _ in items], [plain for _, plain in items]
    used = types.get(kind)
    if used is not None and used.members:
        names = {_key(member): name for name, member in used.members.items()}
        name = names.get(_key(value), value)
        return name, used.members.get(name, value) if isinstance(name, str) else value
    if used is not None and isinstance(value, dict):
        return _encode_object(value, used, types)
    plain = _PLAIN[kind](value) if kind in _PLAIN else value
    if isinstance(plain, int) and plain.bit_length() >= LONG_BITS:
        return decimal_text(plain), plain
    return plain, plain


def _encode_object(value: dict[str, Any], used: UsedType, types: Types) -> tuple[dict[str, Any], dict[str, Any]]:
    wire: dict[str, Any] = {}
    plain: dict[str, Any] = {}
    left = dict(value)
    for member in used.fields:
        name = member.name if member.name in left else member.graphql_name
        if name in left:
            wire[member.graphql_name], plain[member.name] = _encode(left.pop(name), member.graphql_type, types)
        elif member.has_default:
            plain[member.name] = member.default
    return wire | left, plain | left


def _key(value: Any) -> tuple[type, Any]:
    """A key that keeps True and 1 apart."""
    return type(value), value if isinstance(value, str | int | float | bool | None) else str(value)


DATA_FIELDS: Final = {
    "Table": frozenset({"row_count", "columns", "parts", "parquet", "arrow", "csv"}),
    "Array": frozenset({"dtype", "shape", "dims", "coords", "npy", "zarr"}),
}
"""The fields by which a table or an array is recognized, whatever its GraphQL type is named."""

MakeData = Callable[[str, dict[str, Any]], Any]
"""Makes the handle of a table or an array from its kind, a key of DATA_FIELDS, and its fields."""


def decode(value: Any, graphql_type: str, types: Types, make_data: MakeData | None = None) -> Any:
    """Converts a value of a response to Python.

    BigInt becomes int; DateTime, Date, Time, Duration, Decimal and UUID become their Python types; an enum's name
    becomes its value; a Blob becomes a `Blob`; an object becomes a dict with the task function's own field names.

    Args:
        make_data: makes the handles of tables and arrays; None leaves them as dicts.
    """
    kind = graphql_type.rstrip("!")
    if value is None:
        return None
    if kind.startswith("["):
        return [decode(item, kind[1:-1], types, make_data) for item in value]
    if kind in _FROM_WIRE:
        return _FROM_WIRE[kind](value)
    used = types.get(value.get("__typename", kind) if isinstance(value, dict) else kind)
    if used is None:
        return value
    if used.members:
        return used.members.get(value, value)
    found = {
        member.name: decode(value[member.graphql_name], member.graphql_type, types, make_data)
        for member in used.fields
        if member.graphql_name in value
    }
    if make_data is not None:
        for data, names in DATA_FIELDS.items():
            if found.keys() >= names:
                return make_data(data, found)
    return Blob(**found) if used.name == "Blob" and found.keys() >= {"url", "size_bytes", "media_type"} else found


def _as(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A converter to JSON form that returns a value unchanged if `parse` refuses it, so that the api reports it."""

    def convert(value: Any) -> Any:
        try:
            return to_jsonable_python(parse(value))
        except (ValueError, TypeError, ArithmeticError):
            return value

    return convert


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def parse_duration(value: Any) -> datetime.timedelta:
    """A duration from an ISO 8601 string or a number of seconds."""
    return _DURATION.validate_python(value)


_DURATION: Final = TypeAdapter(datetime.timedelta)

_PLAIN: Final[Mapping[str, Callable[[Any], Any]]] = {
    "BigInt": _as(parse_big_int),
    "Float": _as(_number),
    "DateTime": _as(datetime.datetime.fromisoformat),
    "Date": _as(datetime.date.fromisoformat),
    "Time": _as(datetime.time.fromisoformat),
    "Duration": _as(parse_duration),
    "Decimal": _as(lambda value: decimal.Decimal(str(value))),
    "UUID": _as(uuid.UUID),
}

_FROM_WIRE: Final[Mapping[str, Callable[[Any], Any]]] = {
    "BigInt": parse_big_int,
    "Float": float,
    "DateTime": datetime.datetime.fromisoformat,
    "Date": datetime.date.fromisoformat,
    "Time": datetime.time.fromisoformat,
    "Duration": parse_duration,
    "Decimal": lambda value: decimal.Decimal(str(value)),
    "UUID": uuid.UUID,
}
