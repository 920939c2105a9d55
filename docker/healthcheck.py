"""Checks whether the node in this container works: exit code 0, or 1 with the reason.

    python3 -I -S healthcheck.py api|scheduler|worker|controller

It imports neither the product nor Dask, because it runs every few seconds on the cores that the tasks need.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 3.0
ESTABLISHED = "01"
"""State of a connection in /proc/net/tcp (include/net/tcp_states.h in Linux)."""


def setting(name: str, default: str) -> str:
    return os.environ.get(f"DASK_GRAPHQL_{name}", "").strip() or default


def loopback(host: str) -> str:
    """The address at which a listener on all addresses can be reached."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def api() -> None:
    """/healthz responds. Not /readyz: an api node must not be replaced because Redis is unavailable."""
    address = loopback(setting("HOST", "127.0.0.1")), int(setting("PORT", "8000"))
    with socket.create_connection(address, TIMEOUT_SECONDS) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        status = connection.recv(64).split(b"\r\n")[0].decode("latin-1")
    if " 200 " not in status:
        raise OSError(f"/healthz returned {status!r}")


def scheduler() -> None:
    """Its event loop responds. Dask sends a greeting to each connection. Sending it back ends the handshake as a peer
    would; a bare disconnect would be logged each time."""
    address = urlsplit(setting("SCHEDULER_LISTEN", "") or setting("SCHEDULER", "tcp://127.0.0.1:8786"))
    peer = loopback(address.hostname or "127.0.0.1"), address.port or 8786
    with socket.create_connection(peer, TIMEOUT_SECONDS) as plain, secured(plain, address.scheme) as connection:
        (length,) = struct.unpack("<Q", received(connection, 8))
        connection.sendall(struct.pack("<Q", length) + received(connection, length))


def secured(connection: socket.socket, scheme: str) -> socket.socket:
    """The connection, under TLS if the scheduler uses it, with the system's certificate as a node presents it."""
    if scheme != "tls":
        return connection
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # like Dask: names in certificates are not checked
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name in ("TLS_CA", "TLS_CERT", "TLS_KEY"):
            value = setting(name, "")
            paths.append(Path(folder) / name if value.startswith("-----BEGIN") else Path(value))
            if paths[-1].parent == Path(folder):
                paths[-1].touch(mode=0o600)
                paths[-1].write_text(value)
        context.load_verify_locations(paths[0])
        context.load_cert_chain(paths[1], paths[2])
    return context.wrap_socket(connection)


def received(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise OSError("the scheduler closed the connection before its greeting")
        data += part
    return data


def worker() -> None:
    """It is connected to its scheduler."""
    port = urlsplit(setting("SCHEDULER", "tcp://127.0.0.1:8786")).port
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            continue
        for line in Path(table).read_text().splitlines()[1:]:
            _, _, remote, state = line.split()[:4]
            if state == ESTABLISHED and int(remote.rpartition(":")[2], 16) == port:
                return
    raise OSError(f"no connection to the scheduler's port {port}")


def controller() -> None:
    """Its process runs. It serves no port, and must not be replaced because the scheduler is unavailable."""
    state = Path("/proc/1/stat").read_text().rpartition(")")[2].split()[0]
    if state in "TZX":
        raise OSError(f"the process is in state {state}")


if __name__ == "__main__":
    try:
        {"api": api, "scheduler": scheduler, "worker": worker, "controller": controller}[sys.argv[1]]()
    except OSError as error:
        raise SystemExit(f"not healthy: {error}") from None
