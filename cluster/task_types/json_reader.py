"""A reader of the JSON of valid values that runs none of the author's validators, and a validator of outputs.

An input is validated on the api node, and the function gets its canonical form: a validator that ran again on a worker
could change the value once more. The same holds for an output, which was valid when its function returned it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic_core import SchemaValidator

from cluster.task_types.core_schema import NOT_SCHEMAS, OWN_VALIDATORS, WRAPPERS, Schema, is_enum_value
from cluster.task_types.pydantic_internals import make_unvalidated, private_values
from cluster.task_types.value_types import SAFE_INTEGER


def json_reader(schema: Schema, *, canonical: bool = False) -> SchemaValidator:
    """Reads the JSON of valid values unchanged: no validators, no bounds, no `__init__`.

    The attributes of an object that are not fields are computed by its `__post_init__` or `model_post_init` on a copy:
    the fields stay as they were written.

    Args:
        canonical: the JSON is a canonical input, in which whole floats must be restored if any JSON is declared.
    """
    return SchemaValidator(_read(schema, canonical))


_KEPT: Final[Mapping[str, tuple[str, ...]]] = {
    "default": ("default", "default_factory", "default_factory_takes_data", "copy_default"),
    "enum": ("cls", "members", "sub_type"),
    "literal": ("expected",),
    "tuple": ("variadic_item_index",),
    "definition-ref": ("schema_ref",),
}
"""Members that the reader needs of a schema, besides the schemas in it."""

_KNOWN: Final = frozenset({
    "none", "bool", "int", "float", "decimal", "str", "date", "time", "datetime", "timedelta", "uuid", "enum",
    "literal", "nullable", "default", "list", "tuple", "set", "frozenset", "dict", "union", "definitions",
    "definition-ref",
})  # fmt: skip
"""Types that a task may declare; the api's GraphQL schema refuses the rest."""


def _read(node: Schema, canonical: bool) -> dict[str, Any]:
    made = _read_as(node, canonical)
    return {**made, "ref": node["ref"]} if "ref" in node else made


def _read_as(node: Schema, canonical: bool) -> dict[str, Any]:
    kind: str = node["type"]
    if kind in WRAPPERS:
        if node["function"]["function"] in OWN_VALIDATORS:
            return {"type": kind, "function": node["function"], "schema": _read(node["schema"], canonical)}
        if is_enum_value(node):
            return {"type": "literal", "expected": [member.value for member in node["schema"]["members"]]}
        return _read(node["schema"], canonical)
    if kind == "model":
        return _after(_maker(node["cls"]), _members(node, node.get("config") or {}, canonical))
    if kind == "dataclass":
        return _after(_maker(node["cls"]), _members(node, {}, canonical))
    if kind not in _KNOWN:
        return _after(_restore_floats, {"type": "any"}) if canonical else {"type": "any"}
    made: dict[str, Any] = {"type": kind, **{key: node[key] for key in _KEPT.get(kind, ()) if key in node}}
    for key, value in node.items():
        if key in NOT_SCHEMAS or key in made:
            continue
        if isinstance(value, list) and value and all(isinstance(part, dict) and "type" in part for part in value):
            made[key] = [_read(part, canonical) for part in value]
        elif isinstance(value, dict) and isinstance(value.get("type"), str):
            made[key] = _read(value, canonical)
    return made


def _after(function: Callable[[Any], Any], schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function-after", "function": {"type": "no-info", "function": function}, "schema": schema}


def _members(node: Schema, config: Mapping[str, Any], canonical: bool) -> dict[str, Any]:
    """The fields of a model or a dataclass as a dict; a model's own validators wrap its `model-fields`."""
    inner = node["schema"]
    while inner["type"] in WRAPPERS:
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


def _restore_floats(value: Any) -> Any:
    """A JSON value of any type with its original floats: integers beyond 2^53 are written as strings, so a number that
    large was a float."""
    if isinstance(value, dict):
        return {key: _restore_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_restore_floats(item) for item in value]
    if isinstance(value, int) and not -SAFE_INTEGER <= value <= SAFE_INTEGER:
        return float(value)
    return value


def _maker(cls: type) -> Callable[[dict[str, Any]], Any]:
    return _model_maker(cls) if issubclass(cls, BaseModel) else _dataclass_maker(cls)


def _model_maker(cls: type[BaseModel]) -> Callable[[dict[str, Any]], Any]:
    names = frozenset(cls.model_fields)
    allows = cls.model_config.get("extra") == "allow"
    has_hook = bool(cls.__private_attributes__)

    def blank(values: dict[str, Any], private: dict[str, Any] | None = None) -> BaseModel:
        fields = {name: value for name, value in values.items() if name in names}
        extra = {name: value for name, value in values.items() if name not in names} if allows else None
        return make_unvalidated(cls, fields, extra, private)

    def make(values: dict[str, Any]) -> BaseModel:
        if not has_hook:
            return blank(values)
        completed = _after_hook(blank(copy.deepcopy(values)), "model_post_init", None)
        return blank(values, private_values(completed))

    return make


def _dataclass_maker(cls: type) -> Callable[[dict[str, Any]], Any]:
    has_hook = hasattr(cls, "__post_init__")

    def blank(values: dict[str, Any]) -> Any:
        made: Any = object.__new__(cls)
        for name, value in values.items():
            object.__setattr__(made, name, value)  # works for frozen ones too
        return made

    def make(values: dict[str, Any]) -> Any:
        made = blank(values)
        if has_hook and hasattr(made, "__dict__"):  # with slots alone there are only fields
            completed = _after_hook(blank(copy.deepcopy(values)), "__post_init__")
            for name, value in vars(completed).items():
                if name not in values:
                    object.__setattr__(made, name, value)
        return made

    return make


def _after_hook(made: Any, hook: str, *arguments: Any) -> Any:
    """An object after the author's method that completes it, for its attributes that are not fields."""
    try:
        getattr(made, hook)(*arguments)
    except Exception:  # noqa: BLE001 - it passed on the api node: now it refuses a value that it made there itself
        return made
    return made


# Outputs --------------------------------------------------------------------------------------------------------------


def output_validator(schema: Schema) -> SchemaValidator:
    """Validates returned values, but accepts instances of models unchanged: their validators ran when they were
    created, and those of the whole model would run again."""
    made: dict[str, Any] = _keep_instances(schema)
    return SchemaValidator(made)


def _keep_instances(part: Any) -> Any:
    if isinstance(part, list):
        return [_keep_instances(item) for item in part]
    if not isinstance(part, dict):
        return part
    made = {key: value if key in NOT_SCHEMAS else _keep_instances(value) for key, value in part.items()}
    cls = _validated_model(part)
    if cls is None:
        return made

    def keep(value: Any, handler: Callable[[Any], Any]) -> Any:
        return value if isinstance(value, cls) else handler(value)

    ref = {"ref": made.pop("ref")} if "ref" in made else {}
    return {"type": "function-wrap", "function": {"type": "no-info", "function": keep}, "schema": made, **ref}


def _validated_model(node: Schema) -> type | None:
    """The model that a schema's wrappers validate as a whole."""
    if node.get("type") not in WRAPPERS:
        return None
    while node["type"] in WRAPPERS:
        node = node["schema"]
    return node["cls"] if node["type"] == "model" else None
