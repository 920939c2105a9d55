"""Which callables `@task` accepts: functions, partials and callable objects."""

from __future__ import annotations

import functools
import inspect
import reprlib
from typing import Any

from cluster.errors import RegistryError


def underlying_function(function: Any) -> Any:
    """The function behind a functools.partial, the `__call__` of a callable object, or the function itself."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function) or hasattr(function, "__wrapped__"):
        return function
    return type(function).__call__


def origin_of(function: Any) -> str:
    """The module and qualified name of a function, for messages."""
    found = underlying_function(function)
    return f"{found.__module__}.{found.__qualname__}"


def reject_unsupported_callable(function: Any, name: str | None) -> None:
    """Refuses callables that cannot be tasks.

    Raises:
        RegistryError: says what to put @task on.
    """
    if type(function).__module__.startswith("dask."):
        raise RegistryError(
            f"@task was given a Dask {type(function).__name__}; put it on a plain function that returns "
            "delayed(...)(...), and declare what that computes: -> Graph[int]"
        )
    if isinstance(function, type):
        raise RegistryError(f"{function.__module__}.{function.__qualname__} is a class; put @task on a function")
    if not callable(function):
        raise RegistryError(f"{reprlib.repr(function)} is not a function; put @task on a function")
    if name is None and not hasattr(underlying_function(function), "__name__"):
        raise RegistryError(f"{origin_of(function)} has no name; set one with @task(name=...)")
