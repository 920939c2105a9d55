"""Reading type annotations: what stands behind aliases and `Annotated`, and the fields of dataclasses and models.

One place for all who walk over declared types: the registry, the check of results, and the GraphQL schema.
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
from cluster.task_types.value_types import Graph

EMPTY: Final = inspect.Parameter.empty
LISTS: Final = (list, tuple, set, frozenset)
"""What GraphQL writes as a list."""


@dataclass(frozen=True)
class Field:
    """A field of a dataclass or model.

    Attributes:
        default: EMPTY where there is none, or where a factory makes it.
        factory: makes the default for each instance; None where there is none.
        settable: False for a dataclass field that no caller may give (`init=False`).
    """

    name: str
    annotation: Any
    default: Any
    factory: Callable[..., Any] | None
    settable: bool

    @property
    def required(self) -> bool:
        return self.default is EMPTY and self.factory is None


def peel(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type behind aliases, `NewType` and `Annotated`, and the marks that were put on it on the way."""
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
    """`T | None` as (T, True), anything else as (itself, False); a union of more stays a union."""
    bare, marks = peel(annotation)
    if get_origin(bare) is Literal and None in get_args(bare):
        return Literal[tuple(item for item in get_args(bare) if item is not None)], True
    if get_origin(bare) not in (Union, types.UnionType) or type(None) not in get_args(bare):
        return annotation, False
    inner: Any = Union[tuple(item for item in get_args(bare) if item is not type(None))]  # noqa: UP007 - made of parts
    return (Annotated[(inner, *marks)] if marks else inner), True


def item_of(annotation: Any) -> Any:
    """`T` of `list[T]`, `tuple[T, ...]`, `set[T]` or `frozenset[T]`; EMPTY of anything else."""
    bare, _ = peel(annotation)
    arguments = get_args(bare)
    if get_origin(bare) not in LISTS or not arguments:
        return EMPTY
    if get_origin(bare) is tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis):
        return EMPTY
    return arguments[0]


def is_record(annotation: Any) -> bool:
    """Whether it is a dataclass or a pydantic model."""
    return isinstance(annotation, type) and (dataclasses.is_dataclass(annotation) or issubclass(annotation, BaseModel))


@lru_cache(maxsize=1_024)
def fields_of(cls: Any) -> tuple[Field, ...]:
    """The fields of a dataclass or model, inherited ones first. Kept, as every result is checked by them.

    Raises:
        RegistryError: a field's type names what cannot be found.
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
    # The model has put the marks aside; a generic model has its types filled in here and nowhere else.
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
    """Every class that an annotation names, through containers and fields, with the field where it stands."""
    seen = set() if seen is None else seen
    bare, _ = peel(annotation)
    origin = get_origin(bare)
    if isinstance(origin, type):
        yield origin, ""
    if isinstance(bare, type) and bare not in seen and origin is None:
        seen.add(bare)
        yield bare, ""
        if is_record(bare):
            for item in fields_of(bare):
                for cls, place in classes_in(item.annotation, seen):
                    yield cls, place or f"{bare.__name__}.{item.name}"
    if origin is not Literal:
        for argument in get_args(bare):
            yield from classes_in(argument, seen)


INSTEAD: Final = {
    "ndarray": "declare list[float] (list[list[float]], list[int], ...): an array that is returned there is converted",
    "DataFrame": "declare list[Row] with a dataclass Row of the columns, and return frame.to_dict('records')",
    "Series": "declare list[float] (or the type of its values), and return series.tolist()",
    "Index": "declare list[str] (or the type of its values), and return index.tolist()",
    "generic": "declare bool, int, BigInt, float or str: a numpy scalar that is returned there is converted",
}
"""What to write instead of the types of numpy, pandas and their like, by a class in their ancestry."""


YIELDED: Final = (
    abc.Iterator, abc.Generator, abc.AsyncIterator, abc.AsyncGenerator, abc.AsyncIterable, abc.Awaitable, abc.Coroutine,
)  # fmt: skip


def refuse_opaque(annotation: Any, where: str) -> None:
    """Refuses types that say nothing of what is in them: numpy's and pandas's, Dask's, iterators. None is imported.

    Raises:
        RegistryError: it says what to declare instead.
    """
    for cls, place in classes_in(annotation):
        words = _instead_of(cls)
        if words:
            raise RegistryError(f"{where}{f', {place}' if place else ''}: {words}")


def _instead_of(cls: type) -> str | None:
    library = cls.__module__.partition(".")[0]
    if library in ("numpy", "pandas", "polars", "xarray", "pyarrow"):
        ancestry = [ancestor.__name__ for ancestor in cls.__mro__]
        words = next((INSTEAD[name] for name in ancestry if name in INSTEAD), "declare plain types, or a dataclass")
        return f"{library}.{cls.__name__} says nothing of what is in it; {words}"
    if library in ("dask", "distributed"):
        return f"{library}'s {cls.__name__} says nothing of what it computes; declare that, as -> Graph[list[float]]"
    if cls is Graph:
        return "Graph is what a function returns, with what its graph computes: -> Graph[float]"
    if cls in YIELDED:
        return f"{cls.__name__} has no JSON form; declare list[...]: what a generator yields is collected"
    if typing.is_typeddict(cls):
        return f"{cls.__name__} is a TypedDict; declare a dataclass with the same fields"
    return None
