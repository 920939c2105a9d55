"""People sign in to the console with an OpenID Connect provider, in Chromium; and every wrong answer is refused."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from cluster.errors import ServiceUnavailable, SettingError
from cluster.settings import load_settings
from graphql_api.auth import sign_in
from graphql_api.auth.sign_in import SignIn
from tests.api_node import api_node
from tests.browser import need_pages, needed_chromium, started
from tests.console.steps import play
from tests.oidc_provider import Provider, provider
from tests.system import RedisServer


@dataclass
class Site:
    """An api node whose pages sign in with a provider, and a browser."""

    url: str
    provider: Provider
    browser: Browser

    async def page(self) -> Page:
        page = await (await self.browser.new_context()).new_page()
        page.set_default_timeout(20_000)
        return page

    async def signed_in(self, page: Page) -> None:
        await page.goto(f"{self.url}/#/tasks")
        await page.get_by_role("button", name="Continue with").click()
        await page.get_by_role("link", name="Continue").click()


@pytest.fixture(scope="module")
async def site(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    need_pages()
    path = needed_chromium()
    with provider() as running:
        settings = load_settings(
            {}, redis_url=redis_server.url, key_prefix=f"t{uuid.uuid4().hex[:8]}", authentication="required",
            data_dir=tmp_path_factory.mktemp("sign-in"), log_level="WARNING", oidc_issuer=running.url,
            jwt_audience="dask", oidc_client_id="console", tenants="isolated",
        )  # fmt: skip
        async with api_node(settings) as url, started(path) as browser:
            yield Site(url.removesuffix("/graphql"), running, browser)


@pytest.mark.browser
@pytest.mark.slow
async def test_a_person_signs_in_stays_signed_in_and_signs_out(site: Site) -> None:
    page = await site.page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    await site.signed_in(page)
    await expect(page.get_by_role("button", name="Anna Seven")).to_be_visible()
    # The page shows what it showed before, and its address and history have no code.
    assert page.url == f"{site.url}/#/tasks"
    await expect(page.get_by_role("heading", name="Tasks").first).to_be_visible()
    assert await page.evaluate("Object.keys(localStorage).length") == 0
    # A new token comes in time, with the refresh token; nobody notices.
    token = "sessionStorage.getItem('dask-graphql.key')"
    first = await page.evaluate(token)
    session: dict[str, Any] = json.loads(await page.evaluate("sessionStorage.getItem('dask-graphql.session')"))
    session["refreshAt"] = 0
    await page.evaluate("text => sessionStorage.setItem('dask-graphql.session', text)", json.dumps(session))
    await page.reload()
    await page.wait_for_function(f"first => {token} !== first", arg=first)
    await expect(page.get_by_role("button", name="Anna Seven")).to_be_visible()
    await page.get_by_role("button", name="Anna Seven").click()
    await expect(page.get_by_text("may cancel")).to_contain_text("may cancel, read, submit")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("button", name="Continue with")).to_be_visible()
    assert site.provider.asked["/logout"] == 1
    assert (
        await page.evaluate("Object.keys(sessionStorage).filter(name => name.startsWith('dask-graphql')).length") == 0
    )
    assert not [text for text in faults if "401" not in text]
    await page.context.close()


@pytest.mark.browser
@pytest.mark.slow
async def test_graphiql_renews_the_token_of_a_sign_in_and_sends_the_newest(site: Site) -> None:
    page = await site.page()
    await site.signed_in(page)
    await expect(page.get_by_role("button", name="Anna Seven")).to_be_visible()
    token = "sessionStorage.getItem('dask-graphql.key')"
    first = await page.evaluate(token)
    session: dict[str, Any] = json.loads(await page.evaluate("sessionStorage.getItem('dask-graphql.session')"))
    session["refreshAt"] = 0
    await page.goto("about:blank")  # the console itself must not be the one that renews it
    await page.add_init_script(
        f"sessionStorage.getItem('renewed') ?? (sessionStorage.setItem('renewed', ''), "
        f"sessionStorage.setItem('dask-graphql.session', {json.dumps(json.dumps(session))}))"
    )
    await page.goto(f"{site.url}/graphql")
    await page.wait_for_function(f"first => {token} !== first", arg=first)
    await expect(page.locator(".graphiql-query-editor .view-lines")).to_be_visible(timeout=20_000)
    # The headers editor still shows the first one.
    async with page.expect_request(
        lambda request: request.method == "POST" and "submit" in (request.post_data or "")
    ) as sent:
        await play(page, "Submit")
    newest = await page.evaluate(token)
    assert await (await sent.value).header_value("authorization") == f"Bearer {newest}"
    await expect(page.locator(".graphiql-response")).to_contain_text("outcome")
    await page.context.close()


LIES = {
    ("state", "forged"): "has not asked for it",
    ("nonce", "old"): "another request",
    ("iss", "http://127.0.0.1:1"): "another provider",
    ("error", "access_denied"): "access_denied",
}


@pytest.mark.browser
@pytest.mark.slow
async def test_an_answer_that_is_not_ours_is_refused_and_an_ended_session_is_told(site: Site) -> None:
    page = await site.page()
    refusal = page.get_by_role("alert").filter(has_text="not signed in")
    key = "sessionStorage.getItem('dask-graphql.key')"
    await page.goto(f"{site.url}/?code=stolen&state=x&iss={site.provider.url}")
    await expect(refusal).to_contain_text("has not asked for it")
    for (lie, value), told in LIES.items():
        asked = site.provider.asked["/token"]
        site.provider.lies = {lie: value}
        await site.signed_in(page)
        await expect(refusal).to_contain_text(told)
        assert await page.evaluate(key) is None
        # The code is not given away before it is known whose answer it is.
        assert site.provider.asked["/token"] - asked == (lie == "nonce")
        assert "code=" not in page.url
    site.provider.lies = {}
    await site.signed_in(page)
    await expect(page.get_by_role("button", name="Anna Seven")).to_be_visible()
    site.provider.refresh_tokens.clear()
    session = json.loads(await page.evaluate("sessionStorage.getItem('dask-graphql.session')"))
    await page.evaluate(
        "text => sessionStorage.setItem('dask-graphql.session', text)", json.dumps({**session, "refreshAt": 0})
    )
    await page.reload()
    await expect(refusal).to_contain_text("the session has ended")
    assert await page.evaluate(key) is None
    await page.context.close()


@pytest.mark.browser
async def test_the_page_may_connect_to_the_provider_and_nowhere_else(site: Site) -> None:
    async with httpx.AsyncClient() as client:
        policy = (await client.get(f"{site.url}/")).headers["content-security-policy"]
        config = (await client.get(f"{site.url}/auth/config")).json()
    [connect] = re.findall(r"connect-src ([^;]*)", policy)
    assert connect == f"'self' {site.provider.url}"
    assert config["authentication"] == "required"
    assert config["signIn"]["issuer"] == site.provider.url
    assert config["signIn"]["clientId"] == "console"


def made(issuer: str, **changes: Any) -> SignIn:
    return SignIn(
        load_settings(
            {}, authentication="required", oidc_issuer=issuer, jwt_audience="dask", oidc_client_id="x", **changes
        )
    )


async def test_a_provider_that_is_away_or_wrong_is_told_and_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with provider() as running:
        one = made(running.url)
        document = running.document()
        for wrong in (
            {"issuer": "https://other.example"}, {"token_endpoint": "http://far.example/token"},
            {"token_endpoint": "https://a.example;script-src */token"}, {"authorization_endpoint": None},
        ):  # fmt: skip
            monkeypatch.setattr(running, "document", lambda wrong=wrong: {**document, **wrong})
            monkeypatch.setattr(sign_in, "RETRY_SECONDS", 0.0)
            with pytest.raises(ServiceUnavailable):
                await one.described()
            assert await one.origins() == []
        monkeypatch.setattr(running, "document", lambda: document)
        assert await one.origins() == [running.url]
        asked = running.asked["/.well-known/openid-configuration"]
        monkeypatch.setattr(sign_in, "RETRY_SECONDS", 5.0)
        await one.described()
        assert running.asked["/.well-known/openid-configuration"] == asked
    away = made("http://127.0.0.1:1")
    assert await away.origins() == []


def test_a_sign_in_without_what_it_needs_stops_the_node() -> None:
    with pytest.raises(SettingError, match="OIDC_ISSUER and AUTHENTICATION=required"):
        load_settings({"DASK_GRAPHQL_OIDC_CLIENT_ID": "x"})
