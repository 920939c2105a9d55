"""What pydantic makes of a declared type, read once at start: whether its values come back from their JSON, and a
reader of that JSON that runs none of the author's validators.

An input is validated on the api node, and its canonical form is what the function gets: a validator that would run
again on a worker could change it once more. The same holds for an output, which was valid when its function returned
it.
"""

from __future__ import annotations

import copy
import dataclasses
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from pydantic import BaseModel
from pydantic_core import SchemaValidator

from cluster.errors import RegistryError
from cluster.task_types.value_types import SAFE_INTEGER, json_integer, parse_big_int

Schema: TypeAlias = Mapping[str, Any]
"""A core schema, or a part of it: `type` says what else is in it (pydantic_core.core_schema)."""

_NO_SCHEMA: Final = frozenset({"serialization", "metadata", "default", "config", "expected", "discriminator"})
"""Members of a core schema that hold no schema of a value, though they may look like one."""

_WALKED: Final = frozenset({"set", "frozenset", "dict", "any", "function-plain"})

_WRAPPERS: Final = frozenset({"function-before", "function-after", "function-wrap"})


@dataclasses.dataclass(frozen=True, slots=True)
class Traits:
    """What a type asks for beside pydantic's own reading of its JSON.

    Attributes:
        custom: code of the author's makes or changes its values: validators, `__post_init__`, `model_post_init`,
            computed fields.
        own_reader: the JSON is read by `reader`, as pydantic's own would run that code, or read something else.
        walked: its JSON is compared with its values: sets have no order, and floats within may not be finite.
    """

    custom: bool
    own_reader: bool
    walked: bool


def traits_of(schema: Schema, arguments_of: str = "") -> Traits:
    """The traits of a type by its core schema; of the arguments of a function, with the name of their model."""
    arguments = f"{arguments_of}."
    custom = own_reader = walked = False
    for node, place in _walk(schema, ""):
        kind = node["type"]
        custom = custom or _is_custom(node)
        # Of a number of any type the canonical form does not tell whether it was whole; strict types refuse their own
        # canonical form.
        own_reader = (
            own_reader
            or (kind == "any" and bool(arguments_of))
            or bool(node.get("strict") or (node.get("config") or {}).get("strict"))
        )
        # Only the fields of the input model itself are held to finite floats.
        walked = walked or kind in _WALKED or (kind == "float" and "." in place and not place.startswith(arguments))
    return Traits(custom, custom or own_reader, walked or custom)


def _is_custom(node: Schema) -> bool:
    kind = node["type"]
    if node.get("computed_fields"):
        return True
    if kind in _WRAPPERS or kind == "function-plain":
        function = node["function"]["function"]
        return function is not parse_big_int and not _is_member_value(node)
    if kind == "model":
        hook = getattr(node["cls"], node.get("post_init") or "", None)
        return bool(node.get("custom_init")) or (hook is not None and not _is_pydantics(hook))
    if kind == "dataclass":
        fields = node["schema"].get("fields", ())
        return bool(node.get("post_init")) or any(field.get("init") is False for field in fields)
    return False


def _is_member_value(node: Schema) -> bool:
    """Whether it is the value of an enum's member, as `use_enum_values` asks for."""
    return node["type"] == "function-after" and isinstance(node["function"]["function"], operator.attrgetter)


def _is_pydantics(function: Any) -> bool:
    function = getattr(function, "func", function)  # of a partial
    return str(getattr(function, "__module__", "")).partition(".")[0] in ("pydantic", "pydantic_core")


def _walk(node: Schema, place: str) -> Iterator[tuple[Schema, str]]:
    """A schema and all within it, each with the field where it stands, as `Order.pin`."""
    yield node, place
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
        if key in _NO_SCHEMA:
            continue
        parts = value if isinstance(value, list) else [value]
        for part in parts:
            if isinstance(part, dict) and isinstance(part.get("type"), str) and key != "function":
                yield from _walk(part, place)


# What cannot make the round trip -------------------------------------------------------------------------------------


