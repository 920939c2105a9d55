"""How much compressed data may unpack to: 4 kB of gzip can be 4 MB of JSON, which takes seconds to parse."""

from __future__ import annotations

from typing import Final

UNPACKED_RATIO: Final = 100
"""Compressed data may unpack to this many times its size. JSON that is not made for it is below 30."""
UNPACKED_FREE_BYTES: Final = 64 * 1024
"""Size to which anything may unpack."""


def unpacked_limit(packed_bytes: int) -> int:
    """Bytes to which `packed_bytes` of compressed data may unpack."""
    return max(UNPACKED_FREE_BYTES, UNPACKED_RATIO * packed_bytes)
