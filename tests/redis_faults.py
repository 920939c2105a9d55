"""Ways in which a running Redis refuses to serve: each begins, lasts as long as the test wants, and ends.

All are what production meets: a failover, a full server, a script that runs away, an access list that is being changed.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cluster.store.refusals import refusal_code
from tests.system import RedisServer

FILLER_KEYS: Final = 50
FILLER_BYTES: Final = 2_200_000
"""A loading server serves its connections after each 2 MiB; this much extra data makes it answer LOADING."""
LOAD_DELAY_MICROSECONDS: Final = 150_000
PAUSE_MILLISECONDS: Final = 8_000


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        code: what Redis answers to a script that writes; empty where it answers nothing.
        begin: makes a server refuse.
        end: makes it serve again.
    """

    name: str
    code: str
    begin: Callable[[RedisServer], Any]
    end: Callable[[RedisServer], Any]


def client(server: RedisServer) -> redis.Redis:
    """A client that does not retry, with short timeouts."""
    return redis.Redis(port=server.port, socket_timeout=5, retry=Retry(NoBackoff(), 0))


def command(*words: Any) -> Callable[[RedisServer], Any]:
    """A function that sends one command, and retries until it is accepted."""

    def send(server: RedisServer) -> None:
        with client(server) as connection:
            connection.execute_command(*words)

    return send


def _run_away(server: RedisServer) -> None:
    """A foreign script that runs until it is killed."""
    command("CONFIG", "SET", "lua-time-limit", 50)(server)

    def spin() -> None:
        with client(server) as connection:
            connection.connection_pool.connection_kwargs["socket_timeout"] = 60
            # SCRIPT KILL ends it, which its client sees as an error.
            try:
                connection.execute_command("EVAL", "while true do end", 0)
            except redis.RedisError:
                return

    threading.Thread(target=spin, daemon=True).start()
    _until(server, "BUSY")


def _until(server: RedisServer, code: str) -> None:
    """Returns when the server answers with this code."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with client(server) as connection:
            try:
                connection.ping()
            except redis.RedisError as error:
                if refusal_code(error) == code:
                    return
        time.sleep(0.01)
    raise TimeoutError(f"the server does not answer {code}")


def _restart_slowly(server: RedisServer) -> None:
    """Kills the server and restarts it with so much data that it answers LOADING for some seconds."""
    with client(server) as connection:
        connection.config_set("auto-aof-rewrite-percentage", 0)
        for number in range(FILLER_KEYS):
            connection.set(f"filler:{number}", b"x" * FILLER_BYTES)
        # The server answers between steps only while it loads the compact form of the file.
        connection.config_set("rdbcompression", "no")
        connection.bgrewriteaof()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            about: Any = connection.info("persistence")
            if not about["aof_rewrite_in_progress"] and not about["aof_rewrite_scheduled"]:
                break
            time.sleep(0.02)
    server.kill()
    server.launch("--key-load-delay", str(LOAD_DELAY_MICROSECONDS))
    _until(server, "LOADING")


def _loaded(server: RedisServer) -> None:
    server.wait()
    with client(server) as connection:
        connection.delete(*(f"filler:{number}" for number in range(FILLER_KEYS)))


def _waited(server: RedisServer) -> None:
    """A pause ends by itself: while it lasts, Redis accepts no command that could end it."""
    server.wait()


FAULTS: Final = {
    fault.name: fault
    for fault in (
        Fault("read-only", "READONLY", command("REPLICAOF", "127.0.0.1", 1), command("REPLICAOF", "NO", "ONE")),
        Fault("full", "OOM", command("CONFIG", "SET", "maxmemory", 1), command("CONFIG", "SET", "maxmemory", 0)),
        Fault(
            "without replicas",
            "NOREPLICAS",
            command("CONFIG", "SET", "min-replicas-to-write", 1),
            command("CONFIG", "SET", "min-replicas-to-write", 0),
        ),
        Fault("busy", "BUSY", _run_away, command("SCRIPT", "KILL")),
        Fault("loading", "LOADING", _restart_slowly, _loaded),
        Fault(
            "not permitted",
            "NOPERM",
            command("ACL", "SETUSER", "default", "-evalsha", "-eval", "-set"),
            command("ACL", "SETUSER", "default", "+@all"),
        ),
        Fault("paused", "", command("CLIENT", "PAUSE", PAUSE_MILLISECONDS), _waited),
    )
}


@contextmanager
def fault(name: str, server: RedisServer) -> Iterator[Fault]:
    """Injects a fault for the duration of the block."""
    chosen = FAULTS[name]
    chosen.begin(server)
    try:
        yield chosen
    finally:
        chosen.end(server)


def hand_over(primary: RedisServer, replica: RedisServer) -> bool:
    """Makes the replica the primary, without losing a write, and the primary its replica. Returns False if the replica
    must not take over, because it is not in sync or its file is not complete yet.

    Raises:
        redis.RedisError: one of the two does not respond; nothing was changed.
        TimeoutError: the failover does not end.
    """
    with client(primary) as first, client(replica) as second:
        link: Any = second.info("replication")
        file: Any = second.info("persistence")
        if link.get("master_link_status") != "up" or file["aof_rewrite_in_progress"] or file["aof_rewrite_scheduled"]:
            return False
        # If the reply is lost, the primary has begun all the same.
        with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
            first.execute_command("FAILOVER", "TO", "127.0.0.1", replica.port, "TIMEOUT", 2_000)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
                now: Any = second.info("replication")
                if now["role"] == "master":
                    return True
                then: Any = first.info("replication")
                if then["master_failover_state"] == "no-failover" and then["role"] == "master":
                    return False
            time.sleep(0.01)
    raise TimeoutError("the failover does not end")


def flush_scripts(server: RedisServer) -> None:
    """Removes all scripts from Redis, as after a restart or a failover."""
    command("SCRIPT", "FLUSH")(server)
