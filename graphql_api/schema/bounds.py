"""The bounds of an annotation in words, for the descriptions in the schema. pydantic enforces them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from pydantic.fields import FieldInfo

from cluster.task_types.annotations import EMPTY, item_type, unwrap_annotated, without_none

WORDS: Final = {
    "ge": "at least", "gt": "more than", "le": "at most", "lt": "less than", "min_length": "length at least",
    "max_length": "length at most", "multiple_of": "a multiple of", "pattern": "matches",
}  # fmt: skip
"""Attributes of the marks of annotated-types and pydantic, and how a description says them."""


def bounds_of(annotation: Any) -> str | None:
    """The bounds in one sentence, `At least 0, at most 100.`; None where there are none."""
    words = ", ".join(_words(annotation))
    return words[:1].upper() + words[1:] + "." if words else None


def description_of(annotation: Any, *more: str | None) -> str | None:
    """`Field(description=...)`, the bounds and further sentences, in this order."""
    _, marks = unwrap_annotated(annotation)
    said = next((mark.description for mark in marks if isinstance(mark, FieldInfo) and mark.description), None)
    first, *others = more or (None,)
    return " ".join(part for part in (first or said, bounds_of(annotation), *others) if part) or None


def constraints(marks: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """The single bounds within marks: `("ge", 0)`."""
    for mark in marks:
        if isinstance(mark, FieldInfo):
            yield from constraints(mark.metadata)
        elif getattr(mark, "__is_annotated_types_grouped_metadata__", False):
            yield from constraints(mark)
        else:
            for attribute in WORDS:
                if (value := getattr(mark, attribute, None)) is not None:
                    yield attribute, value


def _words(annotation: Any) -> Iterator[str]:
    inner, _ = without_none(annotation)
    bare, marks = unwrap_annotated(inner)
    # `Annotated[T | None, ...]`: without_none has put the marks of the whole on T.
    for attribute, value in constraints(marks):
        shown = f"`{getattr(value, 'pattern', value)}`" if attribute == "pattern" else value
        yield f"{WORDS[attribute]} {shown}"
    item = item_type(bare)
    if item is not EMPTY and (each := ", ".join(_words(item))):
        yield f"each item {each}"
