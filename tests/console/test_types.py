"""The catalogue and the forms of task types."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Route, expect

from cluster.task_types.task_id import canonical_json, task_id
from tests.browser import Windows
from tests.console.steps import fill, see_state, submit
from tests.system import System

FIB_90: Final = "b9a7c7263c0332d12e52f09809754586"
PICTURES: Final = "tests.task_modules.pictures"
PHONE: Final = {"width": 390, "height": 844}

pytestmark = pytest.mark.browser


async def test_the_id_is_known_before_the_request_and_the_api_gives_the_same(windows: Windows) -> None:
    async with windows.open("/#/types/fibonacci") as page:
        await fill(page, "fibonacci", n="90")
        await expect(page.get_by_test_id("expected-id")).to_have_text(FIB_90)
        assert await submit(page, "fibonacci", n="90") == FIB_90
        await expect(page.get_by_text(re.compile("^(Started|This result was already there, from)"))).to_be_visible()


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
    async with windows.open(f"/#/types/{task}") as page:
        await fill(page, task, **values)
        expected = task_id(task, "2" if task == "mandelbrot" else "1", pre_image)
        await expect(page.get_by_test_id("expected-id")).to_have_text(expected)
        assert await submit(page, task) == expected


async def test_a_form_takes_nested_inputs_lists_and_enums(windows: Windows) -> None:
    async with windows.open("/#/types/report") as page:
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
    async with windows.open("/#/types/digest_file") as page:
        form = page.get_by_role("form", name="digest_file")
        for words in ("sent", "already stored, no upload needed"):
            await form.locator("input[type=file]").set_input_files(tmp_path / "noise.bin")
            await expect(form.get_by_text("noise.bin", exact=True)).to_be_visible()
            await expect(form.get_by_text(f"25.6 kB · {words}")).to_be_visible()
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
    async with windows.open("/#/types/echo_everything") as page:
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
        await expect(page.get_by_text("it depends on how the server writes this input")).to_have_count(1)
        await submit(page, "echo_everything")
        await see_state(page, "SUCCEEDED")
        result = page.get_by_role("region", name="Result")
        for shown in ("2026-01-31T12:00:00", "12:30:00", "PT1H30M", "1.10", "0.25", "my_key 1", "CALM", "SMALL"):
            await expect(result).to_contain_text(shown)


async def test_an_upload_is_seen_cancelled_and_told_why_it_failed(windows: Windows) -> None:
    windows.expected = ("net::ERR_FAILED",)
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        await held.wait()
        await route.abort()

    async with windows.open("/#/types/digest_file", viewport=PHONE) as page:
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
    async with windows.open("/#/types/mandelbrot") as page:
        await fill(page, "mandelbrot", width="5000")
        form = page.get_by_role("form", name="mandelbrot")
        await form.get_by_role("button", name="Run", exact=True).click()
        await expect(form.get_by_role("alert")).to_contain_text("One field needs your attention")
        width = form.get_by_label(re.compile(r"^width\b"))
        await expect(width).to_have_attribute("aria-invalid", "true")
        await expect(width).to_have_accessible_description(re.compile("less than or equal to 960"))


async def test_an_input_is_changed_and_submitted_again(windows: Windows, pages_system: System) -> None:
    got = await pages_system.ask("mutation { submitReport(size: 11, colour: BLUE, points: [{x: 4}]) { taskId } }")
    async with windows.open(f"/#/types/report?from={got['submitReport']['taskId']}") as page:
        form = page.get_by_role("form", name="report")
        await expect(form.get_by_label(re.compile(r"^size\b"))).to_have_value("11")
        await expect(form.get_by_label(re.compile(r"^colour\b"))).to_have_value("BLUE")
        await expect(form.get_by_label(re.compile(r"^x\b"))).to_have_value("4")
        await expect(page.get_by_test_id("expected-id")).to_have_text(got["submitReport"]["taskId"])
        pre_image = b'{"colour":"blue","points":[{"x":5,"y":3}],"size":11}'
        await submit(page, "report", x="5")
        await page.wait_for_url(re.compile(task_id("report", "1", pre_image)))
        await see_state(page, "SUCCEEDED")


async def test_what_was_typed_is_there_again_after_another_page_until_it_is_cleared_or_run(windows: Windows) -> None:
    async with windows.open("/#/types/add") as page:
        a = page.get_by_label(re.compile(r"^a\b"))
        await fill(page, "add", a="123")
        await page.goto(f"{windows.base}/graphql")
        await page.goto(f"{windows.base}/#/types/add")
        await expect(a).to_have_value("123")
        catalogue = page.get_by_role("navigation", name="Task types")
        await catalogue.get_by_role("link", name="fibonacci").click()
        await fill(page, "fibonacci", n="55")
        await catalogue.get_by_role("link", name=re.compile("^add")).click()
        await expect(a).to_have_value("123")
        await expect(page.get_by_text(re.compile(r"^Draft of \d"))).to_be_visible()
        await page.get_by_role("button", name="Clear").click()
        await expect(a).to_have_value("")
        await submit(page, "add", a="77")
        await page.goto(f"{windows.base}/#/types/add")
        await page.reload()
        await expect(a).to_have_value("")


async def test_a_form_that_is_refused_leads_to_its_wrong_fields(windows: Windows) -> None:
    async with windows.open("/#/types/add", viewport={"width": 390, "height": 300}) as page:
        await fill(page, "add", a="ten", b="x")
        form = page.get_by_role("form", name="add")
        await form.get_by_role("button", name="Run", exact=True).click()
        summary = form.get_by_role("alert")
        await expect(summary).to_be_focused()
        await expect(summary).to_contain_text("2 fields need your attention")
        await summary.get_by_role("link", name="b: Enter a whole number.").click()
        await expect(form.get_by_label(re.compile(r"^b\b"))).to_be_focused()
        await fill(page, "add", a="10")
        await expect(summary).to_contain_text("One field needs your attention")
        await fill(page, "add", b="2")
        await expect(summary).to_have_count(0)


async def test_a_wrong_value_is_told_when_its_field_is_left_but_an_empty_one_only_by_run(windows: Windows) -> None:
    async with windows.open("/#/types/echo_everything") as page:
        form = page.get_by_role("form", name="echo_everything")
        count = form.get_by_label(re.compile(r"^count\b"))
        await count.press("Tab")
        await expect(count).to_have_attribute("aria-invalid", "false")
        await count.fill("3.5")
        await count.press("Tab")
        await expect(count).to_have_accessible_description(re.compile("Enter a whole number"))
        table = form.get_by_label(re.compile(r"^table\b"))
        await table.fill('{"a": 1,\n "b" 2}')
        await table.press("Tab")
        await expect(table).to_have_accessible_description(
            re.compile(r"^Line 2, column 6: not valid JSON\. It needs a : here")
        )
        await expect(form.get_by_text("required")).not_to_have_count(0)


async def test_times_are_typed_in_the_zone_of_the_person_and_sent_in_utc(windows: Windows) -> None:
    async with windows.open("/#/types/echo_everything", timezone_id="Europe/Berlin") as page:
        at = page.get_by_label(re.compile(r"^at\b"))
        await at.fill("2026-01-31T12:00")
        await expect(at).to_have_accessible_description(
            re.compile(r"^Berlin \(UTC\+\d\)\. Sent as 2026-01-31T11:00:00Z\.")
        )


async def test_a_link_fills_the_form_with_plain_values_or_with_any(windows: Windows) -> None:
    async with windows.open("/#/types/mandelbrot?width=32&palette=ICE&span=0.5") as page:
        await expect(page.get_by_label(re.compile(r"^width\b"))).to_have_value("32")
        await expect(page.get_by_label(re.compile(r"^span\b"))).to_have_value("0.5")
        await expect(page.get_by_label(re.compile(r"^depth\b"))).to_have_value("150")
        wire = {"size": 3, "colour": "BLUE", "points": [{"x": 8}], "gone": "ü"}
        preset = base64.urlsafe_b64encode(json.dumps(wire).encode()).decode().rstrip("=")
        await page.goto(f"{windows.base}/#/types/report?preset={preset}")
        await expect(page.get_by_label(re.compile(r"^x\b"))).to_have_value("8")
        await expect(page.get_by_label(re.compile(r"^colour\b"))).to_have_value("BLUE")
        for broken in ("%%%", "bm90IGpzb24", "W10"):
            await page.goto(f"{windows.base}/#/types/report?preset={broken}")
            await expect(page.get_by_role("form", name="report")).to_be_visible()


async def test_task_types_are_found_pinned_and_sorted(windows: Windows) -> None:
    async with windows.open("/#/types") as page:
        await expect(page.get_by_role("heading", level=1, name="Task types")).to_be_visible()
        await page.get_by_role("searchbox", name="Find a task type").fill("fibonacci exactly")
        await expect(page.get_by_role("row")).to_have_count(2)
        await page.get_by_role("link", name="fibonacci").click()
        await page.get_by_role("button", name="Pin in the list").click()
        catalogue = page.get_by_role("navigation", name="Task types")
        await expect(catalogue.get_by_role("region", name="Pinned").get_by_role("link")).to_have_text(
            re.compile("^fibonacci")
        )
        await page.reload()
        await expect(catalogue.get_by_role("region", name="Pinned")).to_be_visible()
        await page.keyboard.press("Escape")
        search = catalogue.get_by_role("searchbox")
        await search.fill("mandel")
        await search.press("Enter")
        await page.wait_for_url(re.compile("#/types/mandelbrot$"))
        await page.goto(f"{windows.base}/#/types?sort=runs")
        await expect(page.get_by_role("columnheader", name="Runs")).to_have_attribute("aria-sort", "descending")


async def test_an_administrator_pauses_a_task_type_and_its_figures_lead_to_its_runs(windows: Windows) -> None:
    async with windows.open("/#/types/fibonacci") as page:
        await page.get_by_role("button", name="Pause").click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("fibonacci")
        await expect(page.get_by_text("wait until somebody resumes it")).to_be_visible()
        await submit(page, "fibonacci", n="97")
        await expect(page.get_by_text("An administrator has paused this task type")).to_be_visible()
        await page.get_by_role("button", name="Resume").click()
        await see_state(page, "SUCCEEDED")
        await expect(page.get_by_role("button", name="Pause")).to_be_visible()
        await page.goto(f"{windows.base}/#/types/fibonacci")
        await page.get_by_role("link", name=re.compile("^Runs that ended")).click()
        await expect(page).to_have_url(re.compile(r"#/tasks\?type=fibonacci&ended=24h$"))
        await expect(page.get_by_role("button", name="Remove filter Ended last 24 h")).to_be_visible()


async def test_on_a_phone_the_catalogue_covers_the_screen_while_one_is_chosen(windows: Windows) -> None:
    async with windows.open("/#/types/fibonacci", viewport=PHONE) as page:
        catalogue = page.get_by_role("navigation", name="Task types")
        link = catalogue.get_by_role("link", name=re.compile("^mandelbrot"))
        await expect(link).to_be_hidden()
        await catalogue.get_by_role("searchbox").click()
        await link.click()
        await page.wait_for_url(re.compile("#/types/mandelbrot$"))
        await expect(link).to_be_hidden()
