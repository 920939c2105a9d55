"""The declared output of a task type: validates returned values, writes them to JSON and reads them back."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic_core import SchemaValidator

from cluster.task_types.annotations import classes_in
from cluster.task_types.conversion import to_builtin
from cluster.task_types.core_schema import Traits, traits_of
from cluster.task_types.hidden_fields import Strip, hidden_stripper
from cluster.task_types.json_reader import json_reader, output_validator
from cluster.task_types.result_checks import DeclaredType, InvalidOutput, check_output
from cluster.task_types.round_trip import difference
from cluster.task_types.value_types import Blob


class OutputType:
    """A declared output type.

    Attributes:
        annotation: the return annotation; `T` of `Graph[T]`.
        adapter: pydantic's adapter of it.
    """

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation
        self.adapter: TypeAdapter[Any] = TypeAdapter(annotation)

    def validate(self, value: Any) -> Any:
        """A returned value as the declared type, with built-in types for those of numpy and pandas. The fields of class
        instances are checked later, by `dump` and `check`.

        Raises:
            ValidationError: it does not fit the declared type.
            InvalidOutput: a value in it has no built-in equivalent.
        """
        value = to_builtin(value, self.declared)
        if isinstance(value, BaseModel) or hasattr(value, "__dataclass_fields__"):
            return value
        return self._validator.validate_python(value, by_alias=False, by_name=True)

    def dump(self, value: Any) -> bytes:
        """The JSON of a validated value, without computed fields, which are computed again on request.

        Raises:
            PydanticSerializationError, RecursionError: it does not fit the declared type, or has no JSON form.
        """
        return self.adapter.dump_json(value, warnings="error", by_alias=False, round_trip=True)

    def check(self, encoded: bytes, value: Any) -> None:
        """Checks that GraphQL can represent a value, and that its JSON reads back as the same value.

        Raises:
            ValidationError: the JSON does not fit the declared type.
            InvalidOutput: GraphQL cannot represent it, or the author's code produced a value that its JSON does not
                express.
        """
        check_output(self.declared, value)
        found = self.read(encoded)
        if self._traits.has_custom_code:
            path = difference(found, value, is_input=False)
            if path is not None:
                raise InvalidOutput("is a different value when it is read back from its JSON", path)

    def read(self, encoded: bytes | str) -> Any:
        """The value from a record's result, without running the author's validators.

        Raises:
            ValidationError: it does not fit the declared type.
        """
        return self._reader.validate_json(encoded, by_alias=False, by_name=True)

    def shown(self, encoded: bytes) -> bytes:
        """The JSON of a value as clients may see it: without `Hidden` fields."""
        strip = self._strip_hidden
        if strip is None:
            return encoded
        # Not orjson, which reads integers beyond 64 bits as floats.
        return json.dumps(strip(json.loads(encoded)), ensure_ascii=False, separators=(",", ":")).encode()

    @cached_property
    def has_blobs(self) -> bool:
        """Whether there may be a Blob in a value."""
        return any(cls is Blob for cls, _ in classes_in(self.annotation))

    @cached_property
    def declared(self) -> DeclaredType:
        """What conversions and checks need of the annotation."""
        return DeclaredType(self.annotation)

    @cached_property
    def _strip_hidden(self) -> Strip | None:
        return hidden_stripper(self.annotation)

    @cached_property
    def _traits(self) -> Traits:
        return traits_of(self.adapter.core_schema)

    @cached_property
    def _validator(self) -> SchemaValidator:
        schema = self.adapter.core_schema
        return output_validator(schema) if self._traits.has_custom_code else self.adapter.validator  # type: ignore[return-value]

    @cached_property
    def _reader(self) -> SchemaValidator:
        return json_reader(self.adapter.core_schema) if self._traits.needs_own_reader else self.adapter.validator  # type: ignore[return-value]
