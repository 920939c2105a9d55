"""The web pages in a real browser, used as a person would, on a system of real processes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, Page, Route, WebSocketRoute, expect

from cluster.task_types.task_id import canonical_json, task_id
from graphql_api.auth.callers import Scope
from tests.browser import PATIENCE_MILLISECONDS, Windows, grave_findings, need_pages, needed_chromium, started
from tests.node import environment
from tests.system import TASKS, System
from tests.task_modules.pictures import DOT

FIB_90: Final = "b9a7c7263c0332d12e52f09809754586"
FILES: Final = "tests.task_modules.files"
FRAMES: Final = "tests.task_modules.frames"
ODD: Final = "tests.task_modules.odd"
PICTURES: Final = "tests.task_modules.pictures"
PHONE: Final = {"width": 390, "height": 844}

expect.set_options(timeout=PATIENCE_MILLISECONDS)

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    need_pages()
    async with started(needed_chromium()) as running:
        yield running


@pytest.fixture(scope="module")
async def pages_system(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Two api nodes, and one worker, so that tests can hold a task in the queue."""
    modules = (TASKS, ODD, PICTURES, FILES, FRAMES, "examples.mandelbrot")
    async with System(
        tmp_path_factory.mktemp("pages"),
        api_nodes=2,
        min_workers=1,
        max_workers=2,
        task_modules=modules,
        expose_tracebacks=True,
    ) as running:
        yield running


@pytest.fixture
async def windows(browser: Browser, pages_system: System) -> AsyncIterator[Windows]:
    """Windows on node 0. At the end, none of them may have logged an error or contacted another origin."""
    opened = Windows(browser, base_of(pages_system))
    yield opened
    assert opened.faults == []


def base_of(system: System, node: int = 0) -> str:
    return f"http://127.0.0.1:{system.ports[node]}"


async def fill(page: Page, task: str, **values: str) -> None:
    """Fills the form of a task type that the page shows."""
    form = page.get_by_role("form", name=task)
    for label, value in values.items():
        await form.get_by_label(re.compile(rf"^{label}\b")).fill(value)


async def submit(page: Page, task: str, **values: str) -> str:
    """Fills and submits the form; returns the id in the address."""
    await fill(page, task, **values)
    await page.get_by_role("form", name=task).get_by_role("button", name="Submit").click()
    await page.wait_for_url(re.compile(rf"#/submit/{task}/[0-9a-f]{{32}}$"))
    return page.url.rpartition("/")[2]


async def see_state(page: Page, state: str) -> None:
    await expect(page.locator(".task header [role=status]")).to_have_text(state)


async def play(page: Page, tab: str) -> None:
    """Runs an example of GraphiQL as soon as it is visible, faster than a person could."""
    editor = page.locator(".graphiql-query-editor .view-lines")
    await expect(editor).to_contain_text(re.compile(r"query|mutation|subscription"))
    await page.get_by_title(tab, exact=True).click()
    await expect(editor).to_contain_text(tab)
    await page.locator(".graphiql-execute-button").click()


# Submitting -----------------------------------------------------------------------------------------------------------


async def test_the_id_is_known_before_the_request_and_the_api_gives_the_same(windows: Windows) -> None:
    async with windows.open("/#/submit/fibonacci") as page:
        await fill(page, "fibonacci", n="90")
        await expect(page.get_by_test_id("expected-id")).to_have_text(FIB_90)
        assert await submit(page, "fibonacci", n="90") == FIB_90
        await expect(page.get_by_text("✓ the id that this page computed")).to_be_visible()


@pytest.mark.parametrize(
    ("task", "values", "pre_image"),
    [
        ("add", {"a": "1180591620717411303424"}, b'{"a":"1180591620717411303424","b":5}'),
        ("add", {"a": "-9007199254740992", "b": "007"}, b'{"a":-9007199254740992,"b":7}'),
        ("stepping", {"steps": "1"}, b'{"steps":1}'),
        ("failing", {"message": 'ü "\u2028\\'}, '{"message":"ü \\"\u2028\\\\"}'.encode()),
        ("report", {"size": "3"}, b'{"colour":"red","points":null,"size":3}'),
        ("mandelbrot", {"span": "1e-7", "width": "16"}, b'{"depth":150,"imaginary":0,"palette":"ember","real":-0.6,'
                                                        b'"span":1e-7,"width":16}'),
    ],
)  # fmt: skip
async def test_ids_of_every_kind_of_input_are_computed_alike(
    windows: Windows, task: str, values: dict[str, str], pre_image: bytes
) -> None:
    async with windows.open(f"/#/submit/{task}") as page:
        await fill(page, task, **values)
        expected = task_id(task, "2" if task == "mandelbrot" else "1", pre_image)
        await expect(page.get_by_test_id("expected-id")).to_have_text(expected)
        assert await submit(page, task) == expected


