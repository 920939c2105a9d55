"""What an answer weighs is what it has in JSON, whoever executes it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import AnswerTooLarge
from cluster.settings import Settings
from cluster.store.record import Record, TaskState
from cluster.task_types.declaration import declare
from cluster.task_types.registry import Registry
from graphql_api.answer_size import Answer, current_answer
from graphql_api.auth.callers import Caller
from graphql_api.context import Context
from graphql_api.execution.document_cache import DocumentCache
from graphql_api.execution.persisted_operations import PersistedOperations
from graphql_api.schema.builder import make_schema


@dataclass
class Part:
    text: str
    numbers: list[int]


@dataclass
class Whole:
    title: str
    parts: list[Part]
    anything: dict[str, Any]


def whole(n: int) -> Whole:
    """Has texts, numbers, lists and objects."""
    raise AssertionError("its results are written by the test")


def schema_with(limit: int) -> Any:
    registry = Registry()
    registry.add(declare(whole))
    chosen = replace(Settings(), answer_bytes=limit)
    return registry, make_schema(registry, DocumentCache(chosen, PersistedOperations(chosen)))


SIZES = (300, 3_000, 100_000)
SCHEMAS = {limit: schema_with(limit) for limit in SIZES}
RECORD = Record(
    "0" * 32, "whole", "1", b"{}", TaskState.SUCCEEDED, 1, 3, 1, 1, 1, None, 1.0, 0, None, 1, "w", 0, 0, "", "", None,
    None,
)  # fmt: skip
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.sampled_from(
    ["\x00" * 2_000, "\U0001f600" * 300]
)
WHOLES = st.fixed_dictionaries(
    {
        "title": TEXTS,
        "parts": st.lists(
            st.fixed_dictionaries({"text": TEXTS, "numbers": st.lists(st.integers(0, 9), max_size=200)}), max_size=4
        ),
        "anything": st.dictionaries(TEXTS, TEXTS, max_size=3),
    }
)


@settings(max_examples=60)
@given(WHOLES, st.sampled_from(SIZES), st.integers(1, 12), st.booleans())
def test_an_answer_is_refused_if_and_only_if_it_is_too_long(
    output: dict[str, Any], limit: int, times: int, plain: bool
) -> None:
    """Within what numbers and punctuation add; by the compiled reader, and by graphql-core if there are directives."""
    registry, schema = SCHEMAS[limit]

    async def run(_: object) -> Record:
        return replace(RECORD, result=json.dumps(output).encode())

    node: Any = SimpleNamespace(
        registry=registry, store=SimpleNamespace(run=run, calls=SimpleNamespace(read=str)), settings=Settings()
    )
    fields = " ".join(f"a{i}: title b{i}: parts {{ text numbers }} c{i}: anything" for i in range(times))
    directive = "" if plain else "@skip(if: false)"
    text = f'{{ task(taskId: "{"0" * 32}") {{ result {directive} {{ ... on Whole {{ {fields} }} }} }} }}'
    context = Context(node, schema.wrappers, schema.json_writers, known_caller=Caller("somebody"))
    made = asyncio.run(schema.execute(text, context_value=context))
    whole = json.dumps(
        {"task": {"result": {f"{key}{i}": output[name] for i in range(times)
                             for key, name in (("a", "title"), ("b", "parts"), ("c", "anything"))}}},
        separators=(",", ":"), ensure_ascii=False,
    )  # fmt: skip
    size = len(whole.encode())
    if made.errors:
        assert [error.extensions["code"] for error in made.errors] == ["ANSWER_TOO_LARGE"]
        assert made.data is None
        # A number in a list counts as four bytes, and may have two; a result's own length counts as it is read.
        assert 2 * size + 100 > limit or len(json.dumps(output)) > limit
    else:
        assert len(json.dumps(made.data, separators=(",", ":"), ensure_ascii=False).encode()) == size
        # Names and punctuation, and control characters, which are written as six bytes.
        assert size <= 1.5 * limit + 100


async def test_a_record_is_kept_for_the_whole_answer_and_at_most_four_are_read_at_the_same_time() -> None:
    answer = Answer(1_000)
    reading, most, reads = 0, 0, 0

    async def read() -> Record:
        nonlocal reading, most, reads
        reading, reads = reading + 1, reads + 1
        most = max(most, reading)
        await asyncio.sleep(0)
        reading -= 1
        return replace(RECORD, result=b"x" * 10)

    found = await asyncio.gather(*(answer.record(i % 10, read) for i in range(100)))
    assert len(found) == 100
    assert most == 4
    assert reads <= 10 + 3 * 10
    assert not answer.exceeded


async def test_nothing_more_is_read_once_an_answer_is_too_large() -> None:
    answer = Answer(100)
    reads = 0

    async def read() -> Record:
        nonlocal reads
        reads += 1
        await asyncio.sleep(0)
        return replace(RECORD, result=b"x" * 60)

    outcomes = await asyncio.gather(*(answer.record(i, read) for i in range(50)), return_exceptions=True)
    assert sum(isinstance(outcome, AnswerTooLarge) for outcome in outcomes) == 49
    assert reads <= 1 + 4
    with pytest.raises(AnswerTooLarge, match="more than 100 bytes of inputs"):
        await answer.in_turn(read())


def test_outside_an_operation_nothing_is_limited() -> None:
    current_answer().write(10**12)
    current_answer().read(10**12)
