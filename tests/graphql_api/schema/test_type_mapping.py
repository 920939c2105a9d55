"""What has no GraphQL type, or needs a name that is taken, stops the node at start with what to write instead."""

from __future__ import annotations

import dataclasses
import enum
import os
import subprocess
import sys
import types
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import numpy as np
import pytest
from graphql import GraphQLInputObjectType, GraphQLObjectType, print_type
from pydantic import BaseModel, Field, RootModel

from cluster.errors import RegistryError
from cluster.task_types.registry import Registry, _registered
from cluster.task_types.task_type import TaskType
from dask_graphql import BigInt, Blob, Table, task
from graphql_api.schema.builder import Schema, make_schema, reserved_names
from tests.places import ROOT

T = TypeVar("T")


def made(function: Any, name: str) -> TaskType:
    task(name=name)(function)
    return _registered[function.__module__, name]


def schema_of(*task_types: TaskType) -> Schema:
    registry = Registry()
    for task_type in task_types:
        registry.add(task_type)
    return make_schema(registry)


def taking(annotation: Any, name: str = "takes_it", **arguments: Any) -> TaskType:
    def function(thing: Any) -> int:
        return 0

    function.__annotations__ = {"thing": annotation, "return": int}
    if arguments:
        function.__defaults__ = (arguments["default"],)
    return made(function, name)


def giving(annotation: Any, name: str = "gives_it") -> TaskType:
    def function(n: int) -> Any: ...

    function.__annotations__ = {"n": int, "return": annotation}
    return made(function, name)


class Row(TypedDict):
    x: int


class Pair(NamedTuple):
    x: int
    y: int


@dataclass
class Box(Generic[T]):
    item: T


class Many(RootModel[list[int]]):
    pass


class Bits(enum.Flag):
    A = 1


class NotCompilable(enum.Enum):
    true = 1


class Tuples(enum.Enum):
    A = (1, 2)


@dataclass
class Nothing:
    pass


@dataclass
class Camels:
    max_depth: int
    maxDepth: int


@dataclass
class Accents:
    größe: int


@dataclass
class Counted:
    n: int
    made: int = dataclasses.field(init=False, default=0)


@dataclass
class WithArray:
    rows: list[np.ndarray]


@dataclass
class HasTable:
    table: Table


class DataFrame:
    """Stands for pandas.DataFrame, which is recognised by its module and name."""


DataFrame.__module__ = "pandas.core.frame"


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int | str, "GraphQL has no union of such types"),
        (tuple[int, str], "a dataclass for parts of different types"),
        (list, "declare one item type"),
        (Literal[1, 2], "declare an Enum"),
        (Literal["a-b"], "declare an Enum"),
        (Literal["true"], "declare an Enum"),
        (Literal["mro"], "declare an Enum"),
        (Row, "TypedDict"),
        (Pair, "declare a dataclass with the same fields"),
        (bytes, "accept a File"),
        (Box[int], "a generic dataclass loses its type arguments"),
        (Many, "declare its root type"),
        (Bits, r"use list\[\.\.\.\] of an Enum"),
        (NotCompilable, "cannot be an enum value"),
        (Tuples, "an Enum's values must be strings or numbers"),
        (Nothing, "has no visible field"),
        (Camels, "'max_depth' and 'maxDepth' are both 'maxDepth'"),
        (Accents, "'größe' is not a valid GraphQL name"),
        (Blob, "cannot be an argument"),
        (HasTable, "a Table must be an argument of its own"),
        (Table[HasTable], r"Table\[...\] is only a return type; declare Table"),
        (typing.Sequence[int], r"use list\[...\]"),
        (Annotated[int, Field(le=2**31)], "declare BigInt"),
        (Annotated[int, Field(ge=-(2**40))], "declare BigInt"),
    ],
)
def test_a_type_without_a_graphql_form_is_refused_with_what_to_write(annotation: Any, words: str) -> None:
    with pytest.raises(RegistryError, match=words) as caught:
        schema_of(taking(annotation))
    assert "test_type_mapping.taking" in str(caught.value), "the message says where"


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (np.ndarray, r"numpy.ndarray does not declare its content; declare list\[float\]"),
        (np.float64, "declare bool, int, BigInt, float or str"),
        (WithArray, "WithArray.rows: numpy.ndarray"),
        (list[DataFrame], r"pandas.DataFrame .* declare Table \(from dask_graphql\), or Table\[Row\] to return it"),
    ],
)
@pytest.mark.parametrize("make", [taking, giving])
def test_arrays_and_frames_are_refused_with_the_plain_type_to_declare(make: Any, annotation: Any, words: str) -> None:
    with pytest.raises(RegistryError, match=words):
        make(annotation)


def test_neither_numpy_nor_pandas_is_imported_to_refuse_them() -> None:
    code = "import sys, graphql_api.schema.builder; sys.exit('numpy' in sys.modules or 'pandas' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize(("default", "annotation"), [(None, int), ("x", int), (0, Annotated[int, Field(ge=1)])])
def test_a_default_that_does_not_fit_its_type_is_refused_at_start(default: Any, annotation: Any) -> None:
    with pytest.raises(RegistryError, match="the default of 'thing'"):
        taking(annotation, default=default)


def test_a_default_beyond_graphqls_int_asks_for_a_big_int() -> None:
    with pytest.raises(RegistryError, match="declare BigInt"):
        schema_of(taking(list[int], default=[2**40]))


@pytest.mark.parametrize("name", ["options", "info", "self", "cls", "root"])
def test_an_argument_with_a_name_that_means_something_else_is_refused(name: str) -> None:
    module = types.ModuleType("a_module")
    exec(f"def function({name}: int) -> int: ...", module.__dict__)
    with pytest.raises(RegistryError, match=f"cannot be named '{name}'"):
        task(name="reserved_argument")(module.__dict__["function"])


