"""Task types with every kind of type that a task may declare, for the tests of the schema."""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import uuid
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, NewType, TypeVar

import annotated_types
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from dask_graphql import BigInt, Graph, result_field, task

T = TypeVar("T")
Metres = NewType("Metres", float)
Share = Annotated[float, annotated_types.Interval(ge=0, le=1)]


class Tint(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Mood(enum.StrEnum):
    CALM = "calm-ish"
    WILD = "wild"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is."""

    x_axis: int
    y_axis: Annotated[int, Field(le=100)] = 3
    tags: list[str] = field(default_factory=list)
    colour: Tint = Tint.BLUE


@dataclass(frozen=True)
class Landmark(Place):
    """A place with a name."""

    label: str = "here"


class Branch(BaseModel):
    """A tree."""

    model_config = ConfigDict(frozen=True)

    value: int
    children: list[Branch] = Field(default_factory=list, max_length=3)
    parent: Branch | None = None


class Person(BaseModel):
    full_name: Annotated[str, Field(alias="fullName", min_length=1)]
    age_in_years: int = Field(default=30, alias="AGE", ge=0)
    made_on: datetime.date = Field(default_factory=lambda: datetime.date(2026, 1, 31))


class Employee(Person):
    boss: Person | None = None
    home: Place = Place(1)


class Page(BaseModel, Generic[T]):
    items: list[T]
    next_page: int | None = None


@dataclass
class Everything:
    """One field of each kind."""

    flag: bool
    count: int
    big: BigInt
    share: float
    text: str
    at: datetime.datetime
    day: datetime.date
    hour: datetime.time
    span: datetime.timedelta
    price: decimal.Decimal
    key: uuid.UUID
    colour: Tint
    size: Size
    mood: Mood
    mode: Literal["fast", "slow"]
    grid: list[list[int]]
    unique: set[int]
    frozen: frozenset[str]
    row: tuple[float, ...]
    table: dict[str, BigInt]
    anything: Any
    place: Place
    maybe: Place | None = None


@task
def echo_everything(
    flag: bool,
    count: int,
    big: BigInt,
    share: float,
    text: str,
    at: datetime.datetime,
    day: datetime.date,
    hour: datetime.time,
    span: datetime.timedelta,
    price: decimal.Decimal,
    key: uuid.UUID,
    colour: Tint,
    size: Size,
    mood: Mood,
    mode: Literal["fast", "slow"],
    grid: list[list[int]],
    unique: set[int],
    frozen: frozenset[str],
    row: tuple[float, ...],
    table: dict[str, BigInt],
    anything: Any,
    place: Place,
    maybe: Place | None = None,
) -> Everything:
    """Gives back what it was given."""
    assert isinstance(place, Place)
    assert isinstance(span, datetime.timedelta)
    assert isinstance(unique, set)
    return Everything(
        flag, count, big, share, text, at, day, hour, span, price, key, colour, size, mood, mode, grid, unique, frozen,
        row, table, anything, place, maybe,
    )  # fmt: skip


@dataclass
class Defaults:
    told: str


@task
def take_defaults(
    number: int = 7,
    big: BigInt = 2**60,
    share: float = 0.5,
    text: str = 'a "quoted" text',
    colour: Tint = Tint.RED,
    mood: Mood = Mood.CALM,
    mode: Literal["fast", "slow"] = "slow",
    nothing: int | None = None,
    must_say: int | None = 4,
    numbers: list[int] = [1, 2],  # noqa: B006 - a default is never changed here
    words: frozenset[str] = frozenset({"c", "a", "b"}),
    grid: list[list[float]] = [[1.5], []],  # noqa: B006
    table: dict[str, int] = {"a": 1},  # noqa: B006
    place: Place = Place(1, tags=["t"]),
    places: tuple[Place, ...] = (Place(2),),
    node: Branch = Branch(value=1, children=[Branch(value=2)]),  # noqa: B008
    person: Person = Person.model_validate({"fullName": "Ada"}),  # noqa: B008
    at: datetime.datetime = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC),
    span: datetime.timedelta = datetime.timedelta(hours=1.5),
    price: decimal.Decimal = decimal.Decimal("1.10"),
    key: uuid.UUID = uuid.UUID(int=1),  # noqa: B008
) -> Defaults:
    """Tells what it was called with."""
    return Defaults(
        repr((number, big, share, text, colour, mood, mode, nothing, must_say, numbers, sorted(words), grid, table,
              place, places, node.children[0].value, person.full_name, at, span, price, key))
    )  # fmt: skip


@task
def check_bounds(
    max_depth: Annotated[int, Field(ge=1, le=10)] = 1,
    share: Share = 0.5,
    even: Annotated[int, annotated_types.MultipleOf(2)] | None = None,
    code: Annotated[str, Field(pattern="^[A-Z]{2}$", description="A country.")] = "DE",
    items: Annotated[list[Annotated[int, Field(gt=0)]], annotated_types.Len(1, 3)] = [1],  # noqa: B006
    place: Place = Place(0),
    table: dict[str, Annotated[int, Field(lt=5)]] | None = None,
    large: Annotated[BigInt, Field(le=10**12)] = 0,
    length: Metres = Metres(1.0),
) -> int:
    """Has bounds of every kind."""
    return max_depth


@task
def grow(node: Branch, depth: Annotated[int, Field(ge=0, le=20)] = 1) -> Branch:
    """A type that holds itself, in and out."""
    return Branch(value=node.value + depth, children=[node], parent=None)


@task
def employ(employee: Employee) -> Employee:
    """Aliases, inheritance and nested models, in and out."""
    return employee.model_copy(update={"boss": Person.model_validate({"fullName": "Grace", "AGE": 40})})


@task
def list_places(count: int) -> Page[Place]:
    """A generic model."""
    return Page[Place](items=[Place(i) for i in range(count)], next_page=None)


@task
def list_landmarks(count: int) -> list[Landmark]:
    """A list is wrapped; its items are dataclasses."""
    return [Landmark(i) for i in range(count)]


@task
def find_place(x_axis: int) -> Place:
    """One output type inherits from another: this is the parent."""
    return Place(x_axis)


@task
def find_landmark(x_axis: int) -> Landmark:
    """One output type inherits from another: this is the child."""
    return Landmark(x_axis, label="there")


@task
def pick_mode(mode: Literal["fast", "slow"] | None = None) -> Literal["fast", "slow"]:
    """A Literal in and out."""
    return mode or "slow"


@dataclass
class Measured:
    mean: float
    rows: list[list[float]]
    counts: list[int]
    by_name: dict[str, float]
    largest: int

    @result_field
    def row(self, index: Annotated[int, Field(ge=0)], mode: Literal["up", "down"] = "up") -> list[float]:
        """One row, from the top or from the bottom."""
        return self.rows[index if mode == "up" else -1 - index]


@task
def measure(size: int) -> Measured:
    """numpy's values where plain types are declared."""
    rows = np.arange(size * size, dtype=np.float32).reshape(size, size)
    return Measured(
        rows.mean(), rows, rows.sum(axis=0).astype(np.int64), {"std": rows.std()}, np.int64(7)  # type: ignore[arg-type]
    )  # fmt: skip


@task
def measure_list(size: int) -> list[list[float]]:
    """An array where a list is declared."""
    return np.ones((size, size))  # type: ignore[return-value]


@task
def not_a_number(n: int) -> list[float | None]:
    """Floats that JSON does not have: what is missing is null."""
    return [1.0, None, math.nan if n == 0 else math.inf]


@task
def too_large(n: int) -> Page[int]:
    """An int beyond GraphQL's Int."""
    return Page[int](items=[1, 2**31 + n])


@task(input_limit=1_000_000)
def sum_all(values: list[int] | None = None, weights: list[float | None] = []) -> Graph[float]:  # noqa: B006
    """A graph task with lists."""
    import dask

    return dask.delayed(sum)([float(value) for value in values or []])  # type: ignore[no-any-return]


@task
def persisted_total(size: int) -> Graph[float]:
    """A collection whose parts are on the cluster already."""
    import dask.array as da

    return da.ones((size, size), chunks=10).persist().sum()  # type: ignore[no-any-return]


@task
def from_a_future(n: int) -> Graph[int]:
    """A future, for which its own worker must have a thread free."""
    from distributed import get_client

    return get_client().submit(sum, [n, 1], pure=False)  # type: ignore[no-any-return]


@task
def spans(count: int) -> list[datetime.timedelta]:
    """Times of numpy's in nanoseconds."""
    return np.arange(count).astype("m8[s]").astype("m8[ns]")  # type: ignore[return-value]


@dataclass
class Basket:
    """Changes what it is given, once."""

    net: int
    items: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.net *= 2
        self.first = self.items[:1]


@task
def keep(basket: Basket) -> Basket:
    """In and out again."""
    assert basket.first == basket.items[:1]
    return basket
