"""A cluster of Redis servers: real processes on loopback, each primary with a replica where a test needs it."""

from __future__ import annotations

import contextlib
import random
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import redis
import redis.asyncio

from cluster.store.slots import SLOTS, slot_of
from tests.aws.certificates import Authority
from tests.system import RedisServer

PRIMARIES: Final = 3
BUS: Final = 10_000
"""The servers talk to each other on their port plus this."""
WAIT_SECONDS: Final = 30.0
FAILOVER_SECONDS: Final = 6.0
"""After five seconds a replica gives up a failover that it was asked for."""
TLS_NAME: Final = "localhost"
"""The name of all servers in their certificate."""


class ClusterClient(redis.asyncio.RedisCluster):
    """A plain client of a whole cluster.

    Args:
        url: of one of its servers.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        parts = urlsplit(url)
        super().__init__(parts.hostname, parts.port or 0)

    def pubsub(self, *_: Any, **options: Any) -> Any:
        """Messages reach the subscribers of every server."""
        return redis.asyncio.Redis.from_url(self._url).pubsub(**options)


def server_of(redis_server: RedisServer | RedisCluster, key: str) -> RedisServer:
    """The server that has a key: the only one, or of a cluster the primary of its slot."""
    return redis_server.primary_of(key) if isinstance(redis_server, RedisCluster) else redis_server


def servers_of(redis_server: RedisServer | RedisCluster) -> Sequence[RedisServer]:
    """The only server, or all of a cluster."""
    return redis_server.servers if isinstance(redis_server, RedisCluster) else [redis_server]


def add_user(servers: Sequence[ClusterServer], name: str, *rules: str) -> None:
    """Adds a user with a password; `with_user` has it."""
    for server in servers:
        server.ask("ACL", "SETUSER", name, "on", ">p@ss", *rules)


def with_user(url: str, name: str) -> str:
    return url.replace("://", f"://{name}:p%40ss@")


class ClusterServer(RedisServer):
    """One server of a cluster.

    Args:
        node_timeout_seconds: as of the cluster.
        authority: as of the cluster.
    """

    def __init__(
        self,
        folder: Path,
        *,
        binary: Path | None = None,
        node_timeout_seconds: float,
        authority: Authority | None = None,
    ) -> None:
        folder.mkdir()
        super().__init__(folder, binary=binary)
        self._node_timeout = str(round(node_timeout_seconds * 1000))
        self.port = self.announced_port = free_port_with_bus()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._tls: tuple[str, ...] = ()
        if authority is not None:
            self.announced_port = free_port_with_bus()
            self.url = f"rediss://{TLS_NAME}:{self.announced_port}/0?ssl_ca_certs={authority.certificate}"
            certificate, key = authority.issue(TLS_NAME)
            self._tls = (
                *("--tls-port", str(self.announced_port), "--tls-cluster", "yes", "--tls-replication", "yes"),
                *("--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-auth-clients", "no"),
                *("--tls-ca-cert-file", str(authority.certificate), "--cluster-announce-hostname", TLS_NAME),
                *("--cluster-preferred-endpoint-type", "hostname"),
            )

    def launch(self, *options: str) -> None:
        super().launch(
            *("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"),
            *("--cluster-node-timeout", self._node_timeout, "--cluster-announce-ip", "127.0.0.1"),
            # A replica that was just started may stand for election at once.
            *("--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"),
            *self._tls,
            *options,
        )

    def ask(self, *command: Any) -> Any:
        """The server's reply to a command."""
        with redis.Redis(port=self.port, socket_timeout=10) as client:
            return client.execute_command(*command)

    @property
    def node_id(self) -> str:
        return _text(self.ask("CLUSTER", "MYID"))

    @property
    def is_primary(self) -> bool:
        return bool(self.ask("ROLE")[0] == b"master")


