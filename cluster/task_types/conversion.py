"""Converts numpy and pandas values to built-in types, as the task declares: exactly, or refused with the path.

Neither library is imported before a value of it arrives.
"""

from __future__ import annotations

import copy
import datetime
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from cluster.task_types.annotations import is_dataclass_or_model
from cluster.task_types.result_checks import ANY, DeclaredType, InvalidOutput

_SCALARS: Final = frozenset({int, float, str, bool, bytes, type(None)})
TOO_FINE: Final = "is more precise than the whole microseconds of Python's datetime: round it, or return nanoseconds"
"""The problem with a time that is more precise than Python's."""
OUT_OF_RANGE: Final = "is outside the years 1 to 9999 of Python's datetime"


def to_builtin(value: Any, declared: DeclaredType = ANY) -> Any:
    """Converts a value to built-in types, inside containers, dataclasses and models too; returns the value itself if
    nothing has to change.

    A missing value (`NaT`, `NA`, masked, `nan`) becomes None if the declared type allows None.

    Args:
        declared: the declared type, as a hint only: the whole is validated later.

    Raises:
        InvalidOutput: Python has no such value (a span of months, fractions of a microsecond, a year beyond 9999), or
            a value is missing and the type does not allow None.
    """
    kind = type(value)
    if kind in _SCALARS:
        return None if kind is float and value != value and declared.nullable else value
    if kind in (list, tuple, set, frozenset):
        return _items(value, kind, declared)
    if kind is dict:
        return _dict(value, declared)
    if kind is declared.bare and declared.fields:
        return _object(value, declared)
    library = kind.__module__.partition(".")[0]
    if library == "numpy":
        return _numpy(value, declared)
    if library == "pandas":
        return _pandas(value, declared)
    if is_dataclass_or_model(kind):
        return _object(value, declared)
    if library in ("dask", "distributed") and (hasattr(kind, "__dask_graph__") or kind.__name__ == "Future"):
        raise InvalidOutput(
            f"is a Dask {kind.__name__} inside the returned value: return one collection, such as "
            "dask.delayed(list)(parts), or its computed value"
        )
    if hasattr(kind, "__anext__"):
        raise InvalidOutput("is an async generator: collect its items in a list and return that")
    return value


def _items(value: Any, kind: type[Any], declared: DeclaredType) -> Any:
    item = declared.item
    kinds = set(map(type, value))
    if kinds <= _SCALARS and not (item.nullable and float in kinds):
        return value
    parts = []
    changed = False
    for index, part in enumerate(value):
        try:
            new = to_builtin(part, item)
        except InvalidOutput as error:
            raise error.inside(f"[{index}]") from None
        changed = changed or new is not part
        parts.append(new)
    return kind(parts) if changed else value


def _dict(value: dict[Any, Any], declared: DeclaredType) -> dict[Any, Any]:
    fields = declared.fields
    pairs = {}
    changed = False
    for key, item in value.items():
        new_key = to_builtin(key)
        try:
            new = to_builtin(item, fields.get(new_key, ANY) if fields else declared.values)
        except InvalidOutput as error:
            # A dict that stands for a dataclass has paths like one.
            raise error.inside(f".{key}" if fields else f"[{key!r}]") from None
        changed = changed or new is not item or new_key is not key
        pairs[new_key] = new
    if len(pairs) != len(value):
        raise InvalidOutput("has keys that are equal after conversion")
    return pairs if changed else value


def _object(value: Any, declared: DeclaredType) -> Any:
    own = declared if declared.fields and isinstance(value, declared.bare) else DeclaredType(type(value))
    changes: dict[str, Any] = {}
    for name, field in own.fields.items():
        old = getattr(value, name, None)
        if type(old) in _SCALARS and old == old:
            continue
        try:
            new = to_builtin(old, field)
        except InvalidOutput as error:
            raise error.inside(f".{name}") from None
        if new is not old:
            changes[name] = new
    return with_fields(value, changes)


def with_fields(value: Any, changes: Mapping[str, Any]) -> Any:
    """A dataclass instance or model with other values in some fields, which are not validated; itself without any."""
    if not changes:
        return value
    if isinstance(value, BaseModel):
        return value.model_copy(update=changes)
    changed = copy.copy(value)
    for name, new in changes.items():
        object.__setattr__(changed, name, new)  # works for frozen dataclasses too
    return changed


def _missing(what: str, declared: DeclaredType, path: str = "") -> None:
    if not declared.nullable:
        raise InvalidOutput(f"is {what}, a missing value: declare ... | None, or fill it in", path)


# numpy ---------------------------------------------------------------------------------------------------------------


def _numpy(value: Any, declared: DeclaredType) -> Any:
    import numpy as np

    if value is np.ma.masked:
        return _missing("masked", declared)
    if not isinstance(value, np.ndarray | np.generic):
        return value
    leaf = declared
    for _ in range(value.ndim):
        leaf = leaf.item
    if value.dtype.names:
        return _rows(value, declared)
    if value.dtype.kind in "mM":
        return _times(value, leaf)
    if value.dtype.char in "gG" and value.dtype.itemsize > np.dtype("d").itemsize:
        # Its `tolist` returns the same type again.
        shorter = value.astype("D" if value.dtype.char == "G" else "d")
        _reject(value, (shorter != value) & (value == value), "has more digits than a float: round it")
        return to_builtin(shorter, declared)
    # An array of objects may contain more numpy values, and floats may be missing.
    return to_builtin(value.tolist(), declared)


