"""Random signatures: the schema builds, a valid input has the id that a client computes, an invalid one is refused.

The requests go through the whole schema; only the store behind it is replaced, by a fake that records the submissions.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import decimal
import enum
import hashlib
import inspect
import itertools
import uuid
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field, create_model
from strawberry.utils.str_converters import to_camel_case

from cluster.store.tenant_policies import TenantPolicy
from cluster.task_types.registry import Registry, _registered
from cluster.task_types.task_type import Bound
from dask_graphql import BigInt, task
from graphql_api.auth.callers import Caller
from graphql_api.context import Context
from graphql_api.schema.builder import Schema, make_schema
from tests.thoroughness import examples

COUNTER = itertools.count()
INT_32 = st.integers(-(2**31), 2**31 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    # A whole float of more than 53 bits is written as an integer by RFC 8785, and read as another number.
    st.none() | st.booleans() | INT_32 | TEXT | st.floats(-1e15, 1e15),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
WRONG: tuple[Any, ...] = ({"no": "such"}, [[["x"]]], "\u0000?", 1.5, 2**40, -1, "", True, None, 10**5000)
REFUSALS = {"BAD_INPUT", "GRAPHQL_VALIDATION_FAILED"}


class Hue(enum.Enum):
    RED = "r-e-d"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclass(frozen=True)
class Kind:
    """An annotation; `values` makes pairs of what a client sends and what the canonical input has."""

    annotation: Any
    graphql: str
    values: st.SearchStrategy[tuple[Any, Any]]


def same(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    return strategy.map(lambda value: (value, value))


def canonical_integer(value: int) -> Any:
    return value if abs(value) <= 2**53 else str(value)


def zulu(moment: datetime.datetime) -> tuple[str, str]:
    text = moment.isoformat()
    return text, text.replace("+00:00", "Z")


LEAVES = [
    Kind(bool, "Boolean!", same(st.booleans())),
    Kind(int, "Int!", same(INT_32)),
    Kind(Annotated[int, Field(ge=-5, lt=5)], "Int!", same(st.integers(-5, 4))),
    Kind(float, "Float!", same(st.floats(allow_nan=False, allow_infinity=False))),
    Kind(str, "String!", same(TEXT)),
    Kind(Annotated[str, Field(min_length=1, max_length=3)], "String!", same(st.text("abc", min_size=1, max_size=3))),
    Kind(BigInt, "BigInt!", st.integers().map(lambda value: (str(value), canonical_integer(value)))),
    Kind(Hue, "Hue!", st.sampled_from([("RED", "r-e-d"), ("BLUE", "blue")])),
    Kind(Level, "Level!", st.sampled_from([("LOW", 1), ("HIGH", 2)])),
    Kind(uuid.UUID, "UUID!", same(st.uuids().map(str))),
    Kind(datetime.date, "Date!", same(st.dates().map(lambda day: day.isoformat()))),
    Kind(datetime.datetime, "DateTime!", st.datetimes(timezones=st.just(datetime.UTC)).map(zulu)),
    Kind(decimal.Decimal, "Decimal!", same(st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str))),
    Kind(datetime.timedelta, "Duration!", same(st.integers(1, 59).map(lambda minutes: f"PT{minutes}M"))),
    Kind(dict[str, int], "JSON!", same(st.dictionaries(TEXT, INT_32, max_size=3))),
    Kind(Any, "JSON!", same(JSON.filter(lambda value: value is not None))),
]


def lists_of(kind: Kind) -> Kind:
    values = st.lists(kind.values, max_size=3).map(lambda pairs: ([a for a, _ in pairs], [b for _, b in pairs]))
    return Kind(list[kind.annotation], f"[{kind.graphql}]!", values)  # type: ignore[name-defined]


def optional(kind: Kind) -> Kind:
    if kind.graphql[-1] != "!":
        return kind
    return Kind(kind.annotation | None, kind.graphql[:-1], kind.values | st.just((None, None)))


def record_class(name: str, fields: dict[str, Kind], model: bool) -> Any:
    """A pydantic model with aliases, or a dataclass with slots."""
    if model:
        aliased: Any = {key: (kind.annotation, Field(alias=f"A{key}")) for key, kind in fields.items()}
        return create_model(name, __module__=__name__, **aliased)
    made: Any = dataclasses.make_dataclass(name, [(key, kind.annotation) for key, kind in fields.items()], slots=True)
    made.__module__ = __name__
    return made


def record_of(kinds: list[Kind], model: bool) -> Kind:
    number = next(COUNTER)
    name = f"Record{number}"
    fields = {f"field_{index}": kind for index, kind in enumerate(kinds)}
    cls = record_class(name, fields, model)
    values = st.fixed_dictionaries({key: kind.values for key, kind in fields.items()}).map(
        lambda pairs: (
            {to_camel_case(key): sent for key, (sent, _) in pairs.items()},
            {key: kept for key, (_, kept) in pairs.items()},
        )
    )
    return Kind(cls, f"{name}Input!", values)


KINDS = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: (
        inner.map(lists_of)
        | inner.filter(lambda kind: kind.annotation is not Any).map(optional)
        | st.builds(record_of, st.lists(inner, min_size=1, max_size=3), st.booleans())
    ),
    max_leaves=4,
)


class Submissions:
    """Keeps the inputs that would be submitted."""

    def __init__(self) -> None:
        self.bound: list[Bound] = []

    async def submit(self, bound: list[Bound], _: object) -> list[Any]:
        self.bound += bound
        return [SimpleNamespace(record=SimpleNamespace(task_id=item.task_id), outcome=None) for item in bound]


def schema_of(kinds: list[Kind]) -> tuple[Schema, Registry, str]:
    name = f"random_{next(COUNTER)}"

    def function() -> int:
        raise NotImplementedError

    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(f"arg_{i}", inspect.Parameter.KEYWORD_ONLY) for i in range(len(kinds))]
    )
    function.__annotations__ = {f"arg_{i}": kind.annotation for i, kind in enumerate(kinds)} | {"return": int}
    task(name=name)(function)
    registry = Registry()
    registry.add(_registered.pop((__name__, name)))
    return make_schema(registry), registry, name


def send(
    schema: Schema, registry: Registry, name: str, kinds: list[Kind], values: list[Any]
) -> tuple[Any, list[Bound]]:
    field = "submitRandom" + name.split("_")[1]
    head = ", ".join(f"$v{i}: {kind.graphql}" for i, kind in enumerate(kinds))
    call = ", ".join(f"arg{i}: $v{i}" for i in range(len(kinds)))
    submissions = Submissions()
    node: Any = SimpleNamespace(
        submissions=submissions,
        registry=registry,
        settings=SimpleNamespace(batch_limit=10, submissions_per_minute=0, input_limit_bytes=65_536),
        policies=SimpleNamespace(of=lambda _: TenantPolicy()),
    )
    response = asyncio.run(
        schema.execute(
            f"mutation({head}) {{ {field}({call}) {{ taskId }} }}",
            variable_values={f"v{i}": value for i, value in enumerate(values)},
            context_value=Context(node=node, known_caller=Caller("test")),
        )
    )
    return response, submissions.bound


SETTINGS = settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))


@SETTINGS
@given(data=st.data(), kinds=st.lists(KINDS, min_size=1, max_size=3))
def test_a_valid_input_has_the_id_that_a_client_computes_from_what_it_sends(data: Any, kinds: list[Kind]) -> None:
    schema, registry, name = schema_of(kinds)
    pairs = [data.draw(kind.values) for kind in kinds]
    response, bound = send(schema, registry, name, kinds, [sent for sent, _ in pairs])
    assert response.errors is None, response.errors
    kept = {f"arg_{i}": value for i, (_, value) in enumerate(pairs)}
    pre_image = rfc8785.dumps({"input": kept, "task": name, "version": "1"})
    [data_of] = response.data.values()
    assert data_of["taskId"] == hashlib.sha256(pre_image).hexdigest()[:32], (bound[0].canonical_input, pre_image)
    task_type = registry[name]
    revived = task_type.read_input(bound[0].canonical_input)
    assert revived == task_type.values(bound[0].model)


def spoiled(value: Any, wrong: Any, where: int) -> Any:
    """A value with one part of it replaced."""
    if isinstance(value, dict) and value and where % 3:
        key = sorted(value)[where % len(value)]
        return {**value, key: spoiled(value[key], wrong, where // 3)}
    if isinstance(value, list) and value and where % 3:
        return [spoiled(value[0], wrong, where // 3), *value[1:]]
    return wrong


@SETTINGS
@given(
    data=st.data(), kinds=st.lists(KINDS, min_size=1, max_size=2), wrong=st.sampled_from(WRONG),
    where=st.integers(0, 100),
)  # fmt: skip
def test_any_other_value_is_accepted_or_refused_and_never_an_internal_error(
    data: Any, kinds: list[Kind], wrong: Any, where: int
) -> None:
    schema, registry, name = schema_of(kinds)
    values = [data.draw(kind.values)[0] for kind in kinds]
    values[0] = spoiled(values[0], wrong, where)
    response, bound = send(schema, registry, name, kinds, values)
    if response.errors is None:
        assert registry[name].read_input(bound[0].canonical_input) is not None
        return
    for error in response.errors:
        assert error.extensions["code"] in REFUSALS, error
        if error.extensions["code"] == "BAD_INPUT" and "canonical" not in error.message:
            assert error.extensions["argument"].startswith("arg0"), error


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_a_literal_and_a_deep_value_of_any_are_accepted_or_refused() -> None:
    kinds = [Kind(Literal["on", "off"], "String!", same(TEXT)), LEAVES[-1]]
    schema, registry, name = schema_of(kinds)
    kinds[0] = Kind(None, f"Random{name.split('_')[1]}Arg0!", same(TEXT))
    response, bound = send(schema, registry, name, kinds, ["on", 1])
    assert (response.errors, bound[0].canonical_input) == (None, b'{"arg_0":"on","arg_1":1}')
    for values in (["maybe", 1], ["on", nested(400)], ["on", nested(5_000)], ["on", "\ud800"]):
        response, _ = send(schema, registry, name, kinds, values)
        assert response.errors is not None
        assert response.errors[0].extensions["code"] in REFUSALS
