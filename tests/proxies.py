"""Proxies in front of an API node: programs that run the configurations of docs/proxies.md."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from dask_graphql.dev_system import free_port
from tests.node import CLIENTS, environment
from tests.outside import missing
from tests.places import ROOT

PAGE: Final = ROOT / "docs" / "proxies.md"
NAME: Final = "api.example.com"
"""The name of the API in the page's configurations."""
INSTALLED: Final = Path(sys.prefix) / "proxies"
"""Where scripts/install-proxies.sh puts programs."""
VITE: Final = ROOT / "node_modules"
STARTING_SECONDS: Final = 30.0
TRANSPORTS: Final = """async base => {
    const url = new URL(`${base}graphql`, location.href).href;
    const query = "subscription { clusterChanges { workers { name } } }";
    const posted = await fetch(url, { method: "POST", headers: { "content-type": "application/json" },
                                      body: JSON.stringify({ query: "{ __typename }" }) });
    const socket = new WebSocket(url.replace("http", "ws"), "graphql-transport-ws");
    const acknowledged = await new Promise((done, fail) => {
        socket.onopen = () => socket.send('{"type":"connection_init"}');
        socket.onmessage = ({ data }) => done(JSON.parse(data).type);
        socket.onclose = ({ code }) => fail(new Error(`closed ${code}`));
    });
    socket.onclose = null;
    socket.close();
    const source = new EventSource(`${url}?query=${encodeURIComponent(query)}`);
    const event = await new Promise((done, fail) => {
        source.addEventListener("next", ({ data }) => done(JSON.parse(data)));
        source.onerror = () => fail(new Error("no event stream"));
    });
    source.close();
    const parts = await fetch(url, { method: "POST", body: JSON.stringify({ query }), headers: {
        "content-type": "application/json", accept: "multipart/mixed;subscriptionSpec=1.0" } });
    const reader = parts.body.getReader();
    let text = "";
    while (!text.includes('{"payload"')) text += new TextDecoder().decode((await reader.read()).value);
    await reader.cancel();
    return [posted.status, acknowledged, Object.keys(event.data), parts.status];
}"""
"""What a page evaluates with the path of the API: a request, and the first message of each kind of subscription."""


def blocks(title: str, language: str) -> list[str]:
    """The code blocks of a language in a section of the page."""
    section = PAGE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found, f"no {language} in the section {title}"
    return found


def variables(text: str, name: str, port: int) -> dict[str, str]:
    """The environment of a block of shell, for a proxy with this name and port, without TLS."""
    text = text.replace(f"https://{NAME}", f"http://{name}:{port}").replace(NAME, name)
    return dict(line.split("=", 1) for line in text.splitlines())


def program(name: str) -> str:
    """The path of a program; if this machine lacks it, the test is skipped, or fails under TESTS_STRICT."""
    places = [str(INSTALLED / "usr" / "sbin"), str(INSTALLED / "usr" / "bin"), os.environ["PATH"], "/usr/sbin"]
    return shutil.which(name, path=os.pathsep.join(places)) or missing(
        f"no {name}: scripts/install-proxies.sh brings it"
    )


@contextlib.asynccontextmanager
async def nginx(block: str, name: str, port: int, api_port: int, folder: Path) -> AsyncIterator[None]:
    """nginx with a block of the page, on a port of its own and without TLS."""
    block = block.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};").replace(NAME, name)
    block = block.replace("127.0.0.1:8000", f"127.0.0.1:{api_port}")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {folder / kind};" for kind in kinds)
    # As root, its workers would be another user, who may not write into the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; {user} pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temporary} {block} }}"
    )
    async with running([program("nginx"), "-e", "stderr", "-p", str(folder), "-c", str(config)], port, folder):
        yield


@contextlib.asynccontextmanager
async def caddy(block: str, name: str, port: int, api_port: int, folder: Path) -> AsyncIterator[None]:
    """Caddy with a block of the page, on a port of its own and without TLS."""
    block = block.replace(NAME, f"http://{name}:{port}").replace("127.0.0.1:8000", f"127.0.0.1:{api_port}")
    config = folder / "Caddyfile"
    config.write_text(f"{{\n\tadmin off\n\tauto_https off\n}}\n{block}")
    env = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    command = [program("caddy"), "run", "--config", str(config), "--adapter", "caddyfile"]
    async with running(command, port, folder, env):
        yield


@contextlib.asynccontextmanager
async def vite(block: str, api_port: int, folder: Path) -> AsyncIterator[str]:
    """Vite's server with a block of the page, which serves tests/clients; yields its URL."""
    if not (VITE / "vite").is_dir():
        missing("Vite is not installed: make console")
    env = await asyncio.to_thread(environment)
    port = free_port()
    (folder / "node_modules").symlink_to(VITE)
    (folder / "page.config.mjs").write_text(block.replace("127.0.0.1:8000", f"127.0.0.1:{api_port}"))
    (folder / "vite.config.mjs").write_text(
        f"""import page from "./page.config.mjs";
        export default {{ ...page, root: "{CLIENTS}", cacheDir: "{folder}/cache", clearScreen: false,
          optimizeDeps: {{ include: ["@apollo/client", "@apollo/client/link/subscriptions", "graphql", "@urql/core"],
            exclude: ["graphql-ws", "graphql-sse", "ws"] }} }};"""
    )
    command = ["node", str(VITE / "vite" / "bin" / "vite.js"), "--config", str(folder / "vite.config.mjs"),
               "--port", str(port), "--strictPort", "--host", "localhost"]  # fmt: skip
    async with running(command, port, folder, env, "localhost"):
        yield f"http://localhost:{port}"


@contextlib.asynccontextmanager
async def running(
    command: list[str], port: int, folder: Path, env: dict[str, str] | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[None]:
    """A process, once it accepts connections; it is stopped at the end."""
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, **(env or {})}, cwd=folder, stdout=log, stderr=log
        )
    try:
        async with asyncio.timeout(STARTING_SECONDS):
            while True:
                assert process.returncode is None, (folder / "log").read_text()
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(host, port)
                    writer.close()
                    break
                await asyncio.sleep(0.05)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
