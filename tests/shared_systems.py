"""Whole systems that tests of several files share, and which test process runs which tests.

A start costs about ten seconds of a core and an idle system a tenth of one, so all tests of a shared system run in one
process, one after the other, and the system is stopped after the last of them.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.engines import ENGINES
from tests.places import ROOT
from tests.system import System

NAMES: Final = ("system", "broken")
"""The fixtures that are shared systems."""
LAST_OF_ITS_SCOPE: Final = pytest.StashKey[bool]()
"""Whether the next test of a test process belongs to another scope."""


class SharedSystems:
    """The shared systems that run in this process, by the names of their fixtures."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[Any, System]] = {}

    async def started(self, name: str, variant: Any, make: Callable[[], System]) -> System:
        """The system of a fixture, started if it does not run yet, or as another variant."""
        if name in self._running and self._running[name][0] != variant:
            await self.stop(name)
        if name not in self._running:
            self._running[name] = variant, await make().__aenter__()
        return self._running[name][1]

    async def stop(self, name: str) -> None:
        if name in self._running:
            await self._running.pop(name)[1].__aexit__()

    async def stop_all(self) -> None:
        for name in list(self._running):
            await self.stop(name)


def scope_of(nodeid: str) -> str:
    """What runs in one process: all tests of a shared system, on one engine; those of the console; the tests of a file
    that share another fixture, on one engine, so that it is made once; and each other test for itself."""
    file, _, test = nodeid.partition("::")
    if file.startswith("tests/console/"):
        return "console"
    engine = next((name for name in ENGINES if name in test), "")
    if system := _systems_of(file).get(test.partition("[")[0]):
        return f"{system} {engine or ENGINES[-1]}"
    return f"{file} {engine}" if _shares_a_fixture(file) else nodeid


@functools.cache
def _shares_a_fixture(file: str) -> bool:
    return 'scope="module"' in (ROOT / file).read_text()


@functools.cache
def _systems_of(file: str) -> dict[str, str]:
    """The shared system that each function of a file requests, itself or by way of one of the file's own fixtures."""
    functions = {
        node.name: [argument.arg for argument in node.args.args]
        for node in ast.parse((ROOT / file).read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    found = {}
    for name, arguments in functions.items():
        requested = {*arguments, *(further for argument in arguments for further in functions.get(argument, ()))}
        found[name] = next((system for system in NAMES if system in requested), "")
    return found
