"""TLS between scheduler, workers and clients: connections need a certificate of the system's own authority."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from distributed import Client, Security

from cluster.errors import SettingError
from cluster.settings import Settings, load_settings
from cluster.system.tls import (
    FILES,
    certificate_days_left,
    check_certificates,
    check_scheduler_address,
    make_certificates,
)
from tests.system import System


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Valid certificates, others of another authority, and expired ones."""
    root = tmp_path_factory.mktemp("certificates")
    make_certificates(root / "good", days=1)
    make_certificates(root / "foreign", days=1)
    make_certificates(root / "old", days=-0.01)
    return root


def settings_of(folder: Path, **changes: str) -> Settings:
    files = {"tls_ca": "ca.pem", "tls_cert": "node.pem", "tls_key": "node-key.pem"}
    paths = {name: str(folder / "good" / file) for name, file in files.items()}
    return load_settings({}, scheduler="tls://127.0.0.1:1", **(paths | changes))


def test_valid_certificates_are_accepted_as_files_and_as_text(folder: Path) -> None:
    settings = settings_of(folder)
    texts = check_certificates(settings)
    assert check_certificates(settings_of(folder, **texts)) == texts
    # Through the environment of a child, as secrets managers pass them.
    assert check_certificates(load_settings(settings_of(folder, **texts).environment())) == texts
    assert "PRIVATE KEY" not in repr(settings_of(folder, **texts))


def test_the_days_that_are_left_are_those_of_the_certificate_that_ends_first(folder: Path) -> None:
    assert 0.9 < certificate_days_left(settings_of(folder)) < 1
    assert certificate_days_left(settings_of(folder, tls_ca=str(folder / "old" / "ca.pem"))) < 0
    longer = folder / "longer"
    make_certificates(longer, days=30)
    paths = {name: str(longer / file) for name, file in FILES.items()}
    assert 29.9 < certificate_days_left(settings_of(folder, **paths)) < 30


def test_the_private_key_is_readable_by_its_owner_alone(folder: Path) -> None:
    assert (folder / "good" / "node-key.pem").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        make_certificates(folder / "good", days=1)


@pytest.mark.parametrize(
    ("changes", "variable", "words"),
    [
        ({"tls_ca": ""}, "TLS_CA", "is not set"),
        ({"tls_cert": "/nowhere.pem"}, "TLS_CERT", "can be read"),
        ({"tls_key": "-----BEGIN nonsense"}, "TLS_KEY", "private key in PEM form"),
        ({"tls_cert": "-----BEGIN nonsense"}, "TLS_CERT", "certificate in PEM form"),
        ({"tls_key": "foreign/node-key.pem"}, "TLS_KEY", "the private key of the certificate"),
        ({"tls_cert": "foreign/node.pem", "tls_key": "foreign/node-key.pem"}, "TLS_CERT", "the authority in TLS_CA"),
        ({"tls_ca": "old/ca.pem"}, "TLS_CA", "valid now"),
        ({"tls_cert": "old/node.pem", "tls_key": "old/node-key.pem"}, "TLS_CERT", "valid now"),
    ],
)
def test_a_certificate_that_does_not_match_stops_the_node(
    folder: Path, changes: dict[str, str], variable: str, words: str
) -> None:
    ours = ("foreign/", "old/")
    paths = {name: str(folder / value) if value.startswith(ours) else value for name, value in changes.items()}
    with pytest.raises(SettingError, match=f"DASK_GRAPHQL_{variable} ") as caught:
        check_certificates(settings_of(folder, **paths))
    assert words in str(caught.value)
    assert "PRIVATE" not in str(caught.value)


def test_certificates_beside_an_open_scheduler_are_refused() -> None:
    with pytest.raises(SettingError, match="DASK_GRAPHQL_SCHEDULER "):
        load_settings({"DASK_GRAPHQL_TLS_CA": "/x"})
    with pytest.raises(SettingError, match="DASK_GRAPHQL_SCHEDULER_LISTEN "):
        load_settings({"DASK_GRAPHQL_SCHEDULER_LISTEN": "tls://0.0.0.0:1"})


@pytest.mark.parametrize(
    ("listen", "allowed"),
    [("tcp://0.0.0.0:8786", False), ("tcp://10.0.0.5:8786", False), ("tcp://scheduler:8786", False),
     ("tcp://127.0.0.1:8786", True), ("tcp://[::1]:8786", True), ("tcp://localhost:8786", True)],
)  # fmt: skip
def test_an_open_scheduler_on_a_public_address_must_be_allowed(listen: str, allowed: bool) -> None:
    settings = load_settings({"DASK_GRAPHQL_SCHEDULER_LISTEN": listen})
    if allowed:
        check_scheduler_address(settings)
    else:
        with pytest.raises(SettingError, match="any code on every worker"):
            check_scheduler_address(settings)
    check_scheduler_address(
        load_settings({"DASK_GRAPHQL_SCHEDULER_LISTEN": listen, "DASK_GRAPHQL_ALLOW_OPEN_SCHEDULER": "true"})
    )