async def test_a_form_takes_nested_inputs_lists_and_enums(windows: Windows) -> None:
    async with windows.open("/#/submit/report") as page:
        form = page.get_by_role("form", name="report")
        await fill(page, "report", size="7")
        await form.get_by_label(re.compile(r"^colour\b")).select_option("BLUE")
        await form.get_by_role("button", name="Set points").click()
        for x in ("1", "2"):
            await form.get_by_role("button", name="Add to points").click()
            await form.get_by_label(re.compile(r"^x\b")).last.fill(x)
        pre_image = b'{"colour":"blue","points":[{"x":1,"y":3},{"x":2,"y":3}],"size":7}'
        assert await submit(page, "report") == task_id("report", "1", pre_image)
        await see_state(page, "SUCCEEDED")
        table = page.get_by_role("region", name="report-points")
        await expect(table.get_by_role("row")).to_have_text(["xy", "13", "23"])
        await expect(page.get_by_role("link", name="Download report.txt")).to_be_visible()


async def test_a_file_is_sent_when_it_is_chosen_or_dropped_and_is_an_argument(windows: Windows, tmp_path: Path) -> None:
    content = bytes(range(256)) * 100
    (tmp_path / "noise.bin").write_bytes(content)
    id_ = f"sha256:{hashlib.sha256(content).hexdigest()}"
    async with windows.open("/#/submit/digest_file") as page:
        form = page.get_by_role("form", name="digest_file")
        for words in ("sent", "the api has it already"):
            await form.locator("input[type=file]").set_input_files(tmp_path / "noise.bin")
            await expect(form.get_by_text(f"noise.bin, 25.6 kB: {words}")).to_be_visible()
            await expect(form.get_by_label(re.compile(r"^file\b"))).to_have_value(id_)
        await form.get_by_label(re.compile(r"^file\b")).fill("")
        transfer = await page.evaluate_handle(
            """text => { const data = new DataTransfer(); data.items.add(new File([text], "a.txt")); return data; }""",
            "dropped",
        )
        await form.locator(".drop").dispatch_event("drop", {"dataTransfer": transfer})
        dropped = f"sha256:{hashlib.sha256(b'dropped').hexdigest()}"
        await expect(form.get_by_label(re.compile(r"^file\b"))).to_have_value(dropped)
        task = await submit(page, "digest_file", file=id_)
        assert task == task_id("digest_file", "1", canonical_json({"file": id_, "note": ""}))
        await see_state(page, "SUCCEEDED")


async def test_a_form_takes_every_kind_of_type(windows: Windows) -> None:
    async with windows.open("/#/submit/echo_everything") as page:
        form = page.get_by_role("form", name="echo_everything")
        await form.get_by_role("button", name="Add to grid").click()
        await fill(
            page, "echo_everything", count="-5", big="1180591620717411303424", share="2.5e-1", text="ü",
            at="2026-01-31T12:00", day="2026-01-31", hour="12:30", span="PT1H30M", price="1.10",
            key="00000000-0000-0000-0000-00000000000A",
            unique="3\n1\n3", frozen="b\na", row="1.5\n2", table='{"my_key": 1}', anything='{"a": [1, null]}',
            xAxis="1", tags="t",
        )  # fmt: skip
        await form.get_by_label(re.compile(r"^grid\[0\]")).last.fill("1\n2")
        await form.get_by_label(re.compile("^mode")).select_option("fast")
        await form.get_by_role("checkbox", name=re.compile("^flag")).check()
        await expect(page.get_by_text("only the api can compute it")).to_be_visible()
        await submit(page, "echo_everything")
        await see_state(page, "SUCCEEDED")
        result = page.get_by_role("region", name="Result")
        for shown in ("2026-01-31T12:00:00", "12:30:00", "PT1H30M", "1.10", "0.25", '"my_key": 1', "CALM", "SMALL"):
            await expect(result).to_contain_text(shown)


