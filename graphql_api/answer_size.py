"""How large one answer may become, and how much may be read for it: ANSWER_BYTES.

What is written is counted while an operation is executed, and each item of a subscription by itself. Beyond the limit
nothing more is read or written, and the operation is refused as a whole.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Hashable
from contextvars import ContextVar
from inspect import iscoroutine
from typing import Any, Final, TypeVar

import orjson

from cluster.errors import AnswerTooLarge
from cluster.store.record import Record

T = TypeVar("T")

CONCURRENT_READS: Final = 4
"""How many long values are read at the same time for one answer, which can exceed its limit by as many."""
FIELD_BYTES: Final = 4
"""Quotes, colon and comma of a field."""
LIST_ITEM_BYTES: Final = 4
"""A short item of a list, with its comma. Items of other kinds are counted for themselves too."""
COUNTED_LEAVES: Final = frozenset({str, dict, list})
"""The kinds of scalars that `Answer.write_leaf` counts."""
LONG_TEXT: Final = 1_000
"""Characters from which on the JSON form of a text is measured, which for control characters is six times as long."""


class Answer:
    """What one answer has written and read so far, in bytes.

    Args:
        limit: of each of the two.
    """

    __slots__ = ("_limit", "_read", "_records", "_turns", "_written", "refused")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._read = self._written = 0
        self._records: dict[Hashable, Record | None] = {}
        self._turns: asyncio.Semaphore | None = None
        self.refused = False
        """Whether graphql-core has an error of it; further ones would say the same."""

    @property
    def exceeded(self) -> bool:
        return self._written > self._limit or self._read > self._limit

    def check(self) -> None:
        """Raises:
        AnswerTooLarge: it has exceeded the limit.
        """
        if self.exceeded:
            raise self.refusal()

    def refusal(self) -> AnswerTooLarge:
        """The refusal of an answer that has exceeded the limit."""
        if self._written > self._limit:
            return AnswerTooLarge(
                f"the answer would have more than {self._limit} bytes: ask for fewer tasks or fields at once, or read "
                "long values by slices or as a download",
                limit=self._limit,
            )
        return AnswerTooLarge(
            f"it would take more than {self._limit} bytes of inputs and results: ask for fewer tasks at once",
            limit=self._limit,
        )

    def write(self, size: int) -> None:
        """Counts bytes of the answer.

        Raises:
            AnswerTooLarge: there are too many.
        """
        self._written += size
        if self._written > self._limit:
            self.check()

    def write_leaf(self, value: Any) -> None:
        """Counts the value of a scalar as it is in the answer; numbers are covered by the names of their fields and
        the items of their lists.

        Raises:
            AnswerTooLarge: the answer is too long.
        """
        kind = value.__class__
        if kind is str:
            self.write(len(value) if len(value) < LONG_TEXT else _json_length(value))
        elif kind is dict or kind is list:
            self.write(_json_length(value))

    def read(self, size: int) -> None:
        """Counts bytes that are about to be read, or were read, from Redis.

        Raises:
            AnswerTooLarge: there are too many.
        """
        self._read += size
        self.check()

    async def record(self, key: Hashable, read: Callable[[], Awaitable[Record | None]]) -> Record | None:
        """Reads a record once for the whole answer, after those before it.

        Args:
            key: identifies what is read.

        Raises:
            AnswerTooLarge: too much was read or written before, or this is too much.
        """
        async with self._turn():
            self.check()
            if key not in self._records:
                found = await read()
                if key not in self._records:
                    self._records[key] = found
                    if found is not None:
                        self.read(len(found.input) + len(found.result or b""))
            return self._records[key]

    async def in_turn(self, value: Awaitable[T]) -> T:
        """Awaits a value that is read for the answer, after those before it.

        Raises:
            AnswerTooLarge: too much was read or written before.
        """
        async with self._turn():
            try:
                self.check()
            except AnswerTooLarge:
                if iscoroutine(value):
                    value.close()
                raise
            return await value

    def _turn(self) -> asyncio.Semaphore:
        if self._turns is None:
            self._turns = asyncio.Semaphore(CONCURRENT_READS)
        return self._turns


def _json_length(value: Any) -> int:
    try:
        return len(orjson.dumps(value))
    except TypeError:  # a lone surrogate, or an integer beyond 64 bits
        return 6 * len(str(value))


_current: ContextVar[Answer] = ContextVar("answer")


class counted_answer:
    """Counts, until the block ends, what the resolvers of one operation or of one event read and write.

    Args:
        limit: as of `Answer`.
    """

    __slots__ = ("_answer", "_token")

    def __init__(self, limit: int) -> None:
        self._answer = Answer(limit)

    def __enter__(self) -> Answer:
        self._token = _current.set(self._answer)
        return self._answer

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def current_answer() -> Answer:
    """The answer that is being made; outside `counted_answer`, one without a limit."""
    return _current.get(None) or Answer(sys.maxsize)
