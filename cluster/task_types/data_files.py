"""`Table` and `Array` as arguments: files that a task reads as tables and arrays, whatever they consist of.

Nothing here imports a table library: a worker's executor says how such files are read (cluster/data/).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final, get_origin

from cluster.errors import RegistryError
from cluster.task_types.annotations import EMPTY, item_type, unwrap_annotated, without_none
from cluster.task_types.array_types import is_array
from cluster.task_types.data_reading import Grid, GridReader, RowReader, Rows
from cluster.task_types.file import File
from cluster.task_types.table_types import Column, is_table

_NO_READERS: Final = (
    "tables and arrays are read in a running task only; in a test, call dask_graphql.testing.run_task, with "
    "File.from_path(...) as the argument"
)
_readers: tuple[Callable[[TableFile], RowReader], Callable[[ArrayFile], GridReader]] | None = None


def use_readers(table: Callable[[TableFile], RowReader], array: Callable[[ArrayFile], GridReader]) -> None:
    """Sets how this process reads tables and arrays."""
    global _readers
    _readers = table, array


class TableFile(File, Rows):
    """A table as an argument: the `fileId` of another task's Table, or a Parquet file that a client has uploaded.

    The argument is declared `Table`. Only what is asked for is fetched. It can be passed to the parts of a graph.
    """

    __slots__ = ("_opened_reader",)
    declared_as: ClassVar = "Table"
    _opened_reader: RowReader

    @property
    def row_count(self) -> int:
        """Number of its rows. Raises as `to_arrow`."""
        return self._reader().row_count

    @property
    def columns(self) -> list[Column]:
        """The names and types of its columns. Raises as `to_arrow`."""
        return self._reader().columns

    def _reader(self) -> RowReader:
        if not hasattr(self, "_opened_reader"):
            if _readers is None:
                raise RuntimeError(_NO_READERS)
            self._opened_reader = _readers[0](self)
        return self._opened_reader


class ArrayFile(File, Grid):
    """An array as an argument: the `fileId` of another task's Array, or a `.npy` file that a client has uploaded.

    The argument is declared `Array`. It can be passed to the parts of a graph, and to every function that takes an
    array of numpy.
    """

    __slots__ = ("_opened_reader",)
    declared_as: ClassVar = "Array"
    _opened_reader: GridReader

    @property
    def dtype(self) -> str:
        """numpy's name of its type. Raises as `to_numpy`."""
        return self._reader().dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Its length along each dimension. Raises as `to_numpy`."""
        return self._reader().shape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        values = self.to_numpy()
        return values if dtype is None else values.astype(dtype)

    def _reader(self) -> GridReader:
        if not hasattr(self, "_opened_reader"):
            if _readers is None:
                raise RuntimeError(_NO_READERS)
            self._opened_reader = _readers[1](self)
        return self._opened_reader


def argument_annotation(annotation: Any, where: str) -> Any:
    """The annotation of an argument with `TableFile` for `Table` and `ArrayFile` for `Array`, also in lists and with
    None.

    Raises:
        RegistryError: it is a `Table[Row]`, whose rows nobody would check.
    """
    bare, _ = unwrap_annotated(annotation)
    if is_table(bare):
        if bare.row is not None:
            raise RegistryError(f"{where}: Table[...] is only a return type; declare Table, and read its columns")
        return TableFile
    if is_array(bare):
        return ArrayFile
    inner, optional = without_none(annotation)
    if optional:
        made = argument_annotation(inner, where)
        return annotation if made is inner else made | None
    item = item_type(bare)
    made = item if item is EMPTY else argument_annotation(item, where)
    if made is item:
        return annotation
    kind: Any = get_origin(bare)
    return kind[made, ...] if kind is tuple else kind[made]