async def test_an_upload_is_seen_cancelled_and_told_why_it_failed(windows: Windows) -> None:
    windows.expected = ("net::ERR_FAILED",)
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        await held.wait()
        await route.abort()

    async with windows.open("/#/submit/digest_file", viewport=PHONE) as page:
        await page.route("**/files?*", hold)
        form = page.get_by_role("form", name="digest_file")
        # Dropped, as from a folder.
        transfer = await page.evaluate_handle(
            """() => {
                const data = new DataTransfer();
                data.items.add(new File([crypto.getRandomValues(new Uint8Array(2000))], "a/b.bin"));
                return data;
            }"""
        )
        drop = form.locator(".drop")
        await drop.dispatch_event("drop", {"dataTransfer": transfer})
        await expect(form.get_by_role("progressbar", name="Upload")).to_be_visible()
        await form.get_by_role("button", name="Cancel the upload").click()
        await expect(form.get_by_role("progressbar", name="Upload")).not_to_be_visible()
        await expect(form.get_by_role("alert")).not_to_be_visible()
        held.set()
        await drop.dispatch_event("drop", {"dataTransfer": transfer})
        await expect(form.get_by_role("alert")).to_contain_text("The api does not respond")


async def test_a_refusal_stands_beside_the_field_that_it_is_about(windows: Windows) -> None:
    async with windows.open("/#/submit/mandelbrot") as page:
        await fill(page, "mandelbrot", width="5000")
        form = page.get_by_role("form", name="mandelbrot")
        await form.get_by_role("button", name="Submit").click()
        await expect(page.get_by_role("alert")).to_contain_text("BAD_INPUT")
        width = form.get_by_label(re.compile(r"^width\b"))
        await expect(width).to_have_attribute("aria-invalid", "true")
        await expect(width).to_have_accessible_description(re.compile("less than or equal to 960"))


async def test_progress_is_seen_as_it_is_made(windows: Windows) -> None:
    async with windows.open("/#/submit/stepping") as page:
        await submit(page, "stepping", steps="14")
        bar = page.locator(".task").get_by_role("progressbar")
        await expect(bar).to_have_attribute("value", re.compile(r"^0\.[0-4]"))
        await expect(bar).to_have_attribute("value", re.compile(r"^0\.[5-9]"))
        await expect(page.get_by_text(re.compile("about .* left"))).to_be_visible()
        await see_state(page, "SUCCEEDED")


async def test_a_picture_is_drawn_in_tiles_and_shown(windows: Windows) -> None:
    async with windows.open("/#/submit/mandelbrot") as page:
        await submit(page, "mandelbrot", width="800", depth="400")
        growing = page.get_by_role("region", name="Result so far").get_by_role("img")
        await expect(growing).to_be_visible()
        picture = page.get_by_role("region", name="Result", exact=True).get_by_role("img", name="mandelbrot-png")
        await expect(picture).to_be_visible()
        assert await picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [800, 600]
        await expect(page.get_by_text(re.compile("progress reports?"))).to_be_visible()


async def test_a_list_of_objects_is_a_table_and_its_pictures_are_seen(windows: Windows) -> None:
    async with windows.open("/#/submit/gallery") as page:
        await submit(page, "gallery", count="3")
        table = page.get_by_role("region", name="gallery")
        await expect(table.get_by_role("columnheader")).to_have_text(["title", "image"])
        await expect(table.get_by_role("img")).to_have_count(3)


@pytest.mark.slow
async def test_a_table_is_read_in_pages_sorted_drawn_and_downloaded(windows: Windows) -> None:
    async with windows.open("/#/submit/make_table", viewport=PHONE) as page:
        await submit(page, "make_table", rows="120")
        table = page.get_by_role("region", name="make_table", exact=True)
        await expect(table.get_by_role("columnheader")).to_have_text(["stationstring", "numberint64", "valuedouble"])
        await expect(table.get_by_role("row").nth(1)).to_have_text("s000")
        await table.get_by_role("button", name="value").click(click_count=2, delay=50)
        await expect(table.get_by_role("row").nth(1)).to_have_text("s04912.25")
        await expect(page.get_by_text("sorted by value, this page only")).to_be_visible()
        await page.get_by_role("button", name="Last").click()
        await expect(page.get_by_text("rows 101 to 120")).to_be_visible()
        await expect(table.get_by_role("row")).to_have_count(21)
        await page.get_by_label("Chart of").select_option("value")
        await expect(page.get_by_role("img", name="value: 20 values from 25 to 29.75")).to_be_visible()
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Download CSV").click()
        assert Path(await (await download.value).path()).read_text().startswith('"station","number","value"')
        assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth")
    async with windows.open("/#/submit/summarise") as page:
        await submit(page, "summarise", rows="3")
        inside = page.get_by_role("region", name="summarise-readings", exact=True)
        await expect(inside.get_by_role("row")).to_have_count(4)


