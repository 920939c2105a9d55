"""The registry: `@task` makes a typed function a task type.

Every node loads the same modules, so that all know the same task types. The registry knows nothing of GraphQL;
graphql_api generates its schema from what is declared here.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, Final, TypeVar, overload

from cluster.errors import RegistryError
from cluster.task_types.batching import Batch
from cluster.task_types.callables import origin_of, underlying_function
from cluster.task_types.concurrency import Limit
from cluster.task_types.declaration import declare
from cluster.task_types.needs import Needs, Shape, next_pool_for, pool_for
from cluster.task_types.retry_policy import Retries
from cluster.task_types.source_version import source_hash
from cluster.task_types.task_modules import TaskModule, task_module
from cluster.task_types.task_type import TaskType

BUILT_IN: Final = ("cluster.builtin_tasks.fibonacci",)

AUTO: Final = "auto"
"""The `version` that stands for the hash of the function's source."""

F = TypeVar("F", bound=Callable[..., Any])

_registered: dict[tuple[str, str], TaskType] = {}
"""By the module that called `task`, and the task type's name."""
_importing: dict[tuple[str, str], frozenset[str]] = {}
"""The modules that were being imported during that call: the task type belongs to each of them."""


def registered_as(function: Callable[..., Any]) -> list[TaskType]:
    """The task types that a function is registered as, in this process."""
    return [task_type for task_type in _registered.values() if task_type.function is function]


def task_type_named(name: str) -> TaskType | None:
    """The task type of this name in this process, whichever module registers it; None if there is none."""
    return next((made for (_, known), made in _registered.items() if known == name), None)


class Registry(Mapping[str, TaskType]):
    """The task types by name, in the order of their registration."""

    def __init__(self) -> None:
        self._types: dict[str, TaskType] = {}

    def __getitem__(self, name: str) -> TaskType:
        return self._types[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)

    def add(self, task_type: TaskType) -> None:
        """Adds a task type.

        Raises:
            RegistryError: its name is taken by another function, or by the same one with another version or limits.
        """
        other = self._types.get(task_type.name)
        if other is not None and other.origin != task_type.origin:
            raise RegistryError(
                f"two task types are named {task_type.name!r}: {other.origin} and {task_type.origin}; "
                "rename one of them: @task(name=...)"
            )
        if (
            other is not None
            and other.registered_in != task_type.registered_in
            and not other.has_same_declaration(task_type)
        ):
            raise RegistryError(
                f"{task_type.origin} is registered as {task_type.name!r} by {other.registered_in} and, with another "
                f"version or other limits, by {task_type.registered_in}; register it once, or under two names"
            )
        self._types[task_type.name] = task_type

    def pool_of(self, name: str) -> str:
        """The pool of a task type; empty if it declares none, or is not registered here."""
        made = self._types.get(name)
        return (made and made.pool) or ""

    def choose_pools(self, pools: Mapping[str, Shape], default: str, *, larger: bool = True) -> None:
        """Gives every task type its pool, and the larger one for the attempt after one that ran out of memory.

        Args:
            default: name of the pool of task types that declare none.
            larger: whether there is that larger one at all.

        Raises:
            RegistryError: a task type has a pool that does not exist, or needs more than any pool has.
        """
        for name, made in self._types.items():
            pool = pool_for(made.origin, made.pool, made.needs, pools, default)
            found = next_pool_for(made.pool, made.needs, made.larger_pool, pools, default) if larger else ""
            if pool != (made.pool or default) or found:
                self._types[name] = replace(made, pool=pool, next_pool=found)

    def replace(self, other: Registry) -> None:
        """Takes over the task types of another registry: everything that holds this one sees them at once."""
        self._types = other._types


@overload
def task(function: F) -> F: ...


@overload
def task(
    *,
    name: str | None = None,
    version: str = "1",
    timeout_seconds: float | None = None,
    retries: int | Retries = 0,
    queue_limit: int | None = None,
    checks: Callable[..., None] | None = None,
    input_limit: int | None = None,
    concurrency: int | Limit | None = None,
    ttl: float | None = None,
    start_before: float | None = None,
    batch: Batch | None = None,
    pool: str | None = None,
    needs: Needs | None = None,
    larger_pool: bool | None = None,
) -> Callable[[F], F]: ...


def task(
    function: F | None = None,
    *,
    name: str | None = None,
    version: str = "1",
    timeout_seconds: float | None = None,
    retries: int | Retries = 0,
    queue_limit: int | None = None,
    checks: Callable[..., None] | None = None,
    input_limit: int | None = None,
    concurrency: int | Limit | None = None,
    ttl: float | None = None,
    start_before: float | None = None,
    batch: Batch | None = None,
    pool: str | None = None,
    needs: Needs | None = None,
    larger_pool: bool | None = None,
) -> Any:
    """Registers a typed function as a task type; the function itself stays unchanged.

    Args:
        name: the task's name in snake case; default: the function's.
        version: part of the task id. Change it when the function's results change, so that stored results are not
            served for the new function; or write "auto" for a hash of the function's source.
        timeout_seconds: maximum run time of one attempt; None for no limit.
        retries: how many times a failed attempt is retried; or a `Retries`, which says on which exceptions, and after
            which pauses. A number alone means every exception, and pauses of 1 s, doubled each time up to 60 s.
        queue_limit: maximum number of waiting tasks of this type; None for the system's limit alone.
        input_limit: maximum size of an input as canonical JSON, in bytes; None for INPUT_LIMIT_BYTES.
        checks: called with the arguments on the api node; raises `BadInput` for inputs that types cannot exclude.
        concurrency: how many tasks of this type run at once, or a `Limit`; None for no limit. Further ones stay QUEUED.
        ttl: how long results are kept, in seconds; None, or a longer time than RESULT_TTL_SECONDS, for that.
        start_before: how long after its submission (or after its `notBefore`) a task must have started, in seconds, or
            it fails with EXPIRED_BEFORE_START; None for no limit.
        batch: one call of the function serves several tasks that wait; None for one call each. The function then has a
            list for each argument, with an item of each task, and returns a list of their outputs.
        pool: name of the pool whose workers run it, one of POOLS; None for `default`. The parts of its graphs run there
            too.
        needs: what a worker must have: the smallest pool with as much runs it. Instead of `pool`.
        larger_pool: whether the attempt after one that ran out of memory runs in the pool with the next more memory.
            None: yes, unless `pool` names its pool.

    Raises:
        RegistryError: the function is not fully typed, or a type has no JSON form.
    """

    def register(decorated: F) -> F:
        made = declare(
            decorated, name, version, timeout_seconds, retries, queue_limit, checks, caller, input_limit, concurrency,
            ttl, start_before, batch, pool, needs, larger_pool,
        )  # fmt: skip
        _registered[caller, made.name] = made
        _importing[caller, made.name] = frozenset(being_imported)
        return decorated

    caller, being_imported = _callers(sys._getframe(1))
    return register if function is None else register(function)


