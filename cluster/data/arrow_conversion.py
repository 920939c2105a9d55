"""Converts what a task function returns for `Table` to Arrow: every column with one type, or refused with its name.

Large values are converted in pieces, so that a generator of DataFrames or rows is never in memory as a whole.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Final

from cluster.data.libraries import pyarrow
from cluster.task_types.annotations import fields_of, is_dataclass_or_model
from cluster.task_types.result_checks import InvalidOutput

ROWS_PER_CHUNK: Final = 65_536
"""Records that are converted at a time."""
MAX_COLUMNS: Final = 5_000
"""Columns of a table; each is described in the record."""

_END: Final = object()
ACCEPTED: Final = (
    "return a pandas, polars or Arrow table, a list of records (dicts or dataclasses), a dict of columns, or a "
    "generator of records or of tables"
)


def arrow_tables(value: Any) -> Iterator[Any]:
    """The pyarrow Tables that a value consists of, in order; at least one.

    Raises:
        InvalidOutput: it is not a table, or a column has no single type.
    """
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    if library == "pandas" and kind.__name__ in ("DataFrame", "Series"):
        yield _from_pandas(value)
    elif library == "polars" and kind.__name__ == "LazyFrame":
        yield from arrow_tables(value.collect())
    elif library == "polars" and kind.__name__ == "Series":
        yield from arrow_tables(value.to_frame())
    elif library == "polars" and kind.__name__ == "DataFrame":
        yield _from_polars(value)
    elif hasattr(value, "__arrow_c_stream__"):
        yield from _from_stream(value)
    elif hasattr(value, "__arrow_c_array__"):  # a pyarrow RecordBatch
        yield from _from_stream(_one_batch(value))
    elif library == "numpy" and getattr(getattr(value, "dtype", None), "names", None):
        yield _from_columns({name: value[name] for name in value.dtype.names})
    elif isinstance(value, Mapping):
        yield _from_columns(value)
    elif isinstance(value, list | tuple) or hasattr(value, "__next__"):
        yield from _from_items(value)
    else:
        raise InvalidOutput(f"is a {kind.__module__}.{kind.__qualname__}, which is no table: {ACCEPTED}")


def _from_items(items: Iterable[Any]) -> Iterator[Any]:
    """Records, or tables of the same columns, one after the other."""
    iterator = iter(items)
    first = next(iterator, _END)
    if first is _END:
        yield pyarrow().table({})
        return
    iterator = itertools.chain([first], iterator)
    if not is_record(first):
        for item in iterator:
            yield from arrow_tables(item)
        return
    start = 0
    while chunk := list(itertools.islice(iterator, ROWS_PER_CHUNK)):
        try:
            yield _from_records(chunk)
        except InvalidOutput as error:
            raise error.inside(f"[{start}:{start + len(chunk)}]") from None
        start += len(chunk)


def is_record(value: Any) -> bool:
    """Whether an item of a list or generator is one row: a dict, a dataclass, a model or a namedtuple."""
    return isinstance(value, Mapping) or is_dataclass_or_model(type(value)) or hasattr(value, "_asdict")


def plain(value: Any) -> Any:
    """A value as Arrow takes it: objects as dicts, enums as their values, UUIDs as text."""
    if isinstance(value, str | int | float) and not isinstance(value, Enum):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, uuid.UUID):
        return str(value)
    kind: Any = type(value)
    if is_dataclass_or_model(kind):
        return {field.name: plain(getattr(value, field.name, None)) for field in fields_of(kind)}
    if hasattr(value, "_asdict"):
        return value._asdict()
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


def _from_records(records: list[Any]) -> Any:
    rows = [row if isinstance(row, Mapping) else _fields(row) for row in records]
    # Arrow's own conversion takes the columns of the first row alone.
    names = dict.fromkeys(name for row in rows for name in row)
    return _from_columns({name: [plain(row.get(name)) for row in rows] for name in names})


def _fields(record: Any) -> Mapping[str, Any]:
    kind: Any = type(record)
    if is_dataclass_or_model(kind):
        return {field.name: getattr(record, field.name, None) for field in fields_of(kind)}
    if hasattr(record, "_asdict"):
        return record._asdict()  # type: ignore[no-any-return]
    raise InvalidOutput(f"has a {kind.__name__} among its rows: {ACCEPTED}")


def _from_columns(columns: Mapping[Any, Any]) -> Any:
    pa = pyarrow()
    arrays: dict[str, Any] = {}
    for name, values in columns.items():
        if not isinstance(name, str):
            raise InvalidOutput(f"has a column named {name!r}: name columns by text")
        if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__len__"):
            kind = type(values).__name__
            raise InvalidOutput(f"has a {kind} as the column {name!r}, which is no list and no array: {ACCEPTED}")
        try:
            arrays[name] = _array([plain(item) for item in values] if isinstance(values, list | tuple) else values)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise column_error(name, error) from error
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidOutput(f"has columns of different lengths: {dict(itertools.islice(lengths.items(), 5))}")
    return _checked(pa.table(arrays))


def _array(values: Any) -> Any:
    pa = pyarrow()
    if getattr(values, "ndim", 1) != 1:
        raise ValueError(f"it has {values.ndim} dimensions")
    if isinstance(values, list):
        zones = {item.tzinfo is None for item in values if hasattr(item, "tzinfo")}
        if len(zones) > 1:
            raise ValueError("some of its times have a time zone, and some have none")
    if hasattr(values, "dtype") and getattr(values.dtype, "byteorder", "=") not in "=|":
        values = _native(values)
    return pa.array(values, from_pandas=type(values).__module__.partition(".")[0] == "pandas")


def _native(values: Any) -> Any:
    """An array or column of another byte order, as files of scientific formats have it, in the machine's."""
    return values.astype(values.dtype.newbyteorder("="))


