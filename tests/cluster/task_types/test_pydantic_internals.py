"""What we use of pydantic's inside has its effect: a release that changes it fails here, not in production."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Annotated, Any

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    PlainSerializer,
    PrivateAttr,
    computed_field,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)

from cluster.task_types.pydantic_internals import (
    core_schema_of,
    has_own_rules,
    is_inner_serializer,
    is_pydantics,
    make_unvalidated,
    private_values,
    serializer_of,
    validator_of,
)


class Colour(enum.Enum):
    RED = "red"


class Plain(BaseModel):
    model_config = ConfigDict(extra="allow")
    number: int
    colours: Sequence[Colour] = ()


class WithPrivate(BaseModel):
    number: int
    _twice: int = PrivateAttr(default=0)

    def model_post_init(self, _: Any) -> None:
        self._twice = 2 * self.number


def test_the_compiled_parts_of_a_model_read_and_write_it() -> None:
    read = validator_of(Plain).validate_json('{"number": 1, "colours": ["red"]}')
    assert read == Plain(number=1, colours=[Colour.RED])
    assert serializer_of(Plain).to_python(read, mode="json") == {"number": 1, "colours": ["red"]}
    assert core_schema_of(Plain)["type"] == "model"
    assert core_schema_of(Plain)["cls"] is Plain
    assert set(core_schema_of(Plain)["schema"]["fields"]) == {"number", "colours"}


def test_an_instance_made_without_validation_is_as_pydantics_own() -> None:
    made = make_unvalidated(Plain, {"number": 1, "colours": []}, {"more": 2})
    assert made == Plain.model_validate({"number": 1, "colours": [], "more": 2})
    assert made.model_extra == {"more": 2}
    assert made.model_fields_set == {"number", "colours"}
    assert made.model_copy().model_dump() == {"number": 1, "colours": [], "more": 2}
    assert repr(made) == "Plain(number=1, colours=[], more=2)"
    assert private_values(made) is None


def test_an_instance_made_without_validation_has_the_private_attributes_that_it_is_given() -> None:
    checked = WithPrivate(number=4)
    assert private_values(checked) == {"_twice": 8}
    made = make_unvalidated(WithPrivate, {"number": 4}, None, private_values(checked))
    assert isinstance(made, WithPrivate)
    assert made._twice == 8
    assert made == checked


class Validated(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def check(cls, number: int) -> int:
        return number


class Checked(BaseModel):
    number: int

    @model_validator(mode="after")
    def check(self) -> Checked:
        return self


class Serialized(BaseModel):
    number: int

    @field_serializer("number")
    def write(self, number: int) -> str:
        return str(number)


class SerializedWhole(BaseModel):
    number: int

    @model_serializer
    def write(self) -> dict[str, Any]:
        return {}


class Computed(BaseModel):
    number: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> int:
        return 2 * self.number


@pytest.mark.parametrize("model", [Validated, Checked, Serialized, SerializedWhole, Computed])
def test_every_kind_of_an_authors_rule_is_found(model: type[BaseModel]) -> None:
    assert has_own_rules(model)
    assert not has_own_rules(Plain)


def serializers(model: type[BaseModel]) -> list[Any]:
    found = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("serialization"), dict) and "function" in node["serialization"]:
                found.append(node["serialization"]["function"])
            for item in node.values():
                walk(item)
        elif isinstance(node, list):
            for item in node:
                walk(item)

    walk(core_schema_of(model))
    return found


class Rewritten(BaseModel):
    number: Annotated[int, PlainSerializer(str)]


def test_the_serializers_of_pydantics_own_types_are_told_from_an_authors() -> None:
    assert serializers(Plain)
    assert all(map(is_inner_serializer, serializers(Plain)))
    [own] = serializers(Rewritten)
    assert not is_inner_serializer(own)


def test_the_functions_of_pydantic_are_told_from_an_authors() -> None:
    hook = core_schema_of(WithPrivate)["post_init"]
    assert not is_pydantics(getattr(WithPrivate, hook))

    class WithDefaultHook(BaseModel):
        number: int
        _private: int = PrivateAttr(default=0)

    hook = core_schema_of(WithDefaultHook)["post_init"]
    assert is_pydantics(getattr(WithDefaultHook, hook))
