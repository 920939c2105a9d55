"""What pydantic's core schema says about a declared type, read once at start: the traits that decide how its JSON is
written and read, and the types that are refused because their values do not survive JSON.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from cluster.errors import RegistryError
from cluster.task_types.data_files import ArrayFile, TableFile
from cluster.task_types.file import File, to_text
from cluster.task_types.pydantic_internals import is_inner_serializer, is_pydantics
from cluster.task_types.value_types import json_integer, parse_big_int

Schema: TypeAlias = Mapping[str, Any]
"""A core schema or a part of it; `type` determines its other members (pydantic_core.core_schema)."""

NOT_SCHEMAS: Final = frozenset({"serialization", "metadata", "default", "config", "expected", "discriminator"})
"""Members of a core schema that are not schemas of values, although they may look like one."""

_UNSTABLE: Final = frozenset({"set", "frozenset", "dict", "any", "function-plain"})
"""Types whose JSON may differ from process to process, or hide a float that is not finite."""

OWN_VALIDATORS: Final = (parse_big_int, to_text, File, TableFile, ArrayFile)
"""Validators of our own value types."""

WRAPPERS: Final = frozenset({"function-before", "function-after", "function-wrap"})


@dataclasses.dataclass(frozen=True, slots=True)
class Traits:
    """What a type needs beyond pydantic's own reading and writing of its JSON.

    Attributes:
        has_custom_code: the author's code makes or changes its values: validators, `__post_init__`, `model_post_init`,
            computed fields.
        needs_own_reader: its JSON is read by `json_reader`, because pydantic's reader would run that code or read a
            different value.
        needs_stable_json: its JSON goes through `stable_json`: sets have no order, and floats in it may not be finite.
    """

    has_custom_code: bool
    needs_own_reader: bool
    needs_stable_json: bool


def traits_of(schema: Schema, arguments_of: str = "") -> Traits:
    """The traits of a type, from its core schema.

    Args:
        arguments_of: the name of the input model, if the schema is that of a function's arguments.
    """
    arguments = f"{arguments_of}."
    custom = own_reader = unstable = False
    for node, field in _walk(schema, ""):
        kind = node["type"]
        custom = custom or _is_custom(node)
        # In a value of any type, the canonical form does not tell a whole float from an integer; and strict types
        # refuse their own canonical form.
        own_reader = (
            own_reader
            or (kind == "any" and bool(arguments_of))
            or bool(node.get("strict") or (node.get("config") or {}).get("strict"))
        )
        # pydantic checks that floats are finite only for the fields of the input model itself.
        unstable = (
            unstable or kind in _UNSTABLE or (kind == "float" and "." in field and not field.startswith(arguments))
        )
    return Traits(custom, custom or own_reader, unstable or custom)


def _is_custom(node: Schema) -> bool:
    kind = node["type"]
    if node.get("computed_fields"):
        return True
    if kind in WRAPPERS or kind == "function-plain":
        function = node["function"]["function"]
        return function not in OWN_VALIDATORS and not is_enum_value(node)
    if kind == "model":
        hook = getattr(node["cls"], node.get("post_init") or "", None)
        return bool(node.get("custom_init")) or (hook is not None and not is_pydantics(hook))
    if kind == "dataclass":
        fields = node["schema"].get("fields", ())
        return bool(node.get("post_init")) or any(field.get("init") is False for field in fields)
    return False


def is_enum_value(node: Schema) -> bool:
    """Whether it is the value of an enum's member, as `use_enum_values` makes it."""
    return node["type"] == "function-after" and isinstance(node["function"]["function"], operator.attrgetter)


def _walk(node: Schema, field_name: str) -> Iterator[tuple[Schema, str]]:
    """A schema and all schemas in it, each with the field that it belongs to, such as `Order.pin`."""
    yield node, field_name
    if node["type"] == "model-fields":
        for name, field in node["fields"].items():
            yield field, f"{node.get('model_name', '')}.{name}"
            yield from _walk(field["schema"], f"{node.get('model_name', '')}.{name}")
        return
    if node["type"] == "dataclass-args":
        for field in node["fields"]:
            yield field, f"{node['dataclass_name']}.{field['name']}"
            yield from _walk(field["schema"], f"{node['dataclass_name']}.{field['name']}")
        return
    for key, value in node.items():
        if key in NOT_SCHEMAS:
            continue
        parts = value if isinstance(value, list) else [value]
        for part in parts:
            if isinstance(part, dict) and isinstance(part.get("type"), str) and key != "function":
                yield from _walk(part, field_name)


# Types whose values do not survive JSON -------------------------------------------------------------------------------


def reject_lossy_types(schema: Schema, where: str, arguments_of: str | None = None) -> None:
    """Refuses types whose values would be lost or different after a round trip through JSON.

    Args:
        where: the function, for the message.
        arguments_of: the name of the model whose fields are the function's arguments; None for its return type.

    Raises:
        RegistryError: names the field and what to write instead.
    """
    is_input = arguments_of is not None
    for node, field in _walk(schema, ""):
        place = f"{where}, {field.removeprefix(f'{arguments_of}.')}" if field else where
        if node.get("serialization_exclude") or node.get("serialization_exclude_if"):
            raise RegistryError(
                f"{place}: a field with exclude=True is missing from the task's JSON, so "
                + ("the function would not get it; remove `exclude`" if is_input else
                   "it could not be read back; mark it Annotated[..., Hidden] to hide it from clients")
            )  # fmt: skip
        if _has_own_serializer(node):
            raise RegistryError(
                f"{place}: a custom serializer (field_serializer, model_serializer, PlainSerializer, json_encoders) "
                "writes a different value; "
                + ("remove it, because the function gets what is written" if is_input else
                   "return the value in the form that clients should read, or expose it by a @result_field method")
            )  # fmt: skip
        if node["type"] == "json":
            raise RegistryError(
                f"{place}: Json[...] is JSON text inside JSON; declare the type that it contains, such as list[int]"
            )
        if is_input and node.get("init_only"):
            raise RegistryError(f"{place}: an InitVar is not a field and would be lost in JSON; make it a field")


def _has_own_serializer(node: Schema) -> bool:
    """Whether values are written in another form than the type's own."""
    written = node.get("serialization")
    if not written or written["type"] not in ("function-plain", "function-wrap", "format", "to-string"):
        return False
    function = written.get("function")
    return function not in (json_integer, to_text) and not is_inner_serializer(function)
