"""Which dispatcher sends an attempt: that of its task type's pool, or of the larger pool that its task moved to."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.api_node.dispatcher import Dispatchable
from cluster.api_node.pool_dispatchers import PoolDispatchers


class Sent:
    """Stands in for the dispatcher of a pool."""

    def __init__(self, pool: str, sent: list[tuple[str, str]]) -> None:
        self._pool, self._sent = pool, sent

    def put(self, attempt: Dispatchable) -> None:
        self._sent.append((attempt.name, self._pool))


@pytest.mark.parametrize(
    ("pools", "pool", "dispatcher"),
    [
        (("default", "small", "big"), "", "small"),
        (("default", "small", "big"), "big", "big"),
        # The pool that it had moved to is gone, or its type's as well.
        (("default", "small"), "big", "small"),
        (("default", "other"), "big", "default"),
        ((), "big", ""),
    ],
)
def test_an_attempt_is_sent_to_the_pool_that_its_task_moved_to(
    pools: tuple[str, ...], pool: str, dispatcher: str
) -> None:
    sent: list[tuple[str, str]] = []
    made: Any = lambda name: Sent(name, sent)  # noqa: E731
    dispatchers = PoolDispatchers(dict.fromkeys(pools), made, lambda _: "small")
    dispatchers.put(Dispatchable("a" * 32, 2, "train", b"{}", pool=pool))
    assert sent == [("train", dispatcher)]
