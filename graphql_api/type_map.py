"""Python annotation -> GraphQL type, for the inputs and outputs that task types declare.

Dataclasses and pydantic models become GraphQL types by their fields; enums become enums; the plain types map as
Strawberry maps them. What has no GraphQL type is refused at start, with the place where it stands.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import inspect
import itertools
import types
import typing
import uuid
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, NewType, Union, get_args, get_origin

import strawberry
from graphql import GraphQLError
from pydantic import BaseModel
from strawberry.annotation import StrawberryAnnotation
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import create_type
from strawberry.types.base import get_object_definition
from strawberry.types.field import StrawberryField
from strawberry.types.scalar import ScalarDefinition

from cluster.blobs import BlobStore
from cluster.errors import RegistryError
from cluster.fields import HiddenMark, result_fields
from cluster.registry import output_annotation
from cluster.values import BigIntMark, Blob, decimal_text, parse_big_int
from graphql_api.context import ApiInfo

BigInt = NewType("BigInt", int)
"""The GraphQL scalar: a decimal string out, a string or an integer in."""


def _serialize_big_int(value: int | str) -> str:
    return value if isinstance(value, str) else decimal_text(value)


def _parse_big_int(value: Any) -> int:
    try:
        parsed = parse_big_int(value)
    except ValueError:
        parsed = None
    if isinstance(parsed, bool) or not isinstance(parsed, int):
        raise GraphQLError(f"a BigInt is a whole number or its decimal digits, not {str(value)[:80]!r}")
    return parsed


BIG_INT: Final[ScalarDefinition] = strawberry.scalar(
    name="BigInt",
    description="A whole number of any size: a string of decimal digits; input takes a string or an integer.",
    serialize=_serialize_big_int,
    parse_value=_parse_big_int,
)

CONFIG: Final = StrawberryConfig(scalar_map={BigInt: BIG_INT})

_PLAIN: Final = (
    bool, int, float, str, datetime.datetime, datetime.date, datetime.time, decimal.Decimal, uuid.UUID,
)  # fmt: skip


@strawberry.type(name="Blob", description="Bytes too large for a result: read them from `url`.")
class BlobType:
    """The GraphQL face of `cluster.Blob`."""

    key: strawberry.Private[str]
    size_bytes: BigInt = strawberry.field(description="Length in bytes.")
    media_type: str = strawberry.field(description="Content-Type of the download.")

    @strawberry.field(description="Path of the download on this api; it takes Range requests.")
    def url(self) -> str:
        return f"/blobs/{self.key}"


def pascal(name: str) -> str:
    """`estimate_pi` -> `EstimatePi`."""
    return "".join(part.capitalize() for part in name.split("_"))


class TypeMap:
    """Makes each GraphQL type once."""

    def __init__(self) -> None:
        self._made: dict[tuple[Any, bool], Any] = {}
        self._names: dict[str, str] = {}

    def claim(self, name: str, origin: str) -> None:
        """Notes who uses a GraphQL name.

        Raises:
            RegistryError: another origin has it.
        """
        other = self._names.setdefault(name, origin)
        if other != origin:
            raise RegistryError(f"the GraphQL name {name!r} is needed for {origin} and for {other}; rename one of them")

    def input(self, annotation: Any, where: str) -> Any:
        """The GraphQL input type of an annotation."""
        return self._map(annotation, where, is_input=True)

    def output(self, annotation: Any, where: str) -> Any:
        """The GraphQL output type of an annotation."""
        return self._map(output_annotation(annotation), where, is_input=False)

    def _map(self, annotation: Any, where: str, *, is_input: bool) -> Any:
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            if any(isinstance(mark, BigIntMark) for mark in arguments[1:]):
                return BigInt
            return self._map(arguments[0], where, is_input=is_input)
        if origin in (Union, types.UnionType):
            inner = [item for item in arguments if item is not type(None)]
            if len(inner) != 1 or len(inner) == len(arguments):
                raise RegistryError(
                    f"{where}: GraphQL has no union of {annotation}; use one type, or one type and None"
                )
            return self._map(inner[0], where, is_input=is_input) | None
        if origin in (list, tuple, set, frozenset):
            if origin is tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis):
                raise RegistryError(f"{where}: use list[...] or tuple[T, ...], not {annotation}")
            return list[self._map(arguments[0], where, is_input=is_input)]  # type: ignore[misc]
        if origin is dict or annotation in (dict, Any):
            return strawberry.scalars.JSON
        if annotation is Blob:
            if is_input:
                raise RegistryError(f"{where}: a Blob cannot be an argument")
            return BlobType
        if annotation in _PLAIN:
            return annotation
        if isinstance(annotation, type):
            return self._class(annotation, where, is_input=is_input)
        if origin is Literal:
            raise RegistryError(f"{where}: declare an Enum instead of {annotation}")
        raise RegistryError(f"{where}: {annotation!r} has no GraphQL type")

    def _class(self, cls: type, where: str, *, is_input: bool) -> Any:
        if (cls, is_input) in self._made:
            return self._made[cls, is_input]
        if issubclass(cls, enum.Enum):
            self.claim(cls.__name__, _origin(cls))
            made: Any = strawberry.enum(cls, name=cls.__name__, description=_doc(cls))
            self._made[cls, False] = self._made[cls, True] = made
            return made
        if dataclasses.is_dataclass(cls) or issubclass(cls, BaseModel):
            return self._object(cls, where, is_input=is_input)
        raise RegistryError(
            f"{where}: {cls.__name__} has no GraphQL type; use plain types, enums, lists, dataclasses or models"
        )

    def _object(self, cls: type, where: str, *, is_input: bool) -> Any:
        name = f"{cls.__name__}Input" if is_input else cls.__name__
        self.claim(name, _origin(cls))
        hints = typing.get_type_hints(cls, include_extras=True)
        docs = attribute_docs(cls)
        members: list[StrawberryField] = []
        for field_name in _field_names(cls):
            annotation = hints[field_name]
            if _hidden(annotation):
                continue
            place = f"{where}, {cls.__name__}.{field_name}"
            mapped = self._map(annotation, place, is_input=is_input)
            if is_input and (default := _default(cls, field_name)) is not inspect.Parameter.empty:
                member = strawberry.field(description=docs.get(field_name), default=default)
            else:
                member = strawberry.field(description=docs.get(field_name))
            member.python_name = field_name
            member.name = field_name
            member.type_annotation = StrawberryAnnotation(mapped)
            members.append(member)
        if not is_input:
            members += [self.method(method, cls, where) for method in result_fields(cls).values()]
        made = create_type(name, members, is_input=is_input, description=_doc(cls))
        if not is_input:
            # The values are the task's own classes, not Strawberry's; this is how the union tells them apart.
            get_object_definition(made, strict=True).is_type_of = lambda value, _info: isinstance(value, cls)
        self._made[cls, is_input] = made
        return made

    def method(self, method: Callable[..., Any], cls: type, where: str) -> StrawberryField:
        """The GraphQL field of a `@result_field` method."""
        hints = typing.get_type_hints(method, include_extras=True)
        place = f"{where}, {cls.__name__}.{method.__name__}"
        injected = [name for name, hint in hints.items() if hint is BlobStore]
        signature = inspect.signature(method)
        parameters = [
            parameter.replace(annotation=self.input(hints[name], place))
            for name, parameter in list(signature.parameters.items())[1:]
            if name not in injected
        ]

        async def resolver(root: Any, info: ApiInfo, **arguments: Any) -> Any:
            arguments.update(dict.fromkeys(injected, info.context.node.blobs))
            value = method(root, **arguments)
            return await value if inspect.isawaitable(value) else value

        returns = self._map(hints["return"], place, is_input=False)
        set_signature(resolver, [_parameter("root", Any), _parameter("info", ApiInfo), *parameters], returns)
        return _named(strawberry.field(resolver=resolver, description=_doc(method)), method.__name__)


def _named(member: Any, name: str) -> StrawberryField:
    member.python_name = name
    member.name = name
    return member  # type: ignore[no-any-return]


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=annotation)


def set_signature(function: Callable[..., Any], parameters: list[inspect.Parameter], returns: Any) -> None:
    """Gives a resolver the signature that Strawberry makes the GraphQL arguments from."""
    # Python orders parameters with defaults last; GraphQL does not care for an order.
    ordered = sorted(parameters, key=lambda parameter: parameter.default is not inspect.Parameter.empty)
    function.__signature__ = inspect.Signature(ordered, return_annotation=returns)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in ordered} | {"return": returns}


def _origin(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _hidden(annotation: Any) -> bool:
    return get_origin(annotation) is Annotated and any(
        isinstance(mark, HiddenMark) for mark in get_args(annotation)[1:]
    )


def _doc(item: Any) -> str | None:
    doc = inspect.getdoc(item)
    # dataclasses write a signature where the author wrote nothing, and enums and models inherit their base's text.
    if not doc or doc.startswith(f"{getattr(item, '__name__', '')}(") or item.__dict__.get("__doc__", doc) is None:
        return None
    return doc


def _field_names(cls: Any) -> list[str]:
    if issubclass(cls, BaseModel):
        return list(cls.model_fields)
    return [item.name for item in dataclasses.fields(cls)]


def _default(cls: Any, name: str) -> Any:
    """The default of a field, or Parameter.empty."""
    if issubclass(cls, BaseModel):
        info = cls.model_fields[name]
        return inspect.Parameter.empty if info.is_required() else info.get_default(call_default_factory=True)
    item = next(item for item in dataclasses.fields(cls) if item.name == name)
    if item.default is not dataclasses.MISSING:
        return item.default
    return item.default_factory() if item.default_factory is not dataclasses.MISSING else inspect.Parameter.empty


def attribute_docs(cls: type) -> Mapping[str, str]:
    """The descriptions of a class's fields: pydantic's `Field(description=...)`, or the string under the attribute."""
    if issubclass(cls, BaseModel):
        return {name: info.description for name, info in cls.model_fields.items() if info.description}
    try:
        source = inspect.getsource(cls)
    except (OSError, TypeError):
        return {}
    import ast
    import textwrap

    body = ast.parse(textwrap.dedent(source)).body[0]
    docs: dict[str, str] = {}
    statements = getattr(body, "body", [])
    for statement, following in itertools.pairwise(statements):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
            and isinstance(following.value.value, str)
        ):
            docs[statement.target.id] = inspect.cleandoc(following.value.value)
    return docs
