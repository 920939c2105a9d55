"""The fenced blocks of the documents, and how their output is compared with the real output."""

from __future__ import annotations

import doctest
import fnmatch
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tests.places import ROOT

PAGES: Final = sorted(
    str(path.relative_to(ROOT))
    for folder in (".", "examples", "ops", "terraform", "cluster/store", "docs")
    for path in (ROOT / folder).glob(
        {"docs": "**/*.md", "cluster/store": "*.md"}.get(folder, "README.md"),
    )
)

_FENCE: Final = re.compile(r"^(?P<indent> *)(?P<mark>```+|~~~+)(?P<language>[\w-]*)[^\n]*$")
_MARK: Final = "\x1e"
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True)
class Block:
    """A fenced block; `str` of it is its location, in the form that editors accept."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line} ({self.language or 'no language'})"

    @property
    def module(self) -> str:
        """A name for the block as a Python module."""
        return f"{re.sub(r'[^a-z]+', '_', self.page.lower())}_{self.line}"

    @property
    def file_name(self) -> str | None:
        """The file name that a comment in the first line gives, if any."""
        named = re.match(r"# (\w+\.py)\n", self.text)
        return named[1] if named else None


def blocks_of(page: str) -> Iterator[Block]:
    """The blocks of a page, in order."""
    lines = (ROOT / page).read_text().splitlines()
    number = 0
    while number < len(lines):
        begin = _FENCE.match(lines[number])
        number += 1
        if begin is None:
            continue
        first, indent = number, len(begin["indent"])
        while lines[number].strip() != begin["mark"]:
            number += 1
        yield Block(page, first + 1, begin["language"], "\n".join(line[indent:] for line in lines[first:number]) + "\n")
        number += 1


@dataclass
class Step:
    """A command of a `console` block, and the output that the page shows."""

    command: str
    output: str


def steps_of(block: Block) -> list[Step]:
    """The commands of a `console` block: lines after `$`, with their continuation lines."""
    steps: list[Step] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            steps.append(Step(line[2:], ""))
        elif steps and steps[-1].command.endswith("\\") and not steps[-1].output:
            steps[-1].command += "\n" + line
        else:
            assert steps, f"{block}: a console block begins with `$ ` and a command"
            steps[-1].output += line + "\n"
    return steps


def session(steps: list[Step]) -> str:
    """A bash script that runs the commands in turn and marks the end of each with its exit code."""
    return "".join(f"{{ {step.command}\n}} 2>&1; printf '{_MARK}%s{_MARK}' $?\n" for step in steps)


def outputs(text: str) -> list[tuple[str, int]]:
    """The output of each command of a `session`, and its exit code."""
    parts = text.split(_MARK)
    return [(output, int(code)) for output, code in zip(parts[::2], parts[1::2], strict=False)]


def check_output(wanted: str, got: str, place: str) -> None:
    """Compares text, except for `...`, white space, times, and parts that depend on earlier submissions."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    checker = doctest.OutputChecker()
    if not checker.check_output(_settled(wanted), _settled(got), flags):
        raise AssertionError(f"{place}: the page shows\n{wanted}\nbut the output is\n{got}")


def _settled(text: str) -> str:
    text = re.sub(r'("outcome": ?)"(?:NEW|JOINED|CACHED)"', r'\1"NEW"', text)
    text = _MOMENT.sub("(a moment)", text)
    return re.sub(r'("task": ?\{"state": ?)"(?:QUEUED|RUNNING|SUCCEEDED)"', r'\1"QUEUED"', text)


def check_json(wanted: str, got: str, place: str) -> None:
    """Compares JSON by its members; `...` in a string matches anything, and a time matches any other time."""
    difference = _difference(json.loads(wanted), json.loads(got))
    assert difference is None, f"{place}: {difference}; the page shows\n{wanted}\nbut the answer is\n{got}"


def _difference(wanted: Any, got: Any, where: str = "", *, submission: bool = False) -> str | None:
    """The first difference between two JSON values."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        if wanted.keys() != got.keys():
            return f"at {where or 'the top'} the members differ: {sorted(wanted)} and {sorted(got)}"
        found = (
            _difference(wanted[name], got[name], f"{where}.{name}", submission=submission or "outcome" in wanted)
            for name in wanted
        )
        return next(filter(None, found), None)
    if isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        pairs = enumerate(zip(wanted, got, strict=True))
        return next(filter(None, (_difference(a, b, f"{where}[{number}]") for number, (a, b) in pairs)), None)
    if submission and where.endswith((".outcome", ".state")):
        return None  # it depends on earlier submissions
    if isinstance(wanted, str) and isinstance(got, str) and "..." in wanted:
        pattern = "*".join(re.sub(r"([\[*?])", r"[\1]", part) for part in wanted.split("..."))
        return None if fnmatch.fnmatchcase(got, pattern) else f"at {where}: {got!r} is not {wanted!r}"
    if isinstance(wanted, str) and isinstance(got, str) and _MOMENT.fullmatch(wanted) and _MOMENT.fullmatch(got):
        return None
    return None if wanted == got else f"at {where}: {got!r} is not {wanted!r}"
