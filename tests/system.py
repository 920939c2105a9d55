"""A whole system of real processes; a test may kill any of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
import redis
from websockets.asyncio.client import ClientConnection, connect

from cluster.settings import Settings, load_settings
from cluster.store.async_store import Store
from cluster.system.child_processes import Child, start_node, with_parent_death_signal
from dask_graphql.dev_system import free_port
from dask_graphql.redis_server import redis_command
from graphql_api.auth.callers import Scope as CallerScope
from graphql_api.auth.keys import create_key
from tests.engines import cluster_mode, default_binary
from tests.places import ROOT

TASKS = "tests.task_modules.samples"

# Nodes find the task modules of the tests here; they import nothing from their working folder.
_PATH = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
os.environ["PYTHONPATH"] = os.pathsep.join(_PATH)
START_SECONDS = 60.0


class RedisServer:
    """A Redis process with an append-only file; it can be killed and started again on its port.

    Args:
        binary: the server's program, as `engine_binary` finds it by name; default: `default_binary`.
    """

    def __init__(self, folder: Path, *, binary: Path | None = None) -> None:
        self.folder = folder
        self.binary = binary or default_binary()
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def process_id(self) -> int | None:
        return self._process.pid if self._process is not None and self.alive else None

    def start(self, *, sync: str = "everysec") -> None:
        """Starts the server and returns when it has read its file. `sync` is its `appendfsync`."""
        self.launch("--appendfsync", sync)
        self.wait()

    def launch(self, *options: str) -> None:
        """Starts the process with extra options, without waiting."""
        command = [*redis_command(str(self.binary), self.folder, self.port), *options]
        self._process = subprocess.Popen(
            with_parent_death_signal(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def wait(self) -> None:
        """Returns when the server responds."""
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        with redis.Redis(port=self.port) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.RedisError:
                    if time.monotonic() > deadline or self._process.poll() is not None:
                        raise
                    time.sleep(0.02)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """Freezes the process: connections stay open without answers, until `resume`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                # It is reading or rewriting a large file, which is no longer needed.
                self.kill()


def _redis(folder: Path, binary: Path | None) -> RedisServer:
    if not cluster_mode():
        return RedisServer(folder, binary=binary)
    from tests.redis_cluster import RedisCluster  # which needs this module

    # It can do what tests of a whole system ask of a single one.
    return RedisCluster(folder, binary=binary)  # type: ignore[return-value]


class System:
    """Redis, scheduler, controller with local workers, and api nodes, each in its own process.

    Args:
        redis_binary: the program of its Redis; default: `default_binary`.
        schedulers: how many, each with a controller of its own.
        changes: settings that differ from the defaults.
    """

    def __init__(
        self,
        folder: Path,
        *,
        api_nodes: int = 1,
        tls: bool = False,
        redis_binary: Path | None = None,
        schedulers: int = 1,
        **changes: Any,
    ) -> None:
        self.folder = folder
        self.redis = _redis(folder, redis_binary)
        addresses = tuple(f"{'tls' if tls else 'tcp'}://127.0.0.1:{free_port()}" for _ in range(schedulers))
        self.settings: Settings = load_settings(
            {},
            redis_url=self.redis.url,
            key_prefix=f"t{uuid.uuid4().hex[:8]}",
            scheduler=addresses[0],
            schedulers=addresses if schedulers > 1 else (),
            data_dir=folder,
            # One address plays all clients.
            **{"task_modules": (TASKS,), "operations_per_minute": 0, "waiters_per_client": 20_000, **changes},
        )
        self.ports = [free_port() for _ in range(api_nodes)]
        self.children: dict[str, Child] = {}
        self.token = ""
        """The credential of this client: an administrator's key if authentication is required."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}/graphql"

    def url_of(self, node: int) -> str:
        return f"http://127.0.0.1:{self.ports[node]}/graphql"

    async def start(self, role: str, node: int = 0) -> Child:
        """Starts a node: `api`, `scheduler`, `controller` or `worker`. An api node and a worker have a number, and so
        have the scheduler and the controller after the first; workers belong to the schedulers in turn."""
        name = f"{role}{node}" if role in ("api", "worker") or node else role
        settings = replace(self.settings, port=self.ports[node]) if role == "api" else self.settings
        if role != "api":
            settings = settings.of_scheduler(node % len(settings.scheduler_addresses))
        with (self.folder / f"{name}.log").open("ab") as log:
            self.children[name] = await start_node(settings, role, output=log)
        return self.children[name]

    def ends_of_logs(self, lines: int = 25) -> Iterator[tuple[str, str]]:
        """The name of each node's log and its last lines."""
        for path in sorted(self.folder.rglob("*.log")):
            yield path.name, "\n".join(line[:400] for line in path.read_text(errors="replace").splitlines()[-lines:])

    async def kill(self, name: str) -> None:
        """Kills the process with SIGKILL, like a crash."""
        child = self.children[name]
        child.process.kill()
        await child.process.wait()

    async def __aenter__(self) -> Self:
        self.redis.start()
        if self.settings.authentication == "required":
            self.token = await self.make_key("harness", scopes=frozenset(CallerScope))
        for role in ("scheduler", "controller"):
            for number in range(len(self.settings.scheduler_addresses)):
                await self.start(role, number)
        for node in range(len(self.ports)):
            await self.start("api", node)
        await self.ready()
        return self

    async def make_key(self, name: str, *, scopes: frozenset[CallerScope], days: float | None = None) -> str:
        """An API key; its tenant is its name."""
        store = Store(self.settings)
        try:
            return (await create_key(store, name, name, scopes, days))[0]
        finally:
            await store.close()

    def headers(self, token: str | None = None) -> dict[str, str]:
        """The headers of a request with a token; default: the system's own."""
        token = self.token if token is None else token
        return {"Authorization": f"Bearer {token}"} if token else {}

    async def ready(self) -> None:
        """Returns when every api node is ready and the expected workers serve."""
        async with asyncio.timeout(START_SECONDS):
            for node in range(len(self.ports)):
                while not await self._is_ready(node):
                    await asyncio.sleep(0.05)
            while len(
                (await self.ask("{ cluster { workers { name } } }"))["cluster"]["workers"]
            ) < self.settings.min_workers * len(self.settings.scheduler_addresses):
                await asyncio.sleep(0.05)

    async def _is_ready(self, node: int) -> bool:
        try:
            async with httpx.AsyncClient() as client:
                answer = await client.get(f"http://127.0.0.1:{self.ports[node]}/readyz")
                return answer.status_code == 200 and bool(answer.json()["scheduler"])
        except httpx.HTTPError:
            return False

    async def __aexit__(self, *_: object) -> None:
        """Kills all processes at once; tests of an orderly stop request one themselves."""
        await kill_trees([child for child in self.children.values() if child.process.returncode is None])
        self.redis.stop()

    # A client ---------------------------------------------------------------------------------------------------------

    async def post(
        self, query: str, variables: dict[str, Any] | None = None, *, node: int = 0, token: str | None = None
    ) -> dict[str, Any]:
        """The whole answer of an HTTP request."""
        async with httpx.AsyncClient(timeout=60, headers=self.headers(token)) as client:
            answer = await client.post(self.url_of(node), json={"query": query, "variables": variables or {}})
            return dict(answer.json())

    async def ask(
        self, query: str, variables: dict[str, Any] | None = None, *, node: int = 0, token: str | None = None
    ) -> dict[str, Any]:
        """The data of an HTTP request that must not fail."""
        answer = await self.post(query, variables, node=node, token=token)
        assert "errors" not in answer, answer["errors"]
        return dict(answer["data"])

    async def result(
        self, task_id: str, fields: str = "state", *, node: int = 0, token: str | None = None
    ) -> dict[str, Any]:
        """The single item of `taskResult`, over graphql-transport-ws."""
        query = f"subscription($id: ID!) {{ taskResult(taskId: $id) {{ taskId {fields} }} }}"
        async with Socket.open(self.url_of(node), self.token if token is None else token) as socket:
            items = [item async for item in socket.subscribe(query, {"id": task_id})]
        assert len(items) == 1, items
        return dict(items[0]["taskResult"])


