"""Maps Python annotations to GraphQL types, for the inputs and outputs of task types.

Dataclasses and pydantic models become GraphQL types with their fields; enums and `Literal`s of names become enums;
plain types map as Strawberry maps them. A type that GraphQL does not have is refused at start, with its location.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import inspect
import typing
import uuid
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import strawberry
from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError
from strawberry.tools import create_type
from strawberry.types.field import StrawberryField

from cluster.errors import BadInput, RegistryError
from cluster.store.blob_store import BlobStore
from cluster.task_types.annotations import (
    EMPTY,
    fields_of,
    is_dataclass_or_model,
    item_type,
    unwrap_annotated,
    without_none,
)
from cluster.task_types.array_types import is_array
from cluster.task_types.declaration import output_annotation
from cluster.task_types.file import File
from cluster.task_types.hidden_fields import is_hidden
from cluster.task_types.input_errors import describe_value
from cluster.task_types.result_checks import INT_MAX, INT_MIN
from cluster.task_types.result_fields import result_fields
from cluster.task_types.table_types import is_table
from cluster.task_types.value_types import BigIntMark, Blob
from graphql_api.answer_size import current_answer
from graphql_api.context import ApiInfo
from graphql_api.graphql_core_internals import is_awaitable
from graphql_api.schema import array_types
from graphql_api.schema.arguments import to_builtin
from graphql_api.schema.array_types import ArrayType
from graphql_api.schema.client_names import NAME, check_names, graphql_name, upper_camel
from graphql_api.schema.constraints import constraints_in, description_of
from graphql_api.schema.defaults import graphql_default
from graphql_api.schema.docstrings import attribute_docs, docstring_of
from graphql_api.schema.scalars import SCALAR_NAMES, BigInt, BlobType, FileId
from graphql_api.schema.strawberry_fields import (
    Parameter,
    input_field,
    positional_parameter,
    set_signature,
)
from graphql_api.schema.table_types import READING_FIELDS, TableType, typed_table
from graphql_api.schema.unsupported_types import unsupported_text
from graphql_api.strawberry_internals import ForwardReference, make_field, set_type_check, to_camel_case

_PLAIN: Final = (
    bool, int, float, str, datetime.datetime, datetime.date, datetime.time, datetime.timedelta, decimal.Decimal,
    uuid.UUID,
)  # fmt: skip


class TypeMap:
    """Makes each GraphQL type once.

    Args:
        reserved: the GraphQL names of the platform's own types.
    """

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._made: dict[tuple[Any, bool], Any] = {}
        self._names: dict[str, tuple[str, Any]] = dict.fromkeys(
            sorted(SCALAR_NAMES.union(reserved)), ("dask-graphql itself", None)
        )
        self._outputs: set[type] = set()
        self.result_fields: set[str] = set()
        """The GraphQL names of `@result_field` methods."""

    def claim(self, name: str, origin: str, owner: Any = None) -> None:
        """Reserves a GraphQL name for its owner.

        Args:
            origin: the owner's location, for the error message.
            owner: what has this name; None: the origin identifies it.

        Raises:
            RegistryError: another owner has the name, or it is not a valid GraphQL name.
        """
        if not NAME.fullmatch(name):
            raise RegistryError(f"{origin}: {name!r} is not a valid GraphQL name; use A-Z, a-z, 0-9 and _")
        owner = origin if owner is None else owner
        other, taken_by = self._names.setdefault(name, (origin, owner))
        if taken_by is not owner and taken_by != owner:
            raise RegistryError(f"{origin} and {other} both need the GraphQL name {name!r}; rename one of them")

    def input(self, annotation: Any, where: str, hint: str) -> Any:
        """The GraphQL input type of an annotation. `hint` names the enum that a `Literal` becomes."""
        return self._map(annotation, where, hint, is_input=True)

    def output(self, annotation: Any, where: str, hint: str) -> Any:
        """The GraphQL output type of an annotation. `hint` names the enum that a `Literal` becomes."""
        return self._map(output_annotation(annotation), where, hint, is_input=False)

    def _map(self, annotation: Any, where: str, hint: str, *, is_input: bool) -> Any:
        inner, optional = without_none(annotation)
        if optional:
            mapped = self._map(inner, where, hint, is_input=is_input)
            # Not `mapped | None`: a JSON scalar may be null by itself, and a lazy type does not support `|`.
            return Union[mapped, None]  # noqa: UP007
        bare, marks = unwrap_annotated(annotation)
        if without_none(bare)[1]:
            return self._map(bare, where, hint, is_input=is_input)
        if bare is int:
            if any(isinstance(mark, BigIntMark) for mark in marks):
                return BigInt
            _check_int(marks, where)
        if bare in _PLAIN:
            return bare
        if (item := item_type(bare)) is not EMPTY:
            return list[self._map(item, where, hint, is_input=is_input)]  # type: ignore[misc]
        if get_origin(bare) is dict or bare in (dict, Any):
            # A result of type Any may be null; an argument of type Any is required, so it is not nullable.
            return Union[strawberry.scalars.JSON, None] if bare is Any and not is_input else strawberry.scalars.JSON  # noqa: UP007
        if get_origin(bare) is Literal:
            return self._literal(get_args(bare), where, hint)
        if bare is Blob:
            if is_input:
                raise RegistryError(
                    f"{where}: a Blob cannot be an argument; declare File: a Blob's fileId is its value"
                )
            return BlobType
        if is_table(bare):
            if is_input:
                raise RegistryError(f"{where}: a Table must be an argument of its own, or in a list of them")
            return self._table(bare, where)
        if isinstance(bare, type) and issubclass(bare, File):
            return FileId
        if is_array(bare):
            if is_input:
                raise RegistryError(f"{where}: an Array must be an argument of its own, or in a list of them")
            self.result_fields |= array_types.READING_FIELDS
            for name in ("Array", "ArrayStats", "ArrayCoordinate"):
                self.claim(name, "dask-graphql itself", ArrayType)
            return ArrayType
        if isinstance(bare, type) and get_origin(bare) is None:
            if issubclass(bare, enum.Enum):
                return self._enum(bare, where)
            if is_dataclass_or_model(bare) and not issubclass(bare, RootModel):
                return self._object(bare, where, is_input=is_input)
        raise RegistryError(f"{where}: {unsupported_text(bare)}")

    def _literal(self, values: tuple[Any, ...], where: str, hint: str) -> Any:
        names = all(isinstance(value, str) and _is_enum_name(value) for value in values)
        try:
            cls: Any = enum.Enum(hint, {value: value for value in values}) if names else None
        except ValueError:  # a name that Enum reserves, such as `mro`
            cls = None
        if cls is None:
            raise RegistryError(
                f"{where}: Literal{list(values)} cannot be a GraphQL enum, whose values are names; declare an Enum "
                "whose members have names"
            )
        self.claim(hint, f"the Literal{list(values)} of {where}", ("literal", values))
        key = (("literal", hint), True)
        if key not in self._made:
            self._made[key] = strawberry.enum(cls, name=hint)
        return self._made[key]

    def _enum(self, cls: type[enum.Enum], where: str) -> Any:
        if (cls, True) in self._made:
            return self._made[cls, True]
        for name, member in cls.__members__.items():
            if not _is_enum_name(name):
                raise RegistryError(
                    f"{where}: {_qualified_name(cls)}.{name} cannot be an enum value in GraphQL; rename it"
                )
            if not isinstance(member.value, str | int | float):
                raise RegistryError(
                    f"{where}: the value of {_qualified_name(cls)}.{name} is a {type(member.value).__name__}; "
                    "an Enum's values must be strings or numbers, as they need a JSON form"
                )
        if issubclass(cls, enum.Flag):
            raise RegistryError(
                f"{where}: {_qualified_name(cls)} is a Flag, which GraphQL does not have; use list[...] of an Enum"
            )
        if not cls.__members__:
            raise RegistryError(f"{where}: {_qualified_name(cls)} has no members")
        self.claim(cls.__name__, _qualified_name(cls), cls)
        made: Any = strawberry.enum(cls, name=cls.__name__, description=docstring_of(cls))
        self._made[cls, True] = made
        return made

    def _object(self, cls: type, where: str, *, is_input: bool) -> Any:
        if (cls, is_input) in self._made:
            return self._made[cls, is_input]
        base = graphql_name(cls)
        name = f"{base}Input" if is_input else base
        self.claim(name, _qualified_name(cls), cls)
        self._made[cls, is_input] = ForwardReference(name, cls.__module__, made=self._made, key=(cls, is_input))
        members = self._members(cls, base, where, is_input=is_input)
        if not members:
            raise RegistryError(f"{where}: {_qualified_name(cls)} has no visible field; a GraphQL type needs one")
        check_names([member.python_name for member in members], f"{where}, {_qualified_name(cls)}")
        made = create_type(name, members, is_input=is_input, description=docstring_of(cls))
        if not is_input:
            self._outputs.add(cls)
            set_type_check(made, lambda value: self._is_of(value, cls))
        self._made[cls, is_input] = made
        return made

    def _table(self, table: Any, where: str) -> Any:
        self.result_fields |= READING_FIELDS
        for name in ("Table", "TableColumn", "TablePart"):
            self.claim(name, "dask-graphql itself", TableType)
        if table.row is None:
            return TableType
        if (table, False) not in self._made:
            name = f"{graphql_name(table.row)}Table"
            self.claim(name, f"Table[{_qualified_name(table.row)}]", table)
            self._made[table, False] = typed_table(name, table, self._object(table.row, where, is_input=False))
        return self._made[table, False]

    def _is_of(self, value: Any, cls: type) -> bool:
        """Whether `cls` is the nearest base of a value's class with a GraphQL type: one output may inherit another."""
        return next((parent for parent in type(value).__mro__ if parent in self._outputs), None) is cls

    def _members(self, cls: Any, base: str, where: str, *, is_input: bool) -> list[StrawberryField]:
        docs = attribute_docs(cls)
        members: list[StrawberryField] = []
        for item in fields_of(cls):
            if is_hidden(item.annotation) and not is_input:
                continue
            if not item.settable:
                if is_input:
                    continue
                raise RegistryError(
                    f"{where}, {cls.__name__}.{item.name}: init=False cannot be read back from a record; make it a "
                    "@result_field method"
                )
            place = f"{where}, {cls.__name__}.{item.name}"
            mapped = self._map(item.annotation, place, base + upper_camel(item.name), is_input=is_input)
            if is_input:
                default = graphql_default(item.annotation, item.default, item.factory, place)
                descriptions = description_of(item.annotation, docs.get(item.name), default.sentence)
                members.append(input_field(item.name, mapped, default, descriptions))
            else:
                description = description_of(item.annotation, docs.get(item.name))
                members.append(make_field(item.name, mapped, description=description))
        if is_input:
            return members
        if issubclass(cls, BaseModel):
            for name, computed in cls.model_computed_fields.items():
                place = f"{where}, {cls.__name__}.{name}"
                mapped = self._map(computed.return_type, place, base + upper_camel(name), is_input=False)
                members.append(make_field(name, mapped, description=computed.description))
        return members + [self.method(method, cls, where) for method in result_fields(cls).values()]

    def method(self, method: Callable[..., Any], cls: type, where: str) -> StrawberryField:
        """The GraphQL field of a `@result_field` method."""
        hints = typing.get_type_hints(method, include_extras=True)
        place = f"{where}, {cls.__name__}.{method.__name__}"
        injected = [name for name, hint in hints.items() if hint is BlobStore]
        base = graphql_name(cls) + upper_camel(method.__name__)
        taken = [item for item in list(inspect.signature(method).parameters.values())[1:] if item.name not in injected]
        check_names([item.name for item in taken], place)
        adapters = {item.name: TypeAdapter(hints[item.name]) for item in taken}
        parameters = [
            Parameter(
                item.name,
                item.kind,
                annotation=_described(
                    self.input(hints[item.name], place, base + upper_camel(item.name)), description_of(hints[item.name])
                ),
                default=item.default,
            )
            for item in taken
        ]

        # Not async: a value that is available at once costs no asyncio task; graphql-core awaits an awaitable.
        def resolver(root: Any, info: ApiInfo, **arguments: Any) -> Any:
            values = to_builtin(arguments)
            for name, value in values.items():
                try:
                    values[name] = adapters[name].validate_python(value, by_alias=False, by_name=True)
                except ValidationError as error:
                    argument = to_camel_case(name)
                    problem = error.errors(include_url=False, include_context=False)[0]["msg"]
                    raise BadInput(f"{argument}: {problem}, not {describe_value(value)}", argument=argument) from None
            values.update(dict.fromkeys(injected, info.context.node.blobs))
            value = method(root, **values)
            # A value from the blob store: one answer must not read hundreds of them at once.
            return current_answer().in_turn(value) if injected and is_awaitable(value) else value

        returns = self._map(hints["return"], place, base, is_input=False)
        set_signature(
            resolver, [positional_parameter("root", Any), positional_parameter("info", ApiInfo), *parameters], returns
        )
        self.result_fields.add(to_camel_case(method.__name__))
        return make_field(method.__name__, resolver=resolver, description=docstring_of(method))


def _described(annotation: Any, description: str | None) -> Any:
    return Annotated[annotation, strawberry.argument(description=description)] if description else annotation


def _check_int(marks: Iterable[Any], where: str) -> None:
    """Refuses constraints that allow more than GraphQL's Int, as the api could not honour them."""
    for kind, value in constraints_in(marks):
        if (kind in ("le", "lt") and value > INT_MAX + (kind == "lt")) or (
            kind in ("ge", "gt") and value < INT_MIN - (kind == "gt")
        ):
            raise RegistryError(
                f"{where}: an int in GraphQL is from {INT_MIN} to {INT_MAX}, but its constraints allow more; declare "
                "BigInt (from dask_graphql) with the same constraints"
            )


def _is_enum_name(name: str) -> bool:
    return NAME.fullmatch(name) is not None and name not in ("true", "false", "null")


def _qualified_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
