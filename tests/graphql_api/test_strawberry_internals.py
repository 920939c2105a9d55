"""What we use of Strawberry's inside has its effect: a release that changes it fails here, not in production."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import strawberry
from graphql import GraphQLEnumType, GraphQLInputObjectType, parse, specified_rules
from strawberry.tools import create_type

from graphql_api.strawberry_internals import (
    ForwardReference,
    Resolver,
    core_schema,
    default_scalar,
    enum_class,
    input_default,
    is_of_type,
    make_field,
    python_name,
    resolver_of,
    set_type_check,
    to_camel_case,
    validate_document,
)


class Colour(enum.Enum):
    RED = "#ff0000"


@dataclass
class Point:
    """A class of an author's: Strawberry knows nothing of it."""

    max_depth: int
    colour: Colour = Colour.RED


def point(info: strawberry.Info, max_depth: int) -> Any:
    return Point(max_depth)


def doubled(root: Any) -> int:
    return 2 * int(root.max_depth)


def with_info(root: Any, info: strawberry.Info) -> int:
    return int(root.max_depth) + int(info.context)


async def slow(root: Any) -> int:
    return 1


@pytest.fixture(scope="module")
def schema() -> strawberry.Schema:
    colour = strawberry.enum(Colour, name="Colour")
    members = [
        make_field("max_depth", int, description="How deep."),
        make_field("colour", colour),
        make_field("doubled", resolver=doubled),
        make_field("with_info", resolver=with_info),
        make_field("slow", resolver=slow),
    ]
    made = create_type("Point", members)
    set_type_check(made, lambda value: type(value) is Point)
    other = create_type("Other", [make_field("other", str)])
    set_type_check(other, lambda value: type(value) is str)
    known: dict[Any, Any] = {}
    later = ForwardReference("TreeInput", __name__, made=known, key="tree")
    tree = [
        make_field("left_one", later | None),
        make_field("depth", int, default=3),
        make_field("tags", list[str], default_factory=lambda: ["a"]),
        make_field("name", str),
        make_field("may_be", int | None, default=strawberry.UNSET),
    ]
    known["tree"] = create_type("TreeInput", tree, is_input=True)
    union: Any = Annotated[made | other, strawberry.union("Anything")]

    def find(tree: Any, max_depth: int) -> Any:
        return Point(max_depth)

    find.__annotations__ |= {"tree": known["tree"], "return": union}
    return strawberry.Schema(create_type("Query", [make_field("find_it", resolver=find)]))


def kind(schema: strawberry.Schema, name: str) -> Any:
    return core_schema(schema).type_map[name]


def test_fields_and_types_made_by_hand_are_in_the_schema_as_they_were_made(schema: strawberry.Schema) -> None:
    assert schema.as_str().split("\n\n") == [
        "union Anything = Point | Other",
        "enum Colour {\n  RED\n}",
        "type Other {\n  other: String!\n}",
        'type Point {\n  """How deep."""\n  maxDepth: Int!\n  colour: Colour!\n  doubled: Int!\n  withInfo: Int!\n'
        "  slow: Int!\n}",
        "type Query {\n  findIt(tree: TreeInput!, maxDepth: Int!): Anything!\n}",
        "input TreeInput {\n  leftOne: TreeInput\n  depth: Int! = 3\n"
        '  tags: [String!]! = ["a"]\n  name: String!\n  mayBe: Int\n}',
    ]


def test_a_union_tells_an_authors_class_by_the_test_that_it_was_given(schema: strawberry.Schema) -> None:
    query = (
        '{ findIt(tree: {name: "", leftOne: {name: ""}}, maxDepth: 4) { ... on Point { maxDepth colour doubled } } }'
    )
    result = schema.execute_sync(query)
    assert result.errors is None
    assert result.data == {"findIt": {"maxDepth": 4, "colour": "RED", "doubled": 8}}
    assert is_of_type(kind(schema, "Point"), Point(1))
    assert not is_of_type(kind(schema, "Other"), Point(1))


def test_a_class_of_strawberrys_is_of_its_own_type() -> None:
    @strawberry.type
    class Query:
        field: int

    assert is_of_type(kind(strawberry.Schema(Query), "Query"), Query(field=1))
    assert not is_of_type(kind(strawberry.Schema(Query), "Query"), Point(1))


def test_the_elements_of_a_schema_tell_pythons_names_enums_and_defaults(schema: strawberry.Schema) -> None:
    tree, colour, query = kind(schema, "TreeInput"), kind(schema, "Colour"), kind(schema, "Query")
    assert isinstance(tree, GraphQLInputObjectType)
    assert isinstance(colour, GraphQLEnumType)
    assert [python_name(element, name) for name, element in tree.fields.items()] == [
        "left_one", "depth", "tags", "name", "may_be",
    ]  # fmt: skip
    assert [python_name(element, name) for name, element in query.fields["findIt"].args.items()] == [
        "tree", "max_depth",
    ]  # fmt: skip
    assert enum_class(colour) is Colour
    assert enum_class(kind(schema, "Point")) is None
    defaults = {name: input_default(element) for name, element in tree.fields.items()}
    assert defaults["depth"] == (True, 3)
    assert defaults["tags"] == (True, ["a"])
    assert defaults["name"] == defaults["mayBe"] == (False, None)


def test_the_plain_resolvers_of_a_schema_are_found(schema: strawberry.Schema) -> None:
    fields = kind(schema, "Point").fields
    attribute = resolver_of(fields["maxDepth"])
    assert attribute is not None
    assert attribute.attribute is not None
    assert attribute.get(Point(5), attribute.attribute) == 5
    assert resolver_of(fields["doubled"]) == Resolver(doubled)
    assert resolver_of(fields["withInfo"]) == Resolver(with_info, takes_info=True)
    assert resolver_of(fields["slow"]) is None
    assert resolver_of(kind(schema, "Query").fields["findIt"]) is None
    # Of graphql-core's own.
    assert resolver_of(kind(schema, "__Type").fields["name"]) is None


def test_strawberry_spells_names_as_we_do() -> None:
    spelled = ["estimatePi", "maxDepth", "aB", "x1"]
    assert list(map(to_camel_case, ["estimate_pi", "max_depth", "a_b", "x1"])) == spelled


def test_a_document_is_held_to_the_rules_that_are_given(schema: strawberry.Schema) -> None:
    document = parse("{ nothing }")
    assert (
        "Cannot query field 'nothing'" in validate_document(core_schema(schema), document, specified_rules)[0].message
    )
    assert validate_document(core_schema(schema), document, ()) == []


def test_strawberrys_scalars_can_be_made_stricter() -> None:
    import datetime

    parse_value = default_scalar(datetime.datetime).parse_value
    assert parse_value("2026-01-31T12:00:00+00:00") == datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
