"""How long columns become where their values are written out, which Arrow's own sizes do not say: a category is stored
once, however many rows have it, and a boolean as a bit."""

from __future__ import annotations

from typing import Any

from cluster.data.libraries import pyarrow


def least_json_bytes(column: Any) -> int:
    """A lower bound of the length of an Arrow array's or chunked array's values in JSON, without decoding them."""
    pa = pyarrow()
    if isinstance(column, pa.ChunkedArray):
        return sum(map(least_json_bytes, column.chunks))
    types, kind = pa.types, column.type
    if types.is_dictionary(kind):
        return _of_categories(column)
    if types.is_struct(kind):
        names: int = sum(len(field.name) + 4 for field in kind)
        return names * (len(column) - int(column.null_count)) + sum(map(least_json_bytes, column.flatten()))
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        items = column.flatten()
        return len(column) + len(items) + least_json_bytes(items)
    return len(column) + (_sum(_lengths(column)) if _has_length(kind) else 0)


def _of_categories(column: Any) -> int:
    import pyarrow.compute as pc

    if not _has_length(column.type.value_type):
        return len(column)
    return len(column) + _sum(pc.take(_lengths(column.dictionary), column.indices))


def _has_length(kind: Any) -> bool:
    types = pyarrow().types
    tests = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    return any(test(kind) for test in tests)


def _lengths(column: Any) -> Any:
    import pyarrow.compute as pc

    return pc.binary_length(column).cast(pyarrow().int64())


def _sum(numbers: Any) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(numbers).as_py() or 0)
