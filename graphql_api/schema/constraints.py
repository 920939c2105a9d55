"""The constraints of an annotation as text, for descriptions in the schema. pydantic enforces them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from pydantic.fields import FieldInfo

from cluster.task_types.annotations import EMPTY, item_type, unwrap_annotated, without_none

PHRASES: Final = {
    "ge": "at least", "gt": "more than", "le": "at most", "lt": "less than", "min_length": "length at least",
    "max_length": "length at most", "multiple_of": "a multiple of", "pattern": "matches",
}  # fmt: skip
"""Attributes of the metadata of annotated-types and pydantic, and their phrases in a description."""


def constraint_text(annotation: Any) -> str | None:
    """The constraints as one sentence, such as `At least 0, at most 100.`; None if there are none."""
    sentence = ", ".join(_phrases(annotation))
    return sentence[:1].upper() + sentence[1:] + "." if sentence else None


def description_of(annotation: Any, *more: str | None) -> str | None:
    """The description of an argument or field: `Field(description=...)`, its constraints, and further sentences.

    Args:
        more: the first replaces `Field(description=...)`, the others are appended.
    """
    _, marks = unwrap_annotated(annotation)
    said = next((mark.description for mark in marks if isinstance(mark, FieldInfo) and mark.description), None)
    first, *others = more or (None,)
    return " ".join(part for part in (first or said, constraint_text(annotation), *others) if part) or None


def constraints_in(marks: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """The single constraints in an annotation's metadata, such as `("ge", 0)`."""
    for mark in marks:
        if isinstance(mark, FieldInfo):
            yield from constraints_in(mark.metadata)
        elif getattr(mark, "__is_annotated_types_grouped_metadata__", False):
            yield from constraints_in(mark)
        else:
            for attribute in PHRASES:
                if (value := getattr(mark, attribute, None)) is not None:
                    yield attribute, value


def _phrases(annotation: Any) -> Iterator[str]:
    inner, _ = without_none(annotation)
    bare, marks = unwrap_annotated(inner)
    # Of `Annotated[T | None, ...]`, without_none has moved the metadata to T.
    for attribute, value in constraints_in(marks):
        shown = f"`{getattr(value, 'pattern', value)}`" if attribute == "pattern" else value
        yield f"{PHRASES[attribute]} {shown}"
    item = item_type(bare)
    if item is not EMPTY and (each := ", ".join(_phrases(item))):
        yield f"each item {each}"
