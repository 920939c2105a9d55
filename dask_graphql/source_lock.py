"""The lock of task sources: a file beside the task modules that says which source each version stood for.

`dask-graphql schema --lock FILE` writes it, one task type a line, so that a review shows what has changed. `--check
FILE` compares: a function whose source has changed under the same version would serve stored results of the old one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from cluster.errors import DaskGraphQLError
from cluster.task_types.registry import AUTO, BUILT_IN, Registry, source_modules
from cluster.task_types.source_version import source_hash

Lock: TypeAlias = dict[str, dict[str, str]]
"""By the task type's name: its `version`, and the hash of its `source`."""


class BadLock(DaskGraphQLError):
    """The file is no lock."""


def make_lock(registry: Registry) -> Lock:
    """The lock of the task types, without built-in ones and those whose version is their source's hash."""
    return {
        name: {"version": made.version, "source": source_hash(source_modules(made)) or ""}
        for name, made in sorted(registry.items())
        if made.registered_in not in BUILT_IN and not made.version.startswith(f"{AUTO}-")
    }


def write_lock(path: Path, lock: Lock) -> None:
    """Writes a lock, one task type a line."""
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in lock.items())
    path.write_text(f"{{\n{lines}\n}}\n" if lock else "{}\n")


def read_lock(path: Path) -> Lock:
    """Reads a lock.

    Raises:
        BadLock: there is none, or it is something else.
    """
    try:
        read = json.loads(path.read_text())
        return {str(name): {"version": entry["version"], "source": entry["source"]} for name, entry in read.items()}
    except FileNotFoundError:
        raise BadLock(f"there is no {path}: write it with `dask-graphql schema --lock {path}`, and commit it") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadLock(f"{path} is not a lock of task sources ({error}); write it again: --lock {path}") from error


def differences(locked: Lock, now: Lock) -> Iterator[str]:
    """What is not as the lock says, and what to do; a source that has changed under the same version first."""
    changed = [name for name in now if name in locked and now[name] != locked[name]]
    stale = [name for name in changed if now[name]["version"] == locked[name]["version"]]
    for name in stale:
        yield (
            f"{name}: its source has changed and its version, {now[name]['version']!r}, has not: stored results of the "
            'old function are served for the new one. Change the version, or write version="auto"; if the results '
            "are the same, write the lock again"
        )
    yield from _renewals(sorted({*changed, *(now.keys() ^ locked.keys())} - set(stale)))


def _renewals(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield f"{name}: the lock does not have it as it is now; write the lock again"
