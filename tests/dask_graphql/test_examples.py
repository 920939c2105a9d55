"""The examples do what their pages say, without a cluster; a test of the browser draws a picture on one."""

from __future__ import annotations

import base64
import math
import random
import struct
import zlib
from typing import Any

import dask
import pytest

from cluster.settings import load_settings
from cluster.task_types.registry import load_registry
from examples.mandelbrot import INSIDE, UNDRAWN, WIDEST, Palette, Picture, assemble, blend, draw, mandelbrot, shade


def drawn(**arguments: Any) -> Picture:
    """A picture as the cluster would make it, drawn here."""
    with dask.config.set(scheduler="synchronous"):
        return mandelbrot(**arguments)


def chunks(png: bytes) -> dict[bytes, bytes]:
    """The parts of a PNG by their kind, each held to its checksum."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    found, place = {}, 8
    while place < len(png):
        length, kind = struct.unpack_from(">I4s", png, place)
        body = png[place + 8 : place + 8 + length]
        assert struct.unpack_from(">I", png, place + 8 + length)[0] == zlib.crc32(kind + body)
        found[kind] = body
        place += 12 + length
    return found


def pixels(picture: Picture) -> bytes:
    """The shades of a picture, row by row."""
    rows = zlib.decompress(chunks(base64.b64decode(picture.png.removeprefix("data:image/png;base64,")))[b"IDAT"])
    size = picture.width + 1
    return b"".join(rows[first + 1 : first + size] for first in range(0, len(rows), size))


def test_the_picture_is_a_whole_png_of_the_size_that_was_asked_for() -> None:
    picture = drawn(width=64)
    parts = chunks(base64.b64decode(picture.png.removeprefix("data:image/png;base64,")))
    assert list(parts) == [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"]
    assert struct.unpack(">IIBBBBB", parts[b"IHDR"]) == (64, 48, 8, 3, 0, 0, 0)
    assert len(parts[b"PLTE"]) == 3 * 256
    assert len(pixels(picture)) == 64 * 48
    assert UNDRAWN not in pixels(picture)


def test_the_tiles_together_are_what_one_tile_would_be() -> None:
    # 3/4 of 36 is 27 rows, which no number of whole tiles makes.
    assert pixels(drawn(width=36, depth=50)) == draw(-0.6 - 1.6, 3.2 / 36 * 13.5, 3.2 / 36, 36, 27, 50)


def test_the_share_inside_is_near_the_area_of_the_set() -> None:
    # The set's area is 1.5066, of 3.2 times 2.4.
    assert drawn(width=160).inside == pytest.approx(1.5066 / (3.2 * 2.4), rel=0.03)


@pytest.mark.parametrize("point", [0, -1, 0.25, -2, 1j, -0.1 + 0.75j])
def test_points_that_are_known_to_be_inside_are(point: complex) -> None:
    assert shade(complex(point), 500) == INSIDE


@pytest.mark.parametrize("point", [0.26, 2, -2.1, 0.5 + 0.5j, 2j])
def test_points_that_leave_are_outside(point: complex) -> None:
    assert 1 <= shade(complex(point), 500) < UNDRAWN


def test_a_palette_runs_from_its_first_colour_to_its_last() -> None:
    ramp = ((0, 0, 0), (10, 20, 30), (255, 255, 255))
    assert [*blend(ramp, 0), *blend(ramp, 0.5), *blend(ramp, 1)] == [0, 0, 0, 10, 20, 30, 255, 255, 255]
    assert math.isclose(drawn(width=16, palette=Palette.OCEAN).inside, drawn(width=16).inside)


def test_the_largest_picture_fits_into_a_record() -> None:
    height = WIDEST * 3 // 4
    noise = random.Random(1).randbytes(WIDEST * height)
    assert len(assemble(noise, WIDEST, height, Palette.SLATE).png) < load_settings({}).inline_limit_bytes


def test_the_examples_register_as_task_types() -> None:
    registry = load_registry(("examples.mandelbrot", "examples.estimate_pi"))
    assert {"mandelbrot", "estimate_pi", "estimate_pi_wide"} <= set(registry)
