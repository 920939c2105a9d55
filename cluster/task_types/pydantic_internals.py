"""Every private or undocumented interface of pydantic that we use, each with why, and how it would break.
`tests/cluster/task_types/test_pydantic_internals.py` shows that each still has its effect.

A task id must be the same on every node and in every language, and a function must get what the client sent. So the
JSON of a value is written and read by pydantic's compiled code, and core_schema.py and json_reader.py look into the
core schema that it was compiled from. The members of a core schema are typed in pydantic_core.core_schema, which
promises them for one minor version of pydantic.

`__pydantic_core_schema__` and its like are listed with pydantic's BaseModel, and described in a word each. Renamed,
they raise AttributeError when a task type is registered.

Written against pydantic 2.11 to 2.14.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import SchemaSerializer, SchemaValidator


def core_schema_of(model: type[BaseModel]) -> Mapping[str, Any]:
    """Returns the core schema that a model was compiled to."""
    return model.__pydantic_core_schema__


def validator_of(model: type[BaseModel]) -> SchemaValidator:
    """Returns a model's compiled validator, without what BaseModel's methods do around it for each call."""
    return model.__pydantic_validator__  # type: ignore[return-value]


def serializer_of(model: type[BaseModel]) -> SchemaSerializer:
    """Returns a model's compiled serializer, without what BaseModel's methods do around it for each call."""
    return model.__pydantic_serializer__


def has_own_rules(model: type[BaseModel]) -> bool:
    """Whether a model has validators, serializers or computed fields of its author's.

    The attributes of `__pydantic_decorators__` are undocumented. A new kind of decorator that is not asked for here
    would let `taskTypes` say that a client can compute the task id where it cannot.
    """
    rules = model.__pydantic_decorators__
    return any(
        (
            rules.validators, rules.field_validators, rules.root_validators, rules.field_serializers,
            rules.model_serializers, rules.model_validators, rules.computed_fields,
        )
    )  # fmt: skip


def make_unvalidated(
    model: type[BaseModel], fields: dict[str, Any], extra: dict[str, Any] | None, private: dict[str, Any] | None = None
) -> BaseModel:
    """Makes an instance of a model that has these values, whatever its validators say.

    `model_construct` fills in defaults and calls the author's `model_post_init`, which must not run twice. The four
    attributes are undocumented. With a fifth one an instance would raise AttributeError where it is used.

    Args:
        extra: None if the model does not allow any.
        private: None if the model has no private attributes.
    """
    made = model.__new__(model)
    object.__setattr__(made, "__dict__", fields)
    object.__setattr__(made, "__pydantic_fields_set__", set(fields))
    object.__setattr__(made, "__pydantic_extra__", extra)
    object.__setattr__(made, "__pydantic_private__", private)
    return made


def private_values(value: BaseModel) -> dict[str, Any] | None:
    """Returns an instance's private attributes, None if its model has none."""
    return value.__pydantic_private__


def is_pydantics(function: Any) -> bool:
    """Whether a function in a core schema is pydantic's own and not the author's.

    Its module's name tells. If pydantic moved it to another package, a type of pydantic's own would be taken for one
    with the author's code: slower to read and write, with the same result.
    """
    function = getattr(function, "func", function)  # of a partial
    return str(getattr(function, "__module__", "")).partition(".")[0] in ("pydantic", "pydantic_core")


def is_inner_serializer(function: Any) -> bool:
    """Whether a serializer in a core schema belongs to pydantic's handling of a type, such as Sequence or an enum, and
    writes its values as they are. One that pydantic offers to authors is in another module.

    `pydantic._internal` is private. Renamed, task types with a Sequence or an enum are refused at start.
    """
    return str(getattr(function, "__module__", "")).startswith("pydantic._internal")