def test_an_init_false_field_is_no_input_and_no_output() -> None:
    assert "made" not in input_type(schema_of(taking(Counted)), "CountedInput").fields
    with pytest.raises(RegistryError, match=r"Counted\.made: init=False"):
        schema_of(giving(Counted))


def input_type(schema: Schema, name: str) -> GraphQLInputObjectType:
    found = schema._schema.type_map[name]
    assert isinstance(found, GraphQLInputObjectType)
    return found


# Names that clash ----------------------------------------------------------------------------------------------------


def class_named(name: str, module: str = "a_module") -> type:
    cls = dataclasses.make_dataclass(name, [("x", int)])
    cls.__module__ = module
    return cls


@pytest.mark.parametrize("name", sorted({*reserved_names(), "Date", "Duration", "Decimal", "UUID"}))
def test_a_class_named_as_a_type_of_the_platform_is_refused_with_both_origins(name: str) -> None:
    if not name.startswith("__"):
        with pytest.raises(
            RegistryError, match=rf"a_module\.{name} and dask-graphql itself both need the GraphQL name '{name}'"
        ):
            schema_of(giving(class_named(name)))


def test_the_platforms_names_are_those_of_its_schema() -> None:
    assert {"Task", "Query", "Mutation", "Submission", "PageInfo", "TaskOutput", "SubmitOptions", "Int"} <= (
        reserved_names()
    )


def test_two_classes_of_one_name_are_refused_with_both_origins() -> None:
    one, other = class_named("Thing", "one"), class_named("Thing", "other")
    with pytest.raises(
        RegistryError, match=r"(one\.Thing and other|other\.Thing and one).* both need the GraphQL name 'Thing'"
    ):
        schema_of(giving(one, "gives_one"), giving(other, "gives_other"))
    with pytest.raises(RegistryError, match="both need the GraphQL name 'ThingInput'"):
        schema_of(taking(one, "takes_one"), taking(other, "takes_other"))


def test_two_classes_of_one_name_in_one_place_are_refused_too() -> None:
    with pytest.raises(RegistryError, match="both need the GraphQL name 'Thing'"):
        schema_of(giving(class_named("Thing"), "gives_one"), giving(class_named("Thing"), "gives_other"))


@pytest.mark.parametrize(
    ("task_types", "name"),
    [
        (lambda: (taking(int, "a_1"), taking(int, "a1")), "A1Result"),
        (lambda: (taking(int, "grab"), taking(int, "grab_many")), "submitGrabMany"),
        (lambda: (taking(class_named("Grab"), "grab"),), "GrabInput"),
        (lambda: (giving(int, "grab"), giving(class_named("GrabResult"), "other")), "GrabResult"),
        (lambda: (taking(Literal["a"], "grab"), giving(class_named("GrabThing"), "other")), "GrabThing"),
    ],
)
def test_names_that_become_one_in_graphql_are_refused(task_types: Any, name: str) -> None:
    # The functions of one test have one origin, as those of two modules would not.
    ready = [dataclasses.replace(item, function=renamed(item)) for item in task_types()]
    with pytest.raises(RegistryError, match=f".* and .* both need the GraphQL name '{name}'; rename one"):
        schema_of(*ready)


def renamed(task_type: TaskType) -> Any:
    def function() -> None: ...

    function.__qualname__ = task_type.name
    return function


def test_one_class_may_be_input_and_output_of_many_tasks() -> None:
    cls = class_named("Thing")
    schema = schema_of(taking(cls, "takes_one"), taking(list[cls], "takes_two"), giving(cls, "gives_one"))  # type: ignore[valid-type]
    assert isinstance(schema._schema.type_map["Thing"], GraphQLObjectType)
    assert isinstance(schema._schema.type_map["ThingInput"], GraphQLInputObjectType)


# Descriptions --------------------------------------------------------------------------------------------------------


class Bounded(BaseModel):
    share: Annotated[float, Field(gt=0, lt=1)] | None = None
    names: list[Annotated[str, Field(min_length=1, pattern="^[A-Z]")]] = Field(max_length=3, description="Who.")
    big: Annotated[BigInt, Field(multiple_of=3)] = 3
    table: dict[str, int] = Field(default_factory=dict)


def test_descriptions_of_input_fields_have_bounds_and_defaults_that_graphql_cannot_express() -> None:
    printed = print_type(input_type(schema_of(taking(Bounded)), "BoundedInput"))
    for words in (
        "More than 0, less than 1.",
        "Who. Length at most 3, each item length at least 1, matches `^[A-Z]`.",
        "A multiple of 3.",
        "If omitted, the task computes a default.",
    ):
        assert words in printed


# One set of task types, one text --------------------------------------------------------------------------------------

PRINT = """
import sys
from cluster.task_types.registry import load_registry
from graphql_api.schema.builder import make_schema
print(make_schema(load_registry(sys.argv[1:])).as_str())
"""
MODULES = ("tests.task_modules.odd", "tests.task_modules.samples")


@pytest.mark.slow
def test_the_text_does_not_depend_on_hash_seed_process_or_order_of_modules() -> None:
    texts = set()
    for seed, modules in (("1", MODULES), ("2", MODULES[::-1]), ("77", MODULES)):
        done = subprocess.run(
            [sys.executable, "-c", PRINT, *modules],
            env={**os.environ, "PYTHONHASHSEED": seed}, cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        texts.add(done.stdout)
    assert len(texts) == 1
