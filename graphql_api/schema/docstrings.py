"""Descriptions from the task author's classes: docstrings, and string literals below attributes."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, RootModel

from cluster.task_types.annotations import is_dataclass_or_model


def docstring_of(item: Any) -> str | None:
    doc = inspect.getdoc(item)
    # Without a docstring, dataclasses get their signature, and enums and models inherit their base's.
    if not doc or doc.startswith(f"{getattr(item, '__name__', '')}(") or item.__dict__.get("__doc__", doc) is None:
        return None
    return doc


def attribute_docs(cls: type) -> Mapping[str, str]:
    """The descriptions of a class's fields: pydantic's `Field(description=...)`, or the string below the attribute."""
    docs: dict[str, str] = {}
    for parent in reversed(cls.__mro__):
        if is_dataclass_or_model(parent) and parent not in (BaseModel, RootModel):
            docs.update(_attribute_strings(parent))
    if issubclass(cls, BaseModel):
        docs.update({name: info.description for name, info in cls.model_fields.items() if info.description})
    return docs


def _attribute_strings(cls: type) -> dict[str, str]:
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    except (OSError, TypeError, SyntaxError):  # made by code, or its source cannot be parsed by itself
        return {}
    docs: dict[str, str] = {}
    for statement, following in itertools.pairwise(getattr(body, "body", [])):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
            and isinstance(following.value.value, str)
        ):
            docs[statement.target.id] = inspect.cleandoc(following.value.value)
    return docs
