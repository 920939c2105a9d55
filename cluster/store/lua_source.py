"""The source of a Lua script as Redis receives it: its own file, after what it uses of `_common.lua`.

Redis runs the whole text at each call, so every function that is defined costs, used or not: with all of them a script
takes a third longer.
"""

from __future__ import annotations

import functools
import re
from itertools import takewhile
from typing import NamedTuple


def with_common(common: str, script: str) -> str:
    """Returns a script after the functions of `common` that it reaches, in their order, and all other statements of
    `common`. Comments at the top level are left out.

    A function of `common` is written as `local function name` at the start of a line, and closed by `end` at the start
    of a line, or at the end of that same line.
    """
    parts = _parts(common)
    functions = {part.name: part for part in parts if part.name}
    reached: set[str] = set()
    unread = [_words(script), *(part.words for part in parts if not part.name)]
    while unread:
        found = (unread.pop() & functions.keys()) - reached
        reached |= found
        unread += [functions[name].words for name in found]
    kept = [part.text for part in parts if not part.name or part.name in reached]
    return "\n".join([*kept, script])


class _Part(NamedTuple):
    """A function of `common`, or another of its lines, without a name.

    Attributes:
        words: those outside of comments.
    """

    name: str
    text: str
    words: frozenset[str]


@functools.lru_cache(maxsize=1)
def _parts(common: str) -> list[_Part]:
    """The functions and the other lines; no comments and no empty lines. All scripts share them."""
    parts: list[_Part] = []
    lines = iter(common.splitlines())
    for line in lines:
        if not line.strip() or line.startswith("--"):
            continue
        match = re.match(r"local function (\w+)", line)
        if match and not line.endswith(" end"):
            line = "\n".join([line, *takewhile(lambda next_line: next_line != "end", lines), "end"])
        parts.append(_Part(match[1] if match else "", line, _words(line)))
    return parts


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", re.sub("--.*", "", text)))
