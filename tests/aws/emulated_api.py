"""An emulation of the AWS API for the tests: moto's server, mended where it is not like AWS, in a process of its own.

    with EmulatedAws(folder) as aws:
        client = aws.client("ecs")              # boto3, on aws.url
        aws.control(no_capacity=["FARGATE_SPOT"])
        assert aws.calls()["RunTask"] == 1

It listens on loopback only, on a port that the system picks. What it cannot show: IAM is not enforced, and no
container runs. Whoever plays ECS's agents moves the tasks: a task is PROVISIONING until the real call
SubmitTaskStateChange says RUNNING, and a stopped one runs on (desiredStatus STOPPED) until it says STOPPED. Machines
are what RegisterContainerInstance has registered: their totalResources, and their capacity provider as the attribute
MACHINE_PROVIDER, since no Auto Scaling group has them.

Each mend stands below with what moto does without it (moto 5.2).
"""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from copy import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from tests.aws.service_rollouts import ServiceRollouts, ServiceTask, count_running
from tests.places import ROOT

CONTROL_PATH: Final = "/emulation/control"
CALLS_PATH: Final = "/emulation/calls"
ACTIONS_PATH: Final = "/emulation/actions"
SIGNED_FOR: Final = re.compile(r"Credential=emulated/\d+/[^/]+/([a-z0-9-]+)/aws4_request")
QUERY_ACTION: Final = re.compile(rb"(?:^|&)Action=([A-Za-z0-9]+)")
REGION: Final = "us-east-1"
MACHINE_PROVIDER: Final = "emulated.capacity-provider"
READY_SECONDS: Final = 60.0


class EmulatedAws:
    """The emulation as a context manager.

    Args:
        folder: where its log goes.
        environment: more environment variables for it.
    """

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self._more = environment or {}
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "emulated_api.log").open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.aws.emulated_api"],
                cwd=ROOT, env={**os.environ, **self._more},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        assert self._process.stdout is not None
        line = self._process.stdout.readline()  # ends when it serves, or when it died
        if not line.startswith("http://"):
            self._process.wait(READY_SECONDS)
            raise RuntimeError(
                f"the emulation does not start: {(self.folder / 'emulated_api.log').read_text()[-2_000:]}"
            )
        self.url = line.strip()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            # It ends when its standard input closes, so that it never outlives a killed test run.
            self._process.communicate("", timeout=30)
            self._process = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which boto3, aiobotocore and Terraform use the emulation instead of AWS."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "emulated",
            "AWS_SECRET_ACCESS_KEY": "emulated",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_S3_USE_PATH_STYLE": "true",
        }

    def client(self, service: str) -> Any:
        """A boto3 client of the emulation. Host prefixes (`data-servicediscovery.`) would leave loopback."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.url,
            region_name=REGION,
            # Another than that of `environment`, so that `actions` has no call of the tests themselves.
            aws_access_key_id="tests",
            aws_secret_access_key="emulated",
            config=Config(inject_host_prefix=False, s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
        )

    def control(
        self,
        *,
        no_capacity: Iterable[str] | None = None,
        throttled: dict[str, int] | None = None,
        refused_run_tasks: Iterable[str] | None = None,
        list_lag_seconds: float | None = None,
        describe_lag_seconds: float | None = None,
        stop_lag_seconds: float | None = None,
        rollouts: bool | None = None,
    ) -> None:
        """Makes the next calls fail; what is not named stays as it was.

        Args:
            no_capacity: capacity providers for which RunTask answers with a failure, until they are named no more.
            throttled: action -> how many of its next calls are answered with ThrottlingException (-1 for all).
            refused_run_tasks: codes with which the next RunTask calls are refused, one each, such as
                "AccessDeniedException" or "ClientException".
            list_lag_seconds: for how long ListTasks does not show a task that was started, as AWS's is eventually
                consistent.
            describe_lag_seconds: the same of DescribeTasks, which then answers that the task is MISSING.
            stop_lag_seconds: for how long both show a task that was stopped as one that shall run.
            rollouts: whether services are rolled out (tests/aws/service_rollouts.py), by the tasks that somebody starts
                for them. Otherwise each has what it should as soon as it is made or updated.
        """
        word: dict[str, Any] = {}
        if no_capacity is not None:
            word["no_capacity"] = sorted(no_capacity)
        if throttled is not None:
            word["throttled"] = throttled
        if refused_run_tasks is not None:
            word["refused_run_tasks"] = list(refused_run_tasks)
        if list_lag_seconds is not None:
            word["list_lag_seconds"] = list_lag_seconds
        if describe_lag_seconds is not None:
            word["describe_lag_seconds"] = describe_lag_seconds
        if stop_lag_seconds is not None:
            word["stop_lag_seconds"] = stop_lag_seconds
        if rollouts is not None:
            word["rollouts"] = rollouts
        self._ask("POST", CONTROL_PATH, word)

    def calls(self) -> Counter[str]:
        """How often each ECS action was called, including throttled and refused calls."""
        return Counter(self._ask("GET", CALLS_PATH))

    def actions(self) -> set[str]:
        """What was called with `environment`, of services whose requests name their action, such as `ecs:RunTask`; S3's
        and Route 53's do not. The service is the name for which the request was signed."""
        return {*self._ask("GET", ACTIONS_PATH)}

    def _ask(self, method: str, path: str, word: Any = None) -> Any:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=10)
        try:
            connection.request(method, path, None if word is None else json.dumps(word))
            answer = connection.getresponse()
            text = answer.read().decode()
            if answer.status != 200:
                raise RuntimeError(f"the emulation refuses {path}: {answer.status} {text}")
            return json.loads(text)
        finally:
            connection.close()


