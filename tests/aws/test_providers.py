"""The tests of Terraform find its providers where Terraform itself would, and are skipped where there are none."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from tests import outside
from tests.aws.terraform import PLUGIN_DIR, Terraform, a_copy, initialise, needs_terraform

VERSION = "5.100.0"
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without Terraform's folders, on a machine that cannot reach the registry."""
    for name in (PLUGIN_DIR, "TF_CLI_CONFIG_FILE", "TF_CLI_ARGS_init", "TF_PLUGIN_CACHE_DIR", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path / "share"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (tmp_path / "home").mkdir()
    return tmp_path


def provider_in(folder: Path) -> str:
    """Creates a program with the name of the AWS provider; `init` runs no providers."""
    place = folder / "registry.terraform.io" / "hashicorp" / "aws" / VERSION / f"{platform.system().lower()}_{MACHINE}"
    place.mkdir(parents=True)
    program = place / f"terraform-provider-aws_v{VERSION}_x5"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return str(folder)


def found_by(folder: Path, **environment: str) -> list[str]:
    terraform = a_copy(folder / "copy", environment)
    return [path.name for path in (terraform.folder / ".terraform" / "providers").rglob(VERSION)]


@needs_terraform
@pytest.mark.parametrize(
    "place", [".terraform.d/plugins", ".local/share/terraform/plugins", "../share/terraform/plugins"]
)
def test_providers_in_a_folder_where_terraform_looks_are_used(offline: Path, place: str) -> None:
    provider_in(offline / "home" / place)
    assert found_by(offline) == [VERSION]


@needs_terraform
@pytest.mark.parametrize("variable", [PLUGIN_DIR, "TF_PLUGIN_CACHE_DIR"])
def test_providers_in_a_folder_that_a_variable_names_are_used(offline: Path, variable: str) -> None:
    assert found_by(offline, **{variable: provider_in(offline / "providers")}) == [VERSION]


@needs_terraform
def test_providers_in_the_folder_of_an_option_of_init_are_used(offline: Path) -> None:
    assert found_by(offline, TF_CLI_ARGS_init=f"-plugin-dir={provider_in(offline / 'providers')}") == [VERSION]


@needs_terraform
@pytest.mark.parametrize("setting", ["filesystem_mirror", "plugin_cache_dir"])
def test_providers_in_a_folder_of_the_configuration_are_used(offline: Path, setting: str) -> None:
    folder = provider_in(offline / "providers")
    mirror = f'provider_installation {{ filesystem_mirror {{ path = "{folder}" }} }}'
    text = mirror if setting == "filesystem_mirror" else f'plugin_cache_dir = "{folder}"'
    (offline / "terraformrc").write_text(text)
    assert found_by(offline, TF_CLI_CONFIG_FILE=str(offline / "terraformrc")) == [VERSION]


@needs_terraform
def test_without_providers_a_test_is_skipped_or_fails_where_all_must_run(
    offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "STRICT", False)
    with pytest.raises(pytest.skip.Exception, match="no providers here"):
        a_copy(offline / "copy", {})
    monkeypatch.setattr(outside, "STRICT", True)
    with pytest.raises(pytest.fail.Exception, match="no providers here"):
        a_copy(offline / "again", {})


@needs_terraform
def test_sources_that_are_wrong_are_no_lack_of_providers(offline: Path) -> None:
    (offline / "main.tf").write_text("resource {\n")
    with pytest.raises(AssertionError, match="terraform init"):
        initialise(Terraform(offline, {"PATH": "/usr/local/bin:/usr/bin:/bin", "CHECKPOINT_DISABLE": "1"}))
