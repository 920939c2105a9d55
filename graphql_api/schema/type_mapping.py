"""Python annotation -> GraphQL type, for the inputs and outputs that task types declare.

Dataclasses and pydantic models become GraphQL types by their fields; enums and `Literal`s of names become enums; the
plain types map as Strawberry maps them. What has no GraphQL type is refused at start, with the place where it stands.
"""

from __future__ import annotations

import ast
import dataclasses
import datetime
import decimal
import enum
import inspect
import itertools
import math
import re
import textwrap
import typing
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Final, Literal, NewType, Union, get_args, get_origin

import strawberry
from graphql import GraphQLError
from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import create_type
from strawberry.types.field import StrawberryField
from strawberry.types.scalar import ScalarDefinition

from cluster.errors import BadInput, RegistryError
from cluster.store.blob_store import BlobStore
from cluster.task_types.annotations import (
    EMPTY,
    LISTS,
    fields_of,
    is_dataclass_or_model,
    item_type,
    unwrap_annotated,
    without_none,
)
from cluster.task_types.declaration import output_annotation
from cluster.task_types.input_errors import describe_value
from cluster.task_types.result_checks import INT_MAX, INT_MIN
from cluster.task_types.result_fields import HiddenMark, result_fields
from cluster.task_types.value_types import BigIntMark, Blob, decimal_text, json_integer, parse_big_int
from graphql_api.context import ApiInfo
from graphql_api.schema.arguments import plain
from graphql_api.schema.bounds import constraints, description_of
from graphql_api.schema.client_names import NAME, check_names
from graphql_api.schema.defaults import Default, graphql_default
from graphql_api.strawberry_internals import LaterType, default_scalar, made_field, tell_types_by, to_camel_case

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


FINER: Final = re.compile(r"[.,]\d{6}\d*[1-9]")
"""A fraction of a second that Python's times would cut off: they carry microseconds."""


def _refuse_finer(value: Any) -> None:
    if (isinstance(value, str) and FINER.search(value)) or (
        isinstance(value, float) and math.isfinite(value) and round(value * 1e6) / 1e6 != value
    ):
        raise GraphQLError(f"a time has whole microseconds here, unlike {str(value)[:80]!r}")


def _exact(kind: type) -> ScalarDefinition:
    """Strawberry's scalar for a time, without its cutting."""
    default = default_scalar(kind)

    def parse(value: Any) -> Any:
        _refuse_finer(value)
        return default.parse_value(value)

    made: ScalarDefinition = dataclasses.replace(default, parse_value=parse)
    return made


def _serialize_duration(value: datetime.timedelta) -> Any:
    return to_jsonable_python(value)


def _parse_duration(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise GraphQLError(
            f"a Duration is an ISO 8601 text, as PT1H30M, or a number of seconds, not {str(value)[:80]!r}"
        )
    _refuse_finer(value)
    return value


DURATION: Final[ScalarDefinition] = strawberry.scalar(
    name="Duration",
    description="A span of time: an ISO 8601 text, as `PT1H30M`; input takes a number of seconds too.",
    specified_by_url="https://www.rfc-editor.org/rfc/rfc3339#appendix-A",
    serialize=_serialize_duration,
    parse_value=_parse_duration,
)


def _serialize_json(value: Any) -> Any:
    """Any value of a result as JSON, whole numbers beyond 2^53 as their digits."""
    return _safe_integers(to_jsonable_python(value))


def _safe_integers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _safe_integers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_safe_integers(item) for item in value]
    return json_integer(value) if isinstance(value, int) and not isinstance(value, bool) else value


JSON: Final[ScalarDefinition] = strawberry.scalar(
    name="JSON",
    description=(
        "The `JSON` scalar type represents JSON values as specified by [ECMA-404]"
        "(https://ecma-international.org/wp-content/uploads/ECMA-404_2nd_edition_december_2017.pdf)."
    ),
    specified_by_url=("https://ecma-international.org/wp-content/uploads/ECMA-404_2nd_edition_december_2017.pdf"),
    serialize=_serialize_json,
    parse_value=lambda value: value,
)

CONFIG: Final = StrawberryConfig(
    scalar_map={
        BigInt: BIG_INT,
        datetime.timedelta: DURATION,
        strawberry.scalars.JSON: JSON,
        datetime.datetime: _exact(datetime.datetime),
        datetime.time: _exact(datetime.time),
    }
)