def _callers(frame: FrameType) -> tuple[str, list[str]]:
    """The module of a frame, and the modules that are being imported now."""
    found: FrameType | None = frame
    imported = []
    while found is not None:
        if found.f_code.co_name == "<module>":
            imported.append(str(found.f_globals.get("__name__", "")))
        found = found.f_back
    return str(frame.f_globals.get("__name__", "")), imported


def task_type_of(function: Callable[..., Any]) -> TaskType:
    """The task type of a function that was registered; of several, the first.

    Raises:
        RegistryError: it was not.
    """
    for made in _registered.values():
        if made.function == function:
            return made
    raise RegistryError(f"{origin_of(function)} is no task: put @task on it, or call task(...) with it")


def load_registry(
    modules: Iterable[str] = (), installed: Iterable[TaskModule] = (), *, source_versions: bool = False
) -> Registry:
    """Imports the built-in and the given modules and returns their task types.

    A module owns what it registers, what is registered while it is imported, and what it imports from another module;
    so neither the order of the modules nor an earlier import makes a difference.

    Args:
        modules: entries of TASK_MODULES, as `task_module` reads them.
        installed: further modules, as `installed_task_modules` finds them.
        source_versions: whether the version of every task type, except the built-in ones, ends with the hash of its
            source.

    Raises:
        RegistryError: a module cannot be imported or registers nothing, or two task types clash.
    """
    registry = Registry()
    for name in BUILT_IN:
        for made in _load(TaskModule(name, "built in")):
            registry.add(made)
    for module in (*map(task_module, modules), *installed):
        for made in _load(module):
            registry.add(_with_version(made, source_versions=source_versions))
    return registry


def unregister(modules: Collection[str]) -> Callable[[], None]:
    """Removes what these modules have registered, before they are imported again. Returns a function that undoes it,
    and removes what was registered since."""
    registered, importing = dict(_registered), dict(_importing)
    for key in registered:
        if key[0] in modules:
            del _registered[key]
            del _importing[key]

    def undo() -> None:
        _registered.clear()
        _registered.update(registered)
        _importing.clear()
        _importing.update(importing)

    return undo


def _load(module: TaskModule) -> list[TaskType]:
    """Imports a task module and returns its task types; the error names it, whatever the module's own code raises."""
    module.make_importable()
    try:
        importlib.import_module(module.name)
    except SystemExit as error:
        # An exit would look like success.
        raise RegistryError(
            f"the task module {module.name!r} ({module.origin}) ends the process when it is imported, by "
            f'sys.exit({error.code!r}) or an argument parser: put that below if __name__ == "__main__"'
        ) from error
    except Exception as error:
        raise RegistryError(
            f"cannot import the task module {module.name!r} ({module.origin}): {type(error).__name__}: {error}"
            f"{_working_folder_hint(module.name, error)}"
        ) from error
    found = _task_types_of(module.name)
    if not found:
        raise RegistryError(f"the task module {module.name!r} ({module.origin}) has no @task function")
    return found


def source_modules(task_type: TaskType) -> tuple[str, ...]:
    """The modules that define a task type: that of its function, and the one that registered it."""
    return str(underlying_function(task_type.function).__module__), task_type.registered_in


def _with_version(made: TaskType, *, source_versions: bool) -> TaskType:
    """The task type with its source's hash in its version, if it declares so or all do.

    Raises:
        RegistryError: its version is "auto", but it has no source files.
    """
    if made.version != AUTO and not source_versions:
        return made
    found = source_hash(source_modules(made))
    if found is None and made.version == AUTO:
        raise RegistryError(
            f'{made.origin}: version="auto" hashes the source of the function, which has no .py file here; write a '
            "version"
        )
    return made if found is None else replace(made, version=f"{made.version}-{found}")


def _task_types_of(module: str) -> list[TaskType]:
    names = vars(sys.modules[module])
    functions = {id(value) for value in names.values()}
    modules = {value.__name__ for value in names.values() if isinstance(value, ModuleType)}
    return [
        made
        for (caller, name), made in _registered.items()
        if caller == module
        or caller.startswith(f"{module}.")
        or module in _importing[caller, name]
        or id(made.function) in functions
        or caller in modules
    ]


def _working_folder_hint(module: str, error: Exception) -> str:
    """What to do if the module is in the working folder, from which nothing is imported."""
    top = module.partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or error.name != top:
        return ""
    if not (Path(f"{top}.py").is_file() or Path(top).is_dir()):
        return ""
    return "; it is in the working folder: name it by its path, ./" + (module if "." in module else f"{module}.py")