async def test_an_array_is_a_line_a_heat_map_or_slices_of_one(windows: Windows) -> None:
    async with windows.open("/#/submit/make_grid") as page:
        await submit(page, "make_grid", shape="2500")
        await expect(page.get_by_role("img", name="axis 0: 834 values from 0 to 2499")).to_be_visible()
        await expect(page.get_by_text("1 in 3 along axis 0")).to_be_visible()
        await expect(page.get_by_role("link", name="Download .npy")).to_be_visible()
        await submit(page, "make_grid", shape="3\n4\n5")
        picture = page.get_by_role("img", name="make_grid: a heat map of 4 by 5 values from 0 to 19")
        await expect(picture).to_be_visible()
        colour = "canvas => [...canvas.getContext('2d').getImageData(4, 3, 1, 1).data]"
        assert await picture.evaluate(colour) == [253, 231, 37, 255]
        await page.get_by_label("axis 0").fill("2")
        await expect(page.get_by_role("img", name="a heat map of 4 by 5 values from 40 to 59")).to_be_visible()
        await expect(page.get_by_role("region", name="Result")).to_contain_text("std17.3181")


@pytest.mark.slow
async def test_the_items_of_a_stream_are_seen_as_they_come_then_in_pages(windows: Windows, tmp_path: Path) -> None:
    async with windows.open("/#/submit/dripping") as page:
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
        await expect(page.get_by_text("items 1 to 3 of 3")).to_be_visible()
        await expect(page.get_by_role("region", name="dripping-items").get_by_role("row")).to_have_count(4)
    async with windows.open("/#/submit/counting") as page:
        await submit(page, "counting", upto="120")
        await page.get_by_role("button", name="Next").click()
        await expect(page.get_by_role("region", name="counting-items")).to_contain_text("50, 51,")
        await page.get_by_role("button", name="Next").click()
        await expect(page.get_by_text("items 101 to 120 of 120")).to_be_visible()


async def test_what_a_task_prints_is_seen_while_it_runs_and_afterwards(windows: Windows, tmp_path: Path) -> None:
    async with windows.open("/#/submit/talking") as page:
        await submit(page, "talking", folder=str(tmp_path), n="3")
        log = page.get_by_role("list", name="Log")
        await expect(log.get_by_role("listitem")).to_contain_text(["prints 3", "WARNING logs 3"])
        (tmp_path / "go").touch()
        await see_state(page, "SUCCEEDED")
        await expect(log.get_by_role("listitem")).to_contain_text(["prints 3", "WARNING logs 3", "the end"])


async def test_a_number_too_long_for_the_record_is_shown_by_its_ends(windows: Windows) -> None:
    async with windows.open("/#/submit/fibonacci") as page:
        await submit(page, "fibonacci", n="5000000")
        await expect(page.get_by_role("region", name="value")).to_contain_text("7108285972\u20090585272369")
        await expect(page.get_by_role("region", name="value")).to_contain_text("more digits")
        await expect(page.get_by_role("link", name=re.compile("Download"))).to_be_visible()


async def test_a_failure_is_shown_with_its_code_and_message(windows: Windows) -> None:
    async with windows.open("/#/submit/failing") as page:
        await submit(page, "failing", message="the tide is too low")
        await see_state(page, "FAILED")
        alert = page.get_by_role("alert")
        await expect(alert).to_contain_text("TASK_FAILED")
        await expect(alert).to_contain_text("ValueError: the tide is too low")
        await alert.get_by_text("Traceback", exact=True).click()
        await expect(alert.get_by_role("region", name="Traceback")).to_contain_text("samples.py")