_PLAIN: Final = (
    bool, int, float, str, datetime.datetime, datetime.date, datetime.time, datetime.timedelta, decimal.Decimal,
    uuid.UUID,
)  # fmt: skip

SCALAR_NAMES: Final = frozenset({"Date", "DateTime", "Time", "Duration", "Decimal", "UUID", "BigInt", "JSON", "Blob"})
"""GraphQL names that a type of a task cannot have, whether or not the schema uses them yet."""


@strawberry.type(name="Blob", description="Bytes too large for a result: read them from `url`.")
class BlobType:
    """The GraphQL face of `dask_graphql.Blob`."""

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
    """Makes each GraphQL type once.

    Args:
        reserved: GraphQL names that the platform's own types have.
    """

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._made: dict[tuple[Any, bool], Any] = {}
        self._names: dict[str, tuple[str, Any]] = dict.fromkeys(
            sorted(SCALAR_NAMES.union(reserved)), ("dask-graphql itself", None)
        )
        self._outputs: set[type] = set()

    def claim(self, name: str, origin: str, owner: Any = None) -> None:
        """Notes who uses a GraphQL name.

        Args:
            origin: where the owner stands, for the message.
            owner: what is named so; the origin, where it is unique.

        Raises:
            RegistryError: another owner has it, or it is none of GraphQL's names.
        """
        if not NAME.fullmatch(name):
            raise RegistryError(f"{origin}: {name!r} is no name in GraphQL; use A-Z, a-z, 0-9 and _")
        owner = origin if owner is None else owner
        other, taken_by = self._names.setdefault(name, (origin, owner))
        if taken_by is not owner and taken_by != owner:
            raise RegistryError(f"the GraphQL name {name!r} is needed for {origin} and for {other}; rename one of them")

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
            # A JSON value may be null by itself, and a lazy type knows no `|` with None on its right alone.
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
            # What may be anything may be null in a result; an argument is asked for by `!`.
            return Union[strawberry.scalars.JSON, None] if bare is Any and not is_input else strawberry.scalars.JSON  # noqa: UP007
        if get_origin(bare) is Literal:
            return self._literal(get_args(bare), where, hint)
        if bare is Blob:
            if is_input:
                raise RegistryError(f"{where}: a Blob cannot be an argument; take its bytes by a URL or a key")
            return BlobType
        if isinstance(bare, type) and get_origin(bare) is None:
            if issubclass(bare, enum.Enum):
                return self._enum(bare, where)
            if is_dataclass_or_model(bare) and not issubclass(bare, RootModel):
                return self._object(bare, where, is_input=is_input)
        raise RegistryError(f"{where}: {_words(bare)} has no GraphQL type; {_instead(bare)}")

    def _literal(self, values: tuple[Any, ...], where: str, hint: str) -> Any:
        names = all(isinstance(value, str) and _is_enum_name(value) for value in values)
        try:
            cls: Any = enum.Enum(hint, {value: value for value in values}) if names else None
        except ValueError:  # a name that Enum keeps for itself, as `mro`
            cls = None
        if cls is None:
            raise RegistryError(
                f"{where}: Literal{list(values)} cannot be an enum of GraphQL, whose values are names; declare an Enum "
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
                raise RegistryError(f"{where}: {_origin(cls)}.{name} cannot be an enum value in GraphQL; rename it")
            if not isinstance(member.value, str | int | float):
                raise RegistryError(
                    f"{where}: {_origin(cls)}.{name} is a {type(member.value).__name__}; give an Enum's members texts "
                    "or numbers, as they must have a JSON form"
                )
        if issubclass(cls, enum.Flag):
            raise RegistryError(f"{where}: {_origin(cls)} is a Flag, which GraphQL has not; use list[...] of an Enum")
        if not cls.__members__:
            raise RegistryError(f"{where}: {_origin(cls)} has no members")
        self.claim(cls.__name__, _origin(cls), cls)
        made: Any = strawberry.enum(cls, name=cls.__name__, description=_doc(cls))
        self._made[cls, True] = made
        return made

    def _object(self, cls: type, where: str, *, is_input: bool) -> Any:
        if (cls, is_input) in self._made:
            return self._made[cls, is_input]
        base = graphql_name(cls)
        name = f"{base}Input" if is_input else base
        self.claim(name, _origin(cls), cls)
        self._made[cls, is_input] = LaterType(name, cls.__module__, made=self._made, key=(cls, is_input))
        members = self._members(cls, base, where, is_input=is_input)
        if not members:
            raise RegistryError(f"{where}: {_origin(cls)} has no field to show, and a type in GraphQL needs one")
        check_names([member.python_name for member in members], f"{where}, {_origin(cls)}")
        made = create_type(name, members, is_input=is_input, description=_doc(cls))
        if not is_input:
            self._outputs.add(cls)
            tell_types_by(made, lambda value: self._is_of(value, cls))
        self._made[cls, is_input] = made
        return made

    def _is_of(self, value: Any, cls: type) -> bool:
        """Whether `cls` is the nearest class of a value that has a GraphQL type: one output may inherit another."""
        return next((parent for parent in type(value).__mro__ if parent in self._outputs), None) is cls

    def _members(self, cls: Any, base: str, where: str, *, is_input: bool) -> list[StrawberryField]:
        docs = attribute_docs(cls)
        members: list[StrawberryField] = []
        for item in fields_of(cls):
            if _hidden(item.annotation) and not is_input:
                continue
            if not item.settable:
                if is_input:
                    continue
                raise RegistryError(
                    f"{where}, {cls.__name__}.{item.name}: init=False cannot be read back from a record; make it a "
                    "@result_field method"
                )
            place = f"{where}, {cls.__name__}.{item.name}"
            mapped = self._map(item.annotation, place, base + pascal_of(item.name), is_input=is_input)
            if is_input:
                default = graphql_default(item.annotation, item.default, item.factory, place)
                described = description_of(item.annotation, docs.get(item.name), default.words)
                members.append(input_field(item.name, mapped, default, described))
            else:
                described = description_of(item.annotation, docs.get(item.name))
                members.append(made_field(item.name, mapped, description=described))
        if is_input:
            return members
        if issubclass(cls, BaseModel):
            for name, computed in cls.model_computed_fields.items():
                mapped = self._map(computed.return_type, f"{where}, {cls.__name__}.{name}", base + pascal_of(name),
                                   is_input=False)  # fmt: skip
                members.append(made_field(name, mapped, description=computed.description))
        return members + [self.method(method, cls, where) for method in result_fields(cls).values()]

    def method(self, method: Callable[..., Any], cls: type, where: str) -> StrawberryField:
        """The GraphQL field of a `@result_field` method."""
        hints = typing.get_type_hints(method, include_extras=True)
        place = f"{where}, {cls.__name__}.{method.__name__}"
        injected = [name for name, hint in hints.items() if hint is BlobStore]
        base = graphql_name(cls) + pascal_of(method.__name__)
        taken = [item for item in list(inspect.signature(method).parameters.values())[1:] if item.name not in injected]
        check_names([item.name for item in taken], place)
        adapters = {item.name: TypeAdapter(hints[item.name]) for item in taken}
        parameters = [
            Parameter(
                item.name,
                item.kind,
                annotation=_described(
                    self.input(hints[item.name], place, base + pascal_of(item.name)), description_of(hints[item.name])
                ),
                default=item.default,
            )
            for item in taken
        ]

        # Not async: what is there at once costs the executor no task; it waits for what is awaitable.
        def resolver(root: Any, info: ApiInfo, **arguments: Any) -> Any:
            values = plain(arguments)
            for name, value in values.items():
                try:
                    values[name] = adapters[name].validate_python(value, by_alias=False, by_name=True)
                except ValidationError as error:
                    argument = to_camel_case(name)
                    problem = error.errors(include_url=False, include_context=False)[0]["msg"]
                    raise BadInput(f"{argument}: {problem}, not {describe_value(value)}", argument=argument) from None
            values.update(dict.fromkeys(injected, info.context.node.blobs))
            return method(root, **values)

        returns = self._map(hints["return"], place, base, is_input=False)
        set_signature(resolver, [_parameter("root", Any), _parameter("info", ApiInfo), *parameters], returns)
        return made_field(method.__name__, resolver=resolver, description=_doc(method))


def _described(annotation: Any, description: str | None) -> Any:
    return Annotated[annotation, strawberry.argument(description=description)] if description else annotation


def input_field(name: str, mapped: Any, default: Default, description: str | None) -> StrawberryField:
    """A field of an input type."""
    options: dict[str, Any] = {}
    if isinstance(default.value, list | dict):
        options["default_factory"] = lambda: default.value
    elif default.value is not EMPTY:
        options["default"] = default.value
    kind = Union[mapped, None] if default.nullable else mapped  # noqa: UP007
    return made_field(name, kind, description=description, **options)


def graphql_name(cls: type) -> str:
    """`Page[list[int]]`, a generic model with its types, as `PageListInt`; any other class by its own name."""
    first, *rest = [part for part in re.split(r"\W+", cls.__name__) if part]
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def pascal_of(*names: str) -> str:
    """`max_depth` and `maxDepth` -> `MaxDepth`."""
    return "".join(spelled[:1].upper() + spelled[1:] for spelled in map(to_camel_case, names))


def _check_int(marks: Iterable[Any], where: str) -> None:
    """Bounds that ask for more than GraphQL's Int carries are a promise that the api could not keep."""
    for kind, value in constraints(marks):
        if (kind in ("le", "lt") and value > INT_MAX + (kind == "lt")) or (
            kind in ("ge", "gt") and value < INT_MIN - (kind == "gt")
        ):
            raise RegistryError(
                f"{where}: an int in GraphQL is from {INT_MIN} to {INT_MAX}, and its bounds ask for more; declare "
                "BigInt (from cluster) with the same bounds"
            )


def _is_enum_name(name: str) -> bool:
    return NAME.fullmatch(name) is not None and name not in ("true", "false", "null")


def _words(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else repr(annotation)


def _instead(annotation: Any) -> str:
    """What to write instead of a type that GraphQL does not have."""
    origin = get_origin(annotation) or annotation
    if origin in LISTS:
        return "say of what it is, in one type: list[int], tuple[int, ...]; a dataclass for parts of different types"
    if isinstance(origin, type) and is_dataclass_or_model(origin):
        if issubclass(origin, RootModel):
            return "declare its root type, or a model with a field"
        return "a generic dataclass forgets its types; use a generic pydantic model, or a class for each"
    if isinstance(annotation, typing.TypeVar):
        return "give the generic class its types, as in Page[int]"
    if origin is Union or "UnionType" in type(annotation).__name__:
        return "GraphQL has no such union; use one type, or one type and None"
    if typing.is_typeddict(annotation) or (isinstance(annotation, type) and issubclass(annotation, tuple)):
        return "declare a dataclass with the same fields"
    if origin is bytes:
        return "take a str in base64, and return a Blob by dask_graphql.save_blob"
    if isinstance(origin, type) and origin.__module__ in ("collections.abc", "collections"):
        return "use list[...] or dict[str, ...]"
    return "use plain types, enums, lists, dataclasses or models"


class Parameter(inspect.Parameter):
    """A parameter whose default may be a list: Strawberry puts parameters into a dict, so they need a hash."""

    def __hash__(self) -> int:
        return hash((self.name, self.kind))


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
    return any(isinstance(mark, HiddenMark) for mark in unwrap_annotated(annotation)[1])


def _doc(item: Any) -> str | None:
    doc = inspect.getdoc(item)
    # dataclasses write a signature where the author wrote nothing, and enums and models inherit their base's text.
    if not doc or doc.startswith(f"{getattr(item, '__name__', '')}(") or item.__dict__.get("__doc__", doc) is None:
        return None
    return doc


def attribute_docs(cls: type) -> Mapping[str, str]:
    """The descriptions of a class's fields: pydantic's `Field(description=...)`, or the string under the attribute."""
    docs: dict[str, str] = {}
    for parent in reversed(cls.__mro__):
        if is_dataclass_or_model(parent) and parent not in (BaseModel, RootModel):
            docs.update(_docs_in_source(parent))
    if issubclass(cls, BaseModel):
        docs.update({name: info.description for name, info in cls.model_fields.items() if info.description})
    return docs


def _docs_in_source(cls: type) -> dict[str, str]:
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    except (OSError, TypeError, SyntaxError):  # made by a program, or not to be read by itself
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
