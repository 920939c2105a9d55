"""A picture as a result: a task that draws the Mandelbrot set in tiles, on all workers, and shows it as it grows.

Start the whole system with it, from the top of the clone, and submit it on the console page:

    dask-graphql dev examples/mandelbrot.py
"""

from __future__ import annotations

import base64
import enum
import math
import struct
import zlib
from dataclasses import dataclass
from typing import Annotated, Final

import dask
from pydantic import Field

from dask_graphql import as_completed, report_partial, task

TILE_ROWS: Final = 8
"""Rows of one tile: few, so that the picture grows visibly, but enough that Dask's overhead stays small."""
WIDEST: Final = 960
"""In pixels: even a picture that cannot be compressed fits into a record, which holds up to 1 MB of result."""
INSIDE: Final = 0
"""The colour of points in the set; 1 to 254 run from far outside to its edge."""
UNDRAWN: Final = 255
"""The transparent colour of pixels that are not drawn yet."""


class Palette(enum.Enum):
    """The colours outside the set."""

    EMBER = "ember"
    OCEAN = "ocean"
    SLATE = "slate"


RAMPS: Final = {
    Palette.EMBER: ((24, 10, 30), (150, 30, 60), (240, 120, 30), (255, 225, 130), (255, 255, 240)),
    Palette.OCEAN: ((4, 12, 36), (10, 60, 120), (40, 150, 190), (170, 230, 220), (250, 255, 250)),
    Palette.SLATE: ((20, 22, 26), (120, 128, 140), (250, 250, 250)),
}
"""Colours (red, green, blue) that the shades of a palette pass through, from far outside to the edge."""


@dataclass
class Picture:
    """A picture of the Mandelbrot set."""

    png: str
    """The picture as a `data:` URL."""
    width: int
    height: int
    inside: float
    """Fraction of the pixels that belong to the set, as far as `depth` steps can tell."""


@task(version="2", timeout_seconds=300)
def mandelbrot(
    real: Annotated[float, Field(ge=-2, le=2, description="Centre, real part.")] = -0.6,
    imaginary: Annotated[float, Field(ge=-2, le=2, description="Centre, imaginary part.")] = 0.0,
    span: Annotated[float, Field(gt=0, le=4, description="Width of the visible part.")] = 3.2,
    width: Annotated[int, Field(ge=16, le=WIDEST, description="In pixels; the height is three quarters of it.")] = 640,
    depth: Annotated[int, Field(ge=1, le=5000, description="Steps until a point counts as inside.")] = 150,
    palette: Palette = Palette.EMBER,
) -> Picture:
    """Draws the Mandelbrot set in tiles, spread over the workers; progress is the fraction of finished tiles."""
    height = width * 3 // 4
    step = span / width
    left, top = real - span / 2, imaginary + step * height / 2
    tiles = [
        dask.delayed(draw)(left, top - first * step, step, width, min(TILE_ROWS, height - first), depth)
        for first in range(0, height, TILE_ROWS)
    ]
    shades = bytearray([UNDRAWN]) * (width * height)
    for place, drawn in as_completed(tiles):
        begin = place * TILE_ROWS * width
        shades[begin : begin + len(drawn)] = drawn
        report_partial(lambda: assemble(shades, width, height, palette))
    return assemble(shades, width, height, palette)


def draw(left: float, top: float, step: float, width: int, rows: int, depth: int) -> bytes:
    """The shades of one tile, row by row: a byte for each pixel."""
    return bytes(shade(complex(left + x * step, top - y * step), depth) for y in range(rows) for x in range(width))


def shade(point: complex, depth: int) -> int:
    """INSIDE, or a shade by how many steps it takes from this point to leave the circle of radius 16."""
    if abs(1 - (1 - 4 * point) ** 0.5) <= 1 or abs(point + 1) <= 0.25:
        return INSIDE  # the formulas of the set's two largest parts, which would otherwise take all steps
    z = 0j
    for count in range(depth):
        z = z * z + point
        if z.real * z.real + z.imag * z.imag > 256:
            # The fraction of the last step, so that there are no bands.
            steps = count + 1 - math.log2(math.log(abs(z), 16))
            return 1 + min(253, int(253 * (max(0.0, steps) / depth) ** 0.45))
    return INSIDE


def assemble(shades: bytes | bytearray, width: int, height: int, palette: Palette) -> Picture:
    """The shades as a PNG of 256 colours, one of them transparent."""
    rows = b"".join(b"\0" + shades[first : first + width] for first in range(0, len(shades), width))
    ramp = RAMPS[palette]
    colours = bytes(3) + b"".join(blend(ramp, index / 253) for index in range(254)) + bytes(3)
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            (b"PLTE", colours),
            (b"tRNS", bytes([255]) * UNDRAWN + bytes(1)),
            (b"IDAT", zlib.compress(rows, 9)),
            (b"IEND", b""),
        )
    )
    url = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return Picture(png=url, width=width, height=height, inside=shades.count(INSIDE) / len(shades))


def blend(ramp: tuple[tuple[int, int, int], ...], position: float) -> bytes:
    """The colour at a position on a ramp, from 0 to 1."""
    place = position * (len(ramp) - 1)
    index = min(int(place), len(ramp) - 2)
    rest = place - index
    return bytes(round(a + (b - a) * rest) for a, b in zip(ramp[index], ramp[index + 1], strict=True))
