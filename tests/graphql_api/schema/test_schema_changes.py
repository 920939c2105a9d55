"""A change of the schema that breaks clients is declared in the changelog, or does not land."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.places import ROOT

SCRIPT = ROOT / "scripts" / "schema_changes.py"
RELEASED = (ROOT / "schema.graphql").read_text()
NONE_DECLARED = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n"


def load_script() -> ModuleType:
    """scripts/schema_changes.py as a module; scripts/ is no package."""
    spec = importlib.util.spec_from_file_location("schema_changes", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CHANGES = load_script()


def edited(pattern: str, replacement: str) -> str:
    """The schema with one edit, which must fit."""
    text, count = re.subn(pattern, replacement, RELEASED, count=1)
    assert count == 1, pattern
    return text


BREAKING = [
    (r'\n  """Number of bits."""\n  bitLength: Int!', "", "Field FibonacciResult.bitLength was removed."),
    (r"\n  digits: Int!", "\n  digits: Int", "Field FibonacciResult.digits changed type from Int! to Int."),
    (r"input FibonacciInput \{", "input FibonacciInput {\n  base: Int!",
     "A required field FibonacciInput.base was added."),
    (r"(enum TaskState \{[^}]*)\n  CANCELLED\n", r"\1\n", "Enum value TaskState.CANCELLED was removed."),
    (r"cancelTask\(taskId: ID!\)", "cancelTask(id: ID!)", "Argument Mutation.cancelTask(taskId:) was removed."),
    (r"afterSeq: Int", "afterSeq: Int!",
     "Argument Subscription.taskEvents(afterSeq:) has changed type from Int to Int!."),
]  # fmt: skip
HARMLESS = [
    (r"\n  bitLength: Int!", "\n  bitLength: Int!\n  more: String"),
    (r"Number of the latest event", "Where it stands"),
    (r"input FibonacciInput \{", "input FibonacciInput {\n  base: Int"),
    (r"input FibonacciInput \{", "input FibonacciInput {\n  base: Int! = 10"),
    (r"(enum TaskState \{[^}]*)\n  CANCELLED\n", r"\1\n  CANCELLED\n  LOST\n"),
]


def test_the_committed_schema_breaks_clients_of_the_released_one_only_as_the_changelog_declares() -> None:
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("pattern", "replacement", "description"), BREAKING)
def test_a_breaking_change_is_refused_with_the_line_that_would_declare_it(
    pattern: str, replacement: str, description: str
) -> None:
    found = CHANGES.problems(RELEASED, edited(pattern, replacement), NONE_DECLARED)
    assert any(f"- `{description}`" in problem for problem in found), found


@pytest.mark.parametrize(("pattern", "replacement", "description"), BREAKING)
def test_a_breaking_change_that_is_declared_passes(pattern: str, replacement: str, description: str) -> None:
    current = edited(pattern, replacement)
    lines = "\n".join(f"- `{change}` Do this." for change in CHANGES.breaking_changes(RELEASED, current))
    changelog = f"# Changelog\n\n## [Unreleased]\n\n### Breaking\n\n{lines}\n\n### Added\n\n- `x`\n"
    assert description in lines
    assert CHANGES.problems(RELEASED, current, changelog) == []


@pytest.mark.parametrize(("pattern", "replacement"), HARMLESS)
def test_a_compatible_change_passes(pattern: str, replacement: str) -> None:
    assert CHANGES.problems(RELEASED, edited(pattern, replacement), NONE_DECLARED) == []


def test_declarations_of_older_releases_are_ignored() -> None:
    pattern, replacement, description = BREAKING[0]
    changelog = f"# Changelog\n\n## [Unreleased]\n\n## [0.1.0]\n\n### Breaking\n\n- `{description}` Once.\n"
    [problem] = CHANGES.problems(RELEASED, edited(pattern, replacement), changelog)
    assert description in problem


def test_a_declaration_of_a_change_that_was_not_made_is_refused() -> None:
    changelog = "## [Unreleased]\n\n### Breaking\n\n- `Field Query.task was removed.` Gone.\n"
    [problem] = CHANGES.problems(RELEASED, RELEASED, changelog)
    assert "remove the line" in problem


def test_the_command_fails_until_the_schema_is_released(tmp_path: Path) -> None:
    pattern, replacement, description = BREAKING[0]
    files = {"released": RELEASED, "current": edited(pattern, replacement), "changelog": NONE_DECLARED}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    command = [sys.executable, str(SCRIPT), *(part for name in files for part in (f"--{name}", str(tmp_path / name)))]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert description in refused.stderr
    subprocess.run([*command, "--release"], check=True)
    assert subprocess.run(command, check=False).returncode == 0
