"""Tiles of an uploaded image: a file comes in, and pictures go out one by one while the task runs.

Start the whole system with it, from the top of the clone:

    dask-graphql dev examples/image_tiles.py

`cut_tiles` takes a PGM file (grey, one byte for each pixel), as microscopes and scanners write it. It makes the tiles
of a zoomable map: level 0 is the whole image, and each further level has twice its size. In the console, drop a file
on the form, and the tiles appear as they are made. In Python:

    with Client() as client:
        for item in client.submit(cut_tiles, Path("cells.pgm")).items():
            client.download(item.value.image, f"{item.number}.png")
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from dask_graphql import Blob, File, Stream, TaskError, cancelled, report_progress, save_blob, task

HEADER = re.compile(rb"P5\s(?:#.*\n)*\s*(\d+)\s+(\d+)\s+(\d+)\s")
"""The magic number, comments, width, height and largest value: https://netpbm.sourceforge.net/doc/pgm.html."""


@dataclass
class Tile:
    """A square piece of the image."""

    level: int
    """0 for the whole image in one tile; each further level has twice as many pixels in both directions."""
    column: int
    row: int
    image: Blob
    """A PNG."""


@task(timeout_seconds=300)
def cut_tiles(image: File, size: Annotated[int, Field(ge=16, le=1024)] = 256) -> Stream[Tile]:
    """Cuts a PGM image into PNG tiles of `size` pixels, the coarse ones first."""
    pixels = read_pgm(image)
    levels = [pixels]
    while max(levels[0].shape) > size:
        levels.insert(0, halved(levels[0]))
    total = sum(-(-level.shape[0] // size) * -(-level.shape[1] // size) for level in levels)
    for done, (level, row, column, part) in enumerate(pieces(levels, size), 1):
        if cancelled():
            return
        name = f"{level}-{row}-{column}.png"
        yield Tile(level, column, row, save_blob(name, png(part), media_type="image/png"))
        report_progress(done / total)


def read_pgm(image: File) -> Any:
    """The pixels of a file, which is mapped into memory rather than read."""
    with image.open() as file:
        header = HEADER.match(file.read(1000))
    if header is None or not 0 < int(header[3]) < 256:
        raise TaskError("BAD_IMAGE", f"{image.name or 'the file'} is no binary PGM image with one byte for each pixel")
    width, height = int(header[1]), int(header[2])
    if image.size_bytes < header.end() + width * height:
        raise TaskError("BAD_IMAGE", f"{image.name or 'the file'} ends before its {width} x {height} pixels do")
    return np.memmap(image.path(), mode="r", offset=header.end(), shape=(height, width))


def halved(pixels: Any) -> Any:
    """The image in half its size: each pixel is the mean of four. An odd last row or column is dropped."""
    height, width = (max(2, length) // 2 * 2 for length in pixels.shape)
    even = np.resize(pixels, (height, width)) if min(pixels.shape) < 2 else pixels[:height, :width]
    return even.reshape(height // 2, 2, width // 2, 2).mean((1, 3)).astype("uint8")


def pieces(levels: list[Any], size: int) -> Iterator[tuple[int, int, int, Any]]:
    """Yields level, row, column and pixels of every tile; those at the right and lower edge may be smaller."""
    for level, pixels in enumerate(levels):
        for row, top in enumerate(range(0, pixels.shape[0], size)):
            for column, left in enumerate(range(0, pixels.shape[1], size)):
                yield level, row, column, pixels[top : top + size, left : left + size]


def png(pixels: Any) -> bytes:
    """A grey image as PNG: https://www.w3.org/TR/png-3/."""
    height, width = pixels.shape
    rows = np.pad(pixels, ((0, 0), (1, 0))).tobytes()  # a byte in front of each row: its filter, none
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )
