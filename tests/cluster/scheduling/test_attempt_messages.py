"""The message by which api nodes give attempts to the scheduler."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from cluster.scheduling.attempt_messages import MAX_ATTEMPTS, OPERATION, AttemptBatch, MalformedMessage, decode, encode
from cluster.scheduling.fair_order import Share
from cluster.task_types.batching import MAX_SIZE

ID = "b9a7c7263c0332d12e52f09809754586"
ATTEMPT = (ID, 1, b'{"n":90}')
BATCHES = [
    AttemptBatch("fibonacci", -3, Share("acme", 0.5, True), [ATTEMPT, (ID[::-1], 2**31, b"")]),
    AttemptBatch("add_2", 100, Share(""), [(ID, 7, b"\xff" * 70_000)]),
]


def test_the_scheduler_reads_what_a_node_has_sent() -> None:
    # Dask sends messages so: lists arrive as tuples.
    message = msgpack.loads(msgpack.dumps(encode("gpu", BATCHES), use_bin_type=True), use_list=False)
    assert message.pop("op") == OPERATION
    assert decode(**message) == ("gpu", BATCHES)


def changed(**fields: Any) -> list[Any]:
    batch = {"name": "add", "priority": 0, "share": ["", 1.0, False], "attempts": [ATTEMPT]} | fields
    return [list(batch.values())]


@pytest.mark.parametrize(
    "batches",
    [
        None,
        "add",
        {"add": 1},
        [None],
        ["add"],
        [[]],
        changed(name="Add"),
        changed(name=None),
        changed(priority="0"),
        changed(priority=0.5),
        changed(share=["", 1, False]),
        changed(share=["", 0.0, False]),
        changed(share=["", -1.0, False]),
        changed(share=["", float("nan"), False]),
        changed(share=["", float("inf"), False]),
        changed(share=["", 1.0]),
        changed(share=[None, 1.0, False]),
        changed(attempts=[]),
        changed(attempts=None),
        changed(attempts=[ATTEMPT] * (MAX_SIZE + 1)),
        changed(attempts=[ATTEMPT[:2]]),
        changed(attempts=[(ID.upper(), 1, b"")]),
        changed(attempts=[(ID + "-1", 1, b"")]),
        changed(attempts=[(None, 1, b"")]),
        changed(attempts=[(ID, 0, b"")]),
        changed(attempts=[(ID, "1", b"")]),
        changed(attempts=[(ID, 1, "{}")]),
        changed() * (MAX_ATTEMPTS + 1),
        changed() + changed(name=1),
    ],
)
def test_a_message_of_another_form_is_refused_without_its_inputs_in_the_error(batches: Any) -> None:
    with pytest.raises(MalformedMessage) as refused:
        decode("", batches)
    assert str(refused.value).startswith("expected ")
    assert "{" not in str(refused.value)


def test_the_pool_is_a_text() -> None:
    with pytest.raises(MalformedMessage):
        decode(None, changed())