def _rows(value: Any, declared: DeclaredType) -> Any:
    """A structured array as dicts by field name."""
    if not value.ndim:
        return _dict({name: value[name] for name in value.dtype.names}, declared)
    return _items(list(value), list, declared)


def _times(value: Any, leaf: DeclaredType) -> Any:
    """`datetime64` and `timedelta64` of any unit as Python's types, exactly."""
    import numpy as np

    kind = value.dtype.kind
    unit, _ = np.datetime_data(value.dtype)
    array = (
        value.filled(np.datetime64("NaT") if kind == "M" else np.timedelta64("NaT"))
        if isinstance(value, np.ma.MaskedArray)
        else value
    )
    missing = np.isnat(array)
    if missing.any() and not leaf.nullable:
        _missing("NaT", leaf, _index(missing))
    if unit in ("Y", "M", "generic") and not missing.all():
        problem = "a span of months or years has no exact length" if kind == "m" else "a month or a year is not a date"
        raise InvalidOutput(
            f"is {value.dtype}: {'it has no unit' if unit == 'generic' else problem}; convert it to days "
            f"(.astype('{kind}8[D]')), or return a string"
        )
    days = kind == "M" and (leaf.bare is datetime.date or (leaf.bare is Any and unit in ("D", "W")))
    target = "M8[D]" if days else f"{kind}8[us]"
    too_long = "is longer than 292,000 years" if kind == "m" else OUT_OF_RANGE
    try:
        exact = array.astype(target)
    except OverflowError:  # recent releases of numpy; earlier ones give another number
        _reject(array, _overflows(array, target), too_long)
        raise
    changed = (exact.astype(array.dtype) != array) & ~missing
    # A cast that overflows gives another number, which does not convert back.
    overflowed = changed & (unit in ("W", "D", "h", "m", "s", "ms", "us"))
    if not days:
        _reject(array, overflowed, too_long)
    _reject(array, changed, "has a time of day: declare datetime" if days else TOO_FINE)
    found = exact.tolist()
    if kind == "M":
        # `tolist` leaves a date outside the range of Python's datetime as a number.
        first, last = np.datetime64("0001-01-01", "D"), np.datetime64("9999-12-31", "D")
        day = exact.astype("M8[D]")
        _reject(array, ~missing & ((day < first) | (day > last)), OUT_OF_RANGE)
    return found


def _overflows(array: Any, target: str) -> Any:
    """Which of the times cannot be cast."""
    import numpy as np

    found = np.zeros(np.shape(array), dtype=bool)
    for place, value in np.ndenumerate(np.asarray(array)):
        try:
            value.astype(target)
        except OverflowError:
            found[place] = True
    return found


def _reject(array: Any, wrong: Any, problem: str) -> None:
    import numpy as np

    if np.any(wrong):
        shown = array[wrong].flat[0] if array.ndim else array[()]
        raise InvalidOutput(f"({shown!r}) {problem}", _index(wrong))


def _index(wrong: Any) -> str:
    """The path of the first true value: `[3][0]`; empty for a scalar."""
    import numpy as np

    if not np.ndim(wrong):
        return ""
    return "".join(f"[{index}]" for index in np.argwhere(wrong)[0].tolist())


# pandas --------------------------------------------------------------------------------------------------------------


def _pandas(value: Any, declared: DeclaredType) -> Any:
    kind = type(value)
    if kind.__name__ in ("NaTType", "NAType"):
        return _missing(kind.__name__.removesuffix("Type"), declared)
    if kind.__name__ == "Timestamp":
        if value.nanosecond:
            raise InvalidOutput(f"({value!r}) {TOO_FINE}")
        moment: datetime.datetime = value.to_pydatetime()
        return moment.date() if declared.bare is datetime.date and moment.time() == datetime.time() else moment
    if kind.__name__ == "Timedelta":
        if value.nanoseconds:
            raise InvalidOutput(f"({value!r}) {TOO_FINE}")
        return value.to_pytimedelta()
    if kind.__name__ == "DataFrame":
        return _frame(value, declared)
    # A Series, an Index, or a pandas array.
    return to_builtin(value.tolist(), declared) if hasattr(value, "tolist") else value


def _frame(frame: Any, declared: DeclaredType) -> Any:
    """A table as a list of its rows. An index becomes a column if the declared row has a field of its name."""
    row = declared.item
    if not declared.is_list or not (row.fields or row.bare is Any or row.is_dict):
        raise InvalidOutput(
            "is a pandas DataFrame: declare list[Row] with a dataclass Row of its columns, or return one column "
            "with .tolist()"
        )
    if not frame.columns.is_unique:
        raise InvalidOutput("is a pandas DataFrame with two columns of the same name")
    indexes = [name for name in frame.index.names if name is not None]
    if indexes and all(name in row.fields and name not in frame.columns for name in indexes):
        frame = frame.reset_index()
    return to_builtin(frame.to_dict("records"), declared)
