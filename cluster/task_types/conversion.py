"""Values of numpy and pandas as Python's, by the type that a task declares: exact, or refused with the place.

Neither library is imported here before a value of it comes.
"""

from __future__ import annotations

import copy
import datetime
from typing import Any, Final

from pydantic import BaseModel

from cluster.task_types.annotations import is_record
from cluster.task_types.result_checks import ANY, Shape, UnfitOutput

LEAVES: Final = frozenset({int, float, str, bool, bytes, type(None)})
FINER: Final = "python's datetime and timedelta carry whole microseconds: round it, or return the number of nanoseconds"
"""What to do about a time that is finer than Python's."""
YEARS: Final = "lies beyond the years 1 to 9999, where python's times end"


def plain(value: Any, shape: Shape = ANY) -> Any:
    """A value as Python's own, also within containers, dataclasses and models; itself where nothing is to change.

    What is missing (`NaT`, `NA`, a masked value, `nan`) becomes None where the declared type has None.

    Args:
        shape: of the declared type; it only guides, the validation of the whole comes later.

    Raises:
        UnfitOutput: Python has no such value (a span of months, parts of a microsecond, a year beyond 9999), or
            something is missing where the type has no None.
    """
    kind = type(value)
    if kind in LEAVES:
        return None if kind is float and value != value and shape.nullable else value
    if kind in (list, tuple, set, frozenset):
        return _items(value, kind, shape)
    if kind is dict:
        return _dict(value, shape)
    if kind is shape.bare and shape.fields:
        return _record(value, shape)
    library = kind.__module__.partition(".")[0]
    if library == "numpy":
        return _numpy(value, shape)
    if library == "pandas":
        return _pandas(value, shape)
    if is_record(kind):
        return _record(value, shape)
    if library in ("dask", "distributed") and (hasattr(kind, "__dask_graph__") or kind.__name__ == "Future"):
        raise UnfitOutput(
            f"is a Dask {kind.__name__} inside of what was returned: return one collection, as "
            "dask.delayed(list)(parts), or its computed value"
        )
    if hasattr(kind, "__anext__"):
        raise UnfitOutput("is an async generator: collect what it yields in a list, and return that")
    return value


def _items(value: Any, kind: type[Any], shape: Shape) -> Any:
    item = shape.item
    kinds = set(map(type, value))
    if kinds <= LEAVES and not (item.nullable and float in kinds):
        return value
    parts = []
    changed = False
    for index, part in enumerate(value):
        try:
            new = plain(part, item)
        except UnfitOutput as unfit:
            raise unfit.within(f"[{index}]") from None
        changed = changed or new is not part
        parts.append(new)
    return kind(parts) if changed else value


def _dict(value: dict[Any, Any], shape: Shape) -> dict[Any, Any]:
    fields = shape.fields
    pairs = {}
    changed = False
    for key, item in value.items():
        new_key = plain(key)
        try:
            new = plain(item, fields.get(new_key, ANY) if fields else shape.values)
        except UnfitOutput as unfit:
            # A dict for a dataclass is told as one.
            raise unfit.within(f".{key}" if fields else f"[{key!r}]") from None
        changed = changed or new is not item or new_key is not key
        pairs[new_key] = new
    if len(pairs) != len(value):
        raise UnfitOutput("has keys that become one")
    return pairs if changed else value


def _record(value: Any, shape: Shape) -> Any:
    declared = shape if shape.fields and isinstance(value, shape.bare) else Shape(type(value))
    changes: dict[str, Any] = {}
    for name, field in declared.fields.items():
        old = getattr(value, name, None)
        if type(old) in LEAVES and old == old:
            continue
        try:
            new = plain(old, field)
        except UnfitOutput as unfit:
            raise unfit.within(f".{name}") from None
        if new is not old:
            changes[name] = new
    if not changes:
        return value
    if isinstance(value, BaseModel):
        return value.model_copy(update=changes)
    changed = copy.copy(value)
    for name, new in changes.items():
        object.__setattr__(changed, name, new)  # a frozen dataclass too
    return changed


def _missing(what: str, shape: Shape, place: str = "") -> None:
    if not shape.nullable:
        raise UnfitOutput(f"is {what}, a value that is missing: declare ... | None for it, or fill it", place)


# numpy ---------------------------------------------------------------------------------------------------------------


