"""`Hidden` fields in the JSON of outputs: taken out where clients get it as it is, refused where they cannot be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, get_args, get_origin

from cluster.errors import RegistryError
from cluster.task_types.annotations import (
    EMPTY,
    classes_in,
    fields_of,
    is_dataclass_or_model,
    item_type,
    unwrap_annotated,
    without_none,
)
from cluster.task_types.result_fields import HiddenMark
from cluster.task_types.table_types import is_table

Strip: TypeAlias = Callable[[Any], Any]
"""Returns a JSON value of one type without hidden fields. It leaves a value of another shape as it is: the record may
have been written when the type was another one."""


def is_hidden(annotation: Any) -> bool:
    """Whether a field of this type is marked `Hidden`."""
    return any(isinstance(mark, HiddenMark) for mark in unwrap_annotated(annotation)[1])


def hidden_stripper(annotation: Any) -> Strip | None:
    """What takes the hidden fields out of the JSON of an output type; None if it has none."""
    made = _Strippers()
    strip = made.of(annotation)
    return strip if made.found else None


class _Strippers:
    """Those of one type.

    Attributes:
        found: whether any field is hidden.
    """

    def __init__(self) -> None:
        self.found = False
        self._of_class: dict[type, dict[str, Strip | None]] = {}

    def of(self, annotation: Any) -> Strip:
        bare, _ = unwrap_annotated(without_none(annotation)[0])
        if (item := item_type(bare)) is not EMPTY:
            strip = self.of(item)
            return lambda value: list(map(strip, value)) if isinstance(value, list) else value
        if not is_dataclass_or_model(bare):
            return lambda value: value
        fields = self._fields(bare)

        def strip_object(value: Any) -> Any:
            if not isinstance(value, dict):
                return value
            shown = ((name, part, fields.get(name, _as_it_is)) for name, part in value.items())
            return {name: strip(part) for name, part, strip in shown if strip is not None}

        return strip_object

    def _fields(self, cls: type) -> dict[str, Strip | None]:
        """Those of a class by field; None for one that is hidden."""
        if cls not in self._of_class:
            # Known before it is filled, so that a class that contains itself finds it.
            made = self._of_class[cls] = {}
            for field in fields_of(cls):
                hidden = is_hidden(field.annotation)
                self.found |= hidden
                made[field.name] = None if hidden else self.of(field.annotation)
        return self._of_class[cls]


def _as_it_is(value: Any) -> Any:
    return value


def reject_shown(annotation: Any, where: str) -> None:
    """Refuses an output type with `Hidden` where it would hide nothing.

    Raises:
        RegistryError: says where, and what to write instead.
    """
    _reject_shown(annotation, where, set())


def _reject_shown(annotation: Any, place: str, seen: set[Any]) -> None:
    bare, _ = unwrap_annotated(annotation)
    if is_hidden(annotation):
        raise RegistryError(
            f"{place}: Hidden is for a whole field of a dataclass or model, as in note: Annotated[str | None, Hidden]"
        )
    if get_origin(bare) is dict and any(map(_hides, get_args(bare))):
        raise RegistryError(
            f"{place}: what is in a dict is shown as it is, with its Hidden fields; declare list[...] of objects"
        )
    if is_table(bare):
        if bare.row is not None and _hides(bare.row):
            raise RegistryError(
                f"{place}: the files of a table have all of its columns, so none can be Hidden: leave it out"
            )
    elif is_dataclass_or_model(bare):
        if bare not in seen:
            seen.add(bare)
            for field in fields_of(bare):
                if not is_hidden(field.annotation):
                    _reject_shown(field.annotation, f"{place}, {bare.__name__}.{field.name}", seen)
    else:
        for argument in get_args(bare):
            _reject_shown(argument, place, seen)


def _hides(annotation: Any) -> bool:
    """Whether a type has hidden fields somewhere."""
    found = (cls for cls, _ in classes_in(annotation) if is_dataclass_or_model(cls))
    return any(is_hidden(field.annotation) for cls in found for field in fields_of(cls))