async def test_an_input_is_changed_and_submitted_again(windows: Windows, pages_system: System) -> None:
    got = await pages_system.ask("mutation { submitReport(size: 11, colour: BLUE, points: [{x: 4}]) { taskId } }")
    async with windows.open(f"/#/tasks/{got['submitReport']['taskId']}") as page:
        await page.get_by_role("link", name="Submit again").click()
        form = page.get_by_role("form", name="report")
        await expect(form.get_by_label(re.compile(r"^size\b"))).to_have_value("11")
        await expect(form.get_by_label(re.compile(r"^colour\b"))).to_have_value("BLUE")
        await expect(form.get_by_label(re.compile(r"^x\b"))).to_have_value("4")
        await expect(page.get_by_test_id("expected-id")).to_have_text(got["submitReport"]["taskId"])
        pre_image = b'{"colour":"blue","points":[{"x":5,"y":3}],"size":11}'
        await submit(page, "report", x="5")
        await page.wait_for_url(re.compile(task_id("report", "1", pre_image)))
        await see_state(page, "SUCCEEDED")


# Watching -------------------------------------------------------------------------------------------------------------


async def test_a_running_task_is_cancelled(windows: Windows, tmp_path: Path) -> None:
    async with windows.open("/#/submit/gated") as page:
        await submit(page, "gated", folder=str(tmp_path), n="1")
        await see_state(page, "RUNNING")
        await page.get_by_role("button", name="Cancel").click()
        await see_state(page, "CANCELLED")
        await expect(page.get_by_role("region", name="Timeline")).to_contain_text("CANCELLED was cancelled")


async def test_the_earlier_result_is_shown_until_there_is_a_new_one(
    windows: Windows, pages_system: System, tmp_path: Path
) -> None:
    (tmp_path / "gate-4").touch()
    query = """mutation($folder: String!, $options: SubmitOptions) {
      submitGated(folder: $folder, n: 4, options: $options) { taskId } }"""
    asked = {"folder": str(tmp_path)}
    found = (await pages_system.ask(query, asked))["submitGated"]["taskId"]
    await pages_system.result(found)
    (tmp_path / "gate-4").unlink()
    await pages_system.ask(query, asked | {"options": {"recompute": True}})
    async with windows.open(f"/#/tasks/{found}") as page:
        await see_state(page, "RUNNING")
        hint = page.get_by_text("result of an earlier run")
        await expect(hint).to_be_visible()
        (tmp_path / "gate-4").touch()
        await see_state(page, "SUCCEEDED")
        await expect(hint).not_to_be_visible()


async def test_the_timeline_shows_every_attempt(windows: Windows) -> None:
    async with windows.open("/#/submit/estimate_pi") as page:
        # It divides by zero, and has two retries.
        await submit(page, "estimate_pi", samples="0")
        await see_state(page, "FAILED")
        line = page.get_by_role("region", name="Timeline")
        await expect(line.get_by_text("RETRY")).to_have_count(2)
        await expect(line.get_by_role("img")).to_have_accessible_name(
            re.compile("^waited .*, attempt 1 ran .*, waited .*, attempt 2 ran .*, waited .*, attempt 3 ran ")
        )


async def test_two_windows_on_two_nodes_see_one_task(windows: Windows, pages_system: System, tmp_path: Path) -> None:
    async with (
        windows.open("/#/submit/gated") as first,
        windows.open("/#/tasks", base=base_of(pages_system, 1)) as second,
    ):
        await submit(first, "gated", folder=str(tmp_path), n="2")
        await see_state(first, "RUNNING")
        line = second.get_by_role("link").filter(has_text=str(tmp_path))
        await expect(line).to_contain_text("RUNNING")
        await line.click()
        await see_state(second, "RUNNING")
        (tmp_path / "gate-2").touch()
        for page in (first, second):
            await see_state(page, "SUCCEEDED")
            await expect(page.get_by_role("region", name="Result")).to_contain_text("2")
        # Another client recomputes it, and the open page shows that.
        await first.get_by_label("run again").check()
        await submit(first, "gated")
        await expect(first.get_by_text("RECOMPUTED")).to_be_visible()
        await see_state(first, "SUCCEEDED")


