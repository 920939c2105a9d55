"""The recipes of docs/frontends.md, as they stand there: the compilers of frontends against a schema with every scalar,
and the caches of frontends with a mutation, a list in pages and subscriptions."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from cluster.task_types.registry import load_registry
from graphql_api.schema.builder import make_schema
from tests.fences import blocks_of
from tests.node import RECIPES, installed_environment
from tests.places import ROOT

PAGE: Final = "docs/frontends.md"
DOCUMENT: Final = """($file: FileId!, $id: ID!, $expiresIn: Duration) {
  file(fileId: $file) { fileId sizeBytes href(expiresIn: $expiresIn) }
  task(taskId: $id) {
    id output submittedAt
    result { __typename ... on Everything { big day hour span price key anything } }
  }
}"""
"""A query that has every scalar in its answer."""
CHECKS: Final = """
import type { Json } from "./json";
import { same } from "./types";

type File = NonNullable<Answer["file"]>;
type Task = NonNullable<Answer["task"]>;
type Output = Extract<NonNullable<Task["result"]>, { readonly __typename: "Everything" }>;
same<File["fileId"] | File["sizeBytes"] | Task["submittedAt"], string>(true);
same<Output["big"], string>(true);
same<Output["day"], string>(true);
same<Output["hour"], string>(true);
same<Output["span"], string>(true);
same<Output["price"], string>(true);
same<Output["key"], string>(true);
same<NonNullable<Task["output"]>, NonNullable<Json>>(true);
same<NonNullable<Output["anything"]>, NonNullable<Json>>(true);
"""
"""Compiles only if `Answer`, the type that a tool made of DOCUMENT, has the right type for every scalar."""
TOOLS: Final = [pytest.mark.slow, pytest.mark.nightly, pytest.mark.timeout(300)]
"""Marks of what needs the tools, whose installation takes longer than all of these tests."""


@dataclass(frozen=True)
class Project:
    """The folder of a frontend that follows one section of the page."""

    folder: Path
    environment: dict[str, str]

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, *command: str) -> None:
        """Runs a tool of the recipes, which must succeed."""
        done = subprocess.run(
            [str(RECIPES / "node_modules" / ".bin" / command[0]), *command[1:]], cwd=self.folder, env=self.environment,
            check=False, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-8_000:]}\n{done.stderr[-8_000:]}"

    def check_types(self) -> None:
        self.run("tsc", "--noEmit", "-p", "tsconfig.build.json")

    def run_script(self, name: str) -> None:
        """Compiles the project, and runs a script of tests/clients/recipes in it."""
        for script in (f"{name}.ts", "connection.ts"):
            shutil.copy(RECIPES / script, self.folder / "src")
        self.run("tsc", "-p", "tsconfig.build.json")
        done = subprocess.run(
            ["node", f"out/{name}.js"], cwd=self.folder, env=self.environment,
            check=False, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-8_000:]


def sections() -> dict[str, dict[str, str]]:
    """The blocks of the page by section and by the name of their file, which a comment in their first line gives."""
    headings = {
        number: line.removeprefix("## ")
        for number, line in enumerate((ROOT / PAGE).read_text().splitlines(), 1)
        if line.startswith("## ")
    }
    found: dict[str, dict[str, str]] = {heading: {} for heading in headings.values()}
    for block in blocks_of(PAGE):
        named = re.match(r"// ([\w./-]+)\n", block.text)
        name = named[1] if named else "relay.config.json"
        assert named or block.language == "json", block
        section = headings[max(number for number in headings if number < block.line)]
        assert name not in found[section], block
        found[section][name] = block.text
    return found


@pytest.fixture(scope="module")
def schema() -> str:
    """A schema whose tasks use every scalar."""
    return make_schema(load_registry(["tests.task_modules.odd"])).as_str()


@pytest.fixture
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """A project with the files of the section that the test's parameter names, and the schema of no own tasks."""
    made = Project(tmp_path, installed_environment(RECIPES))
    (tmp_path / "node_modules").symlink_to(RECIPES / "node_modules")
    core = (ROOT / "schema.graphql").read_text()
    made.write("schema.graphql", core)
    made.write("tsconfig.json", "{}")
    made.write("src/schema.ts", f"export default {json.dumps(core)};\n")
    files = sections()
    for name, text in {**files["Scalars"], **files[request.param]}.items():
        made.write(name, text)
    for name in ("tsconfig.build.json", "src/types.ts"):
        shutil.copy(RECIPES / Path(name).name, tmp_path / name)
    return made