class RedisCluster:
    """Three primaries, which share the slots evenly.

    Args:
        replicas: a replica of each, which can take over.
        node_timeout_seconds: after this time without an answer the others take a server for dead
            (`cluster-node-timeout`): short where a test waits for that, else long enough for a busy machine.
        authority: of the servers' certificates. They use TLS among themselves and announce their name, which clients
            check; tests look into them without TLS. Needs a Redis 7 that is built with TLS.
    """

    def __init__(
        self,
        folder: Path,
        *,
        binary: Path | None = None,
        replicas: bool = False,
        node_timeout_seconds: float = 10.0,
        authority: Authority | None = None,
    ) -> None:
        self._formed = False
        count = 2 * PRIMARIES if replicas else PRIMARIES
        self.servers = [
            ClusterServer(
                folder / f"server{i}", binary=binary, node_timeout_seconds=node_timeout_seconds, authority=authority
            )
            for i in range(count)
        ]

    @property
    def url(self) -> str:
        return self.servers[0].url

    @property
    def alive(self) -> bool:
        return all(server.alive for server in self.servers)

    def start(self, *, sync: str = "everysec") -> None:
        """Starts the servers that do not run, and returns when the cluster serves every slot and all replicas are in
        sync."""
        for server in self.servers:
            if not server.alive:
                server.launch("--appendfsync", sync)
        for server in self.servers:
            server.wait()
        if not self._formed:
            self._form()
        self.until(self.serves)

    def _form(self) -> None:
        self._formed = True
        primaries, replicas = self.servers[:PRIMARIES], self.servers[PRIMARIES:]
        for i, server in enumerate(primaries):
            slots = range(SLOTS * i // PRIMARIES, SLOTS * (i + 1) // PRIMARIES)
            server.ask("CLUSTER", "ADDSLOTS", *slots)
            # Different from the start, or the servers argue about it for a while.
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
        for server in self.servers[1:]:
            self.servers[0].ask("CLUSTER", "MEET", "127.0.0.1", server.announced_port)
        self.until(lambda: all(self._knows(server) >= len(self.servers) for server in self.servers))
        for primary, replica in zip(primaries, replicas, strict=False):
            replica.ask("CLUSTER", "REPLICATE", primary.node_id)

    def serves(self) -> bool:
        """Whether every server that runs says that the cluster serves, and every replica is in sync with its
        primary."""
        for server in self.servers:
            if not server.alive:
                continue
            if "cluster_state:ok" not in _text(server.ask("CLUSTER", "INFO")):
                return False
            role = server.ask("ROLE")
            if role[0] == b"slave" and role[3] != b"connected":
                return False
        return True

    def primary_of(self, key: str) -> ClusterServer:
        """The server that serves a key now, once all agree."""
        slot, found = slot_of(key), set[int]()

        def agreed() -> bool:
            found.clear()
            found.update(_primary_port(server, slot) for server in self.servers if server.alive)
            return len(found) == 1 and 0 not in found

        self.until(agreed)
        return next(server for server in self.servers if server.port in found)

    def replicated_primaries(self) -> list[ClusterServer]:
        """The primaries that run and whose replica is in sync."""
        roles: dict[ClusterServer, Any] = {}
        for server in self.servers:
            with contextlib.suppress(redis.RedisError):
                if server.alive:
                    roles[server] = server.ask("ROLE")
        in_sync = {role[2] for role in roles.values() if role[0] == b"slave" and role[3] == b"connected"}
        return [server for server, role in roles.items() if role[0] == b"master" and server.announced_port in in_sync]

    def replica_of(self, primary: ClusterServer) -> ClusterServer:
        found: list[ClusterServer] = []

        def known() -> bool:
            # The primary hears of it some time after it began.
            lines = _text(primary.ask("CLUSTER", "REPLICAS", primary.node_id), "\n").splitlines()
            ports = {int(line.split()[1].partition("@")[0].rpartition(":")[2]) for line in lines}
            found[:] = [server for server in self.servers if {server.port, server.announced_port} & ports]
            return bool(found)

        self.until(known)
        return found[0]

    def fail_over(self, primary: ClusterServer) -> None:
        """Makes the replica of a primary the new one, without a loss; returns when all know."""
        replica = self.replica_of(primary)
        asked = float("-inf")

        def replaced() -> bool:
            nonlocal asked
            if self.is_replaced(primary):
                return self.serves()
            if (now := time.monotonic()) - asked >= FAILOVER_SECONDS:
                asked = now
                replica.ask("CLUSTER", "FAILOVER")
            return False

        self.until(replaced)

    def is_replaced(self, primary: ClusterServer) -> bool:
        """Whether the servers that run and answer agree on other primaries than this one."""
        answers = []
        for server in self.servers:
            with contextlib.suppress(redis.RedisError):
                if server is not primary and server.alive:
                    answers.append(_is_primary(server, primary.port))
        return bool(answers) and not any(answers)

    def restart(self, server: ClusterServer) -> None:
        """Starts a server that was killed, and returns when the cluster is whole."""
        server.start()
        self.until(self.serves)

    def begin_to_move(self, slot: int, target: ClusterServer) -> ClusterServer:
        """Begins to move a slot, key by key, as `redis-cli --cluster reshard` does. Returns its primary."""
        source = next(server for server in self.servers if _has(server, slot))
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.node_id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.node_id)
        return source

    def move_keys(self, slot: int, source: ClusterServer, target: ClusterServer, count: int) -> bool:
        """Moves some keys of a slot. Returns whether there were any."""
        keys = source.ask("CLUSTER", "GETKEYSINSLOT", slot, count)
        if keys:
            source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "KEYS", *keys)
        return bool(keys)

    def end_move(self, slot: int, source: ClusterServer, target: ClusterServer) -> None:
        for server in (target, source):
            server.ask("CLUSTER", "SETSLOT", slot, "NODE", target.node_id)

    def kill(self) -> None:
        for server in self.servers:
            if server.alive:
                server.kill()

    stop = kill

    def pause(self) -> None:
        """Freezes all servers: connections stay open without answers, until `resume`."""
        for server in self.servers:
            server.pause()

    def resume(self) -> None:
        for server in self.servers:
            server.resume()

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                if condition():
                    return
            except redis.RedisError:
                pass
            if time.monotonic() > deadline:
                states = [_text(server.ask("CLUSTER", "NODES")) for server in self.servers if server.alive]
                raise TimeoutError("\n\n".join(states))
            time.sleep(0.02)

    def _knows(self, server: ClusterServer) -> int:
        """How many servers this one has shaken hands with."""
        lines = _text(server.ask("CLUSTER", "NODES")).splitlines()
        return sum("handshake" not in line and "noaddr" not in line for line in lines)