# The server's side ----------------------------------------------------------------------------------------------------


class Faults:
    """The faults that a test requested, and how often each action was called."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._no_capacity: set[str] = set()
        self._throttled: dict[str, int] = {}
        self._refused: list[str] = []
        self.list_lag_seconds = self.describe_lag_seconds = self.stop_lag_seconds = 0.0
        self.rollouts = False
        self._calls: Counter[str] = Counter()

    def control(self, word: dict[str, Any]) -> None:
        with self._lock:
            unknown = word.keys() - {
                "no_capacity", "throttled", "refused_run_tasks", "list_lag_seconds", "describe_lag_seconds",
                "stop_lag_seconds", "rollouts",
            }  # fmt: skip
            if unknown:
                raise ValueError(f"unknown: {sorted(unknown)}")
            self._no_capacity = set(word.get("no_capacity", self._no_capacity))
            self._throttled = dict(word.get("throttled", self._throttled))
            self._refused = list(word.get("refused_run_tasks", self._refused))
            self.list_lag_seconds = float(word.get("list_lag_seconds", self.list_lag_seconds))
            self.describe_lag_seconds = float(word.get("describe_lag_seconds", self.describe_lag_seconds))
            self.stop_lag_seconds = float(word.get("stop_lag_seconds", self.stop_lag_seconds))
            self.rollouts = bool(word.get("rollouts", self.rollouts))

    def calls(self) -> dict[str, int]:
        with self._lock:
            return dict(self._calls)

    def fault_of(self, action: str) -> tuple[str, str] | None:
        """Counts a call; returns the code and message with which it must fail, if any."""
        with self._lock:
            self._calls[action] += 1
            left = self._throttled.get(action, 0)
            if left:
                self._throttled[action] = left - 1 if left > 0 else left
                return "ThrottlingException", "Rate exceeded"
            if action == "RunTask" and self._refused:
                code = self._refused.pop(0)
                return code, f"{code} on demand"
            return None

    def has_capacity(self, provider: str) -> bool:
        with self._lock:
            return provider not in self._no_capacity


class Front:
    """Stands before moto's application: the control endpoints, the count of ECS calls, and faults on demand."""

    ECS_TARGET: Final = "AmazonEC2ContainerServiceV20141113."

    def __init__(self, application: Callable[..., Any], faults: Faults) -> None:
        self._application = application
        self._faults = faults
        self._actions: set[str] = set()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == CONTROL_PATH:
            try:
                self._faults.control(json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))))
            except (ValueError, TypeError) as error:
                return self._answer(start_response, "400 Bad Request", {"error": str(error)})
            return self._answer(start_response, "200 OK", {})
        if path == CALLS_PATH:
            return self._answer(start_response, "200 OK", self._faults.calls())
        if path == ACTIONS_PATH:
            return self._answer(start_response, "200 OK", sorted(self._actions))
        self._note_action(environ)
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if target.startswith(self.ECS_TARGET):
            fault = self._faults.fault_of(target.removeprefix(self.ECS_TARGET))
            if fault is not None:
                # Read the body; otherwise the next request on the connection would begin inside it.
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                return self._answer(start_response, "400 Bad Request", {"__type": fault[0], "message": fault[1]})
        try:
            result: Iterable[bytes] = self._application(environ, start_response)
        except NotImplementedError as error:
            # A 500 would be retried for minutes.
            return self._answer(start_response, "400 Bad Request", {"__type": "InvalidAction", "message": str(error)})
        return result

    def _note_action(self, environ: dict[str, Any]) -> None:
        signed = SIGNED_FOR.search(environ.get("HTTP_AUTHORIZATION", ""))
        action = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        if not action and "x-www-form-urlencoded" in environ.get("CONTENT_TYPE", ""):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(body)
            found = QUERY_ACTION.search(body)
            action = found[1].decode() if found else ""
        if signed and action:
            self._actions.add(f"{signed[1]}:{action}")

    @staticmethod
    def _answer(start_response: Callable[..., Any], status: str, word: Any) -> list[bytes]:
        body = json.dumps(word).encode()
        start_response(status, [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(body)))])
        return [body]


