"""`Table`: rows and columns that a task returns, kept as Parquet in the blob store.

A task function returns a DataFrame, an Arrow table or records, and declares `Table` or `Table[Row]`. The worker writes
the Parquet files and stores this description of them in the record. No table library is imported here: nodes that only
load the registry do not need one.
"""

from __future__ import annotations

import datetime
import enum
import typing
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Literal, TypeGuard, get_args, get_origin

from cluster.errors import RegistryError
from cluster.task_types.annotations import (
    EMPTY,
    fields_of,
    is_dataclass_or_model,
    item_type,
    unwrap_annotated,
    without_none,
)
from cluster.task_types.data_reading import Rows
from cluster.task_types.value_types import BigInt, BigIntMark

if TYPE_CHECKING:
    # Only type checkers need the default, with which they take `Table` alone.
    from typing_extensions import TypeVar

    T = TypeVar("T", default=Any)
else:
    T = typing.TypeVar("T")


PARQUET: Final = "application/vnd.apache.parquet"
"""The media type of a table's files."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        type: Arrow's name of its type, such as `int64`, `double`, `string`, `timestamp[us, tz=UTC]`.
        nullable: whether values may be missing: as its Row declares, else whether any is.
    """

    name: str
    type: str
    nullable: bool


@dataclass(frozen=True)
class Part:
    """One Parquet file of a table."""

    row_count: BigInt
    size_bytes: BigInt


@dataclass(frozen=True)
class Table(Rows, Generic[T]):
    """Rows and columns of any number, kept as Parquet files in the blob store.

    A return annotation: `-> Table`, or `-> Table[Row]` with a dataclass or model Row of the columns. The function
    returns a pandas, polars or Arrow table, a list of records, a dict of columns, a generator of records or of tables,
    or a Dask DataFrame, whose partitions the workers write in parallel.

    As an argument, the table of another task or a Parquet file that a client has uploaded: `to_pandas()`, `to_arrow()`,
    `to_polars()` and `to_dask()` read it.

    Attributes:
        key: the common part of its files' names in the blob store.
        size_bytes: length of all its files.
        parts: its files, in the order of the rows.
        sha256: in hex, of its file, or of the manifest of several; None in a record of an earlier release.
        row: the class of its rows, if declared.
    """

    key: str
    row_count: BigInt
    columns: list[Column]
    size_bytes: BigInt
    parts: list[Part]
    sha256: str | None = None

    row: ClassVar[Any] = None

    def __class_getitem__(cls, row: Any) -> Any:
        return _table_of(row)

    if TYPE_CHECKING:
        # An argument that is declared `Table` is a TableFile (data_files.py).
        def path(self) -> Path: ...

    @property
    def schema_key(self) -> str:
        """The blob with the Arrow schema that all parts share; only a table of several parts has it."""
        return f"{self.key}.schema"


def part_key(key: str, number: int) -> str:
    """The name of one file of a table, by its number from 0."""
    return f"{key}.{number}.parquet"


@cache
def _table_of(row: Any) -> Any:
    """`Table[Row]`: a class of its own, as a generic pydantic model's."""
    name = getattr(row, "__name__", repr(row))
    return type(f"Table[{name}]", (Table,), {"row": row, "__module__": __name__, "__doc__": Table.__doc__})


COLUMN_TYPES: Final = (
    bool, int, float, str, datetime.datetime, datetime.date, datetime.time, datetime.timedelta, uuid.UUID,
)  # fmt: skip
"""What a field of a Row may be, besides BigInt, enums and Literals of strings, lists of these, and nested classes."""


def check_row(row: Any, where: str) -> None:
    """Refuses a `Table[Row]` whose Row does not describe columns.

    Raises:
        RegistryError: says what to write instead.
    """
    if not is_dataclass_or_model(row):
        raise RegistryError(
            f"{where}: Table[...] takes a dataclass or model of the columns, not {getattr(row, '__name__', row)!r}; "
            "declare Table if the columns are not known"
        )
    for place, annotation in _leaves(row, row.__name__):
        problem = _column_problem(annotation)
        if problem:
            raise RegistryError(f"{where}, {place}: {problem}")


def _leaves(cls: Any, place: str, above: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any]]:
    for field in fields_of(cls):
        bare, _ = unwrap_annotated(without_none(field.annotation)[0])
        while (item := item_type(bare)) is not EMPTY:
            bare, _ = unwrap_annotated(without_none(item)[0])
        if is_dataclass_or_model(bare) and bare not in above:
            yield from _leaves(bare, f"{place}.{field.name}", (*above, cls))
        else:
            yield f"{place}.{field.name}", bare if not is_dataclass_or_model(bare) else EMPTY


def _column_problem(bare: Any) -> str | None:
    if bare in COLUMN_TYPES or is_text_choice(bare):
        return None
    if bare is EMPTY:
        return "a column cannot contain its own class"
    return (
        f"{getattr(bare, '__name__', bare)!s} cannot be a column of Table[Row]; use bool, int, BigInt, float, str, a "
        "date or time, UUID, an Enum of strings, a list of these or a dataclass; Table takes any column"
    )


def is_text_choice(bare: Any) -> bool:
    """Whether it is an Enum or a Literal whose values are strings."""
    if get_origin(bare) is Literal:
        return all(isinstance(value, str) for value in get_args(bare))
    return isinstance(bare, type) and issubclass(bare, enum.Enum) and all(isinstance(it.value, str) for it in bare)


def is_big(annotation: Any) -> bool:
    """Whether an annotation is BigInt."""
    return any(isinstance(mark, BigIntMark) for mark in unwrap_annotated(annotation)[1])


def is_table(bare: Any) -> TypeGuard[type[Table[Any]]]:
    """Whether a type is `Table` or `Table[Row]`."""
    return isinstance(bare, type) and issubclass(bare, Table)
