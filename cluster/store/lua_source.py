"""The source of a Lua script as Redis receives it: its own file, after what it uses of `_common.lua`.

Redis runs the whole text at each call, so every function that is defined costs, used or not: with all of them a script
takes a third longer.
"""

from __future__ import annotations

import re
from itertools import takewhile


def with_common(common: str, script: str) -> str:
    """Returns a script after the functions of `common` that it reaches, in their order, and all other statements of
    `common`. Comments at the top level are left out.

    A function of `common` is written as `local function name` at the start of a line, and closed by `end` at the start
    of a line, or at the end of that same line.
    """
    parts = _parts(common)
    functions = {name: text for name, text in parts if name}
    reached: set[str] = set()
    unread = [script, *(text for name, text in parts if not name)]
    while unread:
        words = set(re.findall(r"\w+", re.sub("--.*", "", unread.pop())))
        found = (words & functions.keys()) - reached
        reached |= found
        unread += [functions[name] for name in found]
    kept = [text for name, text in parts if not name or name in reached]
    return "\n".join([*kept, script])


def _parts(common: str) -> list[tuple[str, str]]:
    """The functions with their names, and the other lines, without a name; no comments and no empty lines."""
    parts: list[tuple[str, str]] = []
    lines = iter(common.splitlines())
    for line in lines:
        if not line.strip() or line.startswith("--"):
            continue
        match = re.match(r"local function (\w+)", line)
        if match and not line.endswith(" end"):
            line = "\n".join([line, *takewhile(lambda next_line: next_line != "end", lines), "end"])
        parts.append((match[1] if match else "", line))
    return parts