async def test_a_page_waits_through_a_restart_of_its_api_node(
    windows: Windows, pages_system: System, tmp_path: Path
) -> None:
    windows.expected = ("net::ERR_", "WebSocket connection")
    async with windows.open("/#/submit/gated", base=base_of(pages_system, 1)) as page:
        await submit(page, "gated", folder=str(tmp_path), n="3")
        await see_state(page, "RUNNING")
        await pages_system.kill("api1")
        await expect(page.get_by_text("the api does not respond")).to_be_visible()
        (tmp_path / "gate-3").touch()
        await pages_system.start("api", 1)
        await see_state(page, "SUCCEEDED")
        await expect(page.get_by_text("the api does not respond")).to_be_hidden()
        await expect(page.locator(".events li")).to_have_count(3)


async def test_a_link_opens_the_same_task_later_on_another_node(windows: Windows, pages_system: System) -> None:
    got = await pages_system.ask("mutation { submitFibonacci(n: 1000) { taskId } }")
    task = got["submitFibonacci"]["taskId"]
    for link in (f"/#/tasks/{task}", f"/#task={task}"):
        async with windows.open(link, base=base_of(pages_system, 1)) as page:
            await see_state(page, "SUCCEEDED")
            await expect(page.get_by_role("heading", name="fibonacci(n: 1000)")).to_be_visible()
            await expect(page).to_have_title("SUCCEEDED fibonacci(n: 1000)")
            await expect(page.get_by_text("209 digits")).to_be_visible()


async def test_a_page_waits_for_a_task_that_nobody_submitted_yet(windows: Windows, pages_system: System) -> None:
    task = task_id("fibonacci", "1", b'{"n":77}')
    async with windows.open(f"/#/tasks/{task}") as page:
        await expect(page.get_by_text("not submitted yet, or expired")).to_be_visible()
        await pages_system.ask("mutation { submitFibonacci(n: 77) { taskId } }")
        await see_state(page, "SUCCEEDED")


async def test_the_list_is_live_and_filtered(windows: Windows, pages_system: System) -> None:
    async with windows.open("/#/tasks") as page:
        await page.get_by_role("button", name="FAILED").click()
        await page.get_by_label("Task type").select_option("refusing")
        await expect(page.get_by_text("No tasks.")).to_be_visible()
        await pages_system.ask(
            'mutation { submitRefusing(code: "TIDE_TOO_LOW") { taskId } submitFibonacci(n: 3) { taskId } }'
        )
        lines = page.get_by_role("listitem")
        await expect(lines).to_have_count(1)
        await expect(lines).to_contain_text("TIDE_TOO_LOW")


async def test_what_the_list_shows_stands_in_the_address(windows: Windows, pages_system: System) -> None:
    await pages_system.ask('mutation { submitRefusing(code: "TIDE_TOO_HIGH") { taskId } }')
    async with windows.open("/#/tasks") as page:
        await page.get_by_role("button", name="FAILED").click()
        await page.get_by_label("Task type").select_option("refusing")
        await expect(page).to_have_url(re.compile(r"#/tasks\?state=FAILED&type=refusing$"))
        await page.get_by_role("listitem").filter(has_text="TIDE_TOO_HIGH").click()
        await see_state(page, "FAILED")
        await page.go_back()
        for _ in range(2):
            await expect(page.get_by_role("button", name="FAILED")).to_have_attribute("aria-pressed", "true")
            await expect(page.get_by_label("Task type")).to_have_value("refusing")
            await expect(page.get_by_role("listitem").filter(has_text="TIDE_TOO_HIGH")).to_have_count(1)
            await page.reload()


async def test_what_was_typed_is_there_again_after_another_page(windows: Windows) -> None:
    async with windows.open("/#/submit/add") as page:
        await fill(page, "add", a="123")
        await page.get_by_role("link", name="GraphiQL").click()
        await page.wait_for_url(re.compile("/graphql$"))
        await page.go_back()
        await expect(page.get_by_label(re.compile(r"^a\b"))).to_have_value("123")
        await page.get_by_label("Task type").select_option("fibonacci")
        await fill(page, "fibonacci", n="55")
        await page.get_by_label("Task type").select_option("add")
        await expect(page.get_by_label(re.compile(r"^a\b"))).to_have_value("123")


async def test_an_address_of_nothing_shows_nothing_else_in_its_place(windows: Windows) -> None:
    async with windows.open("/#/submit/nope") as page:
        await expect(page.get_by_role("heading", name="There is no such task type")).to_be_visible()
        await expect(page.get_by_role("form")).to_have_count(0)
        await page.goto(f"{windows.base}/#/nowhere")
        await expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()