def _from_pandas(value: Any) -> Any:
    pa = pyarrow()
    frame = value.to_frame(value.name if value.name is not None else "value") if value.ndim == 1 else value
    if frame.columns.nlevels > 1:
        raise InvalidOutput(
            "has columns of several levels: join their names, frame.columns = ['_'.join(map(str, it)) for it in "
            "frame.columns]"
        )
    frame = _with_index(frame)
    names = list(map(str, frame.columns))
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidOutput(f"has two columns named {twice!r}: rename one of them")
    swapped = {
        name: dtype.newbyteorder("=")
        for name, dtype in zip(frame.columns, frame.dtypes, strict=True)
        if getattr(dtype, "byteorder", "=") not in "=|"
    }
    frame = frame.astype(swapped) if swapped else frame
    for name, dtype in zip(names, frame.dtypes, strict=True):
        if advice := _PANDAS_ADVICE.get(type(dtype).__name__):
            raise InvalidOutput(f"has the column {name!r} of the type {dtype}: {advice}")
    try:
        return _checked(pa.Table.from_pandas(frame, preserve_index=False))
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise column_error(_column_at_fault(frame), error) from error


_PANDAS_ADVICE: Final = {
    "PeriodDtype": "convert it, .dt.to_timestamp() or .astype(str)",
    "IntervalDtype": "make two columns of it, .array.left and .array.right",
    "SparseDtype": "convert it, .sparse.to_dense()",
}
"""Types of pandas that other readers of Parquet do not know."""


def _with_index(frame: Any) -> Any:
    """The frame with its index as columns, unless that only numbers the rows: it has no name and is of integers."""
    index = frame.index
    if index.nlevels == 1 and index.name is None and index.dtype.kind in "iu":
        return frame
    taken = [name for name in index.names if name is not None and name in frame.columns]
    if taken:
        raise InvalidOutput(
            f"has an index and a column that are both named {taken[0]!r}: rename the index, or drop it with "
            ".reset_index(drop=True)"
        )
    return frame.reset_index()