def refuse_one_way(schema: Schema, where: str, arguments_of: str | None = None) -> None:
    """Refuses types whose values would be others, or none, after their way through JSON.

    Args:
        where: the function, for the message.
        arguments_of: the name of the model whose fields are the function's arguments; None of what it returns.

    Raises:
        RegistryError: it names the field and what to write instead.
    """
    is_input = arguments_of is not None
    for node, field in _walk(schema, ""):
        place = f"{where}, {field.removeprefix(f'{arguments_of}.')}" if field else where
        if node.get("serialization_exclude") or node.get("serialization_exclude_if"):
            raise RegistryError(
                f"{place}: a field with exclude=True has no place in the task's JSON, so "
                + ("the function would not get it; take `exclude` away" if is_input else
                   "it could not be read again; mark it Annotated[..., Hidden] to keep it from clients")
            )  # fmt: skip
        if _serializes(node):
            raise RegistryError(
                f"{place}: a serializer of your own (field_serializer, model_serializer, PlainSerializer, "
                "json_encoders) writes another value than there is; "
                + ("take it away, as the function gets what is written" if is_input else
                   "return the value in the form that clients shall read, or show it by a @result_field method")
            )  # fmt: skip
        if node["type"] == "json":
            raise RegistryError(
                f"{place}: Json[...] is JSON in a text inside of JSON; declare the type in it, as list[int]"
            )
        if is_input and node.get("init_only"):
            raise RegistryError(f"{place}: an InitVar is no field, and would be lost on its way; make it a field")


def _serializes(node: Schema) -> bool:
    """Whether another form is written than the type's own."""
    written = node.get("serialization")
    if not written or written["type"] not in ("function-plain", "function-wrap", "format", "to-string"):
        return False
    function = written.get("function")
    inner = str(getattr(function, "__module__", "")).startswith("pydantic._internal")  # of a Sequence, or an enum
    return function is not json_integer and not inner


# The reader ----------------------------------------------------------------------------------------------------------


def reader(schema: Schema, *, canonical: bool = False) -> SchemaValidator:
    """Reads the JSON of valid values as they were: no validators, no bounds, no `__init__`.

    What an object keeps beside its fields is made by its `__post_init__` or `model_post_init` on a copy: the fields
    stay as they are written.

    Args:
        canonical: the JSON is a canonical input, of whose numbers some are to be restored where any JSON is declared.
    """
    return SchemaValidator(_read(schema, canonical))


_KEPT: Final[Mapping[str, tuple[str, ...]]] = {
    "default": ("default", "default_factory", "default_factory_takes_data", "copy_default"),
    "enum": ("cls", "members", "sub_type"),
    "literal": ("expected",),
    "tuple": ("variadic_item_index",),
    "definition-ref": ("schema_ref",),
}
"""What the reader needs of a schema beside the schemas in it."""

_KNOWN: Final = frozenset({
    "none", "bool", "int", "float", "decimal", "str", "date", "time", "datetime", "timedelta", "uuid", "enum",
    "literal", "nullable", "default", "list", "tuple", "set", "frozenset", "dict", "union", "definitions",
    "definition-ref",
})  # fmt: skip
"""What a task may declare; the schema of the api refuses the rest."""


def _read(node: Schema, canonical: bool) -> dict[str, Any]:
    made = _read_as(node, canonical)
    return {**made, "ref": node["ref"]} if "ref" in node else made


def _read_as(node: Schema, canonical: bool) -> dict[str, Any]:
    kind: str = node["type"]
    if kind in _WRAPPERS:
        if node["function"]["function"] is parse_big_int:
            return {"type": kind, "function": node["function"], "schema": _read(node["schema"], canonical)}
        if _is_member_value(node):
            return {"type": "literal", "expected": [member.value for member in node["schema"]["members"]]}
        return _read(node["schema"], canonical)
    if kind in ("function-plain", "any"):
        return _after(restore_floats, {"type": "any"}) if canonical else {"type": "any"}
    if kind == "model":
        return _after(_maker(node["cls"]), _members(node, node.get("config") or {}, canonical))
    if kind == "dataclass":
        return _after(_maker(node["cls"]), _members(node, {}, canonical))
    if kind not in _KNOWN:
        return _after(restore_floats, {"type": "any"}) if canonical else {"type": "any"}
    made: dict[str, Any] = {"type": kind, **{key: node[key] for key in _KEPT.get(kind, ()) if key in node}}
    for key, value in node.items():
        if key in _NO_SCHEMA or key in made:
            continue
        if isinstance(value, list) and value and all(isinstance(part, dict) and "type" in part for part in value):
            made[key] = [_read(part, canonical) for part in value]
        elif isinstance(value, dict) and isinstance(value.get("type"), str):
            made[key] = _read(value, canonical)
    return made


