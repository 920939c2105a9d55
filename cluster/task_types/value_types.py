"""Value types that a task function may use besides the plain ones: integers of any size, and blobs.

They are pydantic annotations, so that validation, the JSON form in the record and the GraphQL type follow from one
declaration.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Generic, Protocol, TypeVar

from pydantic import BeforeValidator, PlainSerializer

SAFE_INTEGER: Final = 2**53
"""Largest magnitude up to which all JSON readers agree on an integer (RFC 8259, section 6)."""

_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
MEDIA_TYPE: Final = re.compile(
    rf"(?=.{{3,200}}\Z){_NAME}/{_NAME}(?:[ \t]*;[ \t]*{_NAME}=(?:{_NAME}|\"(?:[ !#-\[\]-~]|\\[ -~])*\"))*", re.ASCII
)
"""A media type with its parameters (RFC 9110, section 8.3.1), of at most 200 characters."""

T = TypeVar("T")


class BigIntMark:
    """Marks the annotation `BigInt`, so that the GraphQL schema can tell it from a plain `int`."""


class Graph(Generic[T]):
    """Return annotation of a graph task: `-> Graph[Estimate]` returns a Dask collection that computes an `Estimate`."""


if TYPE_CHECKING:
    T_co = TypeVar("T_co", covariant=True)

    class Stream(Protocol[T_co]):
        """A protocol without members: type checkers accept it as the return type of functions that yield, async ones
        too, and of those that return an iterable."""

else:

    class Stream(Generic[T]):
        """Return annotation of a task whose output is delivered item by item: `-> Stream[Row]` yields `Row`s, or
        returns an iterable of them. The items are kept with the record; a new attempt begins anew."""


def parse_big_int(value: Any) -> Any:
    """An integer from its decimal digits; other values are passed on to pydantic unchanged.

    Python refuses decimal strings of more than 4,300 digits (CPython issue 95778) because its conversion is quadratic;
    gmpy2's is not, so it converts the long ones.
    """
    if not isinstance(value, str):
        return value
    body = value[1:] if value[:1] == "-" else value
    if not (body.isascii() and body.isdigit()):
        raise ValueError("expected a whole number, as an integer or its decimal digits")
    if len(body) <= 4_000:
        return int(value)
    import gmpy2

    return int(gmpy2.mpz(value))


def decimal_text(value: int) -> str:
    """The decimal digits of an integer of any size."""
    if value.bit_length() < 13_000:
        return str(value)
    import gmpy2

    return str(gmpy2.mpz(value).digits())


def json_integer(value: int) -> int | str:
    """An integer as JSON that all languages read alike: a number up to 2^53, beyond that a decimal string."""
    return value if -SAFE_INTEGER <= value <= SAFE_INTEGER else decimal_text(value)


BigInt = Annotated[int, BeforeValidator(parse_big_int), PlainSerializer(json_integer, when_used="json"), BigIntMark()]
"""An integer of any size; a decimal string in GraphQL, because JavaScript's integers end at 2^53."""


@dataclass(frozen=True)
class Blob:
    """Bytes that are too large for a record and are kept in the blob store instead.

    Attributes:
        key: the object's name in the blob store.
        size_bytes: its length.
        media_type: for the download's Content-Type.
        sha256: hash of the bytes, 64 lower-case hex digits; None in a record of an earlier release.
    """

    key: str
    size_bytes: int
    media_type: str = "application/octet-stream"
    sha256: str | None = None


@dataclass(frozen=True)
class StreamSummary:
    """What the record of a task keeps as the output of its stream, beside the items.

    Attributes:
        attempt: the attempt that the items are of.
        count: number of items.
        size_bytes: length of their JSON.
        blobs: those in the items.
    """

    task_id: str
    attempt: int
    count: int
    size_bytes: int
    blobs: list[Blob]


def allow_long_integers() -> None:
    """Lifts CPython's limit on printing integers, for user functions that print long ones."""
    sys.set_int_max_str_digits(0)
