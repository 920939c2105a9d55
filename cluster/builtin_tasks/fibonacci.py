"""The task that ships with the product: an exact Fibonacci number, computed by GMP."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated

import gmpy2
from pydantic import Field

from cluster.current_settings import current_settings
from cluster.errors import BadInput
from cluster.store.blob_store import BlobStore
from cluster.task_types.registry import task
from cluster.task_types.result_fields import Hidden, result_field
from cluster.task_types.value_types import BigInt, Blob
from cluster.worker.saved_blobs import save_blob

MAX_SLICE = 1_000_000
"""Digits that one `digitsSlice` returns at most."""


@dataclass
class FibonacciResult:
    """A Fibonacci number."""

    n: int
    """Its index in the sequence: fib(0) = 0, fib(1) = 1."""
    digits: int
    """Number of decimal digits."""
    bit_length: int
    """Number of bits."""
    sha256: str
    """SHA-256 of its decimal digits, in hex."""
    text: Annotated[str | None, Hidden]
    """The decimal digits, if the record has them itself."""
    blob: Blob | None = None
    """The decimal digits as a download, if they are too long for the record."""

    @result_field
    def value(self) -> BigInt | None:
        """The number itself; null if it is too long to inline: read it with `digitsSlice` or download `blob`."""
        return self.text  # type: ignore[return-value]  # the digits are already the wire form

    @result_field
    async def digits_slice(self, blobs: BlobStore, offset: int, length: int) -> str:
        """Decimal digits from `offset` on (0 is the most significant), at most 1,000,000."""
        if offset < 0 or not 0 <= length <= MAX_SLICE:
            raise BadInput(
                f"digitsSlice takes an offset from 0 and a length from 0 to {MAX_SLICE}, not {offset} and {length}"
            )
        if self.text is not None:
            return self.text[offset : offset + length]
        assert self.blob is not None
        length = max(0, min(length, self.blob.size_bytes - offset))
        return (await blobs.read(self.blob.key, offset, length)).decode("ascii")


def check_limit(n: int) -> None:
    """Refuses numbers beyond the operator's limit."""
    limit = current_settings().fibonacci_max_n
    if n > limit:
        raise BadInput(f"fibonacci: n must be at most {limit} here, not {n}", argument="n", limit=limit)


@task(version="1", checks=check_limit)
def fibonacci(n: Annotated[int, Field(ge=0)]) -> FibonacciResult:
    """Computes the n-th Fibonacci number exactly."""
    number = gmpy2.fib(n)
    digits = number.digits()
    encoded = digits.encode("ascii")
    inline = len(digits) <= current_settings().inline_limit_bytes
    return FibonacciResult(
        n=n,
        digits=len(digits),
        bit_length=number.bit_length(),
        sha256=hashlib.sha256(encoded).hexdigest(),
        text=digits if inline else None,
        blob=None if inline else save_blob("digits.txt", encoded, media_type="text/plain"),
    )
