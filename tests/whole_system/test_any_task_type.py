"""Any typed function is a task: values of every type pass through real requests, and bounds are enforced."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import rfc8785
from graphql import build_client_schema, get_introspection_query

from tests.system import System

PLACE = "xAxis yAxis tags colour"


async def run(system: System, call: str, fields: str, variables: dict[str, Any] | None = None, head: str = "") -> Any:
    """The final task of a submission."""
    data = await system.ask(f"mutation{head} {{ it: {call} {{ taskId task {{ input }} }} }}", variables)
    got = await system.result(data["it"]["taskId"], f"state error {{ code message }} result {{ {fields} }}")
    return {**got, "input": data["it"]["task"]["input"]}


EVERYTHING: dict[str, Any] = {
    "flag": True, "count": -5, "big": str(2**70), "share": 0.25, "text": "ü\u2028", "at": "2026-01-31T12:00:00+00:00",
    "day": "2026-01-31", "hour": "12:30:00", "span": "PT1H30M", "price": "1.10",
    "key": "00000000-0000-0000-0000-00000000000a", "colour": "RED", "size": "LARGE", "mood": "CALM", "mode": "fast",
    "grid": [[1, 2], []], "unique": [3, 1, 3], "frozen": ["b", "a"], "row": [1.5, 2.0], "table": {"my_key": 2**60},
    "anything": {"a": [1, None, {"b": 2**60}]},
    "place": {"xAxis": 1, "tags": ["t"]}, "maybe": {"xAxis": 2, "yAxis": 4, "tags": [], "colour": "RED"},
}  # fmt: skip
TYPES = {
    "flag": "Boolean!", "count": "Int!", "big": "BigInt!", "share": "Float!", "text": "String!", "at": "DateTime!",
    "day": "Date!", "hour": "Time!", "span": "Duration!", "price": "Decimal!", "key": "UUID!", "colour": "Tint!",
    "size": "Size!", "mood": "Mood!", "mode": "EchoEverythingMode!", "grid": "[[Int!]!]!", "unique": "[Int!]!",
    "frozen": "[String!]!", "row": "[Float!]!", "table": "JSON!", "anything": "JSON!", "place": "PlaceInput!",
    "maybe": "PlaceInput",
}  # fmt: skip


async def test_every_kind_of_type_goes_in_and_comes_out(system: System) -> None:
    head = "(" + ", ".join(f"${name}: {kind}" for name, kind in TYPES.items()) + ")"
    call = "submitEchoEverything(" + ", ".join(f"{name}: ${name}" for name in TYPES) + ")"
    fields = " ".join(f"{name} {{ {PLACE} }}" if name in ("place", "maybe") else name for name in TYPES)
    got = await run(system, call, f"... on Everything {{ {fields} }}", EVERYTHING, head)
    assert got["state"] == "SUCCEEDED", got
    result = got["result"]
    assert sorted(result.pop("unique")) == [1, 3]
    assert sorted(result.pop("frozen")) == ["a", "b"]
    assert result == {
        **{name: value for name, value in EVERYTHING.items() if name not in ("unique", "frozen")},
        "at": "2026-01-31T12:00:00Z",
        "place": {"xAxis": 1, "yAxis": 3, "tags": ["t"], "colour": "BLUE"},
        "table": {"my_key": str(2**60)},
        "anything": {"a": [1, None, {"b": str(2**60)}]},
    }
    # The id that any client computes from its input.
    place = {"x_axis": 1, "y_axis": 3, "tags": ["t"], "colour": "blue"}
    whole = {
        **EVERYTHING, "at": "2026-01-31T12:00:00Z", "colour": "red", "size": 2, "mood": "calm-ish", "unique": [1, 3],
        "frozen": ["a", "b"], "table": {"my_key": str(2**60)}, "anything": {"a": [1, None, {"b": str(2**60)}]},
        "place": place, "maybe": {"x_axis": 2, "y_axis": 4, "tags": [], "colour": "red"},
    }  # fmt: skip
    assert got["input"] == whole
    pre_image = rfc8785.dumps({"input": whole, "task": "echo_everything", "version": "1"})
    assert got["taskId"] == hashlib.sha256(pre_image).hexdigest()[:32]


async def test_defaults_of_every_kind_are_filled_in_alike_alone_and_in_a_batch(system: System) -> None:
    got = await run(system, "submitTakeDefaults", "... on Defaults { told }")
    assert got["state"] == "SUCCEEDED", got
    assert got["result"]["told"].startswith("(7, 1152921504606846976, 0.5, 'a \"quoted\" text', <Tint.RED: 'red'>")
    assert "['a', 'b', 'c'], [[1.5], []], {'a': 1}, Place(x_axis=1, y_axis=3, tags=['t']" in got["result"]["told"]
    assert "2, 'Ada', datetime.datetime(2026, 1, 31, 12, 0, tzinfo=" in got["result"]["told"]
    many = await system.ask("mutation { it: submitTakeDefaultsMany(inputs: [{}, {number: 7}]) { taskId } }")
    assert {item["taskId"] for item in many["it"]} == {got["taskId"]}


async def test_introspection_tells_every_default(system: System) -> None:
    build_client_schema(await system.ask(get_introspection_query()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "fields", "result"),
    [
        (
            "submitGrow(node: {value: 1, children: [{value: 2}]}, depth: 2)",
            "... on Branch { value parent { value } children { value children { value children { value } } } }",
            {"value": 3, "parent": None,
             "children": [{"value": 1, "children": [{"value": 2, "children": []}]}]},
        ),
        (
            'submitEmploy(employee: {fullName: "Ada", boss: null, home: {xAxis: 9}})',
            "... on Employee { fullName ageInYears madeOn boss { fullName ageInYears } home { xAxis } }",
            {"fullName": "Ada", "ageInYears": 30, "madeOn": "2026-01-31", "home": {"xAxis": 9},
             "boss": {"fullName": "Grace", "ageInYears": 40}},
        ),
        (
            "submitListPlaces(count: 2)",
            "... on PagePlace { items { xAxis } nextPage }",
            {"items": [{"xAxis": 0}, {"xAxis": 1}], "nextPage": None},
        ),
        (
            "submitListLandmarks(count: 1)",
            "... on ListLandmarksResult { value { xAxis label } }",
            {"value": [{"xAxis": 0, "label": "here"}]},
        ),
        ("submitFindPlace(xAxis: 3)", f"__typename ... on Place {{ {PLACE} }}",
         {"__typename": "Place", "xAxis": 3, "yAxis": 3, "tags": [], "colour": "BLUE"}),
        ("submitFindLandmark(xAxis: 3)", "__typename ... on Landmark { label }",
         {"__typename": "Landmark", "label": "there"}),
        ("submitPickMode", "... on PickModeResult { value }", {"value": "slow"}),
        ("submitPickMode(mode: fast)", "... on PickModeResult { value }", {"value": "fast"}),
        (
            "submitMeasure(size: 2)",
            "... on Measured { mean rows counts largest byName row(index: 0) last: row(index: 0, mode: down) }",
            {"mean": 1.5, "rows": [[0.0, 1.0], [2.0, 3.0]], "counts": [2, 4], "largest": 7, "row": [0.0, 1.0],
             "byName": {"std": 1.1180340051651}, "last": [2.0, 3.0]},
        ),
        ("submitMeasureList(size: 1)", "... on MeasureListResult { value }", {"value": [[1.0]]}),
        ("submitNotANumber(n: 0)", "... on NotANumberResult { value }", {"value": [1.0, None, None]}),
        ("submitPersistedTotal(size: 20)", "... on PersistedTotalResult { value }", {"value": 400.0}),
        ("submitFromAFuture(n: 3)", "... on FromAFutureResult { value }", {"value": 4}),
        ("submitSpans(count: 2)", "... on SpansResult { value }", {"value": ["PT0S", "PT1S"]}),
        ('submitKeep(basket: {net: 10, items: ["a"]})', "... on Basket { net items }", {"net": 20, "items": ["a"]}),
        ("submitSumAll(values: [1, 2, 3])", "... on SumAllResult { value }", {"value": 6.0}),
    ],
)  # fmt: skip
async def test_each_odd_task_type_runs(system: System, call: str, fields: str, result: Any) -> None:
    got = await run(system, call, fields)
    assert got["state"] == "SUCCEEDED", got
    if "byName" in result:
        assert got["result"].pop("byName")["std"] == pytest.approx(result.pop("byName")["std"])
    assert got["result"] == result


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("submitNotANumber(n: 1)", "[2] is inf"),
        ("submitNotANumber(n: 2)", "return None for it (and declare float | None)"),
        ("submitTooLarge(n: 0)", "items[1] is beyond GraphQL's Int, which ends at 2147483647: declare BigInt"),
    ],
)
async def test_a_number_that_graphql_lacks_is_bad_output_with_its_place_and_the_way_out(
    system: System, call: str, words: str
) -> None:
    got = await run(system, call, "__typename")
    assert (got["state"], got["error"]["code"]) == ("FAILED", "BAD_OUTPUT")
    assert words in got["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "argument", "words"),
    [
        ("maxDepth: 11", "maxDepth", "maxDepth: Input should be less than or equal to 10, not 11"),
        ("share: 1.5", "share", "share: Input should be less than or equal to 1"),
        ("even: 3", "even", "multiple of 2"),
        ('code: "de"', "code", "match pattern"),
        ("items: []", "items", "at least 1 item"),
        ("items: [1, 0]", "items[1]", "items[1]: Input should be greater than 0, not 0"),
        ("place: {xAxis: 1, yAxis: 101}", "place.yAxis", "place.yAxis: Input should be less than or equal to 100"),
        ("table: {my_key: 5}", 'table["my_key"]', 'table["my_key"]: Input should be less than 5, not 5'),
        ("table: [1]", "table", "valid dictionary"),
        (f'large: "{"9" * 5000}"', "large", "less than or equal to 1000000000000"),
        ("maxDepth: 0, items: [0]", "maxDepth", "items[0]: Input should be greater than 0"),
    ],
)
async def test_a_bound_is_enforced_with_the_clients_own_spelling(
    system: System, arguments: str, argument: str, words: str
) -> None:
    for call, place in (
        (f"submitCheckBounds({arguments})", argument),
        (f"submitCheckBoundsMany(inputs: [{{}}, {{{arguments}}}])", f"inputs[1].{argument}"),
    ):
        [error] = (await system.post(f"mutation {{ {call} {{ taskId }} }}"))["errors"]
        assert error["extensions"]["code"] == "BAD_INPUT", error
        assert error["extensions"]["argument"] == place
        assert words in error["message"]
        assert place in error["message"]


async def test_a_bound_on_a_result_fields_argument_is_enforced(system: System) -> None:
    data = await system.ask("mutation { it: submitMeasure(size: 2) { taskId } }")
    await system.result(data["it"]["taskId"])
    query = f'{{ task(taskId: "{data["it"]["taskId"]}") {{ result {{ ... on Measured {{ row(index: -1) }} }} }} }}'
    [error] = (await system.post(query))["errors"]
    assert (error["extensions"]["code"], error["extensions"]["argument"]) == ("BAD_INPUT", "index")


async def test_one_input_may_be_a_list_of_twenty_thousand_numbers(system: System) -> None:
    values = list(range(20_000))
    call = "submitSumAll(values: $values)"
    got = await run(system, call, "... on SumAllResult { value }", {"values": values}, "($values: [Int!])")
    assert (got["state"], got["result"]) == ("SUCCEEDED", {"value": float(sum(values))})
