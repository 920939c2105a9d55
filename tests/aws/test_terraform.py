"""terraform/: its format, its own tests, and its page compared with its variables and outputs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.aws.terraform import SOURCES, Terraform, a_copy, initialise, needs_terraform

VARIABLE = re.compile(r'^variable "([a-z_0-9]+)"', re.MULTILINE)
OUTPUT = re.compile(r'^output "([a-z_0-9]+)"', re.MULTILINE)


@pytest.fixture(scope="module")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    """For tests without an API."""
    return a_copy(tmp_path_factory.mktemp("terraform") / "copy", {})


@needs_terraform
def test_the_sources_are_formatted() -> None:
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive", "-diff", str(SOURCES)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@needs_terraform
@pytest.mark.timeout(120)
def test_the_sources_are_valid(terraform: Terraform) -> None:
    terraform.run("validate", "-no-color")


@needs_terraform
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "file",
    [
        pytest.param(path.name, marks=[pytest.mark.nightly] if path.name.startswith("variants.") else [])
        for path in sorted((SOURCES / "tests").glob("*.tftest.hcl"))
    ],
)
def test_terraforms_own_tests_pass(terraform: Terraform, file: str) -> None:
    assert "0 failed" in terraform.run("test", "-no-color", f"-filter=tests/{file}").stdout


@needs_terraform
@pytest.mark.timeout(120)
@pytest.mark.parametrize("example", sorted(path.name for path in (SOURCES / "examples").iterdir()))
def test_examples_that_use_the_modules_are_valid(terraform: Terraform, example: str) -> None:
    copy = Terraform(terraform.folder / "examples" / example, terraform.environment)
    initialise(copy)
    copy.run("validate", "-no-color")


def test_the_folder_is_a_module_that_may_be_used_many_times() -> None:
    # Terraform refuses count and for_each of a module with a provider of its own, and so do registries.
    texts = {
        path.name: path.read_text() for path in SOURCES.glob("*.tf") if path.name not in ("provider.tf", "backend.tf")
    }
    assert [name for name, text in texts.items() if re.search(r'^provider "|^  backend "', text, re.MULTILINE)] == []
    assert 'provider "aws"' in (SOURCES / "provider.tf.example").read_text()


def test_the_lock_names_the_providers_build_for_every_platform() -> None:
    lock = (SOURCES / ".terraform.lock.hcl").read_text()
    assert re.findall(r'^  version += "(.+)"', lock, re.MULTILINE) == ["5.100.0"]
    assert '">= 5.100, < 6.0"' in (SOURCES / "versions.tf").read_text()
    # The zip file of each platform, and their manifest.
    assert len(re.findall(r'"zh:[0-9a-f]{64}"', lock)) == 15


def test_every_variable_and_output_is_in_the_readme_and_no_other() -> None:
    page = (SOURCES / "README.md").read_text()
    inputs, outputs = page.partition("## Outputs")[::2]
    row = re.compile(r"^\| `([a-z_0-9]+)` \|", re.MULTILINE)
    assert row.findall(inputs.partition("## Inputs")[2]) == VARIABLE.findall((SOURCES / "variables.tf").read_text())
    assert row.findall(outputs) == OUTPUT.findall((SOURCES / "outputs.tf").read_text())


@pytest.mark.parametrize("module", sorted((SOURCES / "modules").iterdir()), ids=lambda path: path.name)
def test_every_module_has_the_same_files_and_says_what_its_variables_mean(module: Path) -> None:
    assert {"main.tf", "variables.tf", "outputs.tf", "versions.tf"} <= {path.name for path in module.iterdir()}
    for file, name in (("variables.tf", "variable"), ("outputs.tf", "output")):
        blocks = re.split(rf'^{name} "', (module / file).read_text(), flags=re.MULTILINE)[1:]
        for block in blocks:
            assert "description" in block, f"{module.name}: {name} {block.split(chr(34))[0]} has no description"
