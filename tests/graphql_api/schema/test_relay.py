"""What Relay's compiler and store need of a schema: https://relay.dev/docs/guides/graphql-server-specification/"""

from __future__ import annotations

from typing import Any

import pytest
from graphql import GraphQLInterfaceType, GraphQLObjectType, parse

from graphql_api.execution.document_limits import PAGED, ROOT_COST, measure_document
from tests.graphql_api.execution.test_compiled_selection import CORE
from tests.system import System


def test_a_task_is_a_node_that_one_root_field_finds_by_its_id() -> None:
    node = CORE.type_map["Node"]
    assert isinstance(node, GraphQLInterfaceType)
    assert {name: str(field.type) for name, field in node.fields.items()} == {"id": "ID!"}
    task: Any = CORE.type_map["Task"]
    assert node in task.interfaces
    assert str(task.fields["id"].type) == "ID!"
    query = CORE.query_type
    assert query is not None
    assert str(query.fields["node"].type) == "Node"
    assert {name: str(item.type) for name, item in query.fields["node"].args.items()} == {"id": "ID!"}
    assert str(query.fields["nodes"].type) == "[Node]"
    assert {name: str(item.type) for name, item in query.fields["nodes"].args.items()} == {"ids": "[ID!]!"}


CONNECTIONS = sorted(name for name in CORE.type_map if name.endswith("Connection"))


@pytest.mark.parametrize("name", CONNECTIONS)
def test_a_list_in_pages_is_a_connection(name: str) -> None:
    connection: Any = CORE.type_map[name]
    edge: Any = CORE.type_map[f"{name.removesuffix('Connection')}Edge"]
    assert str(connection.fields["pageInfo"].type) == "PageInfo!"
    assert str(connection.fields["edges"].type) == f"[{edge.name}!]!"
    assert str(edge.fields["cursor"].type) == "String!"
    assert isinstance(edge.fields["node"].type.of_type, GraphQLObjectType)
    assert str(connection.fields["nodes"].type) == f"[{edge.fields['node'].type}]!"
    info: Any = CORE.type_map["PageInfo"]
    assert {field: str(kind.type) for field, kind in info.fields.items()} == {
        "hasNextPage": "Boolean!", "hasPreviousPage": "Boolean!", "startCursor": "String", "endCursor": "String",
    }  # fmt: skip


def test_what_a_list_in_pages_selects_counts_for_each_item() -> None:
    query = CORE.query_type
    assert query is not None
    paged = {name for name, field in query.fields.items() if str(field.type) in CONNECTIONS}
    assert paged <= PAGED
    for name in paged:
        sizes = [measure_document(parse(f"{{ {name}(first: {n}) {{ nodes {{ id }} }} }}")).cost for n in (1, 90)]
        assert sizes[1] > 80 * (sizes[0] - ROOT_COST)


def test_what_nodes_and_a_page_from_the_end_select_counts_for_each_task() -> None:
    def cost(query: str) -> int:
        return measure_document(parse(query)).cost

    one = cost('{ nodes(ids: ["a"]) { id } }')
    assert cost('{ nodes(ids: ["a", "b", "c"]) { id } }') - one == 2 * (cost('{ nodes(ids: ["a", "b"]) { id } }') - one)
    assert cost("{ tasks(last: 90) { nodes { id } } }") == cost("{ tasks(first: 90) { nodes { id } } }")


async def test_tasks_are_read_again_by_their_ids_in_order_and_null_where_there_is_none(system: System) -> None:
    ids = [
        (await system.ask(f"mutation {{ submitFibonacci(n: {n}) {{ taskId }} }}"))["submitFibonacci"]["taskId"]
        for n in (6_201, 6_202)
    ]
    query = (
        "query($id: ID!, $ids: [ID!]!) { node(id: $id) { __typename id ... on Task { name } } nodes(ids: $ids) { id } }"
    )
    answer = await system.ask(query, {"id": ids[0], "ids": [ids[1], "f" * 32, ids[0]]})
    assert answer["node"] == {"__typename": "Task", "id": ids[0], "name": "fibonacci"}
    assert answer["nodes"] == [{"id": ids[1]}, None, {"id": ids[0]}]
    refused = await system.post('{ node(id: "VGFzazox") { id } caller { name } }')
    assert refused["errors"][0]["extensions"]["code"] == "BAD_TASK_ID"
    assert refused["data"]["node"] is None
    assert refused["data"]["caller"]["name"]
