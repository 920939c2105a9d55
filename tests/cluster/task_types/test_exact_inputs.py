"""Numbers and times of a request, as literals and variables: exact in the input, or refused with the path."""

from __future__ import annotations

import asyncio
import datetime
import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from graphql import GraphQLInputObjectType
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from cluster.store.tenant_policies import TenantPolicy
from cluster.task_types.registry import Registry, _registered
from cluster.task_types.task_type import Bound
from dask_graphql import task
from graphql_api.auth.callers import Caller
from graphql_api.context import Context
from graphql_api.schema.builder import Schema, make_schema
from tests.cluster.task_types.test_random_task_types import Submissions


@dataclass(frozen=True)
class Point:
    x: float
    names: tuple[str, ...] = ()


class Model(BaseModel):
    x: float
    table: dict[str, float] = {}
    extra: Any = None


def exact(
    thing: Any = None,
    span: datetime.timedelta | None = None,
    at: datetime.datetime | None = None,
    hour: datetime.time | None = None,
    model: Model | None = None,
    points: set[Point] | None = None,
    table: dict[str, float] | None = None,
    values: list[float] | None = None,
) -> int:
    return 0


class Api:
    def __init__(self) -> None:
        task(name="exact")(exact)
        self.registry = Registry()
        self.registry.add(_registered[__name__, "exact"])
        self.schema: Schema = make_schema(self.registry)

    def submit(self, arguments: str, variables: Any = None, head: str = "") -> Bound | dict[str, Any]:
        """What is submitted, or the error."""
        submissions = Submissions()
        node: Any = SimpleNamespace(
            submissions=submissions, registry=self.registry, policies=SimpleNamespace(of=lambda _: TenantPolicy()),
            settings=SimpleNamespace(batch_limit=10, submissions_per_minute=0, input_limit_bytes=65_536),
        )  # fmt: skip
        response = asyncio.run(
            self.schema.execute(
                f"mutation{head} {{ submitExact({arguments}) {{ taskId }} }}",
                variable_values=variables, context_value=Context(node=node, known_caller=Caller("test")),
            )
        )  # fmt: skip
        if response.errors:
            return {"message": response.errors[0].message, **(response.errors[0].extensions or {})}
        bound: Bound = submissions.bound[0]
        return bound


@pytest.fixture(scope="module")
def api() -> Api:
    return Api()


@pytest.mark.parametrize(
    ("arguments", "variables", "head", "place"),
    [
        ("thing: 1e400", None, "", "thing"),
        ("thing: {b: [1, -1e400]}", None, "", 'thing["b"][1]'),
        ("thing: $it", {"it": float("nan")}, "($it: JSON)", "thing"),
        ("thing: $it", {"it": {"a": [float("inf")]}}, "($it: JSON)", 'thing["a"][0]'),
        ("thing: [{c: $it}]", {"it": [float("nan")]}, "($it: JSON)", 'thing[0]["c"][0]'),
        ("table: $it", {"it": {"a": float("inf")}}, "($it: JSON)", 'table["a"]'),
        ("table: {a: \"nan\"}", None, "", 'table["a"]'),
        ("values: [1, 1e400]", None, "", "values[1]"),
        ("model: {x: 1e400}", None, "", "model.x"),
        ("model: {x: 1, table: {a: \"inf\"}}", None, "", 'model.table["a"]'),
        ("model: {x: 1, extra: [1e400]}", None, "", "model.extra[0]"),
    ],
)  # fmt: skip
def test_a_number_that_json_lacks_is_bad_input_with_its_path_and_never_null(
    api: Api, arguments: str, variables: Any, head: str, place: str
) -> None:
    refused = api.submit(arguments, variables, head)
    assert isinstance(refused, dict), refused
    assert (refused["code"], refused["argument"]) == ("BAD_INPUT", place)


@pytest.mark.parametrize(
    "arguments",
    [
        'span: "PT0.0000019S"', "span: 1e-7", "span: 0.3333333333", 'at: "2026-01-01T00:00:00.123456789Z"',
        'hour: "00:00:00.0000001"',
    ],
)  # fmt: skip
def test_a_time_more_precise_than_a_microsecond_is_refused(api: Api, arguments: str) -> None:
    refused = api.submit(arguments)
    assert isinstance(refused, dict), refused
    assert refused["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert "a time has a resolution of a microsecond" in refused["message"]


@pytest.mark.parametrize(
    ("arguments", "name", "written"),
    [
        ('span: "PT0.100000000S"', "span", "PT0.1S"),
        ("span: 0.1", "span", "PT0.1S"),
        ("span: 5400", "span", "PT1H30M"),
        ('at: "2026-01-01T00:00:00.1234560Z"', "at", "2026-01-01T00:00:00.123456Z"),
        ('hour: "00:00:00.100000"', "hour", "00:00:00.100000"),
        ("thing: 123456789012345670000.0", "thing", 123456789012345670000),
        ('points: [{x: 2, names: ["b"]}, {x: 1}]', "points", [{"names": ["b"], "x": 2}, {"names": [], "x": 1}]),
    ],
)
def test_a_value_that_json_can_express_is_accepted_unchanged(api: Api, arguments: str, name: str, written: Any) -> None:
    bound = api.submit(arguments)
    assert isinstance(bound, Bound), bound
    assert json.loads(bound.canonical_input)[name] == written


@settings(max_examples=50, deadline=None)
@given(microseconds=st.integers(-(10**15), 10**15))
def test_a_number_of_seconds_is_that_many_microseconds(api: Api, microseconds: int) -> None:
    from graphql_api.schema.scalars import _parse_duration

    seconds = microseconds / 1e6
    kind = api.registry["exact"]
    bound = kind.bind({"span": _parse_duration(seconds)})
    assert kind.read_input(bound.canonical_input)["span"] == datetime.timedelta(microseconds=microseconds)


def test_any_json_with_none_as_its_default_may_be_null_and_left_out(api: Api) -> None:
    assert api.schema._schema.mutation_type is not None
    argument = api.schema._schema.mutation_type.fields["submitExact"].args["thing"]
    assert (str(argument.type), argument.default_value) == ("JSON", None)
    model = api.schema._schema.type_map["ModelInput"]
    assert isinstance(model, GraphQLInputObjectType)
    assert (str(model.fields["extra"].type), model.fields["extra"].default_value) == ("JSON", None)
    bounds = [api.submit("values: [1]"), api.submit("values: [1], thing: null")]
    assert [bound.task_id for bound in bounds if isinstance(bound, Bound)] == [bounds[0].task_id] * 2  # type: ignore[union-attr]
