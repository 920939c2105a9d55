"""The values of Arrow columns as JSON, one rule for `rows`, CSV and the documentation (docs/tables-and-arrays.md).

Integers beyond 2^53 become strings, as everywhere in this api; numbers that JSON lacks become `"NaN"`, `"Infinity"` and
`"-Infinity"`, as in the JSON form of Protocol Buffers; times become ISO 8601 with all their digits, decimals their
text, bytes base64.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from typing import Any

from cluster.data.libraries import pyarrow
from cluster.task_types.value_types import json_integer


class JsonRow(dict[str, Any]):
    """A row whose values are in JSON form already."""


def json_rows(table: Any) -> list[JsonRow]:
    """The rows of a pyarrow Table."""
    names = table.column_names
    columns = [json_values(column) for column in table.columns]
    return [JsonRow(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def json_values(column: Any) -> list[Any]:
    """The values of an Arrow array or chunked array in JSON form."""
    pa = pyarrow()
    types, kind = pa.types, column.type
    if types.is_dictionary(kind):
        return json_values(pa.concat_arrays([chunk.dictionary_decode() for chunk in _chunks(column)]))
    if isinstance(kind, pa.BaseExtensionType):
        return json_values(pa.concat_arrays([chunk.storage for chunk in _chunks(column)]))
    if (texts := text_column(column)) is not None:
        return texts.to_pylist()  # type: ignore[no-any-return]
    if types.is_duration(kind):
        scale = {"s": 0, "ms": 3, "us": 6, "ns": 9}[kind.unit]
        return _each(column.cast(pa.int64()).to_pylist(), lambda value: iso_duration(value, scale))
    convert = _converter(kind)
    values = column.to_pylist()
    return values if convert is None else _each(values, convert)


def text_column(column: Any) -> Any:
    """Times, dates and decimals as Arrow texts; None for any other column."""
    pa = pyarrow()
    import pyarrow.compute as pc

    types, kind = pa.types, column.type
    if types.is_timestamp(kind):
        # Arrow writes `2026-01-31 12:00:00.250000+0100`.
        texts = pc.replace_substring(column.cast(pa.string()), " ", "T", max_replacements=1)
        return texts if kind.tz is None else pc.replace_substring_regex(texts, r"([+-]\d{2})(\d{2})$", r"\1:\2")
    if types.is_date(kind):
        return column.cast(pa.date32()).cast(pa.string())
    return column.cast(pa.string()) if types.is_time(kind) or types.is_decimal(kind) else None


def _chunks(column: Any) -> list[Any]:
    pa = pyarrow()
    if not isinstance(column, pa.ChunkedArray):
        return [column]
    return column.chunks or [pa.array([], column.type)]


def _each(values: list[Any], convert: Callable[[Any], Any]) -> list[Any]:
    return [None if value is None else convert(value) for value in values]


def _converter(kind: Any) -> Callable[[Any], Any] | None:
    types = pyarrow().types
    if types.is_int64(kind) or types.is_uint64(kind):
        return json_integer
    if types.is_floating(kind):
        return json_float
    binary = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view)
    if any(test(kind) for test in binary):
        return lambda value: base64.b64encode(value).decode("ascii")
    if types.is_nested(kind):
        return _nested(kind)
    return None


def _nested(kind: Any) -> Callable[[Any], Any]:
    pa = pyarrow()
    if pa.types.is_struct(kind):
        fields = [(field.name, field.type) for field in kind]
        return lambda value: {name: _one(value[name], inner) for name, inner in fields}
    if pa.types.is_map(kind):
        return lambda value: [
            {"key": _one(key, kind.key_type), "value": _one(item, kind.item_type)} for key, item in value
        ]
    return lambda value: _many(value, kind.value_type)


def _one(value: Any, kind: Any) -> Any:
    return _many([value], kind)[0]


def _many(values: list[Any], kind: Any) -> list[Any]:
    return json_values(pyarrow().array(values, kind))


def json_float(value: float) -> float | str:
    """A float, or the text of one that JSON lacks."""
    if math.isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def iso_duration(value: int, scale: int) -> str:
    """A span of `value` units of 10^-scale seconds in ISO 8601: `PT1.5S`."""
    whole, rest = divmod(abs(value), 10**scale)
    fraction = f".{rest:0{scale}d}".rstrip("0") if rest else ""
    return f"{'-' if value < 0 else ''}PT{whole}{fraction}S"
