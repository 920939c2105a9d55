"""Task types whose results are pictures, as a record and as a blob carry them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from dask_graphql import Blob, save_blob, task

DOT: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A PNG of one pixel."""


@dataclass
class Portrait:
    name: str
    image: Blob


@dataclass
class Sketch:
    title: str
    image: str


@task
def portrait(name: str) -> Portrait:
    """A picture too large for a record."""
    return Portrait(name, save_blob("portrait.png", DOT, media_type="image/png"))


@task
def gallery(count: int) -> list[Sketch]:
    """Small pictures in a table."""
    url = f"data:image/png;base64,{base64.b64encode(DOT).decode()}"
    return [Sketch(f"dot {number}", url) for number in range(count)]
