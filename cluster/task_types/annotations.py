"""Reading type annotations: the types behind aliases and `Annotated`, and the fields of dataclasses and models.

Shared by everything that walks over declared types: the registry, the checks of results, and the GraphQL schema.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections import abc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, NewType, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cluster.errors import RegistryError
from cluster.task_types.value_types import Graph, Stream

EMPTY: Final = inspect.Parameter.empty
LISTS: Final = (list, tuple, set, frozenset)
"""Types that are lists in GraphQL."""


@dataclass(frozen=True)
class Field:
    """A field of a dataclass or model.

    Attributes:
        default: EMPTY if there is none, or if a factory makes it.
        factory: makes the default for each instance, or None.
        settable: False for a dataclass field that callers cannot pass (`init=False`).
    """

    name: str
    annotation: Any
    default: Any
    factory: Callable[..., Any] | None
    settable: bool

    @property
    def required(self) -> bool:
        return self.default is EMPTY and self.factory is None


def unwrap_annotated(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type behind aliases, `NewType` and `Annotated`, and the metadata of each `Annotated`."""
    marks: list[Any] = []
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            marks += more
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif hasattr(annotation, "__value__") and hasattr(annotation, "__type_params__"):
            annotation = annotation.__value__  # `type Name = ...`
        else:
            return annotation, tuple(marks)


def without_none(annotation: Any) -> tuple[Any, bool]:
    """`T | None` as (T, True), anything else as (itself, False); a larger union stays a union."""
    bare, marks = unwrap_annotated(annotation)
    if get_origin(bare) is Literal and None in get_args(bare):
        return Literal[tuple(item for item in get_args(bare) if item is not None)], True
    if get_origin(bare) not in (Union, types.UnionType) or type(None) not in get_args(bare):
        return annotation, False
    inner: Any = Union[tuple(item for item in get_args(bare) if item is not type(None))]  # noqa: UP007 - built from parts
    return (Annotated[(inner, *marks)] if marks else inner), True


def item_type(annotation: Any) -> Any:
    """`T` of `list[T]`, `tuple[T, ...]`, `set[T]` or `frozenset[T]`; EMPTY for anything else."""
    bare, _ = unwrap_annotated(annotation)
    arguments = get_args(bare)
    if get_origin(bare) not in LISTS or not arguments:
        return EMPTY
    if get_origin(bare) is tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis):
        return EMPTY
    return arguments[0]


def is_dataclass_or_model(annotation: Any) -> bool:
    """Whether it is a dataclass or a pydantic model."""
    return isinstance(annotation, type) and (dataclasses.is_dataclass(annotation) or issubclass(annotation, BaseModel))


@lru_cache(maxsize=1_024)
def fields_of(cls: Any) -> tuple[Field, ...]:
    """The fields of a dataclass or model, inherited ones first. Cached, because every result is checked by them.

    Raises:
        RegistryError: the type of a field cannot be resolved.
    """
    if issubclass(cls, BaseModel):
        return tuple(_model_field(name, info) for name, info in cls.model_fields.items())
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise RegistryError(
            f"{cls.__module__}.{cls.__qualname__}: a field's type cannot be resolved: {error}; define it at the top of "
            "the module"
        ) from error
    return tuple(_dataclass_field(item, hints[item.name]) for item in dataclasses.fields(cls))


def _model_field(name: str, info: FieldInfo) -> Field:
    # pydantic keeps the metadata separately; only here does a generic model have its type parameters filled in.
    annotation = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
    default = EMPTY if info.is_required() or info.default_factory is not None else info.default
    return Field(name, annotation, default, info.default_factory, settable=info.init is not False)


def _dataclass_field(item: dataclasses.Field[Any], annotation: Any) -> Field:
    default = EMPTY if item.default is dataclasses.MISSING else item.default
    factory = None if item.default_factory is dataclasses.MISSING else item.default_factory
    if isinstance(default, FieldInfo):
        # `x: int = pydantic.Field(...)` in a pydantic dataclass.
        merged = _model_field(item.name, FieldInfo.from_annotated_attribute(annotation, default))
        return dataclasses.replace(merged, settable=item.init)
    return Field(item.name, annotation, default, factory, settable=item.init)


