"""Results of every kind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import expect

from tests.browser import Windows
from tests.console.steps import fill, see_state, submit

FIB_90: Final = "b9a7c7263c0332d12e52f09809754586"
PICTURES: Final = "tests.task_modules.pictures"
PHONE: Final = {"width": 390, "height": 844}

pytestmark = pytest.mark.browser


async def test_a_picture_is_drawn_in_tiles_and_shown(windows: Windows) -> None:
    async with windows.open("/#/types/mandelbrot") as page:
        await submit(page, "mandelbrot", width="400", depth="400")
        growing = page.get_by_role("region", name="Result so far").get_by_role("img")
        await expect(growing).to_be_visible()
        picture = page.get_by_role("region", name="Result", exact=True).get_by_role("img", name="mandelbrot-png")
        await expect(picture).to_be_visible()
        assert await picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [400, 300]
        await page.get_by_role("button", name="Larger").click()
        await expect(page.get_by_role("region", name="mandelbrot-png, enlarged")).to_be_visible()


async def test_a_list_of_objects_is_a_table_and_its_pictures_are_seen(windows: Windows) -> None:
    async with windows.open("/#/types/gallery") as page:
        await submit(page, "gallery", count="3")
        table = page.get_by_role("region", name="gallery")
        await expect(table.get_by_role("columnheader")).to_have_text(["title", "image"])
        await expect(table.get_by_role("img")).to_have_count(3)


@pytest.mark.slow
async def test_a_table_is_read_in_pages_sorted_drawn_and_downloaded(windows: Windows) -> None:
    async with windows.open("/#/types/make_table", viewport=PHONE) as page:
        await submit(page, "make_table", rows="120")
        table = page.get_by_role("region", name="make_table", exact=True)
        await expect(table.get_by_role("columnheader")).to_have_text(["stationstring", "numberint64", "valuedouble"])
        await expect(table.get_by_role("row").nth(1)).to_have_text("1s000")
        # The whole table, and not only the rows of a page.
        await table.get_by_role("button", name="value").click(click_count=2, delay=50)
        await expect(table.get_by_role("row").nth(1)).to_have_text("1s011929.75")
        await expect(page.get_by_text("sorted by value", exact=True)).to_be_visible()
        await page.get_by_role("button", name="Last page").click()
        await expect(page.get_by_text("Rows 101 to 120 of 120")).to_be_visible()
        await expect(table.get_by_role("row")).to_have_count(21)
        await page.get_by_role("button", name="Add filter").click()
        form = page.get_by_role("form", name="Filter")
        await form.get_by_label("Column").select_option("number")
        await form.get_by_label("Condition").select_option("≥")
        await form.get_by_label("Value").fill("100")
        await form.get_by_role("button", name="Filter").click()
        await expect(page.get_by_text("20 rows match")).to_be_visible()
        await expect(table.get_by_role("row")).to_have_count(21)
        await page.get_by_label("Column").select_option("value")
        await expect(page.get_by_role("list", name="Spread of value").get_by_role("listitem")).to_have_count(12)
        await page.get_by_role("button", name="Course").click()
        await expect(page.get_by_role("slider", name="value: 20 values from 25 to 29.75")).to_be_visible()
        await page.get_by_role("button", name="Remove the condition on number").click()
        await expect(page.get_by_text("Rows 1 to 50 of 120")).to_be_visible()
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Download CSV").click()
        assert Path(await (await download.value).path()).read_text().startswith('"station","number","value"')
        assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth")
    async with windows.open("/#/types/summarise") as page:
        await submit(page, "summarise", rows="3")
        inside = page.get_by_role("region", name="summarise-readings", exact=True)
        await expect(inside.get_by_role("row")).to_have_count(4)


async def test_an_array_is_a_line_a_heat_map_or_slices_of_one(windows: Windows) -> None:
    async with windows.open("/#/types/make_grid") as page:
        await submit(page, "make_grid", shape="2500")
        await expect(page.get_by_role("slider", name="axis 0: 834 values from 0 to 2499")).to_be_visible()
        await expect(page.get_by_text("1 in 3 along axis 0")).to_be_visible()
        await expect(page.get_by_role("link", name="Download .npy")).to_be_visible()
        await submit(page, "make_grid", shape="3\n4\n5")
        picture = page.get_by_role("img", name="make_grid: a heat map of 4 by 5 values from 0 to 19")
        await expect(picture).to_be_visible()
        # The highest value has the last colour of the ramp.
        colour = """canvas => {
          const [red, green, blue] = canvas.getContext('2d').getImageData(4, 3, 1, 1).data;
          const last = document.querySelector('.ramp > :last-child');
          return getComputedStyle(last).backgroundColor === `rgb(${red}, ${green}, ${blue})`; }"""
        assert await picture.evaluate(colour)
        await picture.hover(position={"x": 2, "y": 2})
        await expect(page.get_by_text("axis 1 0 · axis 2 0")).to_be_visible()
        await page.get_by_role("button", name="Numbers", exact=True).click()
        numbers = page.get_by_role("region", name="make_grid: numbers")
        await expect(numbers.get_by_role("row").last).to_have_text("1516171819")
        await page.get_by_role("button", name="Heat map").click()
        await page.get_by_label("axis 0", exact=True).fill("2")
        await expect(page.get_by_role("img", name="a heat map of 4 by 5 values from 40 to 59")).to_be_visible()
        await expect(page.get_by_role("region", name="Result")).to_contain_text("Deviation17.3181")


@pytest.mark.slow
async def test_the_items_of_a_stream_are_seen_as_they_come_then_in_pages(windows: Windows, tmp_path: Path) -> None:
    async with windows.open("/#/types/dripping") as page:
        await fill(page, "dripping", folder=str(tmp_path), items="3")
        await page.get_by_role("form", name="dripping").get_by_label(re.compile("^fails")).check()
        await submit(page, "dripping")
        coming = page.get_by_role("region", name="Items so far")
        for x in range(2):
            (tmp_path / f"item-{x}").touch()
            await expect(coming.get_by_role("row")).to_have_count(2 + x)
        # The second attempt begins anew.
        (tmp_path / "item-2").touch()
        await see_state(page, "SUCCEEDED")
        await expect(page.get_by_text("Items 1 to 3 of 3")).to_be_visible()
        await expect(page.get_by_role("region", name="dripping-items").get_by_role("row")).to_have_count(4)
    async with windows.open("/#/types/counting") as page:
        await submit(page, "counting", upto="120")
        await page.get_by_role("button", name="Next page").click()
        await expect(page.get_by_role("region", name="counting-items")).to_contain_text("50, 51,")
        await page.get_by_role("button", name="Next page").click()
        await expect(page.get_by_text("Items 101 to 120 of 120")).to_be_visible()


async def test_a_number_too_long_for_the_record_is_shown_by_its_ends(windows: Windows) -> None:
    async with windows.open("/#/types/fibonacci") as page:
        await submit(page, "fibonacci", n="5000000")
        await expect(page.get_by_role("region", name="value")).to_contain_text("7108285972\u20090585272369")
        await expect(page.get_by_role("region", name="value")).to_contain_text("more digits")
        await expect(page.get_by_role("link", name=re.compile("Download"))).to_be_visible()
