"""Runs the blocks of the documents, in the order of the page, against a running system.

The language of a block says how it is run:

- `sh`: its commands succeed; `console`: they also print the text below them
- `graphql`: fits the schema, and each operation is executed; subscriptions stay open while the page continues
- `json`: the answer to the previous block
- `websocket`: `>` is sent, `<` is received
- `python`: a file that a later command uses (`# name.py`), a task module (`@task`) that the system has loaded, or
  a script
- `js`: run by Node; `ts`: the GraphQL documents in it fit the schema

ELSEWHERE lists the blocks that cannot run here, and what covers them instead.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest
from graphql import (
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    build_client_schema,
    get_introspection_query,
    parse,
    print_ast,
    validate,
)
from websockets.asyncio.client import connect

from cluster.settings.pools import pools
from dask_graphql.dev_system import free_port
from tests.engines import command_line_client
from tests.fences import PAGES, Block, blocks_of, check_json, check_output, outputs, session, steps_of
from tests.node import CLIENTS, environment
from tests.outside import missing
from tests.places import ROOT
from tests.system import Socket, System

ADDRESS: Final = "127.0.0.1:8000"
"""The address of the system in the documents."""
PATIENCE_SECONDS: Final = 60.0
"""How long to wait for something that must happen; only a failure takes this long."""
STARTS: Final = re.compile(r"(?:\.venv/bin/|\b)(?:make run|dask-graphql dev)((?: [\w./-]+)*)$", re.MULTILINE)
"""How a page starts its own system."""
SILENT: Final = ("text", "mermaid", "markdown")
"""Languages of blocks that are only read. tests/project/test_docs.py checks that diagrams can be drawn."""
EXAMPLES: Final = ("estimate_pi", "mandelbrot")
"""The modules of examples/, which the shared system loads."""


@dataclass(frozen=True)
class Elsewhere:
    """Blocks that cannot be run here.

    Attributes:
        begins: how the block begins; empty for all blocks of that language on the page.
        by: the file that runs it, or compares it with the code, instead; empty if nothing does.
        word: a text in that file that shows that it still covers this.
        why: why the block cannot run here.
    """

    page: str
    language: str
    begins: str
    by: str
    word: str
    why: str

    def holds(self, block: Block) -> bool:
        return (block.page, block.language) == (self.page, self.language) and block.text.startswith(self.begins)


MONEY: Final = "it needs an AWS account"
ELSEWHERE: Final = [
    Elsewhere("README.md", "sh", "make run     #", ".ci/run", "make test", "this is a part of `make test`"),
    Elsewhere(
        "docs/releasing.md", "sh", "", "tests/project/test_releasing.py", "blocks_of(PAGE)", "it changes the clone"
    ),
    Elsewhere("docs/operations.md", "sh", "export", "tests/system.py", "start_node", "they run until they are stopped"),
    Elsewhere("docs/operations.md", "sh", "docker compose", "tests/images/run.sh", "up", "it needs containers"),
    Elsewhere(
        "docs/operations.md",
        "sh",
        "docker logs",
        "tests/cluster/observability/test_logs.py",
        "taskId",
        "it needs containers",
    ),
    Elsewhere(
        "docs/clients.md",
        "html",
        "",
        "tests/graphql_api/http/test_without_backend.py",
        'block("html")',
        "a browser runs it",
    ),
    Elsewhere(
        "docs/clients.md",
        "graphql",
        "mutation {\n  createTaskToken",
        "tests/graphql_api/http/test_without_backend.py",
        "createTaskToken",
        "its task type is the reader's own",
    ),
    Elsewhere("docs/reliability.md", "sh", "make soak", "tests/whole_system/test_soak.py", "soak", "it takes an hour"),
    Elsewhere(
        "docs/reliability.md", "sh", "make chaos", "tests/whole_system/test_chaos.py", "chaos", "it takes ten minutes"
    ),
    Elsewhere("terraform/README.md", "sh", "make deploy", "tests/aws/test_deployment.py", 'script("deploy"', MONEY),
    Elsewhere("docs/aws.md", "sh", "", "tests/aws/test_deployment.py", 'script("deploy"', MONEY),
    Elsewhere("docs/aws.md", "yaml", "permissions:", "", "", "GitHub runs it, with an account"),
    Elsewhere("docs/aws.md", "hcl", "task_environment", "tests/aws/test_deployment.py", "TF_VAR_task_secrets", MONEY),
    Elsewhere("docs/aws.md", "hcl", "pools = {\n  gpu", "tests/aws/test_gpu_pool.py", '"capacity": "ec2"', MONEY),
    Elsewhere("docs/families-comparison.md", "sh", "", "", "", "it installs the other systems"),
    Elsewhere("docs/tasks.md", "json", '{"big', "tests/project/test_docs_run.py", "POOLS_OF_TASKS", "they are set"),
    Elsewhere(
        "docs/python-client.md",
        "pycon",
        "",
        "tests/dask_graphql/client/test_client.py",
        "python-client.md",
        "a doctest of its own",
    ),
    Elsewhere(
        "docs/clients.md", "js", "import", "tests/whole_system/test_js_clients.py", "clients.md", "scripts of their own"
    ),
    Elsewhere(
        "docs/javascript.md", "tsx", "", "tests/whole_system/test_js_in_a_browser.py", "javascript.md", "it is a page"
    ),
    Elsewhere("docs/javascript.md", "ts", "const api", "examples/web-vite/vite.config.js", "proxy", "it is a setting"),
    *(
        Elsewhere(
            "docs/proxies.md", language, "", "tests/proxies.py", "proxies.md", "a proxy runs it, or a shell reads it"
        )
        for language in ("nginx", "caddyfile", "js", "sh")
    ),
    Elsewhere(
        "docs/webhooks.md",
        "json",
        "",
        "tests/cluster/api_node/test_webhook_delivery.py",
        '"task.succeeded"',
        "it is sent to a receiver",
    ),
    Elsewhere("docs/webhooks.md", "python", "", "", "", "it needs the standard's library, and runs at the receiver"),
    Elsewhere(
        "examples/README.md",
        "python",
        'from dask_graphql import Client\n\nwith Client("http://127.0.0.1:8000") as client:\n    days',
        "tests/dask_graphql/test_workloads.py",
        "taxi_trips",
        "the system of the pages lacks these examples, which import pandas and xarray",
    ),
    *(
        Elsewhere(
            "docs/frontends.md",
            language,
            "",
            "tests/graphql_api/schema/test_frontend_tools.py",
            "frontends.md",
            "it is read by the tools of frontends",
        )
        for language in ("ts", "json", "jsonc")
    ),
]


POOLS_OF_TASKS: Final = next(block.text for block in blocks_of("docs/tasks.md") if '"max_workers"' in block.text)
"""The pools that a page declares, and whose names its task types have."""


@dataclass
class Desk:
    """A reader's folder with the files of the repository, and the system that the commands use.

    Attributes:
        base: the address of the system, `http://127.0.0.1:PORT`.
        variables: the reader's environment, in addition to PATH.
        answer: the answer to the previous block, if a `json` block may show it.
    """

    folder: Path
    base: str
    variables: dict[str, str]
    answer: str | None = None
    waiting: list[asyncio.Task[list[Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("CHANGELOG.md", "examples", "schema.graphql", "schema.released.graphql", "scripts"):
            (self.folder / name).symlink_to(ROOT / name)
        (self.folder / "node_modules" / "@dask-graphql").mkdir(parents=True)
        (self.folder / "node_modules" / "@dask-graphql" / "client").symlink_to(ROOT / "clients" / "js" / "client")
        for name in ("graphql-ws", "ws"):
            (self.folder / "node_modules" / name).symlink_to(CLIENTS / "node_modules" / name)
        # redis-cli connects to the Redis of the system.
        port = urlsplit(self.variables["DASK_GRAPHQL_REDIS_URL"]).port
        tool = command_line_client()
        (self.folder / "bin").mkdir()
        (self.folder / "bin" / "redis-cli").write_text(f'#!/bin/sh\nexec {tool} -p {port} "$@"\n')
        (self.folder / "bin" / "redis-cli").chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(self.folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
        return {**os.environ, "PATH": path, **self.variables}

    def here(self, text: str) -> str:
        """A text of a page, with the addresses and paths of this desk."""
        return text.replace(ADDRESS, self.base.removeprefix("http://")).replace(".venv/bin/", "")

    async def run(self, *command: str) -> str:
        """The output of a command, which must succeed."""
        process = await asyncio.create_subprocess_exec(
            *command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(PATIENCE_SECONDS):
            out, err = await process.communicate()
        assert process.returncode == 0, f"{command} ended with {process.returncode}\n{out.decode()}\n{err.decode()}"
        return out.decode()

    async def post(self, query: str) -> dict[str, Any]:
        async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as client:
            return dict((await client.post(f"{self.base}/graphql", json={"query": query})).json())

    async def schema(self) -> GraphQLSchema:
        """The schema of the current system."""
        return build_client_schema((await self.post(get_introspection_query()))["data"])

    async def ended(self) -> None:
        """Returns when the page's subscriptions have ended, each with at least one item."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            for items in await asyncio.gather(*self.waiting):
                assert items
        self.waiting.clear()