def classes_in(annotation: Any, seen: set[Any] | None = None) -> Iterator[tuple[type, str]]:
    """Every class in an annotation, through containers and fields, each with the field that it belongs to."""
    seen = set() if seen is None else seen
    bare, _ = unwrap_annotated(annotation)
    origin = get_origin(bare)
    if isinstance(origin, type):
        yield origin, ""
    if isinstance(bare, type) and bare not in seen and origin is None:
        seen.add(bare)
        yield bare, ""
        if is_dataclass_or_model(bare):
            for item in fields_of(bare):
                for cls, field in classes_in(item.annotation, seen):
                    yield cls, field or f"{bare.__name__}.{item.name}"
    if origin is not Literal:
        for argument in get_args(bare):
            yield from classes_in(argument, seen)


_A_TABLE: Final = "declare Table (from dask_graphql), or Table[Row] to return it, and list[Row] to take a few rows"
_REPLACEMENTS: Final = {
    "ndarray": "declare list[float] (list[list[float]], list[int], ...): a returned array is converted; or Array",
    "DataArray": "declare Array (from dask_graphql)",
    "Dataset": "declare a dataclass with an Array (from dask_graphql) for each variable",
    **dict.fromkeys(("DataFrame", "LazyFrame", "Table", "RecordBatch", "RecordBatchReader"), _A_TABLE),
    "Series": "declare list[float] (or the type of its values): a returned one is converted; a Table for a long one",
    "Index": "declare list[str] (or the type of its values), and return index.tolist()",
    "generic": "declare bool, int, BigInt, float or str: a returned numpy scalar is converted",
}
"""What to declare instead of array and frame types, by the name of a class in their ancestry."""

_GENERATORS: Final = (
    abc.Iterator, abc.Generator, abc.AsyncIterator, abc.AsyncGenerator, abc.AsyncIterable, abc.Awaitable, abc.Coroutine,
)  # fmt: skip


def reject_opaque_types(annotation: Any, where: str) -> None:
    """Refuses types that do not declare their content: those of numpy, pandas and Dask, and iterators. None of these
    libraries is imported.

    Raises:
        RegistryError: says what to declare instead.
    """
    for cls, field in classes_in(annotation):
        problem = _opaque_type_problem(cls)
        if problem:
            raise RegistryError(f"{where}{f', {field}' if field else ''}: {problem}")


def _opaque_type_problem(cls: type) -> str | None:
    library = cls.__module__.partition(".")[0]
    if library in ("numpy", "pandas", "polars", "xarray", "pyarrow"):
        ancestry = [ancestor.__name__ for ancestor in cls.__mro__]
        replacement = next(
            (_REPLACEMENTS[name] for name in ancestry if name in _REPLACEMENTS), "declare plain types, or a dataclass"
        )
        return f"{library}.{cls.__name__} does not declare its content; {replacement}"
    if library in ("dask", "distributed"):
        kind = {"DataFrame": "-> Table", "Array": "-> Array"}.get(cls.__name__, "-> Graph[list[float]]")
        return f"{library}'s {cls.__name__} does not declare what it computes; declare that: {kind}"
    if cls is Graph:
        return "Graph is only a return type, and needs the type that the graph computes: -> Graph[float]"
    if cls is Stream:
        return "Stream is only a return type, and needs the type of its items: -> Stream[float]"
    if cls in _GENERATORS:
        return (
            f"{cls.__name__} has no JSON form; declare list[...], which collects the items of a generator, or "
            "Stream[...], which delivers each as it comes"
        )
    if typing.is_typeddict(cls):
        return f"{cls.__name__} is a TypedDict; declare a dataclass with the same fields"
    return None
