"""Who may, and who is signed in."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, Page, WebSocketRoute, expect

from graphql_api.auth.callers import Scope
from tests.browser import Windows, all_findings
from tests.console.steps import base_of, fill, play, see_state, sign_in, submit
from tests.system import System
from tests.task_modules.pictures import DOT

PICTURES: Final = "tests.task_modules.pictures"
KEPT: Final = "storage => Object.keys(window[storage]).filter(name => name === 'dask-graphql.key').length"

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@dataclass
class Locked:
    """A system that needs credentials, and two of them."""

    system: System
    anna: str
    admin: str


@pytest.fixture(scope="module")
async def locked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Locked]:
    async with System(
        tmp_path_factory.mktemp("locked"), authentication="required", tenants="isolated", min_workers=1, max_workers=1,
        task_modules=(PICTURES,),
    ) as system:  # fmt: skip
        anna = await system.make_key("anna", scopes=frozenset({Scope.SUBMIT, Scope.READ, Scope.CANCEL}))
        yield Locked(system, anna, await system.make_key("olga", scopes=frozenset({Scope.ADMIN})))


@pytest.fixture
def locked_windows(browser: Browser, locked: Locked) -> Windows:
    windows = Windows(browser, base_of(locked.system))
    windows.expected = ("401 (Unauthorized)",)
    return windows


async def enter(page: Page, key: str) -> None:
    """Signs in with a key."""
    field = page.get_by_label("API key or token")
    await field.fill(key)
    await field.press("Enter")


async def test_a_key_is_asked_for_kept_in_the_tab_and_sent_on_both_ways(
    locked: Locked, locked_windows: Windows
) -> None:
    async with locked_windows.open("/#/types/portrait") as page:
        await expect(page.get_by_role("heading", name="Sign in to dask-graphql")).to_be_visible()
        field = page.get_by_label("API key or token")
        await expect(field).to_be_focused()
        assert await all_findings(page) == []
        await enter(page, "dgk_000000000000_wrong")
        # The error is at the field, and what was typed stays.
        await expect(field).to_have_attribute("aria-invalid", "true")
        await expect(page.get_by_role("alert")).to_contain_text("This key is not valid")
        await expect(field).to_have_value("dgk_000000000000_wrong")
        await expect(field).to_be_focused()
        assert await all_findings(page) == []
        await enter(page, locked.anna)
        await submit(page, "portrait", name="Ada")
        await see_state(page, "SUCCEEDED")
        # An image request cannot carry a key, so the page fetched the picture.
        picture = page.get_by_role("img", name="portrait-image")
        await expect(picture).to_have_attribute("src", re.compile("^blob:"))
        assert await picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Download portrait.png").click()
        assert Path(await (await download.value).path()).read_bytes() == DOT
        assert await page.evaluate(KEPT, "localStorage") == 0
        assert locked.anna not in page.url
        await page.goto(f"{locked_windows.base}/graphql")
        await play(page, "Cluster")
        await expect(page.locator(".graphiql-response")).to_contain_text("submitPortrait")
        # What GraphiQL keeps of it on the device has no key.
        history = await page.evaluate("localStorage.getItem('graphiql:queries')")
        assert "query Cluster" in history
        assert locked.anna not in await page.evaluate("JSON.stringify(localStorage)")
    assert locked_windows.faults == []


async def test_who_stays_signed_in_is_known_in_a_new_tab_until_they_sign_out(
    locked: Locked, locked_windows: Windows
) -> None:
    async with locked_windows.open("/#/tasks") as page:
        await page.get_by_label("Stay signed in on this device").check()
        await enter(page, locked.anna)
        account = page.get_by_role("button", name="anna, account and settings")
        await expect(account).to_be_visible()
        assert await page.evaluate(KEPT, "sessionStorage") == 0
        other = await page.context.new_page()
        await other.goto(f"{locked_windows.base}/#/tasks")
        await expect(other.get_by_role("button", name="anna, account and settings")).to_be_visible()
        await page.goto(f"{locked_windows.base}/#/types/portrait")
        await fill(page, "portrait", name="Eve")
        await expect(page.get_by_text(re.compile(r"^Draft of \d"))).to_be_visible()
        await fill(page, "portrait", name="Eve again")
        await account.click()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in to dask-graphql")).to_be_visible()
        assert await page.evaluate(KEPT, "localStorage") == 0
        assert "Eve" not in await page.evaluate("JSON.stringify(localStorage)")
        # The other tab notices.
        await expect(other.get_by_role("heading", name="Sign in to dask-graphql")).to_be_visible()


async def test_pages_for_administrators_say_to_others_why_they_are_closed(
    locked: Locked, locked_windows: Windows
) -> None:
    async with locked_windows.open("/#/audit") as page:
        submission = {"query": 'mutation { submitPortrait(name: "Eve") { taskId } }'}
        bearer = {"authorization": f"Bearer {locked.anna}"}
        await page.request.post(f"{locked_windows.base}/graphql", headers=bearer, data=submission)
        await enter(page, locked.anna)
        await expect(page.get_by_role("heading", name="You cannot see the audit log")).to_be_visible()
        await expect(page.get_by_role("main")).to_contain_text("anna has: cancel, read, submit")
        await expect(page.get_by_role("navigation").get_by_role("link", name="Audit")).to_have_count(0)
        await page.get_by_role("button", name="anna, account and settings").click()
        await page.get_by_role("link", name="Usage and limits").click()
        await expect(page.get_by_role("heading", name="Usage")).to_be_visible()
        await expect(page.get_by_role("main")).to_contain_text(re.compile("Stored.* of "))
        await expect(page.get_by_role("heading", name="All accounts")).to_have_count(0)
        # Another key, without leaving the page.
        await sign_in(page)
        await enter(page, locked.admin)
        await expect(page.get_by_role("heading", name="All accounts")).to_be_visible()
        await page.get_by_role("navigation").get_by_role("link", name="Audit").click()
        log = page.get_by_role("group", name="Audit log")
        await expect(log.get_by_role("row", name=re.compile("anna Submitted portrait")).first).to_be_visible()
        await page.get_by_label("Action").select_option("Cancelled")
        await expect(page).to_have_url(re.compile(r"#/audit\?action=cancel$"))
        await expect(page.get_by_role("heading", name="Nothing fits the filter here")).to_be_visible()
    assert locked_windows.faults == []


async def test_a_key_without_the_scope_to_read_is_told_so_and_not_that_there_is_no_connection(
    locked: Locked, locked_windows: Windows
) -> None:
    key = await locked.system.make_key("ci", scopes=frozenset({Scope.SUBMIT}))
    async with locked_windows.open("/#/tasks") as page:
        await enter(page, key)
        await expect(page.get_by_role("main")).to_contain_text("requires the scope 'read'")
        await expect(page.get_by_role("banner").get_by_role("status")).to_have_text("Cluster not visible")
        await expect(page.get_by_text("No connection")).to_have_count(0)


async def test_a_lost_connection_is_told_with_the_time_of_what_is_seen_and_comes_back(windows: Windows) -> None:
    sockets: list[WebSocketRoute] = []
    reachable = True

    async def between(socket: WebSocketRoute) -> None:
        if not reachable:
            await socket.close(code=1012)
            return
        socket.connect_to_server()
        sockets.append(socket)

    async with windows.open("about:blank") as page:
        await page.route_web_socket("**/graphql", between)
        await page.goto(f"{windows.base}/#/cluster")
        workers = page.get_by_role("link", name=re.compile("^Workers"))
        await expect(workers).to_be_visible()
        retire = page.get_by_role("button", name=re.compile("^Retire ")).first
        await expect(retire).to_be_enabled()
        reachable = False
        for socket in sockets:
            await socket.close(code=1012)
        bar = page.get_by_role("status").filter(has_text="No connection to the server")
        await expect(bar).to_contain_text(re.compile(r"You see the state of \d"))
        await expect(bar).to_contain_text(re.compile(r"Next try in \d+ s"))
        # What was there stays.
        await expect(workers).to_be_visible()
        await expect(retire).to_be_disabled()
        reachable = True
        await page.get_by_role("button", name="Try now").click()
        await expect(bar).to_have_count(0)
        await expect(retire).to_be_enabled()


async def test_the_end_of_a_long_task_is_told_outside_the_page_while_it_is_hidden(
    windows: Windows, pages_system: System, tmp_path: Path
) -> None:
    def begun_long_ago(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        year = re.compile(r'"submittedAt":"\d{4}')
        server.on_message(lambda message: socket.send(year.sub('"submittedAt":"2020', str(message))))

    async with windows.open("about:blank") as page:
        await page.route_web_socket("**/graphql", begun_long_ago)
        await page.add_init_script("""
          window.told = [];
          window.Notification = class {
            static permission = "granted";
            static requestPermission = async () => "granted";
            constructor(title) { window.told.push(title); }
          };
        """)
        await page.goto(f"{windows.base}/#/tasks")
        await page.get_by_role("button", name=re.compile("account and settings", re.IGNORECASE)).click()
        await page.get_by_role("button", name=re.compile("^Tell me when")).click()
        query = "mutation($folder: String!) { submitGated(folder: $folder, n: 32) { taskId } }"
        await pages_system.ask(query, {"folder": str(tmp_path)})
        await expect(page.get_by_role("row", name=re.compile("gated")).first).to_be_visible()
        await page.evaluate("Object.defineProperty(document, 'visibilityState', { value: 'hidden' })")
        (tmp_path / "gate-32").touch()
        await page.wait_for_function("() => window.told.length > 0")
        assert await page.evaluate("window.told") == ["gated: succeeded"]