def test_the_scheduler_does_not_start_open_to_the_world(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "DASK_GRAPHQL_SCHEDULER": "tcp://0.0.0.0:18786",
        "DASK_GRAPHQL_DATA_DIR": str(tmp_path),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "dask_graphql", "scheduler"], env=environment, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "DASK_GRAPHQL_ALLOW_OPEN_SCHEDULER" in ended.stderr


@pytest.fixture(scope="module")
async def encrypted(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    good = settings_of(folder)
    files: dict[str, Any] = {"tls_ca": good.tls_ca, "tls_cert": good.tls_cert, "tls_key": good.tls_key}
    async with System(tmp_path_factory.mktemp("encrypted"), tls=True, min_workers=1, max_workers=1, **files) as running:
        yield running


@pytest.mark.slow
async def test_tasks_and_graphs_run_over_tls_and_lost_ones_again(encrypted: System) -> None:
    submitted = await encrypted.ask("mutation { submitFibonacci(n: 300) { taskId } }")
    assert (await encrypted.result(submitted["submitFibonacci"]["taskId"]))["state"] == "SUCCEEDED"
    graph = await encrypted.ask("mutation { submitTotalOfSquares(n: 20) { taskId } }")
    assert (await encrypted.result(graph["submitTotalOfSquares"]["taskId"]))["state"] == "SUCCEEDED"
    await encrypted.kill("scheduler")
    later = await encrypted.ask("mutation { submitFibonacci(n: 301) { taskId } }")
    await encrypted.start("scheduler")
    assert (await encrypted.result(later["submitFibonacci"]["taskId"]))["state"] == "SUCCEEDED"


async def worker_address(system: System) -> str:
    good = system.settings
    security = Security(
        require_encryption=True, tls_ca_file=good.tls_ca, tls_client_cert=good.tls_cert, tls_client_key=good.tls_key
    )
    async with Client(good.scheduler, security=security, asynchronous=True, set_as_default=False) as client:
        await client.wait_for_workers(1)
        return str(next(iter(client.scheduler_info()["workers"])))


@pytest.mark.slow
async def test_the_scheduler_and_the_workers_refuse_strangers(encrypted: System, folder: Path) -> None:
    for address in (encrypted.settings.scheduler, await worker_address(encrypted)):
        assert address.startswith("tls://")
        place = urlsplit(address)
        assert place.hostname is not None
        # Without TLS: there is no reply.
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        writer.write(b"\0" * 64)
        answer = b""
        with suppress(ConnectionResetError):
            async with asyncio.timeout(10):
                answer = await reader.read(100)
        assert b"compression" not in answer
        writer.close()
        # With TLS, but without a certificate.
        anonymous = ssl.create_default_context(cafile=str(folder / "good" / "ca.pem"))
        anonymous.check_hostname = False
        with pytest.raises((ssl.SSLError, OSError, EOFError)):
            await talk(place.hostname, place.port, anonymous)
        # With a certificate of another authority.
        foreign = ssl.create_default_context(cafile=str(folder / "good" / "ca.pem"))
        foreign.check_hostname = False
        foreign.load_cert_chain(folder / "foreign" / "node.pem", folder / "foreign" / "node-key.pem")
        with pytest.raises((ssl.SSLError, OSError, EOFError)):
            await talk(place.hostname, place.port, foreign)
    with pytest.raises((OSError, TimeoutError)):
        await Client(
            encrypted.settings.scheduler.replace("tls", "tcp"), asynchronous=True, set_as_default=False, timeout="2s"
        )
    submitted = await encrypted.ask("mutation { submitFibonacci(n: 302) { taskId } }")
    assert (await encrypted.result(submitted["submitFibonacci"]["taskId"]))["state"] == "SUCCEEDED"


async def talk(host: str, port: int | None, context: ssl.SSLContext) -> None:
    """Raises if the other side refuses us: with TLS 1.3 it reports a refused certificate after the handshake."""
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        async with asyncio.timeout(10):
            if not await reader.read(1):
                raise EOFError
    finally:
        writer.close()


async def test_certificates_are_made_by_the_command(tmp_path: Path) -> None:
    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dask_graphql", "certificates", "--out", str(tmp_path / "tls"), "--days", "2"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    made = await asyncio.to_thread(run)
    environment = dict(line.split("=", 1) for line in made.stdout.splitlines())
    check_certificates(load_settings({**environment, "DASK_GRAPHQL_SCHEDULER": "tls://s:1"}))
    again = await asyncio.to_thread(run)
    assert again.returncode == 2
    assert "cannot write the certificates" in again.stderr