def _primary_port(server: ClusterServer, slot: int) -> int:
    """The port of a slot's primary, as one server says; 0 for none."""
    spans = server.ask("CLUSTER", "SLOTS")
    return next((int(primary[1]) for first, last, primary, *_ in spans if first <= slot <= last), 0)


def _is_primary(server: ClusterServer, port: int) -> bool:
    return any(primary[1] == port for _, _, primary, *_ in server.ask("CLUSTER", "SLOTS"))


def _has(server: ClusterServer, slot: int) -> bool:
    mine = next(line for line in _text(server.ask("CLUSTER", "NODES")).splitlines() if "myself" in line)
    for span in mine.split()[8:]:
        first, _, last = span.partition("-")
        if span[0] != "[" and int(first) <= slot <= int(last or first):
            return True
    return False


def _text(reply: Any, joint: str = "") -> str:
    if isinstance(reply, list):
        return joint.join(map(_text, reply))
    return reply.decode() if isinstance(reply, bytes) else str(reply)


def free_port_with_bus() -> int:
    """A TCP port that is free, and so is the one for the other servers: 10,000 above it."""
    for port in random.sample(range(20_000, 30_000), 200):
        try:
            for number in (port, port + BUS):
                with socket.create_server(("127.0.0.1", number)):
                    pass
        except OSError:
            continue
        return port
    raise OSError("no free port from 20000 to 29999")