def mend_ecs_tasks(faults: Faults) -> None:
    """Tasks have a life of their own. In moto they begin RUNNING, each DescribeTasks moves them on, and StopTask ends
    them at once; RunTask of a container without `memory` (legal on Fargate) is an error; placing on EC2 needs machines;
    clientToken, an unknown container in an override, and filters beside startedBy are not looked at."""
    from moto.core.responses import ActionResult
    from moto.ecs import models, responses
    from moto.ecs.exceptions import EcsClientException, ECSException, InvalidParameterException

    task_init = models.Task.__init__

    def init(self: Any, *arguments: Any, **options: Any) -> None:
        task_init(self, *arguments, **options)
        self._emulated_status = "PROVISIONING"
        self.created_at = datetime.now(UTC)
        self.connectivity = "CONNECTED"
        self.version = 1
        self.health_status = "UNKNOWN"
        for container in self.containers:
            container.exitCode = None  # there is none before the end
            container.task_arn = self.task_arn
            container.health_status = "UNKNOWN"

    def status(self: Any) -> str:
        return str(self._emulated_status)

    def set_status(self: Any, value: str) -> None:
        self._emulated_status = value

    models.Task.__init__ = init  # type: ignore[method-assign]
    models.Task.status = property(status, set_status)  # type: ignore[assignment]
    models.Task.advance = lambda self: None  # type: ignore[method-assign]
    # AWS has only used long ARNs for years; moto requires the account setting.
    models.EC2ContainerServiceBackend.enable_long_arn_for_name = lambda self, name: True  # type: ignore[method-assign]

    def found(backend: Any, cluster_name: str, task: str) -> Any:
        cluster = backend._get_cluster(cluster_name)
        for arn, candidate in backend.tasks.get(cluster.name, {}).items():
            if arn.split("/")[-1] == task.split("/")[-1]:
                return candidate
        raise InvalidParameterException("The referenced task was not found.")

    def stop_task(self: Any, cluster_str: str, task_str: str, reason: str) -> Any:
        task = found(self, cluster_str, task_str)
        if task.desired_status != "STOPPED":
            task.desired_status = "STOPPED"
            task.stopped_reason, task.stop_code = reason or "Task stopped by user", "UserInitiated"
            task.stopping_at = datetime.now(UTC)
            if task._emulated_status == "PROVISIONING":  # no container runs: nothing has to end first
                task._emulated_status, task.stopped_at = "STOPPED", datetime.now(UTC)
        return task

    models.EC2ContainerServiceBackend.stop_task = stop_task  # type: ignore[method-assign]

    def submit_task_state_change(self: Any) -> ActionResult:
        task = found(self.ecs_backend, self._get_param("cluster", "default"), self._get_param("task"))
        status, reason = self._get_param("status"), self._get_param("reason")
        if status:
            task._emulated_status = status
            task.version += 1
            for container in task.containers:
                container.last_status = status
        if status == "RUNNING":
            task.started_at = datetime.now(UTC)
        if status == "STOPPED":
            task.stopped_at = datetime.now(UTC)
            if task.desired_status != "STOPPED":
                task.desired_status = "STOPPED"
                task.stopped_reason = reason or "Essential container in task exited"
                task.stop_code = stop_code_of(reason or "")
        for change in self._get_param("containers", []) or []:
            for container in task.containers:
                if change.get("containerName") in (None, container.name):
                    container.last_status = change.get("status", container.last_status)
                    if "exitCode" in change:
                        container.exitCode = change["exitCode"]
                    if "reason" in change:
                        container.reason = change["reason"]
        return ActionResult({"acknowledgment": "ok"})

    response: Any = responses.EC2ContainerServiceResponse
    response.submit_task_state_change = submit_task_state_change

    run_task = responses.EC2ContainerServiceResponse.run_task

    def run(self: Any) -> ActionResult:
        count = self._get_int_param("count", 1)
        if not 1 <= count <= 10:
            raise InvalidParameterException("count should be between 1 and 10")
        if len(self._get_param("startedBy") or "") > 128:
            raise InvalidParameterException("startedBy is too long")
        strategy = self._get_param("capacityProviderStrategy")
        if strategy and self._get_param("launchType"):
            raise InvalidParameterException("Cannot specify both a launch type and capacity provider strategy.")
        definition = self.ecs_backend.describe_task_definition(self._get_param("taskDefinition"))
        if definition.status != "ACTIVE":
            raise EcsClientException("TaskDefinition is inactive")
        names = {container["name"] for container in definition.container_definitions}
        for override in (self._get_param("overrides") or {}).get("containerOverrides", []):
            if override.get("name") not in names:
                raise InvalidParameterException(
                    f"Override for container named {override.get('name')} is not a container in the TaskDefinition."
                )
        cluster = self.ecs_backend._get_cluster(self._get_param("cluster", "default"))
        strategy = strategy or ([] if self._get_param("launchType") else cluster.default_capacity_provider_strategy)
        token = self._get_param("clientToken")
        kept = self.ecs_backend.__dict__.setdefault("_emulated_tokens", {})
        if token and (cluster.name, token) in kept:
            return ActionResult({"tasks": kept[cluster.name, token], "failures": []})
        for item in strategy or []:
            if item["capacityProvider"] not in cluster.capacity_providers:
                raise InvalidParameterException(
                    "The specified capacity provider strategy contains a capacity provider that is not associated with "
                    "the cluster. Associate the capacity provider with the cluster and try again."
                )
        if strategy and not any(faults.has_capacity(item["capacityProvider"]) for item in strategy):
            return ActionResult({"tasks": [], "failures": [{"reason": CAPACITY_FAILURE}]})
        fargate = all(item["capacityProvider"].startswith("FARGATE") for item in strategy or [])
        network = (self._get_param("networkConfiguration") or {}).get("awsvpcConfiguration", {})
        if not fargate and network.get("assignPublicIp") == "ENABLED":
            raise InvalidParameterException("Assign public IP is not supported for this launch type.")
        if fargate and self._get_param("placementStrategy"):
            raise InvalidParameterException("Placement strategies are not supported with FARGATE launch type.")
        if fargate and definition.requires_compatibilities == ["EC2"]:
            raise InvalidParameterException("Task definition does not support launch_type FARGATE.")
        result: Any = run_task(self)
        if not fargate:
            binpack = {"type": "binpack", "field": "memory"} in (self._get_param("placementStrategy") or [])
            result = ActionResult(place_on_machines(self.ecs_backend, cluster, result.result["tasks"], binpack))
        if token:
            kept[cluster.name, token] = result.result["tasks"]
        return ActionResult(result.result)

    responses.EC2ContainerServiceResponse.run_task = run  # type: ignore[method-assign]

    list_tasks = responses.EC2ContainerServiceResponse.list_tasks

    def list_(self: Any) -> Any:
        # The API's text: with startedBy, no other filter may be given. What is listed without desiredStatus is RUNNING.
        others = [name for name in ("family", "serviceName", "containerInstance") if self._get_param(name)]
        if self._get_param("startedBy") and others:
            raise InvalidParameterException(f"startedBy cannot be combined with {', '.join(others)}")
        answer: Any = list_tasks(self).result
        arns: list[str] = answer["taskArns"]
        begin, size = int(self._get_param("nextToken") or 0), self._get_int_param("maxResults", 100)
        more = {"nextToken": str(begin + size)} if begin + size < len(arns) else {}
        return ActionResult({"taskArns": arns[begin : begin + size], **more})

    responses.EC2ContainerServiceResponse.list_tasks = list_  # type: ignore[method-assign]

    backend_list = models.EC2ContainerServiceBackend.list_tasks

    def backend_list_tasks(self: Any, *arguments: Any, **options: Any) -> Any:
        names = ("cluster_str", "container_instance", "family", "started_by", "service_name", "desiredStatus")
        given = {**dict(zip(names, arguments, strict=False)), **options}
        desired = given.pop("desiredStatus", None) or "RUNNING"
        service = given.pop("service_name", None)
        shown_from = datetime.now(UTC) - timedelta(seconds=faults.list_lag_seconds)
        return [
            task
            for task in list[Any](backend_list(self, **given))
            if (not service or task.group == f"service:{service}")
            and task.created_at <= shown_from
            and shown_desired_status(task) == desired
        ]

    models.EC2ContainerServiceBackend.list_tasks = backend_list_tasks  # type: ignore[method-assign]

    register_machine = response.register_container_instance

    def register_container_instance(self: Any) -> ActionResult:
        machine = register_machine(self).result["containerInstance"]
        resources = self._get_param("totalResources") or []
        machine.emulated = {
            item["name"]: item.get("integerValue", len(item.get("stringSetValue", []))) for item in resources
        }
        given = {item["name"]: item["value"] for item in self._get_param("attributes") or []}
        machine.capacity_provider_name = given.get(MACHINE_PROVIDER)
        cluster = self.ecs_backend._get_cluster(self._get_param("cluster", "default"))
        waiting = [task for task in self.ecs_backend.tasks.get(cluster.name, {}).values() if waits_for_machine(task)]
        place_on_machines(self.ecs_backend, cluster, waiting, binpack=True)
        return ActionResult({"containerInstance": machine})

    response.register_container_instance = register_container_instance

    backend_run = models.EC2ContainerServiceBackend.run_task

    def backend_run_task(self: Any, *arguments: Any, **options: Any) -> Any:
        """A provider of one's own has its tasks in moto's way of Fargate; `place_on_machines` gives them machines."""
        names = ("cluster_str", "task_definition_str", "count", "overrides", "started_by", "tags", "launch_type",
                 "networking_configuration", "group", "platform_version", "capacity_provider_strategy")  # fmt: skip
        given = {**dict(zip(names, arguments, strict=False)), **options}
        cluster = self._get_cluster(given["cluster_str"])
        strategy = given.get("capacity_provider_strategy")
        if not given.get("launch_type"):
            strategy = strategy or cluster.default_capacity_provider_strategy
        chosen = next((item for item in strategy or [] if faults.has_capacity(item["capacityProvider"])), None)
        tasks = backend_run(self, **{**given, "launch_type": "FARGATE", "capacity_provider_strategy": None})
        started: list[Any] = tasks
        for task in started:
            task.capacity_provider_name = chosen and chosen["capacityProvider"]
            fargate = chosen is None or chosen["capacityProvider"].startswith("FARGATE")
            task.launch_type = given.get("launch_type") or ("FARGATE" if fargate else "EC2")
            definition = self.describe_task_definition(task.task_definition_arn)
            overrides = given.get("overrides") or {}
            task.cpu, task.memory = overrides.get("cpu", definition.cpu), overrides.get("memory", definition.memory)
            architecture = (definition.runtime_platform or {}).get("cpuArchitecture", "X86_64").lower()
            task.attributes = [{"name": "ecs.cpu-architecture", "value": architecture}]
        return tasks

    models.EC2ContainerServiceBackend.run_task = backend_run_task  # type: ignore[method-assign]

    def shown_desired_status(task: Any) -> str:
        stopping_at = getattr(task, "stopping_at", None)
        lag = timedelta(seconds=faults.stop_lag_seconds)
        if stopping_at is not None and datetime.now(UTC) - stopping_at < lag:
            return "RUNNING"
        return str(task.desired_status)

    backend_describe = models.EC2ContainerServiceBackend.describe_tasks

    def backend_describe_tasks(self: Any, cluster_str: str, tasks: list[str]) -> list[Any]:
        """The tasks as ECS shows them: what was just started or stopped may not show yet."""
        if len(tasks) > 100:
            raise InvalidParameterException("Tasks cannot have more than 100 elements.")
        created_before = datetime.now(UTC) - timedelta(seconds=faults.describe_lag_seconds)
        shown = []
        for task in list[Any](backend_describe(self, cluster_str, tasks)):
            if task.created_at <= created_before:
                shown.append(copy(task))
                shown[-1].desired_status = shown_desired_status(task)
        return shown

    models.EC2ContainerServiceBackend.describe_tasks = backend_describe_tasks  # type: ignore[method-assign]

    delete_cluster = models.EC2ContainerServiceBackend.delete_cluster

    def delete(self: Any, cluster_str: str) -> Any:
        """Refuses while tasks run; moto would leave them behind."""
        cluster = self._get_cluster(cluster_str)
        if any(task.status != "STOPPED" for task in self.tasks.get(cluster.name, {}).values()):
            raise ECSException("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
        return delete_cluster(self, cluster_str)

    models.EC2ContainerServiceBackend.delete_cluster = delete  # type: ignore[method-assign]

    def requirements(definition: Any) -> dict[str, Any]:
        containers = definition.container_definitions
        return {
            "CPU": sum(container.get("cpu", 0) for container in containers),
            "MEMORY": sum(container.get("memory", container.get("memoryReservation", 0)) for container in containers),
            "PORTS": [], "PORTS_UDP": [],
        }  # fmt: skip

    backend: Any = models.EC2ContainerServiceBackend
    backend._calculate_task_resource_requirements = staticmethod(requirements)


def waits_for_machine(task: Any) -> bool:
    """Whether ECS still looks for a machine for a task."""
    return task.launch_type == "EC2" and task.status == "PROVISIONING" and not task.container_instance_arn


def place_on_machines(backend: Any, cluster: Any, tasks: list[Any], binpack: bool) -> dict[str, Any]:
    """Places tasks on the machines of their capacity provider that have room and do not drain. For the others ECS waits
    until there is one, if it scales the provider's group; if not, they fail, and are none. moto knows neither GPUs nor
    the sizes of machines."""
    placed, failures = [], []
    for task in tasks:
        wanted = {"MEMORY": int(task.memory or 0), "GPU": gpus_of(backend, task)}
        rooms = []
        for machine in backend.container_instances.get(cluster.name, {}).values():
            if machine.status == "ACTIVE" and machine.capacity_provider_name == task.capacity_provider_name:
                on_it = [
                    other
                    for other in backend.tasks[cluster.name].values()
                    if other.container_instance_arn == machine.container_instance_arn and other.status != "STOPPED"
                ]
                used = {"MEMORY": sum(int(other.memory or 0) for other in on_it)}
                used["GPU"] = sum(gpus_of(backend, other) for other in on_it)
                rooms.append((machine, {name: machine.emulated.get(name, 0) - used[name] for name in wanted}))
        fitting = [room for room in rooms if all(room[1][name] >= wanted[name] for name in wanted)]
        provider = backend.capacity_providers.get(task.capacity_provider_name)
        scaling = (provider.auto_scaling_group_provider or {}).get("managedScaling", {}) if provider else {}
        if fitting:
            fitting.sort(key=lambda room: room[1]["MEMORY"], reverse=not binpack)
            task.container_instance_arn = fitting[0][0].container_instance_arn
            placed.append(task)
        elif scaling.get("status", "ENABLED") == "ENABLED":
            placed.append(task)
        else:
            lacks_gpus = all(room["GPU"] < wanted["GPU"] for _, room in rooms)
            failures.append({"reason": "RESOURCE:GPU" if lacks_gpus and wanted["GPU"] else "RESOURCE:MEMORY"})
            del backend.tasks[cluster.name][task.task_arn]
    return {"tasks": placed, "failures": failures}


def gpus_of(backend: Any, task: Any) -> int:
    """The GPUs of a task, by its overrides or its definition."""
    definition = backend.describe_task_definition(task.task_definition_arn)
    overridden = (task.overrides or {}).get("containerOverrides", [])
    for container in (*overridden, *definition.container_definitions):
        for item in container.get("resourceRequirements", []):
            if item["type"] == "GPU":
                return int(item["value"])
    return 0


CAPACITY_FAILURE: Final = (
    "Capacity is unavailable at this time. Please try again later or in a different availability zone"
)


def stop_code_of(reason: str) -> str:
    """ECS's stopCode for a reason that an agent gives."""
    if "spot" in reason.lower():
        return "SpotInterruption"
    if reason.startswith(("CannotPullContainer", "ResourceInitializationError", "Task failed to start")):
        return "TaskFailedToStart"
    return "EssentialContainerExited"


def mend_ecs_services(faults: Faults) -> None:
    """A service keeps what it was given. moto forgets these fields, so that a second plan would not be empty. Its
    deployments are rolled out, if a test asks for it: in moto there is one, and it is always as it was at first."""
    from moto.ecs import models, responses

    kept = {
        "healthCheckGracePeriodSeconds": "health_check_grace_period_seconds",
        "availabilityZoneRebalancing": "availability_zone_rebalancing",
        "deploymentConfiguration": "deployment_configuration",
        "enableExecuteCommand": "enable_execute_command",
        "enableECSManagedTags": "enable_ecs_managed_tags",
        "capacityProviderStrategy": "capacity_provider_strategy",
        "placementConstraints": "placement_constraints",
        "placementStrategy": "placement_strategy",
    }

    def keeping(action: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def answer(self: Any) -> Any:
            result = action(self)
            service = result.result["service"]
            for name, attribute in kept.items():
                value = self._get_param(name)
                if value is not None:
                    setattr(service, attribute, value)
            if not hasattr(service, "availability_zone_rebalancing"):
                service.availability_zone_rebalancing = "DISABLED"
            if faults.rollouts and (self._get_param("taskDefinition") or self._get_param("forceNewDeployment")):
                service.__dict__.setdefault("_emulated_rollouts", ServiceRollouts())
                revision = self.ecs_backend.describe_task_definition(service.task_definition).arn
                service._emulated_rollouts.begin(revision, datetime.now(UTC))
                roll_out(self.ecs_backend, service)
                return result
            # UpdateService begins a deployment of the revision that it names; moto's stays the first one.
            for deployment in service.deployments:
                deployment["taskDefinition"] = service.task_definition
            return result

        return answer

    def roll_out(backend: Any, service: Any) -> None:
        rollouts = service._emulated_rollouts
        tasks = [
            ServiceTask(task.started_by, task.status, getattr(task, "stop_code", None) or "")
            for task in backend.tasks.get(service.cluster_name, {}).values()
            if task.group == f"service:{service.name}"
        ]
        configuration = getattr(service, "deployment_configuration", None) or {}
        breaker = configuration.get("deploymentCircuitBreaker") or {}
        rollouts.observe(tasks, service.desired_count, breaker, datetime.now(UTC))
        service.task_definition = rollouts.primary.task_definition
        service.deployments = rollouts.described(tasks, service.desired_count)
        service.running_count = count_running(tasks)
        service.pending_count = sum(deployment["pendingCount"] for deployment in service.deployments)

    describe_services = models.EC2ContainerServiceBackend.describe_services

    def rolled_out(self: Any, cluster_str: str, service_names_or_arns: list[str]) -> Any:
        services, failures = describe_services(self, cluster_str, service_names_or_arns)
        for service in services:
            if hasattr(service, "_emulated_rollouts"):
                roll_out(self, service)
        return services, failures

    models.EC2ContainerServiceBackend.describe_services = rolled_out  # type: ignore[method-assign]

    for name in ("create_service", "update_service"):
        action = getattr(responses.EC2ContainerServiceResponse, name)
        setattr(responses.EC2ContainerServiceResponse, name, keeping(action))


def mend_elasticache() -> None:
    """Members, parameter groups and the deletion of a subnet group, which moto has not; a deleted replication group
    stays "deleting" in it for ever; ModifyReplicationGroup does not check an AUTH token."""
    from moto.core.responses import ActionResult
    from moto.elasticache import models as typed_models
    from moto.elasticache import responses
    from moto.elasticache.exceptions import ElastiCacheException

    models: Any = typed_models
    backend = models.ElastiCacheBackend
    create, delete, init = backend.create_replication_group, backend.delete_replication_group, backend.__init__
    full_version = {"7.1": "7.1.0", "7.2": "7.2.6", "8.0": "8.0.1"}

    def create_group(self: Any, **given: Any) -> Any:
        if given.get("num_cache_clusters") and not given.get("replicas_per_node_group"):
            given["replicas_per_node_group"] = given["num_cache_clusters"] - 1
        group = create(self, **given)
        group.at_rest_encryption_enabled = bool(group.at_rest_encryption_enabled)
        if group.transit_encryption_enabled and not group.transit_encryption_mode:
            group.transit_encryption_mode = "required"
        for member in group.member_clusters:
            cluster = models.CacheCluster(
                account_id=self.account_id, region_name=self.region_name, cache_cluster_id=member,
                cache_node_type=group.cache_node_type, replication_group_id=group.replication_group_id,
                engine=group.engine, engine_version=full_version.get(group.engine_version, group.engine_version),
                cache_subnet_group_name=group.cache_subnet_group_name, port=group.port,
                transit_encryption_enabled=group.transit_encryption_enabled, network_type="ipv4", ip_discovery="ipv4",
                preferred_maintenance_window=group.preferred_maintenance_window or "sun:05:00-sun:06:00",
                auto_minor_version_upgrade=group.auto_minor_version_upgrade, num_cache_nodes=1,
                snapshot_retention_limit=0, auth_token=given.get("auth_token"),
                **dict.fromkeys((
                    "az_mode", "preferred_availability_zone", "cache_parameter_group_name", "snapshot_name",
                    "notification_topic_arn", "snapshot_window", "outpost_mode", "preferred_outpost_arn",
                    "preferred_availability_zones", "cache_security_group_names", "security_group_ids", "tags",
                    "snapshot_arns", "preferred_outpost_arns", "cache_node_ids_to_remove", "cache_node_ids_to_reboot",
                )),
                log_delivery_configurations=[],
            )  # fmt: skip
            cluster.num_cache_nodes = 1
            cluster.cache_parameter_group = {
                "CacheParameterGroupName": group.cache_parameter_group_name, "ParameterApplyStatus": "in-sync",
                "CacheNodeIdsToReboot": [],
            }  # fmt: skip
            cluster.security_groups = [
                {"SecurityGroupId": item, "Status": "active"} for item in group.security_group_ids or []
            ]
            cluster.at_rest_encryption_enabled = group.at_rest_encryption_enabled
            self.cache_clusters[member] = cluster
        return group

    def delete_group(self: Any, replication_group_id: str, *arguments: Any, **options: Any) -> Any:
        group = self.replication_groups.get(replication_group_id)
        answer = delete(self, replication_group_id, *arguments, **options)
        for member in group.member_clusters if group else []:
            self.cache_clusters.pop(member, None)
        self.replication_groups.pop(replication_group_id, None)
        return answer

    def init_backend(self: Any, *arguments: Any, **options: Any) -> None:
        import re

        init(self, *arguments, **options)
        self.parameter_groups = {}
        self.arn_regex = re.compile(r"^arn:aws:elasticache:[a-z0-9-]*:[0-9]*:[a-z]+:.*$")

    backend.create_replication_group = create_group
    backend.delete_replication_group = delete_group
    backend.__init__ = init_backend

    class NoSuchGroup(ElastiCacheException):
        code = 404  # type: ignore[assignment]

        def __init__(self, name: str) -> None:
            super().__init__("CacheParameterGroupNotFound", f"CacheParameterGroup not found: {name}")

    def groups(self: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.elasticache_backend.parameter_groups
        return found

    def named(self: Any) -> tuple[str, Any]:
        name = self._get_param("CacheParameterGroupName")
        if name not in groups(self):
            raise NoSuchGroup(name)
        return name, groups(self)[name]

    def shown(group: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in group.items() if key != "parameters"}

    def create_cache_parameter_group(self: Any) -> ActionResult:
        name = self._get_param("CacheParameterGroupName")
        group = {
            "CacheParameterGroupName": name, "Description": self._get_param("Description"), "IsGlobal": False,
            "CacheParameterGroupFamily": self._get_param("CacheParameterGroupFamily"), "parameters": {},
            "ARN": f"arn:aws:elasticache:{self.region}:{self.current_account}:parametergroup:{name}",
        }  # fmt: skip
        groups(self)[name] = group
        if tags := self._get_param("Tags", []):
            self.elasticache_backend.tagging_service.tag_resource(group["ARN"], tags)
        return ActionResult({"CacheParameterGroup": shown(group)})

    def describe_cache_parameter_groups(self: Any) -> ActionResult:
        found = [named(self)[1]] if self._get_param("CacheParameterGroupName") else list(groups(self).values())
        return ActionResult({"CacheParameterGroups": [shown(group) for group in found]})

    def modify_cache_parameter_group(self: Any) -> ActionResult:
        name, group = named(self)
        for item in self._get_param("ParameterNameValues", []):
            group["parameters"][item["ParameterName"]] = item["ParameterValue"]
        return ActionResult({"CacheParameterGroupName": name})

    def reset_cache_parameter_group(self: Any) -> ActionResult:
        name, group = named(self)
        for item in self._get_param("ParameterNameValues", []):
            group["parameters"].pop(item["ParameterName"], None)
        return ActionResult({"CacheParameterGroupName": name})

    def describe_cache_parameters(self: Any) -> ActionResult:
        _, group = named(self)
        parameters = [
            {
                "ParameterName": key,
                "ParameterValue": value,
                "Source": "user",
                "DataType": "string",
                "IsModifiable": True,
            }
            for key, value in group["parameters"].items()
        ]
        return ActionResult({"Parameters": parameters})

    def delete_cache_parameter_group(self: Any) -> ActionResult:
        name, _ = named(self)
        del groups(self)[name]
        return ActionResult({})

    def delete_cache_subnet_group(self: Any) -> ActionResult:
        name = self._get_param("CacheSubnetGroupName")
        if self.elasticache_backend.cache_subnet_groups.pop(name, None) is None:
            raise models.CacheSubnetGroupNotFound(name)
        return ActionResult({})

    modify = responses.ElastiCacheResponse.modify_replication_group

    def modify_replication_group(self: Any) -> Any:
        """Keeps which AUTH tokens a server accepts, by the rules of ROTATE and SET, as tags that a test can read; gives
        the members another version, which moto forgets."""
        token, way = self._get_param("AuthToken"), self._get_param("AuthTokenUpdateStrategy")
        result = modify(self)
        if version := self._get_param("EngineVersion"):
            backend = self.elasticache_backend
            for member in backend.replication_groups[self._get_param("ReplicationGroupId")].member_clusters:
                backend.cache_clusters[member].engine_version = f"{version}.0"
        if token:
            if way not in ("ROTATE", "SET") or not 16 <= len(token) <= 128 or not token.isalnum():
                raise ElastiCacheException("InvalidParameterValue", "AuthToken or AuthTokenUpdateStrategy is not valid")
            tokens = self.elasticache_backend.__dict__.setdefault("emulated_tokens", {})
            group = self._get_param("ReplicationGroupId")
            before = tokens.get(group, [])
            if way == "SET" and token not in before:
                raise ElastiCacheException("InvalidParameterCombination", "SET needs a token that was ROTATEd in")
            tokens[group] = [token] if way == "SET" else [*before[-1:], token]
            self.elasticache_backend.replication_groups[group].auth_token_enabled = True
        return result

    for action in (
        create_cache_parameter_group, describe_cache_parameter_groups, modify_cache_parameter_group,
        reset_cache_parameter_group, describe_cache_parameters, delete_cache_parameter_group, delete_cache_subnet_group,
        modify_replication_group,
    ):  # fmt: skip
        setattr(responses.ElastiCacheResponse, action.__name__, action)


def mend_secrets() -> None:
    """Each version of a secret has the time at which it was written; in moto's list that is the time of the call."""
    from moto.secretsmanager import models

    list_versions = models.SecretsManagerBackend.list_secret_version_ids

    def dated(self: Any, secret_id: str) -> str:
        answer = json.loads(list_versions(self, secret_id))
        for version in answer["Versions"]:
            version["CreatedDate"] = self.secrets[secret_id].versions[version["VersionId"]]["createdate"]
        return json.dumps(answer)

    models.SecretsManagerBackend.list_secret_version_ids = dated  # type: ignore[method-assign]


def mend_ec2() -> None:
    """A security-group rule that names a group has a description; a launch template's own tags are not in its data."""
    from moto.ec2.models import security_groups
    from moto.ec2.responses import launch_templates

    def description(rule: Any) -> Any:
        return (rule.ip_range or {}).get("Description") or (rule.source_group or {}).get("Description")

    security_groups.SecurityGroupRule.description = property(description)  # type: ignore[assignment]
    create = launch_templates.LaunchTemplates.create_launch_template

    def create_launch_template(self: Any) -> Any:
        result = create(self)
        for template in self.ec2_backend.launch_templates.values():
            for version in template.versions:
                tags = version.data.get("TagSpecifications", [])
                version.data["TagSpecifications"] = [t for t in tags if t.get("ResourceType") != "launch-template"]
        return result

    launch_templates.LaunchTemplates.create_launch_template = create_launch_template  # type: ignore[method-assign]


def mend_autoscaling() -> None:
    """Scalable targets have tags, and their actions exist."""
    from moto.applicationautoscaling import responses

    response = responses.ApplicationAutoScalingResponse
    tags: dict[str, dict[str, str]] = {}
    register = response.register_scalable_target

    def register_scalable_target(self: Any) -> str:
        answer = register(self)
        tags.setdefault(json.loads(answer)["ScalableTargetARN"], {}).update(self._get_param("Tags") or {})
        return answer

    def list_tags_for_resource(self: Any) -> str:
        return json.dumps({"Tags": tags.get(self._get_param("ResourceARN"), {})})

    def tag_resource(self: Any) -> str:
        tags.setdefault(self._get_param("ResourceARN"), {}).update(self._get_param("Tags") or {})
        return "{}"

    def untag_resource(self: Any) -> str:
        for key in self._get_param("TagKeys") or []:
            tags.get(self._get_param("ResourceARN"), {}).pop(key, None)
        return "{}"

    for action in (register_scalable_target, list_tags_for_resource, tag_resource, untag_resource):
        setattr(response, action.__name__, action)


def serve() -> None:
    """Prints the URL and serves until standard input closes."""
    # Without this, roles cannot have AWS's own policies.
    os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Logs nothing: a deployment makes thousands of requests. Errors are still logged."""

    faults = Faults()
    mend_ecs_tasks(faults)
    mend_ecs_services(faults)
    mend_elasticache()
    mend_secrets()
    mend_ec2()
    mend_autoscaling()
    application = Front(DomainDispatcherApplication(create_backend_app), faults)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    serve()
