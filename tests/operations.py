"""Random operations of a schema: mostly valid, with a wrong value here and there."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any, Final

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    is_leaf_type,
)

DEPTH: Final = 5
ODD: Final = (
    "null",
    "-1",
    "2147483648",
    "1e400",
    '"\\u0000"',
    '""',
    "{}",
    "[[]]",
    "RED",
    "$nothing",
    "true",
    "0.5",
    "99999999999999",
)
TEXTS: Final = ("", "x", "0" * 32, "f" * 32, "2026-01-31T12:00:00Z", "2026-01-31", "123", "-0", "é\u202e", "a" * 300)


def operation(schema: GraphQLSchema, chance: Random) -> str:
    """One query, mutation or (seldom, as it is refused where this goes) subscription."""
    kind, root = chance.choice([("query", schema.query_type)] * 4 + [("mutation", schema.mutation_type)] * 4
                               + [("subscription", schema.subscription_type)])  # fmt: skip
    assert root is not None
    return f"{kind} {selection(root, chance, DEPTH)}"


def selection(kind: GraphQLNamedType, chance: Random, depth: int) -> str:
    """A selection set of a type, or nothing for a leaf."""
    if is_leaf_type(kind):
        return ""
    if isinstance(kind, GraphQLUnionType):
        members = chance.sample(kind.types, min(2, len(kind.types)))
        parts = [f"... on {member.name} {selection(member, chance, depth - 1)}" for member in members]
        return "{ __typename " + " ".join(parts) + " }"
    assert isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)
    names = [name for name, field in kind.fields.items() if depth > 1 or is_leaf_type(_named(field.type))]
    parts = [_field(kind, name, chance, depth) for name in chance.sample(names, min(len(names), chance.randint(1, 4)))]
    return "{ " + " ".join(parts or ["__typename"]) + " }"


def _field(kind: GraphQLObjectType | GraphQLInterfaceType, name: str, chance: Random, depth: int) -> str:
    field = kind.fields[name]
    given = [
        f"{argument}: {value(item.type, chance)}"
        for argument, item in field.args.items()
        if isinstance(item.type, GraphQLNonNull) or chance.random() < 0.4
    ]
    alias = f"{chance.choice('abcd')}: " if chance.random() < 0.2 else ""
    arguments = f"({', '.join(given)})" if given else ""
    return f"{alias}{name}{arguments} {selection(_named(field.type), chance, depth - 1)}"


def value(kind: Any, chance: Random) -> str:
    """A literal of an input type; one in twelve is of no type that was asked for."""
    if chance.random() < 1 / 12:
        return chance.choice(ODD)
    if isinstance(kind, GraphQLNonNull):
        return value(kind.of_type, chance)
    if isinstance(kind, GraphQLList):
        return "[" + ", ".join(value(kind.of_type, chance) for _ in range(chance.randint(0, 3))) + "]"
    if isinstance(kind, GraphQLEnumType):
        return str(chance.choice(list(kind.values)))
    if isinstance(kind, GraphQLInputObjectType):
        chosen = [(name, field.type) for name, field in kind.fields.items() if chance.random() < 0.7]
        return "{" + ", ".join(f"{name}: {value(item, chance)}" for name, item in chosen) + "}"
    literals: dict[str, Callable[[], str]] = {
        "Int": lambda: str(chance.choice([0, 1, 7, 2**31 - 1, -5])),
        "Float": lambda: str(chance.choice([0.0, -1.5, 1e308])),
        "Boolean": lambda: chance.choice(["true", "false"]),
        "BigInt": lambda: json.dumps(str(10 ** chance.randint(0, 400))),
    }
    literal = literals.get(kind.name)
    return json.dumps(chance.choice(TEXTS)) if literal is None else literal()


def _named(kind: Any) -> GraphQLNamedType:
    while isinstance(kind, GraphQLNonNull | GraphQLList):
        kind = kind.of_type
    named: GraphQLNamedType = kind
    return named