@pytest.mark.parametrize("project", [pytest.param("Relay", marks=TOOLS)], indirect=True)
def test_relay_compiles_the_documents_and_its_store_keeps_one_record_of_a_task(project: Project, schema: str) -> None:
    project.run("relay-compiler")
    project.write("schema.graphql", schema)
    project.write(
        "src/Scalars.ts", f'import {{ graphql }} from "relay-runtime";\ngraphql`query ScalarsQuery{DOCUMENT}`;\n'
    )
    project.run("relay-compiler")
    project.write(
        "src/check.ts",
        'import type { ScalarsQuery$data as Answer } from "./__generated__/ScalarsQuery.graphql";' + CHECKS,
    )
    generated = project.folder / "src" / "__generated__"
    assert {path.name.split(".")[0] for path in generated.iterdir()} >= {
        "TaskListPageQuery", "TaskListTaskQuery", "TaskListSubmitMutation", "TaskListRunSubscription", "TaskList_query",
    }  # fmt: skip
    for path in generated.iterdir():
        types = path.read_text().partition("const node")[0]
        assert not re.search(r": (any|unknown)\b", types), path.name
    project.run_script("relay")


@pytest.mark.parametrize("project", [pytest.param("GraphQL Code Generator", marks=TOOLS)], indirect=True)
def test_codegen_makes_the_right_type_of_every_scalar(project: Project, schema: str) -> None:
    project.run("graphql-codegen")
    project.write("schema.graphql", schema)
    project.write(
        "src/check.ts",
        'import type { ResultOf, VariablesOf } from "@graphql-typed-document-node/core";\n'
        'import { graphql } from "./gql";\nimport { Run } from "./run";\n'
        f"const Scalars = graphql(`query Scalars{DOCUMENT}`);\ntype Answer = ResultOf<typeof Scalars>;"
        f"{CHECKS}"
        'same<ResultOf<typeof Run>["runFibonacci"]["id"], string>(true);\n'
        'same<NonNullable<VariablesOf<typeof Scalars>["expiresIn"]>, string | number>(true);\n',
    )
    project.run("graphql-codegen")
    generated = (project.folder / "src" / "gql" / "graphql.ts").read_text()
    assert not re.search(r"(output|input): (any|unknown|never)\b", generated)
    project.check_types()


@pytest.mark.parametrize("project", [pytest.param("gql.tada", marks=TOOLS)], indirect=True)
def test_gql_tada_makes_the_right_type_of_every_scalar(project: Project, schema: str) -> None:
    project.write("schema.graphql", schema)
    project.write(
        "src/check.ts",
        'import { graphql, readFragment } from "./graphql";\nimport type { FragmentOf, ResultOf } from "./graphql";\n'
        f"export const Scalars = graphql(`query Scalars{DOCUMENT}`);\ntype Answer = ResultOf<typeof Scalars>;{CHECKS}"
        "const Row = graphql(`fragment Row on Task { id state progress }`);\n"
        "export const Run = graphql(`subscription Run($n: Int!) { runFibonacci(n: $n) { ...Row } }`, [Row]);\n"
        "export const stateOf = (task: FragmentOf<typeof Row>): string => readFragment(Row, task).state;\n",
    )
    project.run("gql.tada", "generate-output")
    project.check_types()
    project.run("gql.tada", "check")
    project.run("gql.tada", "turbo", "--output", "src/graphql-cache.d.ts")
    cached = (project.folder / "src" / "graphql-cache.d.ts").read_text()
    assert "query Scalars" in cached
    assert not re.search(r": (any|unknown)\b", cached)
    project.check_types()


@pytest.mark.parametrize("project", [pytest.param("Apollo Client", marks=TOOLS)], indirect=True)
def test_apollo_s_cache_keeps_one_record_of_a_task_and_joins_the_pages_of_a_list(project: Project) -> None:
    project.run_script("apollo")


@pytest.mark.parametrize("project", [pytest.param("urql", marks=TOOLS)], indirect=True)
def test_graphcache_keeps_one_record_of_a_task_and_the_document_cache_reads_lists_again(project: Project) -> None:
    project.run_script("urql")


def test_the_page_names_the_versions_that_are_tested() -> None:
    packages = json.loads((RECIPES / "package-lock.json").read_text())["packages"]
    table = "\n".join(line for line in (ROOT / PAGE).read_text().splitlines() if line.startswith("| ["))
    for name in (
        "@apollo/client", "@urql/core", "@urql/exchange-graphcache", "relay-compiler", "relay-runtime",
        "@graphql-codegen/cli", "@graphql-codegen/client-preset", "typescript", "gql.tada",
    ):  # fmt: skip
        assert packages[f"node_modules/{name}"]["version"] in table, name
