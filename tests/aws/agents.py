"""Plays the part of AWS for ECS tasks and services on this machine: tasks become processes, from their definitions.

    async with Agents(aws, "dask-graphql", folder) as agents: ...

- Each task runs the command of its **registered task definition** with its environment and nothing else; secrets are
  read from Secrets Manager as ECS does; addresses to listen on, and only those, become loopback with a free port.
- Services keep their desired count, of their newest deployment, and are rolled out and rolled back as by ECS
  (service_rollouts.py); tasks of a service with a registry are entered in Cloud Map when their container's health check
  passes, and names lead to what Cloud Map holds (container/), unless the name was asked for before it was there: the
  resolver remembers that for five minutes.
- ElastiCache is a real Redis server with a password, behind TLS with a certificate for ElastiCache's name.
- A stopped task gets SIGTERM, and SIGKILL after its `stopTimeout`; a Spot interruption is the same from AWS's side.
- What runs is billed as Fargate bills: by the second from the start of the pull, for a minute at least.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import ssl
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from aiohttp import web
from botocore.exceptions import ClientError

from cluster.settings import variable_of
from cluster.system.child_processes import Child, start_child
from dask_graphql.dev_system import free_port
from dask_graphql.redis_server import redis_command
from tests.aws.certificates import Authority
from tests.aws.emulated_api import EmulatedAws
from tests.engines import default_binary
from tests.places import ROOT

TURN_SECONDS: Final = 0.2
HEALTH_SECONDS: Final = 1.0
NEGATIVE_SECONDS: Final = 300.0
"""How long a resolver remembers that a name did not exist (RFC 2308; the VPC's, of a Cloud Map namespace)."""
LEAST_BILL_SECONDS: Final = 60.0
VCPU_HOUR: Final = 0.04048
GB_HOUR: Final = 0.004445
SPOT_SHARE_OF_PRICE: Final = 0.3


@dataclass
class Container:
    """One task, from RunTask to its end."""

    arn: str
    task: dict[str, Any]
    definition: dict[str, Any]
    seen_at: float
    child: Child | None = None
    ports: dict[int, int] = field(default_factory=dict)
    """Port in the task's network -> port on this machine."""
    stopped_at: float | None = None
    kill_at: float | None = None
    healthy: bool = False
    interrupted: bool = False
    registered: list[str] = field(default_factory=list)
    """Cloud Map services in which it is registered."""
    log: Path = Path()

    @property
    def task_id(self) -> str:
        return self.arn.rpartition("/")[2]

    @property
    def family(self) -> str:
        return str(self.definition["family"])

    @property
    def container(self) -> dict[str, Any]:
        (only,) = self.definition["containerDefinitions"]
        return dict(only)

    @property
    def overridden(self) -> bool:
        """Whether it was started with anything that its definition does not contain."""
        return bool(self.task.get("overrides", {}).get("containerOverrides"))

    @property
    def living(self) -> bool:
        return self.stopped_at is None

    @property
    def runs(self) -> bool:
        return self.child is not None and self.child.process.returncode is None

    @property
    def service(self) -> str:
        return str(self.task.get("group", "")).partition("service:")[2]

    def billed_seconds(self, now: float) -> float:
        return max(LEAST_BILL_SECONDS, (self.stopped_at or now) - self.seen_at)

    @property
    def size(self) -> tuple[int, int]:
        """Its CPU units and its memory in MiB."""
        overrides = self.task.get("overrides", {})
        return tuple(int(overrides.get(name) or self.definition[name]) for name in ("cpu", "memory"))  # type: ignore[return-value]

    def price_per_hour(self) -> float:
        cpu, memory = (size / 1024 for size in self.size)
        share = SPOT_SHARE_OF_PRICE if self.task.get("capacityProviderName") == "FARGATE_SPOT" else 1
        return (cpu * VCPU_HOUR + memory * GB_HOUR) * share


class Agents:
    """Args:
    cluster: the ECS cluster's name; it may not be there yet.
    folder: for logs and data.
    delay_seconds: from RunTask to the start of a task's process, as a pull takes.
    environment: more variables for every container, such as a path to import task modules from.
    """

    def __init__(
        self,
        aws: EmulatedAws,
        cluster: str,
        folder: Path,
        *,
        delay_seconds: float = 1.5,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.aws = aws
        self.cluster = cluster
        self.folder = folder
        self.delay_seconds = delay_seconds
        self.containers: dict[str, Container] = {}
        self.redis: ElastiCache | None = None
        self._more = environment or {}
        self._ecs, self._map = aws.client("ecs"), aws.client("servicediscovery")
        self._secrets, self._logs = aws.client("secretsmanager"), aws.client("logs")
        self._definitions: dict[str, dict[str, Any]] = {}
        self._services: dict[str, dict[str, Any]] = {}
        self._health: set[asyncio.Task[None]] = set()
        self._authority = Authority(folder)
        self._resolver = ""
        self._names: dict[str, set[str]] = {}
        self._missing_until: dict[str, float] = {}
        """Until when the resolver answers that a name does not exist, because it did not when it was asked."""

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.aws.control, rollouts=True)
        application = web.Application()
        application.add_routes(
            [web.get("/resolve", self._answer_name), web.get("/metadata/{task}/task", self._answer_metadata)]
        )
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", free_port())
        await site.start()
        self._resolver = site.name
        self._playing = asyncio.create_task(self._play())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in (self._playing, *self._health):
            task.cancel()
        done = await asyncio.gather(self._playing, *self._health, return_exceptions=True)
        for container in self.containers.values():
            if container.runs and container.child:
                container.child.process.kill()
                await container.child.process.wait()
        if self.redis:
            await self.redis.close()
        await self._runner.cleanup()
        if isinstance(done[0], Exception):
            raise done[0]  # what plays AWS must not end without a word

    # For tests ---------------------------------------------------------------------------------------------------

    def running(self, family: str) -> list[Container]:
        """The tasks of a family that have not ended; of a node, `dask-graphql-worker` and the like."""
        return [c for c in self.containers.values() if c.family == family and c.living]

    def kill(self, container: Container) -> None:
        """Kills the process, like a crash."""
        assert container.child is not None
        container.child.process.kill()

    def interrupt(self, container: Container, notice_seconds: float = 120.0) -> None:
        """Reclaims a Spot task: SIGTERM now, SIGKILL after the notice."""
        container.interrupted = True
        if container.runs and container.child:
            container.child.process.terminate()
        container.kill_at = time.monotonic() + notice_seconds

    def url(self) -> str:
        """The address of a healthy api node, as the load balancer would choose it."""
        healthy = [c for c in self.running("dask-graphql-api") if c.healthy and c.service]
        return f"http://127.0.0.1:{healthy[0].ports[8000]}/graphql"

    def bill(self, family: str) -> tuple[float, float]:
        """Billed seconds and dollars of all tasks of a family so far."""
        now, all_of_it = time.monotonic(), [c for c in self.containers.values() if c.family == family]
        seconds = [(container.billed_seconds(now), container.price_per_hour()) for container in all_of_it]
        return sum(s for s, _ in seconds), sum(s * price / 3_600 for s, price in seconds)

    # Tasks ----------------------------------------------------------------------------------------------------------

    async def _play(self) -> None:
        while True:
            if await self._cluster_exists():
                await self._read_services()
                for container in await self._read_tasks():
                    await self._move(container)
                await self._keep_services()
                await self._read_names()
            await asyncio.sleep(TURN_SECONDS)

    async def _call(self, client: Any, operation: str, **arguments: Any) -> dict[str, Any]:
        return dict(await asyncio.to_thread(getattr(client, operation), **arguments))

    async def _cluster_exists(self) -> bool:
        found = await self._call(self._ecs, "describe_clusters", clusters=[self.cluster])
        return any(cluster["status"] == "ACTIVE" for cluster in found["clusters"])

    async def _read_tasks(self) -> list[Container]:
        """All tasks that have not ended."""
        listed = (await self._call(self._ecs, "list_tasks", cluster=self.cluster))["taskArns"]
        arns = list(dict.fromkeys([*listed, *(c.arn for c in self.containers.values() if c.living)]))
        for first in range(0, len(arns), 100):
            found = await self._call(self._ecs, "describe_tasks", cluster=self.cluster, tasks=arns[first : first + 100])
            for task in found["tasks"]:
                arn = task["taskArn"]
                if arn not in self.containers:
                    definition = await self._definition(task["taskDefinitionArn"])
                    self.containers[arn] = Container(arn, task, definition, time.monotonic())
                self.containers[arn].task = task
        return [container for container in self.containers.values() if container.living]

    async def _definition(self, arn: str) -> dict[str, Any]:
        if arn not in self._definitions:
            found = await self._call(self._ecs, "describe_task_definition", taskDefinition=arn)
            self._definitions[arn] = found["taskDefinition"]
        return self._definitions[arn]

    async def _move(self, container: Container) -> None:
        now, task, child = time.monotonic(), container.task, container.child
        if child is not None and not container.runs:
            await self._ended(container)
        elif task["desiredStatus"] == "STOPPED":
            if child is None:
                container.stopped_at = now
            elif container.kill_at is None:
                await self._leave(container)
                container.kill_at = now + container.container.get("stopTimeout", 30)
                with contextlib.suppress(ProcessLookupError):
                    child.process.terminate()
        elif container.interrupted and child is None:
            await self._ended(container)
        elif task.get("launchType") == "EC2" and "containerInstanceArn" not in task:
            container.seen_at = now  # ECS has no machine for it yet
        elif child is None and now - container.seen_at >= self.delay_seconds:
            await self._start(container)
        if container.kill_at is not None and now > container.kill_at and child is not None and container.runs:
            child.process.kill()

    async def _start(self, container: Container) -> None:
        (definition,) = container.definition["containerDefinitions"]
        overrides = [
            item
            for item in container.task.get("overrides", {}).get("containerOverrides", [])
            if item.get("name") == definition["name"]
        ]
        override = overrides[0] if overrides else {}
        program, *first = definition["entryPoint"]
        assert program == "dask-graphql", "the images have no other program"
        command = [*first, *(override.get("command") or definition["command"])]
        container.ports = {item["containerPort"]: free_port() for item in definition["portMappings"]}
        try:
            environment = await self._environment(
                container, [*definition["environment"], *override.get("environment", [])]
            )
        except ClientError as error:
            await self._state(container, "STOPPED", f"ResourceInitializationError: unable to pull secrets: {error}")
            container.stopped_at = time.monotonic()
            return
        home = self.folder / container.task_id
        home.mkdir()
        container.log = home / "log"
        # `env -i`: the environment of the machine is not in the container.
        pairs = [f"{name}={value}" for name, value in environment.items()]
        with container.log.open("wb") as log:
            container.child = await start_child(
                container.family, ["env", "-i", *pairs, sys.executable, "-m", "dask_graphql", *command], output=log
            )
        await self._state(container, "RUNNING")
        if "healthCheck" in definition:
            check = asyncio.create_task(self._check(container, environment))
            self._health.add(check)
            check.add_done_callback(self._health.discard)

    async def _environment(self, container: Container, plain: Iterable[dict[str, str]]) -> dict[str, str]:
        (definition,) = container.definition["containerDefinitions"]
        values = {item["name"]: item["value"] for item in plain}
        for item in definition.get("secrets", []):
            values[item["name"]] = await self._secret(item["valueFrom"])
        url = values.get(variable_of("redis_url"), "")
        if url.startswith("rediss://") and self.redis is None:
            self.redis = ElastiCache(self.folder, self._authority, urlsplit(url).hostname or "")
            await self.redis.start(urlsplit(url).password or "")
        # A node listens on all addresses of its own network there, and on loopback here.
        for port, here in container.ports.items():
            values = {name: value.replace(f"0.0.0.0:{port}", f"127.0.0.1:{here}") for name, value in values.items()}
            if values.get(variable_of("port")) == str(port):
                values[variable_of("port")] = str(here)
        if values.get(variable_of("host")) == "0.0.0.0":
            values[variable_of("host")] = "127.0.0.1"
        home = self.folder / container.task_id
        return {
            **values,
            # ECS gives the region only in this variable.
            **{name: value for name, value in self.aws.environment.items() if name != "AWS_DEFAULT_REGION"},
            # Set by the image.
            "PATH": os.environ["PATH"],
            "PYTHONUNBUFFERED": "1",
            variable_of("data_dir"): str(home),
            # Set by ECS.
            "ECS_CONTAINER_METADATA_URI_V4": f"{self._resolver}/metadata/{container.task_id}",
            # Set for the emulation.
            "PYTHONPATH": f"{ROOT / 'tests' / 'aws' / 'container'}:{ROOT}",
            "EMULATED_RESOLVER": f"{self._resolver}/resolve",
            "SSL_CERT_FILE": str(self._authority.certificate),
            **self._more,
        }

    async def _secret(self, place: str) -> str:
        """`arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME[:KEY:STAGE:VERSION]` (ECS developer guide)."""
        parts = place.split(":")
        found = await self._call(self._secrets, "get_secret_value", SecretId=":".join(parts[:7]))
        text: str = found["SecretString"]
        return str(json.loads(text)[parts[7]]) if len(parts) > 7 and parts[7] else text

    async def _check(self, container: Container, environment: dict[str, str]) -> None:
        """Runs the container's health check until it passes."""
        kind, *command = container.container["healthCheck"]["command"]
        assert kind == "CMD"
        command = [sys.executable if part == "python3" else part for part in command]
        command = [part.replace("/opt/dask-graphql", str(ROOT / "docker")) for part in command]
        while container.living and not container.healthy:
            process = await asyncio.create_subprocess_exec(
                *command, env=environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
            )
            container.healthy = await process.wait() == 0
            await asyncio.sleep(0 if container.healthy else HEALTH_SECONDS)
        if container.living:
            await self._enter(container)

    async def _ended(self, container: Container) -> None:
        code = container.child.process.returncode if container.child else None
        reason = "Spot task was interrupted" if container.interrupted else "Essential container in task exited"
        await self._leave(container)
        container.stopped_at = time.monotonic()
        await self._state(container, "STOPPED", reason, code)
        await self._write_log(container)

    async def _state(self, container: Container, status: str, reason: str = "", code: int | None = None) -> None:
        more: dict[str, Any] = {"reason": reason} if reason else {}
        if code is not None:
            name = container.container["name"]
            more["containers"] = [{"containerName": name, "exitCode": code, "status": status}]
        await self._call(
            self._ecs, "submit_task_state_change", cluster=self.cluster, task=container.arn, status=status, **more
        )

    async def _write_log(self, container: Container) -> None:
        """Plays the awslogs driver for an ended task; returns its last lines."""
        options = container.container.get("logConfiguration", {}).get("options")
        if not options or not container.log.is_file():
            return
        name = container.container["name"]
        where = {
            "logGroupName": options["awslogs-group"],
            "logStreamName": f"{options['awslogs-stream-prefix']}/{name}/{container.task_id}",
        }
        lines = [line for line in container.log.read_text(errors="replace").splitlines() if line][-500:]
        now = int(time.time() * 1_000)
        with contextlib.suppress(ClientError):  # the group is gone in a destroy
            await self._call(self._logs, "create_log_stream", **where)
            if lines:
                events = [{"timestamp": now, "message": line} for line in lines]
                await self._call(self._logs, "put_log_events", **where, logEvents=events)

    # Services and names ---------------------------------------------------------------------------------------------

    async def _read_services(self) -> None:
        arns = (await self._call(self._ecs, "list_services", cluster=self.cluster, maxResults=100))["serviceArns"]
        found = (
            (await self._call(self._ecs, "describe_services", cluster=self.cluster, services=arns))["services"]
            if arns
            else []
        )
        self._services = {service["serviceName"]: service for service in found if service["status"] == "ACTIVE"}

    async def _keep_services(self) -> None:
        """Starts and stops tasks of services. A service that may not overlap ends its old task first."""
        for container in self.containers.values():
            gone = container.service and container.service not in self._services
            if gone and container.living and container.task["desiredStatus"] == "RUNNING":
                await self._stop_task(container, f"the service {container.service} is deleted")
        for name, service in self._services.items():
            mine = [c for c in self.containers.values() if c.living and c.service == name]
            wanted, newest = service["desiredCount"], service["deployments"][0]
            staying = [c for c in mine if c.task["desiredStatus"] == "RUNNING"]
            current = [c for c in staying if c.task.get("startedBy") == newest["id"]]
            old = [c for c in staying if c not in current]
            most = math.floor(wanted * service["deploymentConfiguration"].get("maximumPercent", 200) / 100)
            # Old tasks stop when as many new ones serve, or when there is no room for a new one beside them.
            no_room = len(current) < wanted and len(mine) >= most
            surplus = [
                *(old if no_room or sum(c.healthy for c in current) >= wanted else ()),
                *current[wanted:],
            ]
            for container in surplus:
                await self._stop_task(container, f"Scaling activity initiated by (deployment {name})")
            missing = min(wanted - len(current), most - len(mine)) if newest["rolloutState"] != "FAILED" else 0
            if missing > 0:
                await self._call(
                    self._ecs, "run_task", cluster=self.cluster, taskDefinition=newest["taskDefinition"],
                    count=missing, group=f"service:{name}", startedBy=newest["id"], launchType="FARGATE",
                    networkConfiguration=service["networkConfiguration"],
                )  # fmt: skip

    async def _stop_task(self, container: Container, reason: str) -> None:
        await self._call(self._ecs, "stop_task", cluster=self.cluster, task=container.arn, reason=reason)

    async def _enter(self, container: Container) -> None:
        service = self._services.get(container.service)
        for registry in service.get("serviceRegistries", []) if service else []:
            service_id = registry["registryArn"].rpartition("/")[2]
            await self._call(
                self._map, "register_instance", ServiceId=service_id, InstanceId=container.task_id,
                Attributes={"AWS_INSTANCE_IPV4": "127.0.0.1"},
            )  # fmt: skip
            container.registered.append(service_id)

    async def _leave(self, container: Container) -> None:
        for service_id in container.registered:
            with contextlib.suppress(ClientError):  # the service is gone in a destroy
                await self._call(self._map, "deregister_instance", ServiceId=service_id, InstanceId=container.task_id)
        container.registered = []

    async def _read_names(self) -> None:
        """The current content of Cloud Map as DNS answers; read in advance, because DNS must answer at once."""
        spaces = {item["Id"]: item["Name"] for item in (await self._call(self._map, "list_namespaces"))["Namespaces"]}
        names: dict[str, set[str]] = {}
        for service in (await self._call(self._map, "list_services"))["Services"]:
            try:
                instances = (await self._call(self._map, "list_instances", ServiceId=service["Id"]))["Instances"]
            except self._map.exceptions.ServiceNotFound:
                continue  # deleted since it was listed: a destroy runs
            space = service["DnsConfig"]["NamespaceId"]
            names[f"{service['Name']}.{spaces.get(space)}"] = {instance["Id"] for instance in instances}
        self._names = names

    async def _answer_name(self, request: web.Request) -> web.Response:
        """The current port of a name on loopback, or null."""
        host, port = request.query["host"], int(request.query["port"])
        if self.redis is not None and host == self.redis.host:
            return web.json_response(self.redis.port)
        ids = self._names.get(host, set())
        found = [c for c in self.containers.values() if c.task_id in ids and c.living]
        now = time.monotonic()
        if not found:
            self._missing_until.setdefault(host, now + NEGATIVE_SECONDS)
        if now < self._missing_until.get(host, 0.0):
            return web.json_response(None)
        self._missing_until.pop(host, None)
        # A request for the address alone contains some port (Dask: 1234).
        return web.json_response(found[-1].ports.get(port, port) if found else None)

    async def _answer_metadata(self, request: web.Request) -> web.Response:
        """The task metadata endpoint, version 4: of it, what a worker asks."""
        for container in self.containers.values():
            if container.task_id == request.match_info["task"]:
                cpu, memory = container.size
                limits = {"CPU": cpu / 1024, "Memory": memory}
                return web.json_response({"TaskARN": container.arn, "Cluster": self.cluster, "Limits": limits})
        raise web.HTTPNotFound


class ElastiCache:
    """A Redis server with a password, behind TLS under the name that ElastiCache gave.

    Args:
        host: that name, for which the certificate is.
    """

    def __init__(self, folder: Path, authority: Authority, host: str) -> None:
        self.host = host
        self.port = 0
        self._folder = folder / "elasticache"
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(*authority.issue(host))
        self._inner = free_port()

    async def start(self, password: str) -> None:
        self._folder.mkdir()
        # The password is in a file: an argument would be visible in the list of processes.
        settings = self._folder / "redis.conf"
        settings.write_text(f"requirepass {password}\n")
        binary, *options = redis_command(str(default_binary()), self._folder, self._inner)
        self._child = await start_child("redis", [binary, str(settings), *options])
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        self._child.process.kill()
        await self._child.process.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._inner)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer), return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
