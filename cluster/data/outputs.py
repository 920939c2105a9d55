"""Stores the tables and arrays in a returned value, wherever its type declares one, and describes them there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cluster.data.array_output import is_chunked
from cluster.data.dask_tables import is_partitioned
from cluster.data.data_sink import DataSink
from cluster.task_types.array_types import is_array
from cluster.task_types.conversion import with_fields
from cluster.task_types.result_checks import ANY, DeclaredType, InvalidOutput
from cluster.task_types.table_types import Table, is_table


def store_data(value: Any, declared: DeclaredType, sink: DataSink | None) -> Any:
    """A returned value with `Table`s in place of the DataFrames, Arrow tables and records that its type declares so.

    Args:
        sink: where they are written; None where none can be: in a partial output.

    Raises:
        InvalidOutput: a value is not what is declared, or there is no sink.
        BlobError: the blob store refuses or does not answer.
    """
    return _store(value, declared, "", sink)


def _store(value: Any, declared: DeclaredType, path: str, sink: DataSink | None) -> Any:
    if value is None:
        return None
    store = _writer_of(declared.bare)
    if store is not None:
        if isinstance(value, declared.bare):
            return value
        if sink is None:
            raise InvalidOutput("is a table or an array, which a partial output cannot have: report a few rows of it")
        if is_collection(value) and not is_written_by_parts(value):
            [(_, value)] = sink.as_completed([value])
        return store(value, path, sink)
    if not declared.holds_data:
        return value
    if declared.is_list and isinstance(value, list | tuple):
        return [_part(item, declared.item, f"{path}[{i}]", f"[{i}]", sink) for i, item in enumerate(value)]
    if isinstance(value, dict):
        return {name: _entry(name, item, declared, path, sink) for name, item in value.items()}
    return _object(value, declared, path, sink)


def is_collection(value: Any) -> bool:
    """Whether it is a Dask collection; does not import Dask, which would cost every plain task."""
    return hasattr(value, "__dask_graph__") and not isinstance(value, type) and value.__dask_graph__() is not None


def is_written_by_parts(value: Any) -> bool:
    """Whether it is a Dask collection whose parts the workers write, so that it must not be computed as a whole: a
    DataFrame, a bag, an array, or an xarray DataArray of one."""
    if is_partitioned(value) or is_chunked(value):
        return True
    return type(value).__name__ == "DataArray" and getattr(value, "chunks", None) is not None


def _entry(name: Any, item: Any, declared: DeclaredType, path: str, sink: DataSink | None) -> Any:
    """A value of a dict, which may stand for a dataclass."""
    if fields := declared.fields:
        return _part(item, fields.get(name, ANY), f"{path}.{name}", f".{name}", sink)
    return _part(item, declared.values, f"{path}.{name}", f"[{name!r}]", sink)


def _object(value: Any, declared: DeclaredType, path: str, sink: DataSink | None) -> Any:
    changes = {}
    for name, field in declared.fields.items():
        old = getattr(value, name, None)
        new = _part(old, field, f"{path}.{name}", f".{name}", sink)
        if new is not old:
            changes[name] = new
    return with_fields(value, changes)


def _part(value: Any, declared: DeclaredType, path: str, step: str, sink: DataSink | None) -> Any:
    try:
        return _store(value, declared, path, sink)
    except InvalidOutput as error:
        raise error.inside(step) from None


def _writer_of(bare: Any) -> Callable[[Any, str, DataSink], Any] | None:
    """What writes a value of this declared type; None if it is neither a table nor an array."""
    if is_table(bare):
        from cluster.data.table_output import store_table

        table: type[Table[Any]] = bare
        return lambda value, path, sink: store_table(value, table, path, sink)
    if is_array(bare):
        from cluster.data.array_output import store_array

        return store_array
    return None