def _after(function: Callable[[Any], Any], schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function-after", "function": {"type": "no-info", "function": function}, "schema": schema}


def _members(node: Schema, config: Mapping[str, Any], canonical: bool) -> dict[str, Any]:
    """The fields of a model or a dataclass as a dict; a model's own validators stand around its `model-fields`."""
    inner = node["schema"]
    while inner["type"] in _WRAPPERS:
        inner = inner["schema"]
    fields = inner["fields"]
    named = fields.items() if isinstance(fields, dict) else ((field["name"], field) for field in fields)
    behaviour = inner.get("extra_behavior") or config.get("extra_fields_behavior")
    allowed = "allow" if behaviour == "allow" else "ignore"
    read = {name: _read(field["schema"], canonical) for name, field in named if not field.get("init_only")}
    return {
        "type": "typed-dict",
        "extra_behavior": allowed,
        "fields": {
            name: {"type": "typed-dict-field", "schema": schema, "required": schema["type"] != "default"}
            for name, schema in read.items()
        },
    }


def restore_floats(value: Any) -> Any:
    """A JSON value of any type with its numbers as they were: whole ones beyond 2^53 are written as texts, so what is
    read as one was a float."""
    if isinstance(value, dict):
        return {key: restore_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [restore_floats(item) for item in value]
    if isinstance(value, int) and not -SAFE_INTEGER <= value <= SAFE_INTEGER:
        return float(value)
    return value


def _maker(cls: type) -> Callable[[dict[str, Any]], Any]:
    return _model_maker(cls) if issubclass(cls, BaseModel) else _dataclass_maker(cls)


def _model_maker(cls: type[BaseModel]) -> Callable[[dict[str, Any]], Any]:
    names = frozenset(cls.model_fields)
    allows = cls.model_config.get("extra") == "allow"
    hook = bool(cls.__private_attributes__)

    def blank(values: dict[str, Any]) -> BaseModel:
        made = cls.__new__(cls)
        fields = {name: value for name, value in values.items() if name in names}
        object.__setattr__(made, "__dict__", fields)
        object.__setattr__(made, "__pydantic_fields_set__", set(fields))
        extra = {name: value for name, value in values.items() if name not in names} if allows else None
        object.__setattr__(made, "__pydantic_extra__", extra)
        object.__setattr__(made, "__pydantic_private__", None)
        return made

    def make(values: dict[str, Any]) -> BaseModel:
        made = blank(values)
        if hook:
            twin = _after_hook(blank(copy.deepcopy(values)), "model_post_init", None)
            object.__setattr__(made, "__pydantic_private__", twin.__pydantic_private__)
        return made

    return make


def _dataclass_maker(cls: type) -> Callable[[dict[str, Any]], Any]:
    hook = hasattr(cls, "__post_init__")

    def blank(values: dict[str, Any]) -> Any:
        made: Any = object.__new__(cls)
        for name, value in values.items():
            object.__setattr__(made, name, value)  # a frozen one too
        return made

    def make(values: dict[str, Any]) -> Any:
        made = blank(values)
        if hook and hasattr(made, "__dict__"):  # with slots alone there is nothing beside the fields
            twin = _after_hook(blank(copy.deepcopy(values)), "__post_init__")
            for name, value in vars(twin).items():
                if name not in values:
                    object.__setattr__(made, name, value)
        return made

    return make


# Outputs --------------------------------------------------------------------------------------------------------------


def trusting(schema: Schema) -> SchemaValidator:
    """Validates what a function returned, and takes instances of models as they are: their validators ran when they
    were made, and those for the whole model would run again."""
    made: dict[str, Any] = _trusting(schema)
    return SchemaValidator(made)


def _trusting(part: Any) -> Any:
    if isinstance(part, list):
        return [_trusting(item) for item in part]
    if not isinstance(part, dict):
        return part
    made = {key: value if key in _NO_SCHEMA else _trusting(value) for key, value in part.items()}
    cls = _validated_model(part)
    if cls is None:
        return made

    def keep(value: Any, handler: Callable[[Any], Any]) -> Any:
        return value if isinstance(value, cls) else handler(value)

    ref = {"ref": made.pop("ref")} if "ref" in made else {}
    return {"type": "function-wrap", "function": {"type": "no-info", "function": keep}, "schema": made, **ref}


def _validated_model(node: Schema) -> type | None:
    """The model that the wrappers of a schema validate as a whole."""
    if node.get("type") not in _WRAPPERS:
        return None
    while node["type"] in _WRAPPERS:
        node = node["schema"]
    return node["cls"] if node["type"] == "model" else None


def _after_hook(made: Any, hook: str, *arguments: Any) -> Any:
    """An object after the author's method that completes it, for what it keeps beside its fields."""
    try:
        getattr(made, hook)(*arguments)
    except Exception:  # noqa: BLE001 - it has passed on the api node: what it refuses now is what it made there itself
        return made
    return made