@pytest.fixture(scope="module")
def task_modules(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The task modules of the pages, as files, except those that define the same tasks as the examples."""
    folder = tmp_path_factory.mktemp("task_modules")
    defined = {name for module in EXAMPLES for name in task_names((ROOT / "examples" / f"{module}.py").read_text())}
    found = {}
    for block in (block for page in PAGES for block in blocks_of(page) if is_task_module(block)):
        path = folder / f"{block.module}.py"
        path.write_text(block.text)
        if not defined & task_names(block.text):
            found[block.module] = path
            defined |= task_names(block.text)
    return found


@pytest.fixture(scope="module")
async def documents_system(
    tmp_path_factory: pytest.TempPathFactory, task_modules: dict[str, Path]
) -> AsyncIterator[System]:
    """A system that loads the examples and the task modules of the pages."""
    folders = {str(path.parent) for path in task_modules.values()} | {str(ROOT / "examples")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sorted(folders)))
        folder = tmp_path_factory.mktemp("documents")
        modules = (*EXAMPLES, *task_modules)
        declared = pools(POOLS_OF_TASKS)
        async with System(folder, min_workers=2, max_workers=2, task_modules=modules, pools=declared) as system:
            yield system


@pytest.fixture
def desk(tmp_path: Path, documents_system: System) -> Desk:
    settings = documents_system.settings
    return Desk(
        tmp_path,
        documents_system.url.removesuffix("/graphql"),
        {
            "DASK_GRAPHQL_REDIS_URL": settings.redis_url,
            "DASK_GRAPHQL_KEY_PREFIX": settings.key_prefix,
            "DASK_GRAPHQL_PORT": str(documents_system.ports[0]),
            "DASK_GRAPHQL_POOLS": POOLS_OF_TASKS,
            "DASK_GRAPHQL_DATA_DIR": str(tmp_path / "data"),
        },
    )


@pytest.mark.slow
@pytest.mark.timeout(300)  # the page of examples starts several systems
@pytest.mark.parametrize("page", [page for page in PAGES if any(blocks_of(page))])
async def test_the_blocks_of_a_page_work(page: str, desk: Desk, task_modules: dict[str, Path]) -> None:
    if lacking := [tool for tool in ("bash", "curl", "make", "sha256sum") if shutil.which(tool) is None]:
        missing(f"the pages' commands need {', '.join(lacking)}")
    async with contextlib.AsyncExitStack() as stack:
        for block in blocks_of(page):
            try:
                await do(block, desk, task_modules, stack)
            except AssertionError as error:
                raise AssertionError(f"{block}: {error}") from error
        await desk.ended()


def test_blocks_that_do_not_run_here_are_covered_elsewhere() -> None:
    blocks = [block for page in PAGES for block in blocks_of(page)]
    for entry in ELSEWHERE:
        assert any(entry.holds(block) for block in blocks), f"no block fits {entry}"
        if entry.by:
            assert entry.word in (ROOT / entry.by).read_text(), f"{entry.by} does not cover {entry}"


@pytest.mark.parametrize("page", PAGES)
def test_every_make_command_of_a_page_exists(page: str) -> None:
    for block in blocks_of(page):
        for target in re.findall(r"^(?:\w+=\S+ )*(make \w[^#\n]*)", block.text, re.MULTILINE):
            answer = subprocess.run(["make", "-n", *target.split()[1:]], cwd=ROOT, capture_output=True, text=True)
            assert answer.returncode == 0, f"{block}: {target}: {answer.stderr}"


# One block ------------------------------------------------------------------------------------------------------------


async def do(block: Block, desk: Desk, task_modules: dict[str, Path], stack: contextlib.AsyncExitStack) -> None:
    """Runs a block, or fails with the difference."""
    if block.language in SILENT:
        assert not re.search(r"^\$ ", block.text, re.MULTILINE), "commands belong in a block of the language console"
        return
    if any(entry.holds(block) for entry in ELSEWHERE):
        return
    answer, desk.answer = desk.answer, None
    match block.language:
        case "sh" if STARTS.search(block.text):
            # One at a time, as in a reader's terminal.
            await stack.aclose()
            await stack.enter_async_context(developing(block, desk))
        case "sh":
            desk.answer = await desk.run("bash", "-euo", "pipefail", "-c", desk.here(block.text))
        case "console":
            await do_console(block, desk)
        case "graphql":
            await do_graphql(block, desk)
        case "json":
            assert answer is not None, "a json block follows the block that it answers"
            check_json(block.text, answer, str(block))
        case "websocket":
            await do_websocket(block, desk)
        case "python":
            await do_python(block, desk, task_modules)
        case "js":
            await do_script(block, desk)
        case "ts":
            await check_documents(block, desk)
        case _:
            raise AssertionError(
                "a block needs one of the languages that this module's docstring lists, or an entry in ELSEWHERE"
            )


async def do_console(block: Block, desk: Desk) -> None:
    steps = steps_of(block)
    printed = await desk.run("bash", "-c", desk.here(session(steps)))
    for step, (output, code) in zip(steps, outputs(printed), strict=True):
        place = f"{block}: $ {step.command}"
        check_output(desk.here(step.output), output, place)
        # A page may show how the command refuses something.
        assert code == 0 or step.output.startswith("dask-graphql: "), f"{place} ended with {code}\n{output}"


async def do_graphql(block: Block, desk: Desk) -> None:
    """Validates it, and executes its operations one by one, as if a reader pasted them."""
    schema = await desk.schema()
    for operation in parse(block.text).definitions:
        assert isinstance(operation, OperationDefinitionNode), "a block of operations"
        text = print_ast(operation)
        assert not validate(schema, parse(text)), validate(schema, parse(text))
        assert not operation.variable_definitions, (
            "operations of a page contain their values, so that they can be pasted"
        )
        if operation.operation is OperationType.SUBSCRIPTION:
            established = asyncio.Event()
            desk.waiting.append(asyncio.create_task(subscribed(desk.base, text, established)))
            await established.wait()
            continue
        if operation.operation is OperationType.QUERY:
            # A query after a subscription sees the final state.
            await desk.ended()
        answer = await desk.post(text)
        assert "errors" not in answer, answer
        desk.answer = json.dumps(answer)


ENDLESS: Final = ("tasksChanged", "clusterChanges")
"""Subscriptions that never end, of which the first item is enough."""


async def subscribed(base: str, text: str, established: asyncio.Event) -> list[Any]:
    """The items of a subscription until its end; sets `established` once it is sent."""
    try:
        async with Socket.open(f"{base}/graphql") as socket:
            established.set()
            items = []
            async for item in socket.subscribe(text):
                items.append(item)
                if any(field in text for field in ENDLESS):
                    break
            return items
    finally:
        established.set()


async def do_websocket(block: Block, desk: Desk) -> None:
    address = f"{desk.base.replace('http', 'ws', 1)}/graphql"
    async with connect(address, subprotocols=["graphql-transport-ws"]) as connection:  # type: ignore[list-item]
        for line in block.text.splitlines():
            who, _, message = line.partition(" ")
            assert who in ("<", ">"), f"{line}: a line begins with < or >"
            if who == ">":
                await connection.send(message)
                continue
            async with asyncio.timeout(PATIENCE_SECONDS):
                check_json(message, str(await connection.recv()), str(block))


async def do_python(block: Block, desk: Desk, task_modules: dict[str, Path]) -> None:
    if block.file_name:
        (desk.folder / block.file_name).write_text(block.text)
        later = "".join(other.text for other in blocks_of(block.page) if other.line > block.line)
        assert block.file_name.removesuffix(".py") in later, "a later command uses the file"
    elif not is_task_module(block):
        await desk.run(sys.executable, "-c", desk.here(block.text))
    else:
        if block.module in task_modules:
            known = {item["name"] for item in (await desk.post("{ taskTypes { name } }"))["data"]["taskTypes"]}
        else:
            # The system has another task of this name, so this module is loaded alone.
            (desk.folder / f"{block.module}.py").write_text(block.text)
            command = f"PYTHONPATH=. DASK_GRAPHQL_TASK_MODULES={block.module} dask-graphql schema"
            types = await desk.run("bash", "-c", command)
            known = {name for name in task_names(block.text) if f"submit{name.title().replace('_', '')}(" in types}
        assert task_names(block.text) <= known


async def do_script(block: Block, desk: Desk) -> None:
    """Runs JavaScript. A comment on the last line shows the value that it awaits."""
    path = desk.folder / f"{block.module}.mjs"
    last = re.compile(r"^await (?P<value>.*); // (?P<shown>.*)\n\Z", re.MULTILINE)
    path.write_text(desk.here(last.sub(r"console.log(await \g<value>);\n", block.text)))
    # Node 20 has no built-in WebSocket; browsers and later versions have one.
    (desk.folder / "window.mjs").write_text('import { WebSocket } from "ws";\nglobalThis.WebSocket ??= WebSocket;\n')
    await asyncio.to_thread(environment)
    printed = await desk.run("node", "--import", "./window.mjs", str(path))
    assert printed, "a script prints something"
    if shown := last.search(block.text):
        assert printed.strip() == shown["shown"]


async def check_documents(block: Block, desk: Desk) -> None:
    """Validates the GraphQL documents in a block of TypeScript against the schema."""
    documents = re.findall(r"graphql\(`(.*?)`\)", block.text, re.DOTALL)
    assert documents, "a block of TypeScript contains GraphQL documents"
    for document in documents:
        errors = validate(await desk.schema(), parse(document))
        assert not errors, errors


@contextlib.asynccontextmanager
async def developing(block: Block, desk: Desk) -> AsyncIterator[None]:
    """The system that a page starts, on its own port; later blocks of the page use it."""
    port = free_port()
    desk.variables = {"DASK_GRAPHQL_PORT": str(port), "DASK_GRAPHQL_MAX_WORKERS": "2"}
    desk.base = f"http://127.0.0.1:{port}"
    # What `make run` does once everything is set up.
    recipe = subprocess.run(["make", "-n", "run", "PORT=8000"], cwd=ROOT, capture_output=True, text=True).stdout
    assert "exec .venv/bin/dask-graphql dev --port 8000\n" in recipe, recipe
    data = shlex.quote(tempfile.mkdtemp(dir=desk.folder))
    command = STARTS.sub(rf"exec dask-graphql dev --data-dir {data}\1", block.text)
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", command, cwd=desk.folder, env=desk.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        said = ""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while f"ready {desk.base}/graphql\n" not in said:
                line = await process.stdout.readline()
                assert line, f"it ended:\n{said}"
                said += line.decode()
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


# Task modules ---------------------------------------------------------------------------------------------------------


def is_task_module(block: Block) -> bool:
    return block.language == "python" and not block.file_name and bool(task_names(block.text))


def task_names(source: str) -> set[str]:
    """The functions with `@task`."""
    return {
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(decorator).startswith("task") for decorator in node.decorator_list)
    }
