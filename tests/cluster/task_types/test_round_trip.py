"""A function gets exactly what was validated, and clients read exactly what it returns; all else is refused."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import itertools
import random
import threading
import warnings
import zoneinfo
from dataclasses import InitVar, dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Json,
    PlainSerializer,
    PrivateAttr,
    StringConstraints,
    WrapValidator,
    computed_field,
    create_model,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)

from cluster.errors import BadInput, RegistryError
from cluster.task_types.registry import _registered
from cluster.task_types.round_trip import difference
from cluster.task_types.task_type import TaskType
from cluster.worker.outcome import Failed, Succeeded, encode
from dask_graphql import BigInt, task

COUNTER = itertools.count()
T = TypeVar("T")


def taking(annotation: Any, checks: Any = None, **default: Any) -> TaskType:
    """A task type of one argument."""

    def function(thing: Any) -> int:
        return 0

    function.__annotations__ = {"thing": annotation, "return": int}
    if default:
        function.__defaults__ = (default["default"],)
    name = f"takes_{next(COUNTER)}"
    task(name=name, checks=checks)(function)
    return _registered[__name__, name]


def giving(annotation: Any) -> TaskType:
    def function(n: int) -> Any: ...

    function.__annotations__["return"] = annotation
    name = f"gives_{next(COUNTER)}"
    task(name=name)(function)
    return _registered[__name__, name]


def got(annotation: Any, sent: Any, **default: Any) -> Any:
    """What the function gets of what a client sent."""
    kind = taking(annotation, **default)
    bound = kind.bind({} if default else {"thing": sent})
    revived = kind.read_input(bound.canonical_input)["thing"]
    validated = kind.values(bound.model)["thing"]
    assert difference(revived, validated) is None
    return revived


def read(annotation: Any, value: Any) -> Any:
    """What an api node reads of what a function returned."""
    kind = giving(annotation)
    made = encode(kind, value, 1_000_000)
    if isinstance(made, Failed):
        raise AssertionError(made.error["message"])
    return kind.output.read(made.result)


# Validators run once --------------------------------------------------------------------------------------------------


class Doubling(BaseModel):
    net: int

    @field_validator("net")
    @classmethod
    def double(cls, net: int) -> int:
        return 2 * net


@dataclass
class Completing:
    """Changes a field, fills one in, and would refuse what it made."""

    n: int
    items: list[int]
    total: int = field(init=False, default=0)
    made: int = field(init=False, default=3)

    def __post_init__(self) -> None:
        self.n += 5
        if self.n > 14:
            raise ValueError("too large")
        self.items.append(len(self.items))
        self.total = sum(self.items)


class Private(BaseModel):
    n: int
    _table: list[int] = PrivateAttr(default_factory=list)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    def model_post_init(self, _: Any) -> None:
        self._table = list(range(self.n))


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    net: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def gross(self) -> int:
        return self.net * 2


class Checked(BaseModel):
    least: int
    most: int

    @model_validator(mode="before")
    @classmethod
    def widen(cls, data: Any) -> Any:
        return {**data, "least": data["least"] - 1} if isinstance(data, dict) else data

    @model_validator(mode="after")
    def order(self) -> Checked:
        self.most += 1
        return self


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 2**60 + 1


class Values(BaseModel):
    model_config = ConfigDict(use_enum_values=True, str_strip_whitespace=True)
    colour: Colour
    level: Level = Level.HIGH
    name: str = ""


RED: Any = "red"
VALUES = Values(colour=RED, name=" a ")


@dataclass
class AnyAndHook:
    value: Any

    def __post_init__(self) -> None:
        self.more = 1


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    table: dict[str, int]
    colours: set[Colour]
    at: datetime.datetime


@pytest.mark.parametrize(
    ("annotation", "sent", "expected"),
    [
        (Doubling, {"net": 10}, Doubling.model_construct(net=20)),
        (list[Doubling], [{"net": 1}], [Doubling.model_construct(net=2)]),
        (dict[str, Doubling | None], {"a": {"net": 1}, "b": None}, {"a": Doubling.model_construct(net=2), "b": None}),
        (Annotated[int, AfterValidator(lambda v: v + 1)], 5, 6),
        (Annotated[int, Field(le=10), AfterValidator(lambda v: v * 2)], 8, 16),
        (Annotated[str, BeforeValidator(lambda v: v + "!")], "1,2", "1,2!"),
        (Annotated[str, WrapValidator(lambda v, handler: handler(v) + "?")], "a", "a?"),
        (Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(lambda v: f" {v} ")], "  a", " a "),
        (Annotated[list[int], AfterValidator(sorted), AfterValidator(lambda v: v[1:])], [3, 1, 2], [2, 3]),
        (Checked, {"least": 1, "most": 2}, Checked.model_construct(least=0, most=3)),
        (Computed, {"net": 3}, Computed(net=3)),
        (Values, {"colour": "red", "name": " a "}, VALUES),
        (
            Strict, {"table": {"a": 2**60}, "colours": ["red"], "at": "2026-01-01T00:00:00Z"},
            Strict(table={"a": 2**60}, colours={Colour.RED}, at=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)),
        ),
    ],
)  # fmt: skip
def test_the_function_gets_what_was_validated_once(annotation: Any, sent: Any, expected: Any) -> None:
    assert difference(got(annotation, sent), expected) is None


def test_a_default_is_validated_once_too() -> None:
    assert got(Annotated[int, AfterValidator(lambda v: v + 1)], None, default=5) == 6


def test_a_post_init_changes_the_fields_once() -> None:
    thing = got(Completing, {"n": 8, "items": [7]})
    assert dataclasses.asdict(thing) == {"n": 13, "items": [7, 1], "total": 8, "made": 3}


def test_attributes_of_a_model_that_are_not_fields_are_there() -> None:
    thing = got(Private, {"n": 3})
    assert (thing._table, thing._lock.locked()) == ([0, 1, 2], False)


@dataclass
class Derived:
    n: int

    def __post_init__(self) -> None:
        self.source = random.Random(self.n)
        self.root = self.n**0.5


@dataclass
class Remembering:
    n: int

    def __post_init__(self) -> None:
        self.given = self.n
        self.n *= 2


@dataclass
class Unfilled:
    n: int
    rest: int = field(init=False)

    def __post_init__(self) -> None:
        self.n += 1
        self.rest = self.n


class Hidden(BaseModel):
    n: int
    _seen: int = PrivateAttr(default=0)

    @model_validator(mode="after")
    def note(self) -> Hidden:
        self._seen = self.n
        return self


def test_attributes_that_a_post_init_derives_from_the_fields_are_there() -> None:
    thing = got(Derived, {"n": 9})
    assert (thing.root, thing.source.random()) == (3.0, random.Random(9).random())


@pytest.mark.parametrize(
    ("annotation", "sent", "place"),
    [
        (Remembering, {"n": 9}, "thing.given"),
        (Hidden, {"n": 9}, "thing._seen"),
        (Unfilled, {"n": 9}, "thing.rest"),
        (list[Hidden], [{"n": 0}, {"n": 9}], r"thing\[1\]._seen"),
        (Annotated[Any, AfterValidator(lambda v: range(v))], 3, "thing"),
        (Annotated[int, AfterValidator(float), AfterValidator(lambda v: v / 2)], 3, "thing"),
        (Annotated[tuple[int, ...], AfterValidator(list)], [3], "thing"),
        (Annotated[datetime.datetime, AfterValidator(lambda v: v.date())], "2026-01-01T00:00:00", "thing"),
    ],
)
def test_a_value_that_json_cannot_express_is_refused_with_the_path(annotation: Any, sent: Any, place: str) -> None:
    with pytest.raises(BadInput, match=f"{place}|has no JSON form"):
        taking(annotation).bind({"thing": sent})


# Refused at start -----------------------------------------------------------------------------------------------------


class Excluded(BaseModel):
    item: str
    count: int = Field(default=1, exclude=True)


class Deep(BaseModel):
    orders: list[Excluded]


class Written(BaseModel):
    at: datetime.date

    @field_serializer("at")
    def day_first(self, at: datetime.date) -> str:
        return at.strftime("%d/%m/%Y")


class WrittenWhole(BaseModel):
    n: int

    @model_serializer
    def as_text(self) -> str:
        return str(self.n)


with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)

    class Encoders(BaseModel):
        model_config = ConfigDict(json_encoders={datetime.date: lambda day: day.strftime("%d/%m/%Y")})
        at: datetime.date


@dataclass
class Seeded:
    n: int
    seed: InitVar[int] = 5


@pytest.mark.parametrize("make", [taking, giving])
@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Excluded, "Excluded.count: a field with exclude=True"),
        (Deep, "Excluded.count: a field with exclude=True"),
        (Annotated[str, PlainSerializer(lambda v: "***")], "a custom serializer"),
        (list[Annotated[str, PlainSerializer(lambda v: "***", when_used="json")]], "a custom serializer"),
        (Written, "Written.at: a custom serializer"),
        (WrittenWhole, "a custom serializer"),
        (Encoders, "Encoders.at: a custom serializer"),
        (Json[list[int]], "declare the type that it contains"),
    ],
)
def test_a_type_whose_values_do_not_survive_json_is_refused_at_start(make: Any, annotation: Any, words: str) -> None:
    with pytest.raises(RegistryError, match=words) as caught:
        make(annotation)
    assert f"test_round_trip.{make.__name__}" in str(caught.value), "the message says where"
    assert make is giving or "thing" in str(caught.value) or "." in words or annotation is WrittenWhole


def test_an_init_var_is_refused_as_an_argument_and_does_not_matter_in_a_result() -> None:
    with pytest.raises(RegistryError, match=r"Seeded\.seed: an InitVar is not a field"):
        taking(Seeded)
    assert read(Seeded, Seeded(3, seed=4)) == Seeded(3)


@pytest.mark.parametrize(
    ("annotation", "default"),
    [
        (datetime.time, datetime.time(12, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))),
        (Any, {1, 2}),
        (Any, (1, 2)),
        (datetime.datetime, datetime.datetime(1900, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Amsterdam"))),
    ],
)
def test_a_default_that_does_not_survive_json_is_refused_at_start(annotation: Any, default: Any) -> None:
    with pytest.raises(RegistryError, match="default"):
        taking(annotation, default=default)


# Code of the author's that raises -------------------------------------------------------------------------------------


@dataclass
class Raising:
    what: str

    def __post_init__(self) -> None:
        if self.what == "ZeroDivisionError":
            raise ZeroDivisionError("no size")
        raise {"TypeError": TypeError, "KeyError": KeyError, "ValueError": ValueError}[self.what]("no size")


@pytest.mark.parametrize("name", ["TypeError", "KeyError", "ZeroDivisionError", "ValueError"])
def test_any_exception_of_a_post_init_refuses_the_input(name: str) -> None:
    with pytest.raises(BadInput, match="no size") as caught:
        taking(Raising).bind({"thing": {"what": name}})
    assert name == "ValueError" or f"raised {name} in Raising.__post_init__" in str(caught.value)


@pytest.mark.parametrize("error", [ValueError, AssertionError])
def test_a_check_may_refuse_an_input_with_a_value_error(error: type[Exception]) -> None:
    def check(thing: int) -> None:
        raise error("only on Sundays")

    with pytest.raises(BadInput, match=r"takes_\d+: only on Sundays"):
        taking(int, checks=check).bind({"thing": 3})


def test_another_error_of_a_check_is_not_the_clients() -> None:
    def check(thing: int) -> None:
        raise LookupError("its table is gone")

    with pytest.raises(LookupError):
        taking(int, checks=check).bind({"thing": 3})


# Outputs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Doubling, Doubling(net=10)),
        (Computed, Computed(net=10)),
        (Checked, Checked(least=1, most=2)),
        (list[Doubling], [Doubling(net=10)]),
        (list[Checked], [Checked(least=1, most=2)]),
        (Derived, Derived(9)),
        (Remembering, Remembering(9)),
        (Private, Private(n=2)),
        (Values, Values(colour=Colour.RED)),
        (Completing, Completing(1, [2])),
    ],
)
def test_a_result_is_read_as_it_was_returned(annotation: Any, value: Any) -> None:
    assert difference(read(annotation, value), value, is_input=False) is None


def test_a_result_that_its_own_validator_would_refuse_can_still_be_read() -> None:
    assert read(Completing, Completing(9, [])).n == 14


def test_a_whole_float_beyond_53_bits_stays_that_float_in_any_json() -> None:
    number = 1.2345678901234567e20
    thing = got(Any, {"a": [number, 1.5, 3, "x"]})
    assert thing == {"a": [number, 1.5, 3, "x"]}
    assert isinstance(thing["a"][0], float)


@pytest.mark.parametrize("annotation", [Any, list[Any], dict[str, Any], AnyAndHook])
def test_a_whole_number_of_a_result_stays_one_in_any_json(annotation: Any) -> None:
    value: Any = {"a": 2**60, "b": 1e20}
    if annotation is AnyAndHook:
        assert read(annotation, AnyAndHook(value)).value == value
        return
    value = [value] if annotation == list[Any] else value
    found = read(annotation, value)
    assert difference(found, value, is_input=False) is None
    assert isinstance((found[0] if annotation == list[Any] else found)["a"], int)


# Random types ---------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
INT = st.integers(-(2**31), 2**31 - 1)
MOMENTS = st.datetimes(
    timezones=st.sampled_from([datetime.UTC, datetime.timezone(datetime.timedelta(hours=-5, minutes=-30))])
)
MOST = datetime.timedelta(days=10_000)
LEAVES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (bool, st.booleans()),
    (int, INT),
    (BigInt, st.integers()),
    (float, st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)),
    (str, TEXT),
    (datetime.datetime, MOMENTS | st.datetimes()),
    (datetime.date, st.dates()),
    (datetime.time, st.times()),
    (datetime.timedelta, st.timedeltas()),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (UUID, st.uuids()),
    (Colour, st.just(Colour.RED)),
    (Level, st.just(Level.HIGH)),
    (Literal["on", "off"], st.sampled_from(["on", "off"])),
    (Annotated[int, Field(ge=0, le=10)], st.integers(0, 10)),
    (Annotated[int, Field(le=10), AfterValidator(lambda v: v * 2)], st.integers(-10, 10)),
    (Annotated[str, BeforeValidator(lambda v: v + "!")], TEXT),
    (Annotated[BigInt, AfterValidator(lambda v: v + 1)], st.integers()),
    (Annotated[float, AfterValidator(lambda v: v / 3)], st.floats(-1e9, 1e9)),
    (Annotated[Decimal, AfterValidator(lambda v: v + 1)], st.decimals(-1000, 1000, places=2)),
    (Annotated[datetime.timedelta, AfterValidator(lambda v: v * 2)], st.timedeltas(-MOST, MOST)),
    (Any, st.none() | INT | TEXT | st.floats(-1e15, 1e15) | st.lists(INT | TEXT, max_size=2)),
]  # fmt: skip
HASHABLE = [leaf for leaf in LEAVES if leaf[0] in (bool, int, str, BigInt, UUID, datetime.date, Colour, Decimal)]


class Page(BaseModel, Generic[T]):
    items: list[T]


def list_of(kind: Any) -> Any:
    return list[kind[0]], st.lists(kind[1], max_size=3)


def tuple_of(kind: Any) -> Any:
    return tuple[kind[0], ...], st.lists(kind[1], max_size=3).map(tuple)


def set_of(kind: Any) -> Any:
    return set[kind[0]], st.sets(kind[1], max_size=3)


def dict_of(key: Any, kind: Any) -> Any:
    return dict[key[0], kind[0]], st.dictionaries(key[1], kind[1], max_size=3)


def optional(kind: Any) -> Any:
    return kind[0] | None, st.none() | kind[1]


def page_of(kind: Any) -> Any:
    page = Page[kind[0]]
    return page, st.lists(kind[1], max_size=2).map(lambda items: page.model_construct(items=items))


def model_class(name: str, fields: dict[str, Any], style: str) -> Any:
    def again(self: Any) -> Any:
        self.times += 1
        return self

    declared: dict[str, Any] = {key: (kind[0], ...) for key, kind in fields.items()}
    if style == "model":
        return create_model(name, **declared)
    hook: Any = model_validator(mode="after")(again)
    return create_model(name, __validators__={"again": hook}, times=(int, 0), **declared)


def dataclass_class(name: str, fields: dict[str, Any], style: str) -> Any:
    items: list[Any] = [(key, kind[0]) for key, kind in fields.items()]
    namespace: dict[str, Any] = {}
    if style == "hooked dataclass":
        items.append(("times", int, field(default=0)))

        def complete(self: Any) -> None:
            self.times += 1

        namespace["__post_init__"] = complete
    return dataclasses.make_dataclass(
        name, items, namespace=namespace, slots=style == "slots", frozen=style == "frozen"
    )


def record_of(kinds: list[Any], style: str) -> Any:
    """A dataclass or a model; some count, in a hook of theirs, how often they were completed."""
    name = f"Made{next(COUNTER)}"
    fields = {f"field_{index}": kind for index, kind in enumerate(kinds)}

    cls = model_class(name, fields, style) if "model" in style else dataclass_class(name, fields, style)
    values = st.fixed_dictionaries({key: kind[1] for key, kind in fields.items()})

    def make(chosen: dict[str, Any]) -> Any:
        if issubclass(cls, BaseModel):
            return cls.model_construct(**chosen)
        made = object.__new__(cls)
        for key, value in {**chosen, **({"times": 0} if style == "hooked dataclass" else {})}.items():
            object.__setattr__(made, key, value)
        return made

    return cls, values.map(make)


STYLES = ["model", "hooked model", "dataclass", "hooked dataclass", "slots", "frozen"]
KINDS: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: (
        inner.map(list_of)
        | inner.map(tuple_of)
        | st.sampled_from(HASHABLE).map(set_of)
        | st.builds(dict_of, st.sampled_from(HASHABLE), inner)
        | inner.filter(lambda kind: kind[0] is not Any).map(optional)
        | inner.map(page_of)
        | st.builds(record_of, st.lists(inner, min_size=1, max_size=3), st.sampled_from(STYLES))
    ),
    max_leaves=4,
)


def jsonable(value: Any) -> Any:
    """What a client sends of a value: by its fields, with no validator of anybody's."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, BaseModel):
        return {name: jsonable(getattr(value, name)) for name in type(value).model_fields if hasattr(value, name)}
    if dataclasses.is_dataclass(value):
        return {item.name: jsonable(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    return value


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), kind=KINDS)
def test_an_input_of_any_type_reaches_the_function_as_it_was_validated(data: Any, kind: Any) -> None:
    annotation, values = kind
    task_type = taking(annotation)
    bound = task_type.bind({"thing": jsonable(data.draw(values))})
    validated = task_type.values(bound.model)["thing"]
    assert difference(task_type.read_input(bound.canonical_input)["thing"], validated) is None


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), kind=KINDS)
def test_an_output_of_any_type_is_read_as_it_was_returned(data: Any, kind: Any) -> None:
    annotation, values = kind
    task_type = giving(annotation)
    value = data.draw(values)
    made = encode(task_type, value, 1_000_000)
    assert isinstance(made, Succeeded), made
    # A plain list or dict is validated as it is returned, once.
    whole = dataclasses.is_dataclass(value) or isinstance(value, BaseModel)
    returned = value if whole else task_type.output.validate(value)
    assert difference(task_type.output.read(made.result), returned, is_input=False) is None


# Types that hold themselves -------------------------------------------------------------------------------------------


class Tree(BaseModel):
    value: int
    children: list[Tree] = []
    best: Tree | None = None

    @field_validator("value")
    @classmethod
    def add_one(cls, value: int) -> int:
        return value + 1


@dataclass
class Chain:
    value: int
    rest: Chain | None = None

    def __post_init__(self) -> None:
        self.value *= 2
        self.length: int = 1 + (self.rest.length if self.rest else 0)


def test_a_type_that_holds_itself_is_validated_once_at_every_depth() -> None:
    tree = got(Tree, {"value": 1, "children": [{"value": 2, "best": {"value": 3}}]})
    assert (tree.value, tree.children[0].value, tree.children[0].best.value) == (2, 3, 4)
    chain = got(Chain, {"value": 1, "rest": {"value": 2}})
    assert (chain.value, chain.rest.value, chain.length) == (2, 4, 2)
    for value in (tree, chain):
        assert difference(read(type(value), value), value, is_input=False) is None