async def test_a_form_that_is_refused_leads_to_its_first_wrong_field(windows: Windows) -> None:
    async with windows.open("/#/submit/add", viewport={"width": 390, "height": 300}) as page:
        await fill(page, "add", a="ten", b="x")
        form = page.get_by_role("form", name="add")
        await form.get_by_role("button", name="Submit").click()
        await expect(form.get_by_label(re.compile(r"^a\b"))).to_be_focused()
        await expect(form.get_by_role("alert")).to_have_text("Nothing was submitted: 2 values are invalid: a, b")
        await fill(page, "add", a="10", b="x")
        await form.get_by_role("button", name="Submit").click()
        await expect(form.get_by_label(re.compile(r"^b\b"))).to_be_focused()


async def test_a_long_input_and_a_long_error_fit_on_the_page(windows: Windows, pages_system: System) -> None:
    submitted = await pages_system.ask(
        "mutation($text: String!) { submitFailing(message: $text) { taskId } }", {"text": "x" * 3000}
    )
    for width in (320, 1280):
        viewport = {"width": width, "height": 700}
        async with windows.open(f"/#/tasks/{submitted['submitFailing']['taskId']}", viewport=viewport) as page:
            await see_state(page, "FAILED")
            await expect(page.locator(".events")).to_contain_text("x" * 100)
            assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth"), width
            heading = await page.get_by_role("heading", level=1).bounding_box()
            assert heading is not None
            assert heading["height"] < 100


async def test_a_task_that_is_computed_again_counts_its_waits_and_attempts_anew(
    windows: Windows, pages_system: System
) -> None:
    again = "mutation { submitFibonacci(n: 83, options: {recompute: true}) { taskId } }"
    for _ in range(2):
        task_id = (await pages_system.ask(again))["submitFibonacci"]["taskId"]
        await pages_system.result(task_id)
    async with windows.open(f"/#/tasks/{task_id}") as page:
        await see_state(page, "SUCCEEDED")
        facts = page.locator(".task dl").last
        await expect(facts).to_contain_text(re.compile(r"Waited.* m?s.*Ran.* m?s"))
        await expect(facts).not_to_contain_text("Attempts")


async def test_the_cluster_is_shown_live(windows: Windows, tmp_path: Path) -> None:
    async with windows.open("/#/cluster") as page, windows.open("/#/submit/gated") as other:
        await expect(page.get_by_role("region", name="Workers").get_by_role("row")).not_to_have_count(1)
        await expect(page.get_by_role("img", name=re.compile("^Tasks: queued 0, running 0"))).to_be_visible()
        await submit(other, "gated", folder=str(tmp_path), n="4")
        await expect(page.get_by_role("img", name=re.compile("^Tasks: queued 0, running 1"))).to_be_visible()
        await expect(page.get_by_text("BUSY")).to_be_visible()
        (tmp_path / "gate-4").touch()
        await expect(page.get_by_text("BUSY")).to_be_hidden()


