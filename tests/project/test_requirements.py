"""setup.cfg bounds every requirement, and requirements.lock pins what it allows, for each platform that we name."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from typing import Final

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.requirements import Pin, locked, parts, pins
from tests.places import ROOT

LOCK: Final = ROOT / "requirements.lock"
PLATFORMS: Final = (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("darwin", "x86_64"))
PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
ENVIRONMENTS: Final = [
    {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "sys_platform": platform,
        "platform_machine": machine,
        "platform_system": platform.capitalize(),
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }
    for python, (platform, machine) in product(PYTHONS, PLATFORMS)
]


def applies(requirement: Requirement, environment: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(environment)


def pinned(entries: list[Pin], environment: dict[str, str]) -> dict[str, str]:
    """The release of each package in one environment."""
    found: dict[str, str] = {}
    for entry in entries:
        requirement = Requirement(entry.lines[0].removesuffix("\\"))
        if applies(requirement, environment):
            assert entry.name not in found, f"two releases of {entry.name} for one environment"
            found[entry.name] = str(requirement.specifier).removeprefix("==")
    return found


@pytest.mark.parametrize("part", parts())
def test_every_requirement_has_a_lower_and_an_upper_bound(part: str) -> None:
    for line in parts()[part]:
        operators = {specifier.operator for specifier in Requirement(line).specifier}
        assert operators == {">=", "<"}, f"{part}: {line}"


def test_an_extra_bounds_a_package_as_the_whole_package_does() -> None:
    everywhere = {Requirement(line).name: Requirement(line).specifier for line in (*parts()["base"], *parts()["data"])}
    for part in ("worker", "scheduler", "controller", "api"):
        for line in parts()[part]:
            requirement = Requirement(line)
            assert everywhere[requirement.name] == requirement.specifier, f"{part}: {line}"


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda it: f"{it['python_version']}-{it['sys_platform']}")
def test_the_lock_pins_a_release_that_setup_cfg_allows(environment: dict[str, str]) -> None:
    releases = pinned(pins(), environment)
    for part, lines in parts().items():
        for requirement in map(Requirement, lines):
            if applies(requirement, environment):
                release = releases.get(canonicalize_name(requirement.name))
                assert release is not None, f"{part}: the lock lacks {requirement}; run `make lock`"
                assert release in requirement.specifier, f"{part}: {requirement}, locked {release}; run `make lock`"


FAULTY = {
    "bokeh": ("3.8.1", "CVE-2026-21883"),
    "cryptography": ("49.0.0", "CVE-2026-69247, CVE-2026-39892, CVE-2026-26007, CVE-2024-12797"),
    "msgpack": ("1.2.0", "CVE-2026-57585"),
    "orjson": ("3.11.5", "CVE-2025-67221"),
    "pyjwt": ("2.11.0", "CVE-2026-32597, CVE-2024-53861"),
    "starlette": ("1.3.0", "CVE-2025-62727, CVE-2026-48710"),
}
"""The last release before the one in which these vulnerabilities were fixed."""


@pytest.mark.parametrize("name", FAULTY)
def test_no_part_admits_a_release_with_a_known_vulnerability(name: str) -> None:
    release, vulnerabilities = FAULTY[name]
    requirements = [Requirement(line) for lines in parts().values() for line in lines]
    found = [requirement for requirement in requirements if canonicalize_name(requirement.name) == name]
    assert found
    for requirement in found:
        assert release not in requirement.specifier, f"{requirement}: {vulnerabilities}"


def test_the_lock_holds_nothing_that_no_part_needs() -> None:
    entries = pins()
    everything = [line for lines in parts().values() for line in lines]
    assert [entry.name for entry in locked(everything, entries)] == [entry.name for entry in entries]


def test_every_locked_release_has_hashes_and_no_address() -> None:
    for entry in pins():
        hashes = [line for line in entry.lines[1:] if line.startswith("    --hash=sha256:")]
        assert hashes, entry.name
        assert hashes == entry.lines[1:], entry.name
    assert "://" not in LOCK.read_text()
    assert not re.search(r"^\s*-{1,2}[a-z-]*(index|find-links|trusted)", LOCK.read_text(), re.MULTILINE)


def required(name: str, extras: set[str]) -> Iterator[Requirement]:
    """What the installed package requires on this machine, with these of its extras."""
    for line in importlib.metadata.requires(name) or ():
        requirement = Requirement(line)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras | {""}):
            requirement.marker = None
            yield requirement


@pytest.mark.parametrize("names", ["base dashboard", "worker", "controller", "api", "client", "base test", "otel"])
def test_the_locked_part_is_complete_and_no_larger_than_needed(names: str) -> None:
    """Compared with what the installed packages declare, as far as they are the locked releases."""
    environment = {**{key: str(text) for key, text in default_environment().items()}, "extra": ""}
    lines = [line for name in names.split() for line in parts()[name]]
    entries = list(locked(lines, pins()))
    releases = pinned(entries, environment)
    waiting = list(map(Requirement, lines))
    seen: set[tuple[str, frozenset[str]]] = set()
    needed: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if not applies(requirement, environment) or (name, extras) in seen:
            continue
        seen.add((name, extras))
        needed.add(name)
        if importlib.metadata.version(name) != releases.get(name):
            pytest.skip(f"{name} is not installed as it is locked: {releases.get(name)}")
        waiting.extend(required(name, set(extras)))
    assert needed == set(releases)


def test_a_part_that_does_not_exist_is_named() -> None:
    script = ROOT / "scripts" / "requirements.py"
    done = subprocess.run([sys.executable, script, "wroker"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no extra 'wroker'" in done.stderr
