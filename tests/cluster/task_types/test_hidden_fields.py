"""Hidden fields in the JSON of outputs: taken out wherever GraphQL hides them, or refused where it could not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from cluster.errors import RegistryError
from cluster.task_types.output_type import OutputType
from cluster.task_types.registry import _registered
from cluster.task_types.result_checks import InvalidOutput
from cluster.task_types.task_type import TaskType
from cluster.worker.progress_note import progress_note
from dask_graphql import Graph, Hidden, Stream, Table, task


@dataclass
class Leaf:
    n: int
    secret: Annotated[str, Hidden]


class Parent(BaseModel):
    leaves: list[Leaf]
    first: Leaf | None = None
    note: Annotated[dict[str, Leaf], Hidden] = {}
    more: list[list[Leaf] | None] = []


@dataclass
class Tree:
    leaf: Leaf
    children: list[Tree] = field(default_factory=list)


@dataclass
class Plain:
    secret: str


@dataclass
class Bare:
    secret: Annotated[str, Hidden] | None = None


@dataclass
class InDict:
    leaves: dict[str, list[Leaf]]


def leaf(n: int) -> Leaf:
    return Leaf(n, f"hidden {n}")


@pytest.mark.parametrize(
    ("annotation", "value", "shown"),
    [
        (Leaf, leaf(1), {"n": 1}),
        (list[Leaf], [leaf(1), leaf(2)], [{"n": 1}, {"n": 2}]),
        (
            Parent,
            Parent(leaves=[leaf(1)], first=leaf(2), note={"x": leaf(3)}, more=[[leaf(4)], None]),
            {"leaves": [{"n": 1}], "first": {"n": 2}, "more": [[{"n": 4}], None]},
        ),
        (Tree, Tree(leaf(1), [Tree(leaf(2))]), {"leaf": {"n": 1}, "children": [{"leaf": {"n": 2}, "children": []}]}),
        (Plain, Plain("seen"), {"secret": "seen"}),
        (dict[str, Any], {"secret": 2**70}, {"secret": 2**70}),
    ],
)
def test_what_is_hidden_is_not_in_what_clients_see(annotation: Any, value: Any, shown: Any) -> None:
    declared = OutputType(annotation)
    assert json.loads(declared.shown(declared.dump(value))) == shown


def test_json_of_an_earlier_type_stays_as_it_is_but_for_what_is_hidden_now() -> None:
    declared = OutputType(Parent)
    assert json.loads(declared.shown(b'{"leaves":{"n":1},"first":7,"note":1,"older":2}')) == {
        "leaves": {"n": 1}, "first": 7, "older": 2,
    }  # fmt: skip
    assert declared.shown(b"3") == b"3"


def giving(annotation: Any) -> TaskType:
    def function(n: int) -> Any: ...

    function.__annotations__["return"] = annotation
    task(name="gives_it")(function)
    return _registered[__name__, "gives_it"]


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Bare, r"Bare\.secret: Hidden is for a whole field"),
        (Annotated[Leaf, Hidden], "return type: Hidden is for a whole field"),
        (Graph[list[Annotated[int, Hidden]]], "Hidden is for a whole field"),
        (dict[str, Leaf], "shown as it is, with its Hidden fields"),
        (Stream[InDict], r"InDict\.leaves: what is in a dict"),
        (Table[Leaf], "the files of a table have all of its columns"),
    ],
)
def test_hidden_is_refused_where_it_would_hide_nothing(annotation: Any, words: str) -> None:
    with pytest.raises(RegistryError, match=words):
        giving(annotation)


@pytest.mark.parametrize("annotation", [Parent, list[Tree], Stream[Leaf], dict[str, Plain], Table[Plain], Any])
def test_hidden_is_accepted_where_it_hides(annotation: Any) -> None:
    assert giving(annotation).name == "gives_it"


@pytest.mark.parametrize("value", [leaf(1), {"a": [leaf(1)]}, Tree(leaf(1))])
def test_an_object_that_hides_something_is_no_json_for_everybody(value: Any) -> None:
    declared = OutputType(Any)
    with pytest.raises(InvalidOutput, match="Hidden fields would be shown"):
        declared.check(declared.dump(value), value)
    with pytest.raises(ValueError, match="Hidden fields would be shown"):
        progress_note(None, value)


def test_what_is_in_a_hidden_field_may_hide_more() -> None:
    value = Parent(leaves=[leaf(1)], note={"x": leaf(3)})
    declared = OutputType(Parent)
    declared.check(declared.dump(value), value)