async def test_decisions_cost_and_problems_of_a_paid_fleet_are_shown(windows: Windows) -> None:
    at = "2026-01-31T12:00:00Z"
    told = {
        "wanted": 7, "launching": 3, "running": 4, "retiring": 0, "minWorkers": 0, "maxWorkers": 50,
        "reason": "a backlog", "launchSeconds": 31.5, "problem": "no capacity for Spot", "costPerHour": 0.2468,
        "decisions": [{"at": at, "wanted": 7, "started": 3, "stopped": 0, "reason": "120 s of work in the queue"}],
    }  # fmt: skip

    def between(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def tell(message: str | bytes) -> None:
            word = json.loads(message)
            if "clusterChanges" in ((word.get("payload") or {}).get("data") or {}):
                word["payload"]["data"]["clusterChanges"]["fleet"] = told
            socket.send(json.dumps(word))

        server.on_message(tell)

    async with windows.open("about:blank") as page:
        await page.route_web_socket("**/graphql", between)
        await page.goto(f"{windows.base}/#/cluster")
        fleet = page.get_by_role("region", name="Fleet")
        await expect(fleet).to_contain_text("7 wanted. 120 s of work in the queue")
        await expect(fleet).to_contain_text("no capacity for Spot")
        await expect(page.get_by_text("$0.247")).to_be_visible()
        await expect(page.get_by_role("banner")).to_contain_text("3 launching")


# For everybody --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_no_page_has_what_keeps_people_from_using_it(windows: Windows, pages_system: System) -> None:
    await asyncio.to_thread(environment)
    calls = ("submitMakeTable(rows: 120)", "submitMakeGrid(shape: [3, 4, 5])", "submitCounting(upto: 120)")
    data_tasks = []
    for call in calls:
        submitted = await pages_system.ask(f"mutation {{ task: {call} {{ taskId }} }}")
        data_tasks.append(f"tasks/{submitted['task']['taskId']}")
        await pages_system.result(submitted["task"]["taskId"], "state")
    for scheme in ("light", "dark"):
        async with windows.open("/#/submit/echo_everything", color_scheme=scheme, viewport=PHONE) as page:
            await page.get_by_role("button", name="Set maybe").click()
            await page.get_by_text("More", exact=True).click()
            assert await grave_findings(page) == []
            for path in ("submit/fibonacci", "submit/digest_file", f"tasks/{FIB_90}", *data_tasks, "tasks", "cluster"):
                await page.goto(f"{windows.base}/#/{path}")
                await expect(page.get_by_role("heading", level=1)).to_be_visible()
                if path in data_tasks:
                    shown = page.locator(".grid td, .heat, .data pre")
                    await expect(shown.first).to_be_visible()
                assert await grave_findings(page) == [], path
                wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
                assert not wide, f"{path} is wider than a phone"
            await page.get_by_role("button", name="API key").click()
            assert await grave_findings(page) == []


async def test_a_task_is_submitted_by_keyboard_alone(windows: Windows) -> None:
    async with windows.open("/#/submit/fibonacci") as page:
        await expect(page.get_by_label(re.compile(r"^n\b"))).to_be_focused()
        await page.keyboard.type("91")
        await page.keyboard.press("Enter")
        await see_state(page, "SUCCEEDED")
    async with windows.open("/#/tasks") as page:
        await expect(page.get_by_role("heading", name="Tasks")).to_be_visible()
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()


# GraphiQL -------------------------------------------------------------------------------------------------------------


async def test_graphiql_runs_a_subscription_and_a_mutation(windows: Windows) -> None:
    async with windows.open("/graphql") as page:
        await play(page, "Submit")
        await expect(page.locator(".graphiql-response")).to_contain_text(FIB_90)
        await play(page, "Result")
        await expect(page.locator(".graphiql-response")).to_contain_text("2880067194370816120")


# Who may --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_key_is_asked_for_kept_in_the_tab_and_sent_on_both_ways(browser: Browser, tmp_path: Path) -> None:
    async with System(
        tmp_path, authentication="required", tenants="isolated", min_workers=0, max_workers=1, task_modules=(PICTURES,)
    ) as system:
        key = await system.make_key("anna", scopes=frozenset({Scope.SUBMIT, Scope.READ, Scope.CANCEL}))
        windows = Windows(browser, base_of(system))
        windows.expected = ("401 (Unauthorized)",)
        async with windows.open("/#/submit/portrait") as page:
            field = page.get_by_label("API key or JWT")
            await field.fill("dgk_000000000000_wrong")
            await field.press("Enter")
            await expect(page.get_by_role("alert").first).to_contain_text("UNAUTHENTICATED")
            await page.get_by_role("button", name="API key").click()
            await field.fill(key)
            await field.press("Enter")
            await submit(page, "portrait", name="Ada")
            await expect(page.get_by_text(re.compile("There is no worker yet|is being launched"))).to_be_visible()
            await see_state(page, "SUCCEEDED")
            # Salted with the tenant's secret, and yet known in advance.
            await expect(page.get_by_text("✓ the id that this page computed")).to_be_visible()
            # An image request cannot carry a key, so the page fetched the picture.
            picture = page.get_by_role("img", name="portrait-image")
            await expect(picture).to_have_attribute("src", re.compile("^blob:"))
            assert await picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
            async with page.expect_download() as download:
                await page.get_by_role("link", name="Download portrait.png").click()
            assert Path(await (await download.value).path()).read_bytes() == DOT
            assert await page.evaluate("Object.keys(localStorage).length") == 0
            assert key not in page.url
            await page.goto(f"{windows.base}/graphql")
            await play(page, "Cluster")
            await expect(page.locator(".graphiql-response")).to_contain_text("submitFibonacci")
        assert windows.faults == []