def _column_at_fault(frame: Any) -> str:
    pa = pyarrow()
    for name in frame.columns:
        try:
            pa.array(frame[name], from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            return str(name)
    return str(frame.columns[0])


def _from_polars(value: Any) -> Any:
    import polars

    for name, dtype in value.schema.items():
        if dtype == polars.Object:
            raise InvalidOutput(f"has the column {name!r} of Python objects: convert it to text, numbers or structs")
    try:
        return _checked(value.to_arrow())
    except pyarrow().ArrowException as error:
        # It does not say of which column: integers of 128 bits are one that Arrow lacks.
        raise InvalidOutput(f"has a column that Arrow does not know ({error}), among {value.schema}") from error


def _one_batch(value: Any) -> Any:
    """A stream of one RecordBatch."""
    pa = pyarrow()
    try:
        batch = pa.record_batch(value)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InvalidOutput(f"is no table for Arrow ({error}): {ACCEPTED}") from error
    return pa.RecordBatchReader.from_batches(batch.schema, [batch])


def _from_stream(value: Any) -> Iterator[Any]:
    pa = pyarrow()
    try:
        reader = pa.RecordBatchReader.from_stream(value)
    except pa.ArrowException as error:
        raise InvalidOutput(f"is no table for Arrow ({error}): {ACCEPTED}") from error
    none_yet = True
    for batch in reader:
        none_yet = False
        table = pa.Table.from_batches([batch])
        try:
            # Whoever made it may have put any bytes into it.
            table.validate(full=True)
        except pa.ArrowException as error:
            raise InvalidOutput(f"is no valid table: {error}") from error
        yield _checked(table)
    if none_yet:
        yield _checked(reader.schema.empty_table())


def _checked(table: Any) -> Any:
    """A table whose columns have distinct names and types that Parquet and its readers know."""
    pa = pyarrow()
    if table.num_columns > MAX_COLUMNS:
        raise InvalidOutput(
            f"has {table.num_columns} columns, but a table has at most {MAX_COLUMNS}: return it transposed"
        )
    names = table.column_names
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidOutput(f"has two columns named {twice!r}: rename one of them")
    columns, fields = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        if problem := _type_problem(field.type):
            raise InvalidOutput(f"has the column {field.name!r} of the type {field.type}: {problem}")
        column = _stored(column)
        columns.append(column)
        fields.append(field.with_type(column.type))
    schema = pa.schema(fields, metadata=table.schema.metadata)
    return table if schema.equals(table.schema) else pa.table(columns, schema=schema)


def _stored(column: Any) -> Any:
    """A column in a type that all readers of Parquet know: without Arrow's newer layouts, and without extensions, of
    which UUIDs become texts."""
    pa = pyarrow()
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name == "arrow.uuid":
            return pa.chunked_array([[None if it is None else str(it) for it in column.to_pylist()]], pa.string())
        stored = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
        return _stored(stored.cast(pa.bool_()) if kind.extension_name == "arrow.bool8" else stored)
    views = {"string_view": "large_string", "binary_view": "large_binary"}
    return column.cast(getattr(pa, views[str(kind)])()) if str(kind) in views else column


def _type_problem(kind: Any) -> str | None:
    pa = pyarrow()
    if pa.types.is_union(kind):
        return "give each kind of value a column of its own"
    if pa.types.is_interval(kind):
        return "a span of months or years has no exact length; give it in days, or as text"
    if pa.types.is_run_end_encoded(kind):
        return "decode it, pyarrow.compute.run_end_decode"
    return None


def column_error(name: Any, error: Exception) -> InvalidOutput:
    """The refusal of a column that Arrow cannot convert."""
    problem = str(error.args[0] if error.args else error).strip().rstrip(".")
    hint = "give all its values one type, for example .astype(str)"
    if isinstance(error, UnicodeEncodeError):
        hint = "texts are Unicode: decode the bytes they came from, .str.encode('utf-8', 'surrogateescape')"
    elif isinstance(error, OverflowError):
        hint = "integers of a column have at most 64 bits: convert it to text, .astype(str)"
    elif "numpy type 13" in problem:
        hint = "a float has 64 bits: round it, .astype(float)"
    elif "numpy type" in problem:
        hint = "give its parts columns of their own, .real and .imag, or convert it"
    elif "time zone" in problem or "dimensions" in problem:
        hint = "make them alike" if "zone" in problem else "return an Array, or a column for each"
    return InvalidOutput(f"has the column {name!r}, which Arrow cannot convert ({problem}): {hint}")