async def kill_trees(children: Sequence[Child]) -> None:
    """Kills the processes and all their descendants; a controller's workers would otherwise survive it."""
    family = []
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(child.process.pid)
            grown = parent.children(recursive=True)
            # First, so that it starts no more processes.
            parent.kill()
            family += grown
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    await asyncio.gather(*(child.process.wait() for child in children))


class Refused(AssertionError):
    """An operation returned errors."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(str(errors))
        self.code = errors[0]["extensions"]["code"]


class Socket:
    """A minimal graphql-transport-ws client for tests that check every message."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._next_id = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, url: str, token: str = "") -> AsyncIterator[Socket]:
        address = url.replace("http", "ws", 1)
        async with connect(address, subprotocols=["graphql-transport-ws"], max_size=None) as connection:  # type: ignore[list-item]
            payload = {"payload": {"authorization": f"Bearer {token}"}} if token else {}
            await connection.send(json.dumps({"type": "connection_init", **payload}))
            assert json.loads(await connection.recv())["type"] == "connection_ack"
            yield cls(connection)

    def share(self) -> None:
        """Starts a reader that distributes messages, so that `collect` can run many operations at once."""
        self._queues: dict[str, asyncio.Queue[dict[str, Any]]] = {}
        self._reader = asyncio.ensure_future(self._sort())

    async def _sort(self) -> None:
        async for text in self.connection:
            message = json.loads(text)
            if message["type"] == "ping":
                await self.send({"type": "pong"})
            else:
                self._queues[message["id"]].put_nowait(message)

    async def collect(
        self, query: str, variables: dict[str, Any], operation_name: str | None = None
    ) -> list[dict[str, Any]]:
        """The data of all items of an operation on a shared socket.

        Raises:
            Refused: an item had errors.
        """
        self._next_id += 1
        operation = str(self._next_id)
        queue = self._queues[operation] = asyncio.Queue()
        payload = {"query": query, "variables": variables, "operationName": operation_name}
        await self.send({"id": operation, "type": "subscribe", "payload": payload})
        items = []
        while (message := await queue.get())["type"] != "complete":
            if errors := message["payload"].get("errors"):
                raise Refused(errors)
            items.append(message["payload"]["data"])
        del self._queues[operation]
        return items

    async def send(self, message: dict[str, Any]) -> None:
        await self.connection.send(json.dumps(message))

    async def subscribe(self, query: str, variables: dict[str, Any] | None = None) -> AsyncIterator[dict[str, Any]]:
        """Yields the data of each item until `complete`; one operation at a time."""
        self._next_id += 1
        operation = str(self._next_id)
        await self.send(
            {"id": operation, "type": "subscribe", "payload": {"query": query, "variables": variables or {}}}
        )
        async for text in self.connection:
            message = json.loads(text)
            if message["type"] == "ping":
                await self.send({"type": "pong"})
                continue
            assert message["id"] == operation
            if message["type"] == "complete":
                return
            assert message["type"] == "next", message
            assert "errors" not in message["payload"], message["payload"]
            yield message["payload"]["data"]
