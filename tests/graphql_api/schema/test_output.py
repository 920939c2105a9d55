"""`Task.output`, the whole output as JSON, and the fields of outputs that one selection can read from all types."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from graphql import parse, validate

from cluster.store.record import TaskState
from dask_graphql import BigInt
from graphql_api.schema.output_wrapper import typed_name
from graphql_api.schema.task_type_description import selection
from tests.graphql_api.execution.test_compiled_selection import CORE, RESULTS, SCHEMA, answers, of, task
from tests.graphql_api.schema.test_type_mapping import giving, schema_of


def read(asked: str, record: Any) -> dict[str, Any]:
    """The fields of a task as they are answered, which is the same with and without graphql-core."""
    ours, theirs = answers(f'subscription {{ it: taskResult(taskId: "x") {{ {asked} }} }}', task(record))
    assert ours == theirs
    assert theirs[1] == []
    return json.loads(theirs[0])["it"]  # type: ignore[no-any-return]


def without_typename(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_typename(item) for name, item in value.items() if name != "__typename"}
    return [without_typename(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", [name for name in RESULTS if name not in ("grow", "report")])
def test_the_output_is_what_a_selection_of_everything_gives_whatever_the_task_type(name: str) -> None:
    output = SCHEMA.outputs[name]
    wraps_value = "value" in CORE.type_map[output].fields and name in SCHEMA.wrappers  # type: ignore[attr-defined]
    everything = selection(CORE.type_map[output], wraps_value=wraps_value)
    answer = read(f"output result {{ ... on {output} {{ {everything} }} }}", of(name))
    expected = without_typename(answer["result"])
    assert answer["output"] == (expected["value"] if wraps_value else expected)


def test_an_output_that_contains_its_own_type_is_written_whole() -> None:
    tree = read("output", of("grow"))["output"]
    assert [child["value"] for child in tree["children"]] == [2, 3]
    assert tree["children"][1]["parent"]["value"] == 4


def test_what_is_hidden_from_clients_is_not_in_the_output() -> None:
    assert read("output", of("fibonacci"))["output"] == {
        "n": 9, "digits": 2, "bitLength": 6, "sha256": "86be", "blob": None, "value": "34",
    }  # fmt: skip


def test_fields_with_arguments_are_not_in_the_output() -> None:
    blob = read("output", of("report"))["output"]["text"]
    assert blob == {"sizeBytes": "3", "mediaType": "text/plain", "url": "/blobs/ab/report.txt", "fileId": None}


def test_there_is_no_output_without_a_result_or_a_task_type() -> None:
    assert read("output", of("gone"))["output"] is None
    queued = replace(of("add"), state=TaskState.QUEUED, result=None)
    assert read("output", queued)["output"] is None


def test_one_selection_reads_outputs_of_different_types() -> None:
    asked = """result {
      ... on AddResult { bigInt } ... on CountedResult { int } ... on GrowingResult { intList }
    }"""
    assert not validate(CORE, parse(f'{{ task(taskId: "x") {{ {asked} }} }}'))
    assert read(asked, of("add"))["result"] == {"bigInt": "7"}
    assert read(asked, of("counted"))["result"] == {"int": 4}
    assert read(asked, of("growing"))["result"] == {"intList": [1, 2, 3]}


@pytest.mark.parametrize(
    ("annotation", "field", "kind"),
    [
        (int, "int", "Int"),
        (int | None, "int", "Int"),
        (bool, "boolean", "Boolean"),
        (str, "string", "String"),
        (BigInt, "bigInt", "BigInt"),
        (dict[str, int], "json", "JSON"),
        (list[float], "floatList", "[Float!]"),
        (list[list[int | None]], "intOrNullListList", "[[Int]!]"),
    ],
)
def test_an_output_that_is_no_object_is_also_in_a_nullable_field_named_after_its_type(
    annotation: Any, field: str, kind: str
) -> None:
    from graphql_api.strawberry_internals import core_schema

    fields = core_schema(schema_of(giving(annotation))).type_map["GivesItResult"].fields  # type: ignore[attr-defined]
    assert [*fields] == ["value", field]
    assert str(fields[field].type) == kind
    assert str(fields["value"].type).removesuffix("!") == kind


def test_the_selection_of_everything_has_the_value_once() -> None:
    assert selection(CORE.type_map["CountedResult"], wraps_value=True) == "__typename value"
    assert typed_name(list[str]) == "stringList"
