"""A refusal of one root field costs those beside it nothing: https://spec.graphql.org/October2021/#sec-Handling-Field-Errors"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from graphql import GraphQLNonNull

from tests.graphql_api.execution.test_compiled_selection import CORE, SCHEMA, Submissions, context, of


@pytest.mark.parametrize("root", [CORE.query_type, CORE.mutation_type], ids=["Query", "Mutation"])
def test_every_root_field_may_be_null(root: Any) -> None:
    assert [name for name, field in root.fields.items() if isinstance(field.type, GraphQLNonNull)] == []


def test_a_refused_submission_leaves_the_accepted_ones_beside_it() -> None:
    mutation = "mutation { good: submitFibonacci(n: 9) { taskId outcome } bad: submitFibonacci(n: -1) { taskId } }"
    submissions = Submissions(of("fibonacci"))
    answer = asyncio.run(SCHEMA.execute(mutation, context_value=context(submissions)))
    assert answer.data == {"good": {"taskId": "0" * 32, "outcome": "CACHED"}, "bad": None}
    [error] = answer.errors or []
    assert error.path == ["bad"]
    assert (error.extensions or {})["code"] == "BAD_INPUT"
    assert len(submissions.submitted) == 1


def test_a_refused_query_leaves_the_answers_beside_it() -> None:
    query = "{ caller { name } tasks(first: 500) { totalCount } }"
    answer = asyncio.run(SCHEMA.execute(query, context_value=context(Submissions())))
    assert answer.data == {"caller": {"name": "somebody"}, "tasks": None}
    assert [error.path for error in answer.errors or []] == [["tasks"]]
