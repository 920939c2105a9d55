"""How a client finds its api: proxies of the environment, wrong ports, forms of a URL."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
import uuid
from collections.abc import AsyncIterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from click.testing import CliRunner

from cluster.settings import Settings, load_settings
from dask_graphql.cli import command as cli
from dask_graphql.cli.over_http import own_url
from dask_graphql.client import submit_command
from dask_graphql.client.async_client import AsyncClient
from dask_graphql.client.errors import ApiUnavailable
from dask_graphql.client.http_transport import api_url
from dask_graphql.client.network import BadProxy, is_loopback
from dask_graphql.client.sync_client import Client
from dask_graphql.dev_processes import read_state
from dask_graphql.dev_system import free_port
from tests.api_node import api_node
from tests.system import RedisServer

DEAD = "http://127.0.0.1:9"
PROXIES = (
    {"http_proxy": DEAD, "https_proxy": DEAD, "all_proxy": DEAD},
    {"HTTP_PROXY": DEAD, "no_proxy": "127.0.0.1,[::1]"},
    {"ALL_PROXY": "socks5h://127.0.0.1:9"},
    {"all_proxy": "gopher://127.0.0.1:9", "http_proxy": "http://["},
)


@pytest.fixture(scope="module")
async def url(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    settings = load_settings(
        {},
        redis_url=redis_server.url,
        key_prefix=f"t{uuid.uuid4().hex[:8]}",
        data_dir=tmp_path_factory.mktemp("way"),
        log_level="WARNING",
    )
    async with api_node(settings) as url:
        yield url


@pytest.fixture(params=PROXIES, ids=lambda proxies: ",".join(proxies))
def proxies(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's proxies, and no others."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        for spelling in (name, name.upper()):
            monkeypatch.delenv(spelling, raising=False)
    for name, value in request.param.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("proxies")
async def test_no_proxy_leads_to_an_api_on_this_machine(url: str) -> None:
    async with AsyncClient(url, patience_seconds=2) as client:
        handle = await client.submit("fibonacci", n=7511)
        await handle.cancel()
        record = await client.task(handle.task_id).final(5)
        assert record["state"] == "CANCELLED"


@pytest.mark.usefixtures("proxies")
def test_no_proxy_leads_to_the_system_that_dev_starts() -> None:
    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"ready": True, "scheduler": True, "workerThreads": 0}).encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Ready)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert read_state(f"http://127.0.0.1:{server.server_port}/readyz").serves
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("proxies", [
    {"http_proxy": DEAD, "no_proxy": "127.0.0.1,[::1]"}, {"ALL_PROXY": "socks5h://127.0.0.1:9"},
    {"all_proxy": "gopher://127.0.0.1:9"},
], indirect=True)  # fmt: skip
@pytest.mark.usefixtures("proxies")
async def test_a_proxy_that_cannot_be_used_is_an_error_of_the_client_in_one_line() -> None:
    with pytest.raises(BadProxy) as caught:
        AsyncClient("http://api.example")
    assert "NO_PROXY" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:8000/graphql", True),
        ("http://127.8.9.1", True),
        ("https://localhost", True),
        ("http://api.localhost:1", True),
        ("ws://[::1]:8000", True),
        ("http://10.0.0.1", False),
        ("http://localhost.example", False),
        ("http://[", False),
        ("", False),
    ],
)
def test_what_is_this_machine(url: str, loopback: bool) -> None:
    assert is_loopback(url) is loopback


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("http://host", "http://host/graphql"),
        ("http://host/", "http://host/graphql"),
        ("http://host/graphql", "http://host/graphql"),
        ("http://host/graphql/", "http://host/graphql"),
        ("http://host/api/graphql/?a=1", "http://host/api/graphql?a=1"),
        ("http://host/api/", "http://host/api/"),
    ],
)
def test_each_form_of_an_api_url_is_accepted(given: str, taken: str) -> None:
    assert api_url(given) == taken


async def test_a_url_with_a_trailing_slash_works(url: str) -> None:
    async with AsyncClient(url + "/") as client:
        assert "fibonacci" in await client.task_types()
    with pytest.raises(ApiUnavailable, match="is not the URL of an api"):
        Client("http://[")


def test_the_command_connects_to_where_the_settings_point() -> None:
    assert own_url(Settings()) == "http://127.0.0.1:8000"
    assert own_url(Settings(host="::1", port=1)) == "http://[::1]:1"
    assert own_url(Settings(host="0.0.0.0")) == "http://127.0.0.1:8000"


async def test_a_closed_port_is_warned_of_at_once_and_only_once(caplog: pytest.LogCaptureFixture) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with AsyncClient(url, patience_seconds=1) as client:
        with (
            caplog.at_level(logging.WARNING),
            pytest.raises(ApiUnavailable, match=rf"{url}/graphql did not respond for 1 s"),
        ):
            await client.submit("fibonacci", n=1)
    [warning] = caplog.messages
    assert warning.startswith(f"{url}/graphql does not respond (")
    assert warning.endswith("trying for 1 s")


async def test_a_client_that_only_waits_says_so_too(caplog: pytest.LogCaptureFixture) -> None:
    async with AsyncClient(f"http://127.0.0.1:{free_port()}", patience_seconds=1) as client:
        with caplog.at_level(logging.WARNING), pytest.raises(ApiUnavailable, match="did not respond for 1 s"):
            await client.task("b" * 32).result()
    [warning] = caplog.messages
    assert "does not respond (" in warning
    assert warning.endswith("trying for 1 s")


async def test_a_client_can_refuse_a_wrong_address_at_once_and_still_be_patient_afterwards(
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with AsyncClient(url, connect_seconds=0) as client, asyncio.timeout(5):
        with pytest.raises(ApiUnavailable, match=rf"{url}/graphql did not respond: "):
            await client.submit("fibonacci", n=1)
        assert caplog.messages == []
        client._http._responded = True
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await client.submit("fibonacci", n=1)


@pytest.mark.parametrize("command", [("tasks",), ("logs", "0" * 32), ("status",)])
def test_a_command_that_finds_no_api_says_at_once_how_to_set_the_address(command: tuple[str, ...]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    started = time.monotonic()
    done = CliRunner().invoke(cli, [*command, "--url", url, *(["--once"] if command == ("status",) else [])])
    assert done.exit_code == 2
    assert f"{url}/graphql did not respond: " in done.stderr
    assert "set the api's address with --url" in done.stderr
    assert time.monotonic() - started < 5


async def test_a_submission_that_finds_no_api_warns_at_once_and_waits_only_for_a_restart(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit_command, "CONNECT_SECONDS", 1.0)
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ApiUnavailable, match="did not respond for 1 s"):
        await submit_command.submit_and_print(url, None, "fibonacci", {"n": 1}, wait=True)
    [warning] = caplog.messages
    assert warning.endswith("retrying for 1 s")