def _numpy(value: Any, shape: Shape) -> Any:
    import numpy as np

    if value is np.ma.masked:
        return _missing("masked", shape)
    if not isinstance(value, np.ndarray | np.generic):
        return value
    leaf = shape
    for _ in range(value.ndim):
        leaf = leaf.item
    if value.dtype.names:
        return _rows(value, shape)
    if value.dtype.kind in "mM":
        return _times(value, leaf)
    if value.dtype.char in "gG" and value.dtype.itemsize > np.dtype("d").itemsize:
        # Its `tolist` answers the same type again.
        shorter = value.astype("D" if value.dtype.char == "G" else "d")
        _refuse_where(value, (shorter != value) & (value == value), "has more digits than a float: round it")
        return plain(shorter, shape)
    # An array of objects may hold further values of numpy, and floats may be missing.
    return plain(value.tolist(), shape)


def _rows(value: Any, shape: Shape) -> Any:
    """A structured array as dicts by its fields' names."""
    if not value.ndim:
        return _dict({name: value[name] for name in value.dtype.names}, shape)
    return _items(list(value), list, shape)


def _times(value: Any, leaf: Shape) -> Any:
    """`datetime64` and `timedelta64` of any unit as Python's, exactly."""
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
        what = "a span of months or years has no length" if kind == "m" else "a month or a year is no moment"
        raise UnfitOutput(
            f"is {value.dtype}: {'it has no unit' if unit == 'generic' else what}; turn it into days, as "
            f"by .astype('{kind}8[D]'), or return a text"
        )
    days = kind == "M" and (leaf.bare is datetime.date or (leaf.bare is Any and unit in ("D", "W")))
    target = "M8[D]" if days else f"{kind}8[us]"
    exact = array.astype(target)
    changed = (exact.astype(array.dtype) != array) & ~missing
    # A cast that does not fit comes out as another number, and so does not come back.
    too_far = changed & (unit in ("W", "D", "h", "m", "s", "ms", "us"))
    if not days:
        beyond = "is longer than 292,000 years" if kind == "m" else YEARS
        _refuse_where(array, too_far, beyond)
    _refuse_where(array, changed, "has a time of day: declare datetime" if days else f"is finer: {FINER}")
    found = exact.tolist()
    if kind == "M":
        # What Python's datetime cannot say stays a number there.
        least, most = np.datetime64("0001-01-01", "D"), np.datetime64("9999-12-31", "D")
        day = exact.astype("M8[D]")
        _refuse_where(array, ~missing & ((day < least) | (day > most)), YEARS)
    return found


def _refuse_where(array: Any, wrong: Any, words: str) -> None:
    import numpy as np

    if np.any(wrong):
        shown = array[wrong].flat[0] if array.ndim else array[()]
        raise UnfitOutput(f"({shown!r}) {words}", _index(wrong))


def _index(wrong: Any) -> str:
    """The place of the first true value: `[3][0]`; nothing of a scalar."""
    import numpy as np

    if not np.ndim(wrong):
        return ""
    return "".join(f"[{index}]" for index in np.argwhere(wrong)[0].tolist())


# pandas --------------------------------------------------------------------------------------------------------------


def _pandas(value: Any, shape: Shape) -> Any:
    kind = type(value)
    if kind.__name__ in ("NaTType", "NAType"):
        return _missing(kind.__name__.removesuffix("Type"), shape)
    if kind.__name__ == "Timestamp":
        if value.nanosecond:
            raise UnfitOutput(f"({value!r}) is finer: {FINER}")
        moment: datetime.datetime = value.to_pydatetime()
        return moment.date() if shape.bare is datetime.date and moment.time() == datetime.time() else moment
    if kind.__name__ == "Timedelta":
        if value.nanoseconds:
            raise UnfitOutput(f"({value!r}) is finer: {FINER}")
        return value.to_pytimedelta()
    if kind.__name__ == "DataFrame":
        return _frame(value, shape)
    # A Series, an Index, an array of pandas's own.
    return plain(value.tolist(), shape) if hasattr(value, "tolist") else value


def _frame(frame: Any, shape: Shape) -> Any:
    """A table as a list of its rows; an index whose name is a field of the row is a column of it."""
    row = shape.item
    if not shape.is_list or not (row.fields or row.bare is Any or row.is_dict):
        raise UnfitOutput(
            "is a pandas DataFrame: declare list[Row] with a dataclass Row of its columns, or return one column by "
            ".tolist()"
        )
    if not frame.columns.is_unique:
        raise UnfitOutput("is a pandas DataFrame with two columns of one name")
    indexes = [name for name in frame.index.names if name is not None]
    if indexes and all(name in row.fields and name not in frame.columns for name in indexes):
        frame = frame.reset_index()
    return plain(frame.to_dict("records"), shape)
