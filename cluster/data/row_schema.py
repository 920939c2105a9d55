"""The Arrow schema of a `Table[Row]`: the columns that its Row declares, to which every table is converted, exactly."""

from __future__ import annotations

import datetime
import uuid
from functools import lru_cache
from typing import Any, get_args

from cluster.data.libraries import pyarrow
from cluster.task_types.annotations import (
    EMPTY,
    fields_of,
    is_dataclass_or_model,
    item_type,
    unwrap_annotated,
    without_none,
)
from cluster.task_types.result_checks import InvalidOutput
from cluster.task_types.table_types import is_big, is_text_choice


@lru_cache(maxsize=256)
def row_schema(row: Any) -> Any:
    """The Arrow schema of a dataclass or model."""
    return pyarrow().schema([_field(field.name, field.annotation) for field in fields_of(row)])


def _field(name: str, annotation: Any) -> Any:
    inner, nullable = without_none(annotation)
    return pyarrow().field(name, _arrow_type(inner), nullable=nullable)


def _arrow_type(annotation: Any) -> Any:
    pa = pyarrow()
    bare, _ = unwrap_annotated(annotation)
    if bare is int:
        # GraphQL's Int has 32 bits.
        return pa.int64() if is_big(annotation) else pa.int32()
    plain = {
        bool: pa.bool_(), float: pa.float64(), str: pa.string(), uuid.UUID: pa.string(),
        datetime.datetime: pa.timestamp("us"), datetime.date: pa.date32(), datetime.time: pa.time64("us"),
        datetime.timedelta: pa.duration("us"),
    }  # fmt: skip
    if bare in plain:
        return plain[bare]
    if (item := item_type(bare)) is not EMPTY:
        return pa.list_(_field("item", item))
    if is_dataclass_or_model(bare):
        return pa.struct([_field(field.name, field.annotation) for field in fields_of(bare)])
    assert is_text_choice(bare), "check_row admits nothing else"
    return pa.string()


def conform(table: Any, row: Any) -> Any:
    """A table with exactly the columns that a Row declares, in its order, with the same values.

    Raises:
        InvalidOutput: a column is missing, undeclared or of another kind, or a value does not fit.
    """
    pa = pyarrow()
    schema = row_schema(row)
    if not table.num_columns and not table.num_rows:
        return schema.empty_table()
    for name in table.column_names:
        if name not in schema.names:
            raise InvalidOutput(f"has the column {name!r}, which {row.__name__} does not declare: drop or declare it")
    columns, fields = [], []
    for field in schema:
        if field.name not in table.column_names:
            raise InvalidOutput(
                f"has no column {field.name!r}, which {row.__name__} declares, but {', '.join(table.column_names[:9])}"
            )
        column = _convert(table.column(field.name), field, row)
        _check_choices(column, field, row)
        columns.append(column)
        fields.append(field.with_type(column.type))
    return pa.table(columns, schema=pa.schema(fields))


def _convert(column: Any, field: Any, row: Any) -> Any:
    pa = pyarrow()
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        values = column.type.value_type
        column = column.cast(pa.large_string() if pa.types.is_string_view(values) else values)
    target = field.type
    if pa.types.is_timestamp(target) and pa.types.is_timestamp(column.type):
        target = pa.timestamp("us", tz=column.type.tz)
    if not _same_kind(column.type, target):
        raise InvalidOutput(f"has the column {field.name!r} as {column.type}, but {row.__name__} declares {target}")
    if pa.types.is_floating(column.type):
        nan = pc.is_nan(column)
        if field.nullable or not pa.types.is_floating(target):
            column = pc.if_else(nan, pa.scalar(None, column.type), column)
        if pa.types.is_floating(target):
            # GraphQL's Float has neither.
            not_finite = pc.invert(pc.is_finite(column))
            _reject(column, not_finite, field, "is not a finite number: declare float | None for nan")
    try:
        made = column.cast(target)
    except pa.ArrowException as error:
        hint = "; declare BigInt for integers beyond 32 bits" if pa.types.is_int32(target) else ""
        raise InvalidOutput(f"has the column {field.name!r}, which does not fit {target}: {error}{hint}") from error
    if made.null_count and not field.nullable:
        _reject(made, pc.is_null(made), field, "is missing: declare ... | None, or fill it in")
    return made


def _check_choices(column: Any, field: Any, row: Any) -> None:
    """Refuses texts that are no member of the declared Enum or Literal."""
    pa = pyarrow()
    import pyarrow.compute as pc

    annotation = next(item.annotation for item in fields_of(row) if item.name == field.name)
    bare, _ = unwrap_annotated(without_none(annotation)[0])
    if is_text_choice(bare):
        choices = pa.array([*choices_of(bare), None], column.type)
        _reject(column, pc.invert(pc.is_in(column, choices)), field, f"is none of {', '.join(choices_of(bare))}")


def choices_of(bare: Any) -> list[str]:
    """The values of an Enum or a Literal of strings."""
    return list(get_args(bare)) or [member.value for member in bare]


def _reject(column: Any, wrong: Any, field: Any, problem: str) -> None:
    import pyarrow.compute as pc

    index = pc.index(pc.fill_null(wrong, False), True).as_py()
    if index >= 0:
        found = column[index].as_py()
        raise InvalidOutput(f"has {found!r} in the column {field.name!r}, which {problem}", f"[{index}]")


def _same_kind(found: Any, target: Any) -> bool:
    """Whether values keep their meaning in the target's type, if they fit."""
    types = pyarrow().types
    if types.is_null(found):
        return True
    if types.is_floating(target) or types.is_integer(target):
        # pandas keeps integers with missing values as floats; only whole ones fit.
        return bool(types.is_floating(found) or types.is_integer(found))
    if types.is_string(target):
        return bool(types.is_string(found) or types.is_large_string(found) or types.is_string_view(found))
    if types.is_list(target):
        is_list = types.is_list(found) or types.is_large_list(found) or types.is_fixed_size_list(found)
        return bool(is_list and _same_kind(found.value_type, target.value_type))
    if types.is_struct(target):
        return bool(
            types.is_struct(found)
            and {field.name for field in found} == {field.name for field in target}
            and all(_same_kind(found.field(field.name).type, field.type) for field in target)
        )
    tests = (types.is_boolean, types.is_timestamp, types.is_date, types.is_time, types.is_duration)
    return any(test(found) and test(target) for test in tests)
